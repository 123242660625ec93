/**
 * What scripts may do with the options --lua-path, --allow-bytecode, --allow-run and --allow-env, and what is refused without
 * them.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LuaMapping } from '../../src/script/lua-mapping.ts';
import { FakeExchange } from '../support/fake-exchange.ts';
import { luaModule, outputOf, ScriptHarness } from '../support/script-harness.ts';
import { inForm } from '../support/test-form.ts';

const MUTANTS = inForm(300, 10_000);
/** Changed chunks tried in one request. */
const BATCH = 200;
/** Limit for all changed chunks together. */
const MUTATION_MS_MAX = 90_000;

/** Compiles a text with Debian's luac5.4. */
function compile(source: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'lgw-luac-'));
  try {
    writeFileSync(join(folder, 'in.lua'), source);
    execFileSync('luac5.4', ['-o', join(folder, 'out'), join(folder, 'in.lua')]);
    return readFileSync(join(folder, 'out'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('require looks beside the script, in lua/, and where --lua-path says', async () => {
  const more = mkdtempSync(join(tmpdir(), 'lgw-more-'));
  try {
    writeFileSync(join(more, 'third.lua'), `return 'third'`);
    const text = await outputOf(
      `say(package.path) say(require('first')) say(require('third'))
       say(package.searchpath('first', package.path)) say(package.searchpath('a.b', './?.x;./?.y'))
       say(package.searchpath('a-b', '?', '-', '+')) say(#package.searchers, package.loadlib('x', 'y') == nil)
       say(select(2, pcall(require, 'none')))`,
      { files: { 'first.lua': `return 'first'` }, rights: { luaPath: `${more}/?.lua` } },
    );
    const path = `./?.lua;./?/init.lua;./lua/?.lua;./lua/?/init.lua;${more}/?.lua`;
    assert.equal(
      text,
      `${path}\nfirst ./first.lua\nthird ${more}/third.lua\n./first.lua\nnil no file './a/b.x'\n\tno file './a/b.y'\n` +
        `nil no file 'a+b'\n3 true\nmodule 'none' not found:\n\tno field package.preload['none']\n\t` +
        `${path
          .split(';')
          .map((template) => `no file '${template.replace('?', 'none')}'`)
          .join('\n\t')}\n\tno module 'none' in the package\n`,
    );
  } finally {
    rmSync(more, { recursive: true, force: true });
  }
});

test('A module that uses httpd while it loads registers handlers', async () => {
  const harness = await ScriptHarness.load(`require 'routes'`, {
    files: {
      'routes.lua': `local httpd = require 'httpd'
        print(os.execute('exit 3')) print(os.execute()) print(io.popen('echo hi'):read('a'))
        httpd.register_handler('/from-module', function() httpd.write(nil, ...) httpd.write(nil, 'module') end)
        return true`.replace('httpd.write(nil, ...) ', ''),
    },
  });
  try {
    assert.equal((await harness.request('/from-module')).text, 'module');
    const log = harness.log.join('\n');
    assert.match(log, /info nil\texit\t3 .*\ninfo true .*\ninfo hi\n/);
  } finally {
    await harness.close();
  }
});

test('os.getenv() shows the variables that are allowed and no other', async () => {
  process.env['LGW_TEST_VARIABLE'] = 'wärme';
  const body = `say(os.getenv('LGW_TEST_VARIABLE'), os.getenv('PATH'), os.getenv('LGW_MISSING'))`;
  const text = await outputOf(body, { rights: { variables: ['LGW_TEST_VARIABLE', 'LGW_MISSING'] } });
  assert.equal(Buffer.from(text, 'latin1').toString(), 'wärme nil nil\n');
  assert.equal(await outputOf(body), 'nil nil nil\n');
});

test('Under a root only allowed programs are started, and without a shell', async () => {
  const body = `say(os.execute()) say(os.execute('cat file.txt')) say(os.execute('true')) say(os.execute('cat a | sh'))
    local p = io.popen('cat file.txt') say(p:read('a'), p:close()) say(io.popen('ls'))`;
  const files = { 'file.txt': 'text' };
  const allowed = await outputOf(body, { rooted: true, files, rights: { commands: ['cat'] } });
  assert.match(
    allowed,
    /^false\ntrue exit 0\nnil "true" is not among the allowed commands 13\nnil .* without a shell 13\ntext true exit 0\nnil ls: .* 13\n$/,
  );
  const refused = await outputOf(`say(io.popen('cat file.txt')) say(os.execute('cat file.txt'))`, {
    rooted: true,
  });
  assert.match(refused, /^nil .* 13\nnil .* 13\n$/);
});

test('warn() goes to the log with the request, between @on and @off', async () => {
  const harness =
    await ScriptHarness.run(`warn('early') warn('@on') warn('seen ', 'in ', 'parts') warn('@', 'on')
    warn('@unknown') warn('@off') warn('late') say('done')`);
  assert.equal(await harness.output(), 'done\n');
  const warnings = harness.log.filter((line) => line.startsWith('warn '));
  assert.equal(warnings.length, 2, warnings.join('\n'));
  assert.match(warnings[0] as string, /^warn Lua warning: seen in parts mapping=\/ request=\S+$/);
  assert.match(warnings[1] as string, /Lua warning: @on /);
  await harness.close();
});

const BYTECODE_USES = `local bytes = io.open('chunk.luac', 'rb'):read('a')
  say(load(bytes, '=b')) say(load(bytes, '=b', 'b')) say(load(bytes, '=b', 't')) say(loadfile('chunk.luac', 't'))
  say(pcall(dofile, 'chunk.luac')) say(loadfile('chunk.luac')) say(pcall(require, 'module'))
  say(load(string.dump(function() return 7 end))) say(load('return 1', 'c', 'b')) say(loadfile('text.lua', 'b'))`;

test('Precompiled chunks are refused, and the message tells what would allow them', async () => {
  const bytecode = compile('return 42').toString('latin1');
  const files = { 'chunk.luac': bytecode, 'module.lua': bytecode, 'text.lua': 'return 1' };
  const binary = "attempt to load a binary chunk (mode is 't')";
  const stranger =
    'attempt to load a binary chunk: without --allow-bytecode only a string that string.dump has returned in this state can be loaded';
  const text = "attempt to load a text chunk (mode is 'b')";
  const lines = (await outputOf(BYTECODE_USES, { files })).trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, 6), [
    `nil ${stranger}`,
    `nil ${stranger}`,
    `nil ${binary}`,
    `nil ${binary}`,
    `false ${stranger}`,
    `nil ${stranger}`,
  ]);
  assert.match(lines[6] as string, /^false error loading module 'module' from file '.\/module.lua':$/);
  assert.equal(lines[7]?.trim(), stranger);
  assert.match(lines[8] as string, /^function: /);
  assert.deepEqual(lines.slice(9), [`nil ${text}`, `nil ${text}`]);
});

test('Precompiled chunks are accepted everywhere under --allow-bytecode', async () => {
  const bytecode = compile('return 42').toString('latin1');
  const files = { 'chunk.luac': bytecode, 'module.lua': bytecode, 'text.lua': 'return 1' };
  const text = await outputOf(BYTECODE_USES, { files, rights: { allowsBytecode: true } });
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/0x\w+/g, '0x'));
  assert.deepEqual(lines, [
    'function: 0x',
    'function: 0x',
    "nil attempt to load a binary chunk (mode is 't')",
    "nil attempt to load a binary chunk (mode is 't')",
    'true 42',
    'function: 0x',
    'true 42 ./module.lua',
    'function: 0x',
    "nil attempt to load a text chunk (mode is 'b')",
    "nil attempt to load a text chunk (mode is 'b')",
  ]);
});

