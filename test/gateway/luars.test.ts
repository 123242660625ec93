/** Scripts of luars' shape in the real program: over all workers, over both protocols, and with real servers to ask. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { askSession, PROTOCOLS, promptly, TestGateway } from '../support/test-gateway.ts';
import { plainUpstream, rawUpstream, type Upstream } from '../support/upstream.ts';

const EXAMPLE = readFileSync(join(PACKAGE_ROOT, 'examples', 'luars', 'script.lua'), 'utf8');
/** What the example's /fetch asks. */
const FETCHED = 'http://httpbin.org/get';
const COUNTER = `local count = 0
function handle_request(method, path, body)
    count = count + 1
    return 200, 'text/plain', require 'httpd'.worker.id .. ' ' .. count
end`;
const WORKERS = 4;
/** Connections opened at the same time; the kernel gives each to a worker that has nothing to do. */
const CROWD = 16;
const ROUNDS_MAX = 50;
const SLEEPERS = 100;
/** As long as a tenth of the sleepers would take one after the other. */
const SLEEPERS_MAX_MS = 50_000;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** How the server that the example's /fetch asks answers. */
let answerFetch: RequestListener = (_, response) => response.end();
let fetched: Upstream;
/** Serves the example of luars for all tests that need no option of their own. */
let example: TestGateway;
before(async () => {
  fetched = await plainUpstream((request, response) => answerFetch(request, response));
  example = await startExample(`${fetched.url}/get`);
});
after(async () => {
  await example.stop();
  await fetched.close();
});

interface Serving {
  readonly workers?: number;
  readonly words?: readonly string[];
}

/** Starts the program with one script under /, given by --script. */
function startScript(source: string, { workers = 1, words = [] }: Serving = {}): Promise<TestGateway> {
  return TestGateway.start(
    {},
    {
      workers,
      words: ['--script', '$FOLDER/handler.lua', ...words],
      prepare: (folder) => writeFileSync(folder.file('handler.lua'), source),
    },
  );
}

/** The same until the test ends. */
async function serve(source: string, serving: Serving = {}): Promise<TestGateway> {
  const gateway = await startScript(source, serving);
  ends.push(() => gateway.stop());
  return gateway;
}

/** Starts the example, whose /fetch asks another server than the one it names. */
function startExample(url: string, words: readonly string[] = []): Promise<TestGateway> {
  assert.ok(EXAMPLE.includes(`http_get('${FETCHED}')`));
  return startScript(EXAMPLE.replace(FETCHED, url), { words });
}

/** One request without TLS, over a connection of its own. */
function askCleartext(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}

test('R4: four workers answer, and each has a state that counts by itself; a connection that is kept reaches one', async () => {
  const gateway = await serve(COUNTER, { workers: WORKERS });
  const counts = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS_MAX && counts.size < WORKERS; round++) {
    const protocol = PROTOCOLS[round % 2] ?? 'h1';
    const crowd = Array.from({ length: CROWD }, (_, i) => gateway.ask(protocol, `/any/path/${i}`));
    for (const { status, text } of await Promise.all(crowd)) {
      const [worker = '', count] = text.split(' ');
      assert.equal(status, 200, text);
      counts.set(worker, [...(counts.get(worker) ?? []), Number(count)]);
    }
  }
  assert.deepEqual([...counts.keys()].sort(), ['1', '2', '3', '4']);
  for (const [worker, seen] of counts) {
    const sorted = seen.sort((a, b) => a - b);
    assert.deepEqual(
      sorted,
      sorted.map((_, i) => i + 1),
      `worker ${worker} counts from 1 and leaves nothing out`,
    );
  }
  const session = await gateway.session();
  const texts: string[] = [];
  for (let i = 0; i < 5; i++) texts.push((await askSession(session, '/')).text);
  const [worker = ''] = (texts[0] ?? '').split(' ');
  const before = counts.get(worker)?.length ?? 0;
  assert.deepEqual(
    texts,
    texts.map((_, i) => `${worker} ${before + i + 1}`),
  );
});

