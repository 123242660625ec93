/** httpd.proxy with several servers that are real processes: one is killed, and frozen, while requests come; functions that choose. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before } from 'node:test';
import { calmTest as test } from '../support/calm.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';
import { TimerLag } from '../support/timer-lag.ts';
import { plainUpstream, type Upstream } from '../support/upstream.ts';

const BACKEND = `const http = require('node:http');
http.createServer((request, response) => response.end(process.argv[1])).listen(Number(process.argv[2]), '127.0.0.1', function () {
  console.log(this.address().port);
});`;

interface Backend {
  readonly port: number;
  readonly process: ChildProcess;
}

const running = new Set<ChildProcess>();

async function startBackend(name: string, port = 0): Promise<Backend> {
  const child = spawn(process.execPath, ['-e', BACKEND, name, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), process: child };
}

let echo: Upstream;

before(async () => {
  echo = await plainUpstream((_request, response) => response.end('echo'));
});

after(() => echo.close());

const CONNECT_SECONDS = 1;

const script = (backends: readonly Backend[]): string => `local httpd = require 'httpd'
  local targets = {${backends.map(({ port }) => `'http://127.0.0.1:${port}'`).join(', ')}}
  httpd.register_handler('/run', function()
    assert(httpd.proxy(targets, {
      timeout = {connect = ${CONNECT_SECONDS}, head = 1.5}, health = {path = '/up', interval = 0.3, timeout = 0.3, fall = 3, rise = 2},
    }))
  end)`;

interface Seen {
  readonly slow: number;
  readonly wrong: readonly string[];
  /** By backend. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Sends 200 requests a second until `enough` says so. */
async function load(harness: ScriptHarness, enough: () => boolean): Promise<Seen> {
  const counts = new Map<string, number>();
  const wrong: string[] = [];
  const running: Promise<void>[] = [];
  let slow = 0;
  const lag = new TimerLag();
  const send = async (): Promise<void> => {
    const startedAt = performance.now();
    const { status, text, broken } = await harness.request('/run');
    // the servers wait for a processor as this process does
    if (performance.now() - startedAt > CONNECT_SECONDS * 1000 + 4 * lag.maxMs) slow += 1;
    if (status !== 200 || broken) wrong.push(`${status} ${text}`);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  };
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      running.push(send());
      if (!enough()) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
  await Promise.all(running);
  lag.stop();
  return { slow, wrong, counts };
}

test('One of three servers is killed, comes back, is frozen and goes on: no GET fails, and few are slow', async () => {
  const backends = await Promise.all(['a', 'b', 'c'].map((name) => startBackend(name)));
  const [, b] = backends as [Backend, Backend];
  const harness = await ScriptHarness.load(script(backends));
  const lines = (text: string): number => harness.log.filter((line) => line.includes(text)).length;
  // requests and checks may both find out that a server is down, each with a line of its own
  const until = (text: string): (() => boolean) => {
    const before = lines(text);
    return () => lines(text) > before;
  };
  try {
    let sent = 0;
    const warm = await load(harness, () => ++sent >= 60);
    assert.deepEqual([...warm.counts.keys()].sort(), ['a', 'b', 'c']);

    b.process.kill('SIGKILL');
    const killed = await load(harness, until('Upstream is down'));
    assert.deepEqual([killed.wrong, killed.slow], [[], 0]);
    const rises = until('Upstream is up');
    const fresh = await startBackend('b', b.port);
    const risen = await load(harness, rises);
    assert.deepEqual(risen.wrong, []);
    let more = 0;
    const again = await load(harness, () => ++more >= 60);
    assert.ok((again.counts.get('b') ?? 0) > 5, 'it has its share again');

    fresh.process.kill('SIGSTOP');
    const frozen = await load(harness, until('Upstream is down'));
    assert.deepEqual(frozen.wrong, []);
    assert.ok(frozen.slow <= 3, `${frozen.slow} requests were slow`);
    fresh.process.kill('SIGCONT');
    const thawed = await load(harness, until('Upstream is up'));
    assert.deepEqual([thawed.wrong, thawed.slow], [[], 0]);
  } finally {
    await harness.close();
    for (const child of running) child.kill('SIGKILL');
  }
});

test('A function of the script chooses; an error, a wrong place and an endless loop leave it to chance and are logged', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    local targets = {'http://127.0.0.1:${echo.port}', 'http://127.0.0.1:${echo.port}/'}
    local functions = {
      function(names) seen = table.concat(names, ' ') return 2 end,
      function() error('no idea') end,
      function() return 3 end,
      function() while true do end end,
    }
    httpd.register_handler('/run', function(env, header)
      assert(httpd.proxy(targets, {balance = functions[tonumber(header.which)]}))
    end)
    httpd.register_handler('/seen', function() httpd.write(nil, seen) end)`);
  try {
    for (const which of ['1', '2', '3', '4'])
      assert.equal((await harness.request('/run', { fields: ['which', which] })).text, 'echo');
    assert.match((await harness.request('/seen')).text, /^http:\/\/127\.0\.0\.1:\d+ http:\/\/127/);
    const errors = harness.log.filter((line) => line.startsWith('error '));
    assert.equal(errors.length, 3, harness.log.join('\n'));
    assert.match(errors.join('\n'), /no idea[\s\S]*no place from 1 to 2[\s\S]*CPU limit/);
  } finally {
    await harness.close();
  }
});

test('Options that balance are checked', async () => {
  const harness = await ScriptHarness.run(`
    for _, options in ipairs{{balance = 'x'}, {balance = 1}, {hash = 'x'}, {hash = {x = 1}}, {health = true}, {health = {interval = 0.01}},
      {health = {fall = 0}}, {health = {path = 'up'}}, {health = {status = 1000}}} do say(pcall(httpd.proxy, 'http://127.0.0.1:1', options)) end`);
  try {
    const lines = (await harness.output()).trimEnd().split('\n');
    assert.equal(lines.length, 9);
    for (const line of lines) assert.match(line, /^false .*option/);
  } finally {
    await harness.close();
  }
});

test('A worker that has stopped checks nothing any more', async () => {
  let checks = 0;
  const upstream = await plainUpstream((request, response) => {
    if (request.url === '/up') checks += 1;
    response.end('ok');
  });
  const harness = await ScriptHarness.run(
    `say(httpd.proxy('http://127.0.0.1:${upstream.port}', {health = {path = '/up', interval = 0.1}}))`,
  );
  try {
    await harness.request('/run');
    await eventually(() => assert.ok(checks >= 2));
  } finally {
    harness.proxies.stop();
    await harness.close();
  }
  await eventually(() => assert.equal(upstream.open(), 0));
  const seen = checks;
  // as long as several checks would take
  const clock = await ScriptHarness.run('httpd.sleep(0.3) say("later")');
  assert.equal(await clock.output(), 'later\n');
  await clock.close();
  assert.equal(checks, seen);
  await upstream.close();
});
