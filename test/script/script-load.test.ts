/** The top level of a script: what may wait there, what it gets as arguments, and how it is ended. */
import assert from 'node:assert/strict';
import { LuaMapping } from '../../src/script/lua-mapping.ts';
import { calmTest as test } from '../support/calm.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';

/** A limit that no script of these tests reaches. */
const CPU_MS = 60_000;
const TIME_MS = 300;

test('Programs run at the top level of a script and of the modules that it requires', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local said = io.popen('echo said'):read('l')
    local wrapped = coroutine.wrap(function() coroutine.yield(io.popen('echo wrapped'):read('l')) end)()
    local ok, _, code = os.execute('exit 7')
    httpd.register_handler('/run', function()
      httpd.write(nil, table.concat({ said, wrapped, tostring(ok), code, require 'part', dofile('file.lua') }, ' '))
    end)`,
    {
      files: {
        'part.lua': `local p <close> = io.popen('echo part') return p:read('l')`,
        'file.lua': `return io.popen('echo file'):read('l')`,
      },
    },
  );
  assert.equal(await harness.output(), 'said wrapped nil 7 part file');
  await harness.expectNothingOpen();
  await harness.close();
});

test('The top level finds itself in the main program, which cannot yield', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local _, isMain = coroutine.running()
    os.execute('true')
    local _, isStillMain = coroutine.running()
    local ok, message = pcall(coroutine.yield)
    local said = table.concat({ tostring(isMain), tostring(isStillMain), tostring(coroutine.isyieldable()), message }, ' ')
    httpd.register_handler('/run', function() httpd.write(nil, said) end)`);
  assert.equal(await harness.output(), 'true true false attempt to yield from outside a coroutine');
  await harness.close();
});

test('The value of a script that has waited decides what it is', async () => {
  const app = await ScriptHarness.load(`
    local name = io.popen('echo app'):read('l')
    return function(read, write) read() write({ code = 200, { 'Content-Length', #name } }) write(name) end`);
  assert.equal(app.script.mode, 'luvit');
  assert.equal((await app.request('/')).text, 'app');
  await app.close();
  const luars = await ScriptHarness.load(`
    local name = io.popen('echo luars'):read('l')
    function handle_request(method, path) return 200, 'text/plain', name end`);
  assert.equal(luars.script.mode, 'luars');
  assert.equal((await luars.request('/')).text, 'luars');
  await luars.close();
});

test('A script that waits for too long is ended with the line it waits in; variables are closed, programs ended', async () => {
  const harness = await ScriptHarness.load(`require 'httpd'.register_handler('/run', function() end)`);
  harness.writeFile(
    'waits.lua',
    `local closed <close> = setmetatable({}, { __close = function() print('closed') end })
    kept = io.popen('exec sleep 300')
    local text = kept:read('a')`,
  );
  const loadLimits = { cpuMs: CPU_MS, timeMs: TIME_MS };
  const mapping = new LuaMapping(harness.optionsOf('waits.lua', { loadLimits }));
  await assert.rejects(
    mapping.load(),
    /^GatewayError: Cannot load "waits\.lua": Time limit reached: the script has not been loaded after 300 ms\nstack traceback:[\s\S]*waits\.lua:3: in main chunk/,
  );
  assert.deepEqual(harness.log, ['info closed mapping=/ request=undefined']);
  assert.equal(harness.counters.get('states'), 1);
  await harness.expectNothingOpen();
  await harness.close();
});

test('A script that computes for too long is ended at its CPU limit, though it has waited', async () => {
  await assert.rejects(
    ScriptHarness.load(`os.execute('true') while true do end`, {
      loadLimits: { cpuMs: 50, timeMs: CPU_MS },
    }),
    /CPU limit reached\n[\s\S]*script\.lua:1: in main chunk/,
  );
  await assert.rejects(
    ScriptHarness.load(`while true do pcall(function() while true do end end) end`, {
      loadLimits: { cpuMs: 50, timeMs: CPU_MS },
    }),
    /CPU limit reached/,
  );
});

test('Errors after a wait are told as those before it', async () => {
  const failing = (source: string): Promise<ScriptHarness> => ScriptHarness.load(source);
  await assert.rejects(
    failing(`os.execute('true')\nerror('broken')`),
    /^ScriptError: script\.lua:2: broken\nstack traceback:/,
  );
  await assert.rejects(failing(`os.execute('true')\nerror({})`), /error object is a table value/);
  await assert.rejects(failing(`os.execute('true')\nlocal s = ('x'):rep(1 << 30)`), /not enough memory/);
  await assert.rejects(failing(`x = = 1`), /script\.lua:1: unexpected symbol near '='/);
});

test('A load that nobody wants any more ends at once, and leaves nothing', async () => {
  const harness = await ScriptHarness.load(`require 'httpd'.register_handler('/run', function() end)`);
  harness.writeFile('waits.lua', `io.popen('exec sleep 300'):read('a')`);
  const ending = new AbortController();
  const mapping = new LuaMapping(harness.optionsOf('waits.lua'));
  const loading = mapping.load(ending.signal);
  await eventually(() => assert.equal(harness.counters.get('pipes'), 1));
  assert.equal(harness.counters.get('states'), 2);
  ending.abort();
  await assert.rejects(loading, /Cannot load "waits.lua": The load of the script was given up/);
  assert.equal(harness.counters.get('states'), 1);
  await harness.expectNothingOpen();
  await harness.close();
});

test('What a load has opened and keeps serves the handlers', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local helper = io.popen('cat > heard', 'w')
    helper:setvbuf('no')
    helper:write('load ')
    httpd.register_handler('/run', function() helper:write('handler') httpd.write(nil, 'told') end)`);
  assert.equal(await harness.output(), 'told');
  await eventually(() => assert.equal(harness.readFile('heard'), 'load handler'));
  assert.equal(harness.counters.get('pipes'), 1);
  await harness.close();
});

test('A handler runs beside the load of the next state, which computes in slices', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.register_handler('/run', function() httpd.write(nil, 'served') end)`);
  harness.writeFile(
    'computes.lua',
    `os.execute('true') local n = 0 while not stop do n = n + 1 if n % 1000 == 0 then stop = io.open('stop') end end`,
  );
  const mapping = new LuaMapping(harness.optionsOf('computes.lua', { mode: 'lhttpd' }));
  const loading = mapping.load();
  for (let i = 0; i < 20; i++) assert.equal(await harness.output(), 'served');
  harness.writeFile('stop', '');
  await loading;
  mapping.close();
  await harness.close();
});

test('A script that takes httpd for a global is told how to get it', async () => {
  const harness = await ScriptHarness.load(`require 'httpd'.register_handler('/run', function() end)`);
  harness.writeFile('global.lua', `httpd.register_handler('/run', print)`);
  await assert.rejects(
    new LuaMapping(harness.optionsOf('global.lua')).load(),
    /global\.lua:1: attempt to index a nil value \(global 'httpd'\); scripts get it by: local httpd = require "httpd"\n/,
  );
  await harness.close();
});