test('R4: --port, --workers and --script are understood, as are -p, -w and -s, and the mode is told', async () => {
  const folder = new GatewayFolder();
  ends.push(async () => folder.remove());
  const script = folder.file('handler.lua');
  writeFileSync(script, EXAMPLE);
  const tls = ['-c', folder.certificate, '-k', folder.key, '-a', '127.0.0.1'];
  const wordsOf = ([port = '', workers = '', file = '']: readonly string[]): string[] => [
    ...[port, '0', workers, '3', file, script, '--mode', 'luars'],
    ...tls,
  ];
  const short = wordsOf(['-p', '-w', '-s']);
  const context = { columns: 80, shell: '' };
  // the short names stand for the same configuration, so that one start shows both
  assert.deepEqual(
    await parseCommandLine(short, context),
    await parseCommandLine(wordsOf(['--port', '--workers', '--script']), context),
  );
  const gateway = new GatewayProcess(folder, short);
  ends.push(() => gateway.stop());
  await gateway.ready();
  assert.deepEqual(await gateway.ask('/'), { status: 200, body: 'Hello from luars!' });
  assert.match(gateway.stdout, /with 3 workers\n {2}\/ {2}.*handler\.lua \(luars\)/);
  await gateway.until(() => /Script loaded .*mode=luars/.test(gateway.stderr));
});

test('R4: the mode of each script is shown at the start, whether it was found or given', async () => {
  const gateway = await TestGateway.start(
    {
      '/': "require 'httpd'.register_handler('/', function() end)",
      '/luars': COUNTER,
      '/luvit': 'return function(read, write) end',
      '/given': 'return function(method, path) return 200 end',
    },
    { words: ['--mode', '/given=luars'] },
  );
  ends.push(() => gateway.stop());
  const shown = [...gateway.running.stdout.matchAll(/^ {2}(\/\S*) .*script-\d\.lua \((\w+)\)$/gm)];
  assert.deepEqual(
    shown.map(([, prefix, mode]) => [prefix, mode]),
    [
      ['/', 'lhttpd'],
      ['/luars', 'luars'],
      ['/luvit', 'luvit'],
      ['/given', 'luars'],
    ],
  );
});

test('R4: without --port it is 8443, with TLS; --http adds the listener without TLS that luars has', async () => {
  const result = await parseCommandLine(['--script', 'handler.lua'], { columns: 80, shell: '' });
  assert(result.kind === 'run');
  assert.deepEqual(result.config.listen, { address: undefined, port: 8443 });
  assert.equal(result.config.cleartext, undefined);
  const gateway = await serve(COUNTER, { words: ['--http', '127.0.0.1:0'] });
  const [, port] = /http:\/\/127\.0\.0\.1:(\d+)\//.exec(gateway.running.stdout) ?? [];
  assert.equal(await askCleartext(Number(port)), '1 1');
  assert.equal((await gateway.ask('h1', '/')).text, '1 2');
});

