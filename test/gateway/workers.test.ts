/** Two workers behind one port, a state for each mapping of each, and slow requests that hold up nobody. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { after, test } from 'node:test';
import { inForm } from '../support/test-form.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const COUNTER = `local httpd = require 'httpd'
local count = 0
httpd.register_handler('/count', function(env)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, env.WORKER_ID .. ' ' .. count)
    count = count + 1
end)`;

const SLOW = `local httpd = require 'httpd'
httpd.register_handler('/hello', function()
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'hello')
end)
httpd.register_handler('/popen', function(env)
    local pipe <close> = assert(io.popen('head -c 6 $FOLDER/gate-' .. env.QUERY_INFO))
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'begun ')
    httpd.write(nil, httpd.read(pipe, 6))
end)
httpd.register_handler('/fifo', function(env)
    local fifo <close> = assert(io.open('$FOLDER/gate-' .. env.QUERY_INFO))
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'begun ')
    httpd.write(nil, httpd.read(fifo, 6))
end)
-- between two calls that may wait, a handler is alone
local inside = 0
httpd.register_handler('/atomic', function()
    for _ = 1, 20 do
        assert(inside == 0)
        inside = inside + 1
        for _ = 1, 200 do assert(inside == 1) end
        inside = inside - 1
        local file <close> = assert(io.open('$FOLDER/cert.pem'))
        httpd.read(file, 100)
    end
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'alone')
end)`;

/** One gateway for both tests of slow handlers. */
let slowGateway: Promise<TestGateway> | undefined;
function slow(): Promise<TestGateway> {
  slowGateway ??= TestGateway.start({ '/': SLOW });
  return slowGateway;
}
after(async () => (await slowGateway)?.stop());

/** More than the pool of four threads could hold up. */
const SLOW_READERS = inForm(24, 100);
const HELLO_MAX_MS = 30_000;

test('Two workers serve, each mapping of each worker has a state of its own, and a connection reaches one', async () => {
  const gateway = await TestGateway.start({ '/a': COUNTER, '/b': COUNTER }, { workers: 2 });
  const counts = new Map<string, number[]>();
  const asked = 16;
  for (let i = 0; i < asked || counts.size < 4; i++) {
    assert.ok(i < 400, 'both workers answer');
    for (const prefix of ['/a', '/b']) {
      const [worker, count] = (await gateway.ask(i % 2 === 0 ? 'h1' : 'h2', `${prefix}/count`)).text.split(
        ' ',
      );
      const key = `${prefix} ${worker}`;
      counts.set(key, [...(counts.get(key) ?? []), Number(count)]);
    }
  }
  assert.deepEqual([...counts.keys()].sort(), ['/a 1', '/a 2', '/b 1', '/b 2']);
  for (const [key, seen] of counts)
    assert.deepEqual(seen, [...seen.keys()], `${key} counts by itself, from 0`);
  // all requests of one connection reach the same state
  const session = await gateway.session();
  const texts: string[] = [];
  for (let i = 0; i < 10; i++) texts.push((await askSession(session, '/a/count')).text);
  const worker = texts[0]?.split(' ')[0];
  const before = counts.get(`/a ${worker}`)?.length ?? 0;
  assert.deepEqual(
    texts,
    texts.map((_, i) => `${worker} ${before + i}`),
  );
  await gateway.stop();
});

test(`${SLOW_READERS} slow pipes and as many slow FIFOs on one worker hold up nobody`, async () => {
  const gateway = await slow();
  const gates = Array.from({ length: 2 * SLOW_READERS }, (_, i) => gateway.folder.file(`gate-${i}`));
  execFileSync('mkfifo', gates);
  // for both directions, so that nobody waits for the other end
  const fifos = gates.map((gate) => openSync(gate, constants.O_RDWR));
  const session = await gateway.session();
  const other = await gateway.session();
  const answers = gates.map((_, i) =>
    i % 2 === 0 ? askSession(session, `/popen?${i}`) : askSession(other, `/fifo?${i}`),
  );
  await gateway.untilCounters(
    (now) => now.pipes === SLOW_READERS && now.coroutines === 2 * SLOW_READERS,
    'all handlers wait',
  );
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    const before = performance.now();
    assert.equal((await gateway.ask('h1', '/hello')).text, 'hello');
    times.push(performance.now() - before);
  }
  // behind a single slow reader it would take for ever
  assert.ok(Math.max(...times) < HELLO_MAX_MS, `hello took up to ${Math.max(...times)} ms`);
  for (const fifo of fifos) writeSync(fifo, 'opened');
  for (const { text, cut } of await Promise.all(answers))
    assert.deepEqual([text, cut], ['begun opened', false]);
  // not before: a program that has not opened its end yet would find nothing
  for (const fifo of fifos) closeSync(fifo);
  await gateway.untilIdle();
});

test('Handlers take turns only where they wait', async () => {
  const gateway = await slow();
  const session = await gateway.session();
  const answers = await Promise.all(Array.from({ length: 40 }, () => askSession(session, '/atomic')));
  for (const { text } of answers) assert.equal(text, 'alone', gateway.log);
  await gateway.untilIdle();
});
