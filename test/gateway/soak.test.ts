/** Thousands of requests of every kind: afterwards nothing is left of them, and the process has not grown. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { runProgram } from '../support/run-program.ts';
import { longTest } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local function text() httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'} end
httpd.register_handler('/hello', function() text() httpd.write(nil, 'hello') end)
httpd.register_handler('/list', function(env, header)
    text()
    for k, v in pairs(env) do httpd.write(nil, k .. ' ' .. v .. '\\n') end
    for k, v in pairs(header) do httpd.write(nil, k .. ' ' .. v .. '\\n') end
end)
httpd.register_handler('/file', function()
    local file = assert(io.open('$FOLDER/data.bin'))
    text()
    while true do
        local part = httpd.read(file, 4000)
        if not part then break end
        httpd.write(nil, part)
    end
    -- half of them leave the file to the end of the request
    if math.random(2) == 1 then file:close() end
end)
httpd.register_handler('/error', function() error('on purpose') end)
httpd.register_handler('/late', function() text() httpd.write(nil, string.rep('x', 70000)) error('on purpose') end)
httpd.register_handler('/coroutine', function()
    text()
    local produce = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(tostring(i)) end end)
    pcall(function() for part in produce do httpd.write(nil, part) end end)
end)
httpd.register_handler('/promise', function()
    httpd.header{[':method'] = 'GET', [':path'] = '/hello'}
    text()
    httpd.write(nil, 'promised')
end)
httpd.register_handler('/body', function()
    local size = 0
    while true do
        local part = httpd.read(nil, 100)
        if not part then break end
        size = size + #part
    end
    text()
    httpd.write(nil, size)
end)
httpd.register_handler('/pipe', function()
    local pipe <close> = assert(io.popen('echo pipe'))
    text()
    httpd.write(nil, httpd.read(pipe, 100))
end)`;

/** Requests per path and protocol, a whole pass of the mix. */
const MIX: readonly (readonly [string, number])[] = [
  ['/hello', 5000],
  ['/list', 2000],
  ['/file', 1500],
  ['/error', 1000],
  ['/coroutine', 1500],
  ['/promise', 500],
  ['/none/such', 1000],
];
/** Part of a pass that is made twice before memory is looked at: as many requests as the compiler needs. */
const WARM_UP = 0.2;
const LATE_REQUESTS = 200;
const PIPE_REQUESTS = 100;
const BODY_REQUESTS = 1000;
const WANTED_TOTAL = 50_000;
const GROWTH_MAX_BYTES = 48 * 1024 * 1024;

// in the short form script/soak.test.ts and the chaos show it
longTest(`After ${WANTED_TOTAL} requests nothing is open and memory has not grown`, async () => {
  const gateway = await TestGateway.start(
    { '/': SCRIPT },
    { workers: 2, words: ['--log-level', 'error'], apart: true },
  );
  writeFileSync(gateway.folder.file('data.bin'), Buffer.alloc(10_000, 'd'));
  const body = gateway.folder.file('body.bin');
  writeFileSync(body, Buffer.alloc(1000, 'b'));

  async function load(path: string, share: number, ...words: string[]): Promise<void> {
    const requests = Math.round(share);
    const { code, text } = await runProgram('h2load', ['-n', `${requests}`, ...words, gateway.url + path]);
    assert.equal(code, 0, text);
    // a reset stream is done too, so that no request has gone unanswered
    assert.match(
      text,
      new RegExp(`requests: ${requests} total, ${requests} started, ${requests} done`),
      path,
    );
  }
  /** Everything once, over both protocols. */
  async function pass(part: number): Promise<void> {
    for (const [path, requests] of MIX) {
      await load(path, requests * part, '-c', '4', '-m', '10');
      await load(path, requests * part, '-c', '4', '--h1');
    }
    await load('/late', LATE_REQUESTS * part, '-c', '4', '-m', '10');
    await load('/pipe', PIPE_REQUESTS * part, '-c', '4', '-m', '5');
    await load('/body', BODY_REQUESTS * part, '-c', '4', '-m', '10', '-d', body);
    await gateway.untilIdle();
  }

  // the first pass fills pools, caches and the Lua heaps
  await pass(WARM_UP);
  await pass(WARM_UP);
  const settled = gateway.residentBytes;
  while ((await gateway.counters()).exchangesTotal < WANTED_TOTAL) await pass(0.8);
  assert.ok((await gateway.counters()).luaErrorsTotal > 1000, 'errors were part of it');
  await gateway.untilCounters(
    (now) => now.connections === 0 && now.sessions === 0,
    'all connections are closed',
  );
  const growth = gateway.residentBytes - settled;
  assert.ok(growth < GROWTH_MAX_BYTES, `memory grew by ${Math.round(growth / 1024)} KiB`);
  await gateway.stop();
});