test('R5: /, /time, /echo, /sleep and everything else answer as the example of luars does', async () => {
  const gateway = example;
  for (const protocol of PROTOCOLS) {
    const ask = gateway.ask.bind(gateway, protocol);
    const home = await ask('/');
    assert.deepEqual(
      [home.status, home.headers['content-type'], home.headers['content-length'], home.text],
      [200, 'text/plain', '17', 'Hello from luars!'],
    );
    const before = Math.floor(Date.now() / 1000) * 1000;
    const time = await ask('/time');
    assert.match(time.text, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    const told = new Date(time.text.replace(' ', 'T')).getTime();
    assert.ok(told >= before && told <= Date.now(), time.text);
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
    const echo = await ask('/echo', { method: 'POST', body: bytes });
    assert.deepEqual([echo.status, echo.headers['content-type']], [200, 'text/plain']);
    assert.ok(echo.body.equals(bytes), 'all bytes come back, beyond the 64 KiB of luars too');
    assert.equal((await ask('/echo?x=1', { method: 'POST', body: '' })).text, '');
    const begun = performance.now();
    assert.equal((await ask('/sleep')).text, 'Slept for 1 second');
    assert.ok(performance.now() - begun >= 990);
    for (const path of ['/nothing', '/echo', '/time/', '//']) {
      const missing = await ask(path);
      assert.deepEqual(
        [missing.status, missing.headers['content-type'], missing.text],
        [404, 'text/plain', 'Not Found'],
        path,
      );
    }
  }
  await gateway.untilIdle();
});

test('R5: a hundred requests to /sleep take about as long as one, and hold up neither / nor /time', async () => {
  const gateway = example;
  const session = await gateway.session();
  // a machine that stands still for a second tries again
  for (let tries = 1; !(await answersWhileOthersSleep(session)); tries++)
    assert.ok(tries < 6, 'the others were answered first');
  const begun = performance.now();
  const sleepers = Array.from({ length: SLEEPERS }, () => askSession(session, '/sleep'));
  assert.equal((await promptly(gateway.ask('h1', '/'))).status, 200);
  for (const { text } of await Promise.all(sleepers)) assert.equal(text, 'Slept for 1 second');
  const took = performance.now() - begun;
  assert.ok(took < SLEEPERS_MAX_MS, `${took} ms`);
  await gateway.untilIdle();
});

/** Whether all of `/`, `/time` and an unknown path were answered before the first of those that sleep. */
async function answersWhileOthersSleep(session: ClientHttp2Session): Promise<boolean> {
  const sleepers = Array.from({ length: SLEEPERS }, () => askSession(session, '/sleep'));
  let awake = 0;
  for (const sleeper of sleepers) void sleeper.then(() => awake++);
  for (const path of ['/', '/time', '/nothing']) await askSession(session, path);
  const isFirst = awake === 0;
  await Promise.all(sleepers);
  return isFirst;
}

test('R5: /fetch gives what a server answers as JSON, whatever its status and its bytes', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 * 1024 }, (_, i) => (i * 7) % 256));
  let asked = '';
  const answers: Record<string, (response: ServerResponse, request: IncomingMessage) => void> = {
    '/here': (response, { url, method }) => response.end(JSON.stringify({ url, method })),
    '/broken': (response) => response.writeHead(500).end('{"error":"broken"}'),
    '/bytes': (response) => response.end(bytes),
    '/empty': (response) => response.writeHead(204).end(),
    '/moved': (response) => response.writeHead(302, { location: '/here' }).end(),
  };
  // the script asks for one URL, which stands for another each time
  answerFetch = (request, response) => {
    const path = request.url === '/get' ? asked : request.url;
    answers[path ?? '']?.(response, request);
  };
  const expected: Record<string, Buffer | string> = {
    '/here': '{"url":"/get","method":"GET"}',
    '/broken': '{"error":"broken"}',
    '/bytes': bytes,
    '/empty': '',
    '/moved': '{"url":"/here","method":"GET"}',
  };
  const gateway = example;
  for (const [path, body] of Object.entries(expected)) {
    asked = path;
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, '/fetch');
      assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/json'], path);
      assert.ok(answer.body.equals(Buffer.from(body as string)), path);
    }
    await gateway.untilCounters((now) => now.fetches === 0, 'no fetch is left');
  }
});

test('R5: /fetch waits for a slow server without holding up /, and ends at the time limit with one that is silent', async () => {
  let release = (): void => undefined;
  let asked = 0;
  answerFetch = (_, response) => {
    asked += 1;
    release = () => response.end('{"slow":true}');
  };
  const patient = example;
  const slow = patient.ask('h1', '/fetch');
  await patient.untilCounters((now) => now.fetches === 1 && asked === 1, 'the server is asked');
  for (const protocol of PROTOCOLS) assert.equal((await promptly(patient.ask(protocol, '/'))).status, 200);
  release();
  assert.equal((await slow).text, '{"slow":true}');

  const limited = await startExample(`${fetched.url}/get`, ['--time-limit', '0.2']);
  ends.push(() => limited.stop());
  const silent = await promptly(limited.ask('h2', '/fetch'));
  assert.equal(silent.status, 500);
  await limited.untilLog(/Time limit reached.*limit=time limitMs=200/s);
  assert.equal((await limited.ask('h1', '/')).status, 200);
  await limited.untilIdle();
  await limited.untilCounters((now) => now.fetches === 0, 'the fetch has ended with its request');
});

test('R5: /fetch of a server that refuses, breaks off or speaks no HTTP is answered with 502 and the reason', async () => {
  let bytes = '';
  const server = await rawUpstream((socket) => socket.once('data', () => socket.end(bytes)));
  ends.push(() => server.close());
  const gateway = await startExample(`${server.url}/get`);
  ends.push(() => gateway.stop());
  const reasons: readonly (readonly [answered: string | undefined, reason: RegExp])[] = [
    ['HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut short', /closed|ended/],
    ['220 mail.example ESMTP\r\n', /Cannot fetch/],
    [undefined, /ECONNREFUSED/],
  ];
  for (const [answered, reason] of reasons) {
    if (answered === undefined) await server.close();
    else bytes = answered;
    const answer = await gateway.ask('h2', '/fetch');
    assert.deepEqual([answer.status, answer.headers['content-type']], [502, 'text/plain']);
    assert.match(answer.text, /^http_get error: /);
    assert.match(answer.text, reason);
    assert.equal((await gateway.ask('h1', '/')).status, 200);
    await gateway.untilIdle();
  }
});
