/** Two workers behind one port, a state for each mapping of each, and slow requests that hold up nobody. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { test } from 'node:test';
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
    local pipe <close> = assert(io.popen('head -c 6 $FOLDER/gate'))
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'begun ')
    httpd.write(nil, httpd.read(pipe, 100))
end)
httpd.register_handler('/drip', function()
    httpd.read(nil, 2)
    httpd.write(nil, 'dripped')
end)
-- between two calls that may wait, a handler is alone
local inside = 0
httpd.register_handler('/atomic', function()
    for _ = 1, 20 do
        assert(inside == 0)
        inside = inside + 1
        for _ = 1, 1000 do assert(inside == 1) end
        inside = inside - 1
        local file <close> = assert(io.open('$FOLDER/cert.pem'))
        httpd.read(file, 100)
    end
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'alone')
end)`;

const SLOW_READERS = 100;
/** Processes that a worker lets run at once are fewer than 100: the others of the 100 read the body of their client. */
const PIPES = 50;

test('Two workers serve, and each mapping of each worker has a state of its own', async () => {
  const gateway = await TestGateway.start({ '/a': COUNTER, '/b': COUNTER }, { workers: 2 });
  const counts = new Map<string, number[]>();
  const asked = 40;
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
  await gateway.stop();
});

test('All requests of one connection reach the same state', async () => {
  const gateway = await TestGateway.start({ '/': COUNTER }, { workers: 2 });
  const session = await gateway.session();
  const texts: string[] = [];
  for (let i = 0; i < 10; i++) texts.push((await askSession(session, '/count')).text);
  const worker = texts[0]?.split(' ')[0];
  assert.deepEqual(
    texts,
    texts.map((_, i) => `${worker} ${i}`),
  );
  await gateway.stop();
});

test('A hundred slow readers on one worker hold up nobody', async () => {
  const gateway = await TestGateway.start({ '/': SLOW });
  const gate = gateway.folder.file('gate');
  execFileSync('mkfifo', [gate]);
  // both ends, so that neither the commands nor this open waits for the other
  const fifo = openSync(gate, constants.O_RDWR);
  const session = await gateway.session();
  const answers = Array.from({ length: PIPES }, () => askSession(session, '/popen'));
  await gateway.untilCounters((now) => now.pipes === PIPES, 'all commands wait');
  const uploads = await Promise.all(Array.from({ length: SLOW_READERS - PIPES }, () => gateway.connect()));
  for (const socket of uploads)
    socket.write('POST /drip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx');
  await gateway.untilCounters((now) => now.coroutines === SLOW_READERS, 'all handlers wait');
  const slowest: number[] = [];
  for (let i = 0; i < 20; i++) {
    const before = performance.now();
    assert.equal((await askSession(session, '/hello')).text, 'hello');
    slowest.push(performance.now() - before);
  }
  // one slow reader alone would take for ever
  assert.ok(Math.max(...slowest) < 2000, `hello took ${Math.max(...slowest)} ms`);
  writeSync(fifo, 'opened'.repeat(PIPES));
  for (const { text, cut } of await Promise.all(answers))
    assert.deepEqual([text, cut], ['begun opened', false]);
  closeSync(fifo);
  for (const socket of uploads) socket.destroy();
  await gateway.untilIdle();
  await gateway.stop();
});

test('Handlers take turns only where they wait', async () => {
  const gateway = await TestGateway.start({ '/': SLOW });
  const session = await gateway.session();
  const answers = await Promise.all(Array.from({ length: 100 }, () => askSession(session, '/atomic')));
  for (const { text } of answers) assert.equal(text, 'alone', gateway.log);
  await gateway.untilIdle();
  await gateway.stop();
});
