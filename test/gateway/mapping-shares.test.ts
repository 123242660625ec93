/** What one mapping takes of a worker's files, processes, fetches, tasks and timers is not at the cost of another. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { LOSE_STATE } from '../support/lose-state.ts';
import { TestGateway } from '../support/test-gateway.ts';

const HOG = `local httpd = require 'httpd'
kept = {}
local function all(make)
    while true do
        local made, message, code = make()
        if not made then return #kept .. ' ' .. message .. ' ' .. tostring(code) end
        kept[#kept + 1] = made
    end
end
local function say(text) httpd.header{[':status'] = '200'} httpd.write(nil, text) end
local config <close> = assert(io.open('$FOLDER/config.txt'))
local version = config:read('a')
local take = {
    files = function() return io.open('$FOLDER/config.txt') end,
    timers = function() return httpd.timer(1000, print) end,
}
httpd.register_handler('/files', function() say(all(take.files)) end, {cpu = 60})
httpd.register_handler('/timers', function() say(all(take.timers)) end, {cpu = 60})
httpd.register_handler('/tasks', function()
    say(all(function() return httpd.spawn(httpd.sleep, 1000) end)) httpd.sleep(1000)
end)
httpd.register_handler('/processes', function()
    say(all(function() return io.popen('exec sleep 777') end)) httpd.sleep(1000)
end, {cpu = 60})
httpd.register_handler('/fetches', function(env)
    local tasks = {}
    for i = 1, 64 do tasks[i] = httpd.spawn(httpd.fetch, 'http://127.0.0.1:' .. env.QUERY_INFO .. '/') end
    say 'fetching' httpd.wait(table.unpack(tasks))
end)
httpd.register_handler('/version', function() say(version) end)`;

const HONEST = `local httpd = require 'httpd'
httpd.register_handler('/lose', function() ${LOSE_STATE} end, {cpu = 0.02})
httpd.register_handler('/all', function(env)
    local file <close> = assert(io.open('$FOLDER/config.txt'))
    local pipe <close> = assert(io.popen('echo hi'))
    assert(pipe:read('l') == 'hi')
    assert(httpd.timer(1000, print)):cancel()
    assert(httpd.spawn(function() end))
    require('late_' .. env.QUERY_INFO)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, file:read('a'))
end)`;

async function start(): Promise<TestGateway> {
  return await TestGateway.start(
    { '/hog': HOG, '/honest': HONEST },
    {
      prepare: (folder) => {
        writeFileSync(folder.file('config.txt'), 'one');
        for (const name of ['late_1.lua', 'late_2.lua', 'late_3.lua'])
          writeFileSync(folder.file(name), 'return 1');
      },
    },
  );
}

test('A script that keeps all files it can keeps no other from files, from loading or from a reload', async () => {
  const gateway = await start();
  const taken = /^(\d+) .*: (\d+) files are open for "\/hog" and its share is (\d+) of 512 24$/.exec(
    (await gateway.ask('h2', '/hog/files')).text,
  );
  assert.deepEqual(taken?.slice(1), ['256', '256', '256']);
  assert.equal((await gateway.ask('h2', '/honest/all?1')).text, 'one');
  await gateway.untilLog(
    /warn worker-1 Limit of files reached mapping=\/hog used=256 limit=256 usedByAll=256/,
  );
  assert.equal((await gateway.ask('h2', '/honest/lose')).status, 500);
  await gateway.untilLog(/State given up mapping=\/honest/);
  assert.equal((await gateway.ask('h2', '/honest/all?3')).text, 'one');
  writeFileSync(gateway.folder.file('config.txt'), 'two');
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/Reloaded|Reload refused/);
  assert.doesNotMatch(gateway.log, /Reload refused/);
  assert.equal((await gateway.ask('h2', '/hog/version')).text, 'two');
  assert.equal((await gateway.ask('h2', '/honest/all?2')).text, 'two');
  await gateway.stop();
});

test('A script may hold its share of timers, tasks and processes, and others have theirs; the counters say who has what', async () => {
  const gateway = await start();
  assert.match((await gateway.ask('h2', '/hog/timers')).text, /^1000 .*the limit is 1000 limit$/);
  const session = await gateway.session();
  const streams = ['/hog/processes', '/hog/tasks'].map((path) => session.request({ ':path': path }));
  const answers = await Promise.all(
    streams.map((stream) => {
      stream.on('error', () => undefined);
      return new Promise<string>((resolve) => stream.once('data', (chunk: Buffer) => resolve(String(chunk))));
    }),
  );
  assert.match(answers[0] ?? '', /64 processes are running for "\/hog" and its share is 64 of 128 11$/);
  assert.match(answers[1] ?? '', /Cannot spawn: 256 tasks run and the limit is 256 limit$/);
  assert.equal((await gateway.ask('h2', '/honest/all?1')).text, 'one');
  const [hog, honest] = (await gateway.running.counters()).mappings;
  const { files, processes, timers, tasks, limitsReachedTotal } = hog ?? {};
  assert.deepEqual(
    { files, processes, timers, tasks },
    { files: 0, processes: 64, timers: 1000, tasks: 256 },
  );
  assert.equal(limitsReachedTotal, 1);
  assert.deepEqual([hog?.['mapping'], honest?.['mapping'], honest?.['files']], ['/hog', '/honest', 0]);
  session.destroy();
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/Reloaded/);
  await gateway.untilCounters((now) => now.pipes === 0 && now.coroutines === 0, 'the old state is closed');
  const [after] = (await gateway.running.counters()).mappings;
  const held = [after?.['processes'], after?.['timers'], after?.['tasks'], after?.['files']];
  assert.deepEqual(held, [0, 0, 0, 0]);
  await gateway.stop();
});

test('A mapping that has all connections to an upstream in use keeps no other from it', async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const fetcher = `local httpd = require 'httpd'
    httpd.register_handler('/', function(env)
        local response, message, code = httpd.fetch('http://127.0.0.1:${port}/', {timeout = {head = 0.2}})
        httpd.header{[':status'] = '200'}
        httpd.write(nil, code)
    end)`;
  const gateway = await TestGateway.start(
    { '/hog': HOG, '/honest': fetcher },
    { prepare: (folder) => writeFileSync(folder.file('config.txt'), 'one') },
  );
  const session = await gateway.session();
  const streams = Array.from({ length: 4 }, () => session.request({ ':path': `/hog/fetches?${port}` }));
  for (const stream of streams) stream.on('error', () => undefined);
  await gateway.untilCounters((now) => now.fetches >= 250, 'the fetches are under way');
  const before = performance.now();
  const { text } = await gateway.ask('h2', '/honest/');
  // it gets a connection at once, and waits for an answer no longer than it wants to
  assert.equal(text, 'timeout');
  assert.ok(performance.now() - before < 20_000);
  session.destroy();
  await gateway.untilIdle();
  await gateway.stop();
  silent.close();
});
