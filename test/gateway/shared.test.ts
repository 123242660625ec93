/** Counters that all workers share, over real connections: each number once, in order, and fast. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { inForm } from '../support/test-form.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local d = httpd.shared('counter')
httpd.register_handler('/next', function(env)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, d:incr('n', 1, -1) .. ' ' .. env.WORKER_ID)
end)
httpd.register_handler('/who', function(env) httpd.write(nil, env.WORKER_ID) end)
httpd.register_handler('/loop', function(env)
    for _ = 1, tonumber(env.QUERY_INFO) do d:incr('loop', 1, 0) end
    httpd.write(nil, tostring(d:get('loop')))
end)
httpd.register_handler('/tiny', function()
    local tiny = httpd.shared('tiny')
    httpd.write(nil, tostring(select(3, tiny:set('k', ('x'):rep(65536)))) .. ' ' .. tostring(tiny:set('k', ('x'):rep(32768))))
end)`;

const WORKERS = 3;
const TRIES_MAX = 6;
const CONNECTIONS = 9;
const REQUESTS_EACH = inForm(60, 150);

/** Processor time that a process has used (proc(5)): hundredths of a second of user and of system time. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Connections to as many different workers. */
async function sessionsTo(gateway: TestGateway, workers: number): Promise<ClientHttp2Session[]> {
  const sessions = new Map<string, ClientHttp2Session>();
  for (let i = 0; sessions.size < workers; i++) {
    assert.ok(i < 400, 'all workers answer');
    const session = await gateway.session();
    const { text } = await askSession(session, '/who');
    if (sessions.has(text)) session.destroy();
    else sessions.set(text, session);
  }
  return [...sessions.values()];
}

/** One gateway for the tests that look at answers and times. */
let gateway: TestGateway;
before(async () => {
  const words = ['--cpu-limit', '60', '--shared', 'counter=1M', '--shared', 'tiny=64K'];
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: WORKERS, words, apart: true });
});
after(() => gateway.stop());

test('A6: a counter increases strictly over all workers and connections', async () => {
  const sessions = await sessionsTo(gateway, WORKERS);
  while (sessions.length < CONNECTIONS) sessions.push(await gateway.session());
  const workers = new Set<string>();
  const all: number[] = [];
  await Promise.all(
    sessions.map(async (session) => {
      let last = -1;
      for (let i = 0; i < REQUESTS_EACH; i++) {
        const { status, text } = await askSession(session, '/next');
        assert.equal(status, 200);
        const [count = '', worker = ''] = text.split(' ');
        workers.add(worker);
        assert.ok(Number(count) > last, `${count} comes after ${last}`);
        last = Number(count);
        all.push(last);
      }
    }),
  );
  assert.equal(workers.size, WORKERS);
  all.sort((a, b) => a - b);
  assert.deepEqual(
    all,
    Array.from({ length: CONNECTIONS * REQUESTS_EACH }, (_, i) => i),
    'each number once: 0, 1, 2 …',
  );
  for (const session of sessions) session.destroy();
});

test('incr costs microseconds, alone and with two workers on one key, and none is lost', async () => {
  const rounds = inForm(50_000, 100_000);
  /** Three times what is promised: 3 µs alone, 10 µs with two; of processor time, so that a busy machine changes little. */
  const [aloneUsMax, togetherUsMax] = [9, 30];
  /** Times these on the wall: far less than threads that sleep for each other would take. */
  const wallFactor = 10;
  const [first, second] = await sessionsTo(gateway, 2);
  assert.ok(first !== undefined && second !== undefined);
  let loops = 0;
  const time = async (sessions: readonly ClientHttp2Session[]): Promise<number> => {
    loops += sessions.length;
    const [start, used] = [performance.now(), processorMs(gateway.process.pid)];
    const answers = await Promise.all(sessions.map((session) => askSession(session, `/loop?${rounds}`)));
    assert.ok(answers.every(({ status }) => status === 200));
    const wallUs = ((performance.now() - start) * 1000) / rounds;
    assert.ok(wallUs <= wallFactor * (sessions.length === 1 ? aloneUsMax : togetherUsMax), `${wallUs} µs`);
    // of one incr
    return ((processorMs(gateway.process.pid) - used) * 1000) / (rounds * sessions.length);
  };
  // who shares a processor with others has less of it at times
  const timeAtBest = async (sessions: readonly ClientHttp2Session[], usMax: number): Promise<number> => {
    let best = await time(sessions);
    for (let tries = 1; best > usMax && tries < TRIES_MAX; tries++)
      best = Math.min(best, await time(sessions));
    return best;
  };
  await time([first]);
  await time([second]);
  const alone = await timeAtBest([first], aloneUsMax);
  const together = await timeAtBest([first, second], togetherUsMax);
  assert.equal((await askSession(first, '/loop?0')).text, String(loops * rounds));
  assert.ok(alone <= aloneUsMax, `${alone} µs alone`);
  assert.ok(together <= togetherUsMax, `${together} µs with two workers`);
  console.log(`incr: ${alone.toFixed(2)} µs alone, ${together.toFixed(2)} µs with two workers on one key`);
});

test('--shared bounds a dictionary', async () => {
  assert.equal((await gateway.ask('h2', '/tiny')).text, 'limit true');
});

test('A script that uses dictionaries without end is stopped at its limit, and others are served meanwhile', async () => {
  const script = `local httpd = require 'httpd'
  local d = httpd.shared('hostile')
  d:set('big', ('x'):rep(4 * 1024 * 1024))
  for i = 1, 20000 do d:set('k' .. i, i) end
  local loops = {
      get = function() d:get('big') end,
      keys = function() d:keys(65536) end,
      incr = function() d:incr('n', 1, 0) end,
      flush = function() httpd.shared('other'):flush() end,
  }
  httpd.register_handler('/loop', function(env) while true do loops[env.QUERY_INFO]() end end)
  httpd.register_handler('/hello', function() httpd.write(nil, 'hello') end)`;
  const gateway = await TestGateway.start({ '/': script }, { words: ['--cpu-limit', '0.1'] });
  try {
    for (const kind of ['get', 'keys', 'incr', 'flush']) {
      const loop = gateway.ask('h2', `/loop?${kind}`);
      assert.equal((await gateway.ask('h2', '/hello')).text, 'hello');
      assert.equal((await loop).status, 500, kind);
    }
    await gateway.untilIdle();
  } finally {
    await gateway.stop();
  }
});
