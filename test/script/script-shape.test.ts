/** How the gateway determines the mode of a loaded script, and which scripts it refuses because they have no handler. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ScriptMode } from '../../src/mapping/script-mode.ts';
import { ScriptHarness } from '../support/script-harness.ts';

const HANDLER = `require 'httpd'.register_handler('/', function() end)`;

for (const [source, mode] of [
  [HANDLER, 'lhttpd'],
  [`${HANDLER} return function(read, write) end`, 'lhttpd'],
  [`${HANDLER} function handle_request() end`, 'lhttpd'],
  ['function handle_request(method, path, body) end', 'luars'],
  ['function handle_request() end return 7', 'luars'],
  ['return function(method, path, query) end', 'luars'],
  ['return function(...) end', 'luars'],
  ['return function(read, ...) end', 'luars'],
  ['return function() end', 'luars'],
  ['return function(read, write) end', 'luvit'],
  ['return function(request) end', 'luvit'],
  ['function handle_request() end return function(read, write) end', 'luvit'],
] satisfies (readonly [string, ScriptMode])[]) {
  test(`A script is detected as ${mode}: ${source}`, async () => {
    const harness = await ScriptHarness.load(source);
    assert.equal(harness.script.mode, mode);
    await harness.close();
  });
}

for (const source of ['', 'x = 1', 'return {}', 'return 7', 'handle_request = 7']) {
  test(`A script that can answer nothing is refused: ${source || 'nothing'}`, async () => {
    await assert.rejects(ScriptHarness.load(source), {
      name: 'ScriptError',
      message: /neither registers a handler nor returns a function nor defines handle_request/,
    });
  });
}

test('A script without handlers is loaded when it has timers, or when its mode is given, which the log tells', async () => {
  for (const [source, options, log] of [
    [`require 'httpd'.timer(60, print)`, {}, []],
    ['x = 1', { mode: 'lhttpd' }, ['warn Script registered no handler mapping=/ script=script.lua']],
  ] as const) {
    const harness = await ScriptHarness.load(source, options);
    assert.deepEqual(harness.log, log);
    assert.equal((await harness.request('/')).status, 404);
    await harness.close();
  }
});

for (const [mode, source, message] of [
  ['luars', HANDLER, /neither returns a function nor defines handle_request/],
  ['luars', 'return {}', /neither returns a function nor defines handle_request/],
  ['luars', 'handle_request = 7', /neither returns a function nor defines handle_request/],
  ['luvit', HANDLER, /returns no app: a function\(read, write\) or function\(request\)/],
  ['luvit', 'function handle_request() end', /returns no app/],
  ['luvit', 'return {}', /returns no app/],
] satisfies (readonly [ScriptMode, string, RegExp])[]) {
  test(`--mode ${mode} refuses what is no such script: ${source}`, async () => {
    await assert.rejects(ScriptHarness.load(source, { mode }), { name: 'ScriptError', message });
  });
}

test('A directory is no script, for dofile and loadfile neither', async () => {
  const harness = await ScriptHarness.run(`say(loadfile('folder')) say(pcall(dofile, 'folder'))`);
  mkdirSync(join(harness.folder, 'folder'));
  assert.equal(
    await harness.output(),
    'nil cannot read folder: Is a directory\nfalse cannot read folder: Is a directory\n',
  );
  await harness.close();
});

test('What the sandbox has taken away is named where a script uses it', async () => {
  const rights = { sandboxed: true };
  await assert.rejects(
    ScriptHarness.load(`os.execute('true') function handle_request() end`, { rights }),
    /script\.lua:1: attempt to call a nil value \(field 'execute'\)/,
  );
  const harness = await ScriptHarness.load(`function handle_request() os.execute('true') end`, { rights });
  assert.equal((await harness.request('/')).status, 500);
  assert.match(harness.log.join('\n'), /script\.lua:1: attempt to call a nil value \(field 'execute'\)/);
  await harness.close();
});
