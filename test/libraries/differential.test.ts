/** Runs the same Lua text in Debian's lua5.4 and in a handler: both have to print the same bytes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { ARGUMENT_SNIPPETS } from './snippets/arguments.ts';
import { COROUTINE_SNIPPETS } from './snippets/coroutines.ts';
import { FILE_SNIPPETS } from './snippets/files.ts';
import { LANGUAGE_SNIPPETS } from './snippets/language.ts';
import { LIBRARY_SNIPPETS } from './snippets/library-means.ts';
import { STRING_SNIPPETS } from './snippets/strings.ts';
import { SYSTEM_SNIPPETS } from './snippets/system.ts';
import { TABLE_AND_NUMBER_SNIPPETS } from './snippets/tables-and-numbers.ts';

/** Files that both find in their working directory. */
const FIXTURES: Readonly<Record<string, string>> = {
  'lines.txt': 'first\nsecond line\n\nfourth\r\nlast without end',
  'numbers.txt': '12 -7\n0x1F 3.5e2 .5 0x.8p1 1e+ 99999999999999999999 - nan 5',
  'bytes.bin': Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1'),
  'empty.txt': '',
  'module_a.lua': 'local name, file = ... ; return { name = name, file = file, n = 1 }',
  'broken.lua': 'local x = = 1\n',
  'raises.lua': 'local t = nil\nreturn t.x\n',
  'chunk.lua': "#!/usr/bin/lua\nlocal a, b = ...\nreturn 'chunk', a, b, 42\n",
  'env.lua': 'x = 1; y = x + 1; return y',
};

/** Runs one text; returns everything it printed, and its error. Both sides use this Lua code. */
const RUNNER = `
local function run_snippet(source)
  local out = {}
  local function show(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    out[#out + 1] = table.concat(parts, "\\t") .. "\\n"
  end
  local env = setmetatable({ print = show }, { __index = _G })
  local chunk, message = load(source, "=snippet", "t", env)
  if not chunk then return "load: " .. message .. "\\n" end
  local ok, err = pcall(chunk)
  if not ok then out[#out + 1] = "error: " .. tostring(err) .. "\\n" end
  return table.concat(out)
end
`;

const SNIPPETS: Readonly<Record<string, string>> = {
  ...LANGUAGE_SNIPPETS,
  ...COROUTINE_SNIPPETS,
  ...FILE_SNIPPETS,
  ...STRING_SNIPPETS,
  ...TABLE_AND_NUMBER_SNIPPETS,
  ...SYSTEM_SNIPPETS,
  ...ARGUMENT_SNIPPETS,
  ...LIBRARY_SNIPPETS,
};

let expected: ReadonlyMap<string, string>;
let harness: ScriptHarness;
/** The same script in a VM without a guard. */
let unguarded: ScriptHarness;

before(async () => {
  expected = runInLua();
  const cases = Object.entries(SNIPPETS).map(
    ([name, source], i) =>
      `httpd.register_handler('/${i}', function() httpd.write(nil, run_snippet(${quote(source)})) end) -- ${name}`,
  );
  const script = `local httpd = require 'httpd'\n${RUNNER}\n${cases.join('\n')}`;
  harness = await ScriptHarness.load(script, { files: FIXTURES });
  const module = await compileLuaModule({ ...DEFAULT_LIMITS, guarded: false });
  unguarded = await ScriptHarness.load(script, { files: FIXTURES, module });
});

after(async () => {
  for (const each of [harness, unguarded]) {
    await each.expectNothingOpen();
    await each.close();
  }
});

for (const [i, name] of Object.keys(SNIPPETS).entries()) {
  test(`A handler and lua5.4 agree on ${name}`, async () => {
    for (const each of [harness, unguarded]) {
      const exchange = await each.request(`/${i}`);
      assert.equal(normalise(exchange.text), normalise(expected.get(name) ?? 'lua5.4 gave nothing'));
    }
  });
}

/** Runs all snippets in one process of lua5.4. */
function runInLua(): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'lgw-lua54-'));
  try {
    for (const [name, text] of Object.entries(FIXTURES)) writeFileSync(join(folder, name), text, 'latin1');
    const calls = Object.values(SNIPPETS).map((source) => `emit(run_snippet(${quote(source)}))`);
    const driver = `package.path = './?.lua;./?/init.lua;./lua/?.lua;./lua/?/init.lua' package.cpath = ''
      local stdout = io.stdout
      local function emit(text) stdout:write(#text, '\\n', text) end
      ${RUNNER}\n${calls.join('\n')}`;
    writeFileSync(join(folder, 'driver.lua'), driver, 'latin1');
    const run = spawnSync('lua5.4', ['driver.lua'], {
      cwd: folder,
      timeout: 60_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    assert.equal(run.status, 0, `lua5.4 (Debian package lua5.4) has to run: ${run.error ?? run.stderr}`);
    return splitOutputs(run.stdout.toString('latin1'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The runner writes the length of each output before the output. */
function splitOutputs(text: string): Map<string, string> {
  const outputs = new Map<string, string>();
  let at = 0;
  for (const name of Object.keys(SNIPPETS)) {
    const end = text.indexOf('\n', at);
    const size = Number(text.slice(at, end));
    outputs.set(name, text.slice(end + 1, end + 1 + size));
    at = end + 1 + size;
  }
  return outputs;
}

/** Writes a text as a Lua literal of its UTF-8 bytes, on one line. */
function quote(text: string): string {
  let literal = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    literal += plain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
  }
  return `"${literal}"`;
}

/** Replaces addresses, which differ between two processes. */
function normalise(text: string): string {
  return text.replace(/0x[0-9a-f]{6,16}/g, '0xADDRESS');
}
