/** What one connection begins at once must not keep another waiting for all of it. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { after, before, test } from 'node:test';
import { TestGateway } from '../support/test-gateway.ts';

const OFFENDERS = 4;
const REQUESTS_EACH = 25;
const PROMISES = 150;
const TRIES_MAX = 6;
/** Promises of one response that are kept. */
const PROMISES_MAX = 100;

const SCRIPT = `local httpd = require 'httpd'
  local begun = 0
  local function compute(rounds) local n = 0 for i = 1, rounds do n = n + i end end
  httpd.register_handler('/compute', function() compute(1000000) httpd.write(nil, 'done') end)
  httpd.register_handler('/small', function() httpd.write(nil, 'small') end)
  httpd.register_handler('/asleep', function() httpd.sleep(0.2) compute(1000000) httpd.write(nil, 'done') end)
  httpd.register_handler('/pushed', function() begun = begun + 1 compute(1000000) httpd.write(nil, 'pushed') end)
  httpd.register_handler('/begun', function() httpd.write(nil, tostring(begun)) end)
  httpd.register_handler('/page', function(env)
    for i = 1, tonumber(env.QUERY_INFO) do httpd.header {[':path'] = '/pushed'} end
    httpd.write(nil, 'page')
  end)`;

/** Resolves with the body when the answer is complete. */
function ask(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path });
    let body = '';
    stream.setEncoding('latin1');
    stream.on('data', (text: string) => {
      body += text;
    });
    stream.once('error', reject);
    stream.once('end', () => resolve(body));
  });
}

/**
 * Measures until `/small` has waited for less than a quarter of what the others took: two slices of hundreds, so that most of that is left for a
 * busy machine, and one that stands still meanwhile tries again.
 */
async function untilFair(
  measure: () => Promise<readonly [longestMs: number, totalMs: number]>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const [longest, total] = await measure();
    if (longest < total / 4) return;
    assert(tries < TRIES_MAX, `${Math.round(longest)} of ${Math.round(total)} ms`);
  }
}

/** The longest wait for `/small`, asked again and again until `done`. */
async function longestWait(session: ClientHttp2Session, done: Promise<unknown>): Promise<number> {
  let isDone = false;
  const end = done.finally(() => {
    isDone = true;
  });
  let longest = 0;
  while (!isDone) {
    const started = performance.now();
    assert.equal(await ask(session, '/small'), 'small');
    longest = Math.max(longest, performance.now() - started);
  }
  await end;
  return longest;
}

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--cpu-limit', '0'] });
});
after(() => gateway.stop());

for (const path of ['/compute', '/asleep']) {
  test(`A small request does not wait for a hundred of ${path} on other connections`, async () => {
    const honest = await gateway.session();
    await ask(honest, '/small');
    const offenders = await Promise.all(Array.from({ length: OFFENDERS }, () => gateway.session()));
    await untilFair(async () => {
      const started = performance.now();
      const all = Promise.all(
        offenders.flatMap((session) => Array.from({ length: REQUESTS_EACH }, () => ask(session, path))),
      );
      const longest = await longestWait(honest, all);
      return [longest, performance.now() - started];
    });
    for (const session of [honest, ...offenders]) session.destroy();
    await gateway.untilIdle();
  });
}

test('A page that pushes what takes long keeps nobody else waiting for it, and pushes no more than it may', async () => {
  const honest = await gateway.session();
  const greedy = await gateway.session({ settings: { enablePush: true } });
  let pushed: Promise<unknown>[] = [];
  greedy.on('stream', (stream: ClientHttp2Stream) => {
    stream.resume();
    pushed.push(new Promise((resolve) => stream.once('close', resolve)));
  });
  await untilFair(async () => {
    pushed = [];
    const before = Number(await ask(honest, '/begun'));
    const started = performance.now();
    const page = ask(greedy, `/page?${PROMISES}`).then(async (body) => {
      assert.equal(body, 'page');
      await Promise.all(pushed);
    });
    const longest = await longestWait(honest, page);
    const total = performance.now() - started;
    assert.equal(pushed.length, PROMISES_MAX);
    assert.equal(Number(await ask(honest, '/begun')) - before, PROMISES_MAX);
    return [longest, total];
  });
  await gateway.running.until(() => /Push promises dropped: a response may make 100/.test(gateway.log));
  honest.destroy();
  greedy.destroy();
  await gateway.untilIdle();
});

test('A push that its client refuses before it begins is not run', async () => {
  const session = await gateway.session({ settings: { enablePush: true } });
  let refused = 0;
  let closed: Promise<unknown>[] = [];
  session.on('stream', (stream: ClientHttp2Stream) => {
    refused += 1;
    stream.on('error', () => undefined);
    closed.push(new Promise((resolve) => stream.once('close', resolve)));
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  // a client that stands still refuses too late
  for (let tries = 1; ; tries++) {
    [refused, closed] = [0, []];
    const before = Number(await ask(session, '/begun'));
    assert.equal(await ask(session, `/page?${PROMISES_MAX}`), 'page');
    await Promise.all(closed);
    const begun = Number(await ask(session, '/begun')) - before;
    assert.equal(refused, PROMISES_MAX);
    if (begun < PROMISES_MAX / 2) break;
    assert(tries < TRIES_MAX, `${begun} begun`);
  }
});