test('A precompiled script serves', async () => {
  const source = `local httpd = require 'httpd' httpd.register_handler('/', function(env) httpd.write(nil, env.REQUEST_METHOD) end)`;
  const bytecode = compile(source).toString('latin1');
  const harness = await ScriptHarness.load(bytecode, { rights: { allowsBytecode: true } });
  assert.equal((await harness.request('/')).text, 'GET');
  await harness.close();
  await assert.rejects(ScriptHarness.load(bytecode), /attempt to load a binary chunk/);
});

test(`${MUTANTS} damaged chunks crash no thread: a state may be given up and is built anew`, async () => {
  const harness = await ScriptHarness.run(`say('up')`);
  mkdirSync(join(harness.folder, 'mutants'));
  const chunk = compile(`local a, t = 1, {x = 1, y = 'text', [3] = 2.5}
    local function f(...) local s = 0 for i, v in ipairs{...} do s = s + v end return s, select('#', ...) end
    for i = 1, 3 do t[i] = f(i, a) a = a + i end goto out ::out::
    local c <close> = setmetatable({}, {__close = function() t.closed = true end})
    return t.x .. t.y, pcall(f, {}), coroutine.wrap(function(v) return coroutine.yield(v) end)(7)`);
  harness.writeFile('chunk.luac', chunk);
  harness.writeFile(
    'mutants.lua',
    `local httpd = require 'httpd'
    local chunk = io.open('chunk.luac', 'rb'):read('a')
    httpd.register_handler('/', function(env)
      local first = tonumber(env.QUERY_INFO)
      for n = first, first + ${BATCH - 1} do
        math.randomseed(n, 5) print(n)
        local bytes = chunk
        for k = 1, math.random(3) do
          local at = math.random(32, #bytes)
          bytes = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
        end
        local f = load(bytes, '=m', 'b')
        if f then pcall(f) end
      end
      httpd.write(nil, 'survived')
    end)
    httpd.register_handler('/alive', function() httpd.write(nil, 'alive') end)`,
  );
  const module = await luaModule();
  const options = harness.optionsOf('mutants.lua', {
    module,
    limits: { cpuLimitMs: 50, timeLimitMs: 500 },
    rights: { allowsBytecode: true },
  });
  const reload = async (): Promise<LuaMapping> => {
    const fresh = new LuaMapping(options);
    await fresh.load();
    harness.dispatcher.router.replace([fresh]);
    return fresh;
  };
  let mapping = await reload();
  const begun = performance.now();
  let next = 0;
  const alive = setInterval(() => undefined, 1000);
  let lost = 0;
  while (next < MUTANTS) {
    const exchange = new FakeExchange(`/?${next}`, {});
    harness.dispatcher.dispatch(exchange);
    await exchange.closed;
    // the state ended at the changed chunk that was logged last
    const announced = harness.log.findLast((line) => /^info \d+ /.test(line));
    const reached = Number(announced?.split(' ')[1] ?? next) + 1;
    if (reached > next && reached <= next + BATCH) next = reached;
    else {
      // a damaged chunk has changed the loop itself or shared values of the state, without an end of the state
      next += 1;
      mapping.close();
      mapping = await reload();
    }
    if (exchange.status !== 200) lost += 1;
    harness.log.length = 0;
    assert.ok(performance.now() - begun < MUTATION_MS_MAX, `${next} of ${MUTANTS}`);
  }
  clearInterval(alive);
  assert.ok(lost > 0);
  mapping.close();
  mapping = await reload();
  assert.equal((await harness.request('/alive')).text, 'alive');
  mapping.close();
  await harness.close();
});
