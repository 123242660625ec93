/** Public Lua libraries, as Debian installs them: a handler and lua5.4 do the same work with each, and print the same bytes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { TestGateway } from '../support/test-gateway.ts';

/** The work: one file for each test. */
const WORK = join(PACKAGE_ROOT, 'test/libraries/public');
const DRIVER = join(WORK, 'driver.lua');
const NAMES = readdirSync(WORK)
  .map((name) => basename(name, '.lua'))
  .filter((name) => name !== 'driver');

/** Where Debian puts libraries; those without a link for 5.4 run in 5.4 nevertheless. */
const DEBIAN = ['5.4', '5.3', '5.1'].flatMap((version) => [
  `/usr/share/lua/${version}/?.lua`,
  `/usr/share/lua/${version}/?/init.lua`,
]);

/** A tree of LuaRocks in the working folder, and two places in layouts of their own. */
const ROCKS = [
  'rocks/share/lua/5.4/?.lua',
  'rocks/share/lua/5.4/?/init.lua',
  'more/?.lua',
  'more/?/code.lua',
];
const LUA_PATH = [...ROCKS, ...DEBIAN].join(';');

/** Both have a folder of this name in their working folder. */
const FOLDER = 'files';

const TREE: Readonly<Record<string, string>> = {
  'single.lua': `return { name = ..., place = select(2, ...) }`,
  'pack/init.lua': `local t = { name = ..., where = function() end } function t.traceback() return (debug.traceback('t', 1):match('pack/init.lua:%d+')) end return t`,
  'pack/sub.lua': `return { from = require 'pack'.name, name = ... }`,
  'pack/deep/er.lua': `return (...)`,
  'broken.lua': `local x = = 1\n`,
  'raises.lua': `\nlocal t = nil\nreturn t.x`,
  'raises_table.lua': `error({ code = 7 })`,
  'gives_nothing.lua': `local x = 1`,
  'gives_false.lua': `return false`,
  'sets_loaded.lua': `package.loaded[...] = { set = 'by itself' }`,
  'shebang.lua': `#!/usr/bin/lua\nreturn debug.getinfo(1, 'l').currentline`,
  'circle_a.lua': `local a = { name = 'a' } package.loaded[...] = a a.b = require 'circle_b' return a`,
  'circle_b.lua': `return { name = 'b', a = require 'circle_a' }`,
  'self_once.lua': `if not SELF then SELF = true local inner = require 'self_once' SELF = nil return { inner } end return 'inner'`,
  'circle_x.lua': `return require 'circle_y'`,
  'circle_y.lua': `return require 'circle_x'`,
  'loads.lua': `local n = 0 for _ in io.lines('rocks/share/lua/5.4/single.lua') do n = n + 1 end
    local f = assert(io.open('files/loads.txt', 'w')) f:write(n) f:close() local g = io.open('files/loads.txt')
    local text = g:read('a') g:close() os.remove('files/loads.txt') return { text = text }`,
  'environment.lua': `set_by_chunk = tostring(... or 'none') return set_by_chunk, ...`,
  '5.lua': `return 'five'`,
};

function makeTree(home: string): void {
  mkdirSync(join(home, FOLDER));
  for (const [name, text] of [
    ...Object.entries(TREE).map(([file, code]) => [`rocks/share/lua/5.4/${file}`, code] as const),
    ['rocks/lib/lua/5.4/native/core.so', '\x7fELF'],
    ['more/only_more.lua', `return select(2, ...)`],
    ['more/sub/flat/code.lua', `return select(2, ...)`],
  ] as const) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), text);
  }
}

const LUA_LIMIT_MS = 60_000;

/** The script in docs/lua-libraries.md. */
const example = /```lua\n(.*?)```/s.exec(
  readFileSync(join(PACKAGE_ROOT, 'docs/lua-libraries.md'), 'latin1'),
)?.[1];

let gateway: TestGateway;
let home: string;

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'lgw-libraries-'));
  makeTree(home);
  const script = `
    ${example}
    local run = dofile '${DRIVER}'
    for name in ('${NAMES.join(' ')}'):gmatch '%S+' do
      httpd.register_handler('/run/' .. name, function()
        httpd.write(nil, run('${WORK}/' .. name .. '.lua', '${FOLDER}'))
      end)
    end
    httpd.register_handler('/require', function(env)
      httpd.write(nil, (tostring(select(2, pcall(require, env.QUERY_INFO))):gsub("\\n\\tno file '[^']*'", '')))
    end)`;
  gateway = await TestGateway.start(
    { '/': script },
    {
      words: ['--lua-path', LUA_PATH],
      cwd: '$FOLDER',
      prepare: (folder) => makeTree(folder.path),
    },
  );
});

after(async () => {
  rmSync(home, { recursive: true, force: true });
  await gateway.stop();
});

for (const name of NAMES) {
  test(`A handler and lua5.4 agree on the work of ${name}.lua`, async () => {
    const { status, text } = await gateway.ask('h2', `/run/${name}`);
    assert.equal(status, 200, gateway.log);
    assert.equal(withoutAddresses(text), withoutAddresses(runInLua(name)));
    assert.doesNotMatch(text, /^error: /m);
  });
}

test('require says of a C library where it lies, and what the gateway has instead', async () => {
  for (const [name, says] of [
    ['native.core', "\n\t'rocks/lib/lua/5.4/native/core.so' is a C library, which the gateway does not load"],
    ['cjson.safe', '\n\tthe gateway loads no C libraries; it has httpd.json instead'],
    ['nowhere', ''],
  ] as const) {
    const { text } = await gateway.ask('h2', `/require?${name}`);
    const preload = `\n\tno field package.preload['${name}']`;
    assert.equal(text, `module '${name}' not found:${preload}${says}\n\tno module '${name}' in the package`);
  }
});

test('The example of docs/lua-libraries.md gives a library under the name of another', async () => {
  assert.equal((await gateway.ask('h2', '/json')).text, '[1,2,3]\n');
});

test('Modules that require each other in a circle are an error that says so', async () => {
  const { text } = await gateway.ask('h2', '/require?circle_x');
  assert.match(
    text,
    /circle_[xy]\.lua:1: module 'circle_[xy]' is required while 100 modules are being loaded inside each other: do they require each other in a circle\?$/,
  );
});

test('No library leaves anything open in the gateway', () => gateway.untilIdle());

function runInLua(name: string): string {
  const code = `arg = nil io.stdout:write(dofile('${DRIVER}')('${WORK}/${name}.lua', '${FOLDER}'))`;
  const { status, stdout, stderr, error } = spawnSync('lua5.4', ['-e', code], {
    cwd: home,
    env: { ...process.env, LUA_PATH },
    timeout: LUA_LIMIT_MS,
    encoding: 'latin1',
    maxBuffer: 16 * 1024 * 1024,
  });
  assert.equal(status, 0, `lua5.4 has to run: ${error ?? stderr}`);
  return stdout;
}

/** Addresses of tables and functions differ between two processes. */
function withoutAddresses(text: string): string {
  return text.replace(/0x[0-9a-f]{6,16}/g, '0xADDRESS');
}
