/** Public Lua libraries, as Debian installs them: a handler and lua5.4 do the same work with each, and print the same bytes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
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
const LUA_PATH = ['5.4', '5.3', '5.1']
  .flatMap((version) => [`/usr/share/lua/${version}/?.lua`, `/usr/share/lua/${version}/?/init.lua`])
  .join(';');

/** Both have a folder of this name in their working folder. */
const FOLDER = 'files';

const LUA_LIMIT_MS = 60_000;

let gateway: TestGateway;
let home: string;

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'lgw-libraries-'));
  mkdirSync(join(home, FOLDER));
  const script = `
    local httpd = require 'httpd'
    local run = dofile '${DRIVER}'
    for name in ('${NAMES.join(' ')}'):gmatch '%S+' do
      httpd.register_handler('/' .. name, function()
        httpd.write(nil, run('${WORK}/' .. name .. '.lua', '${FOLDER}'))
      end)
    end`;
  gateway = await TestGateway.start(
    { '/': script },
    {
      words: ['--lua-path', LUA_PATH],
      cwd: '$FOLDER',
      prepare: (folder) => mkdirSync(folder.file(FOLDER)),
    },
  );
});

after(async () => {
  rmSync(home, { recursive: true, force: true });
  await gateway.stop();
});

for (const name of NAMES) {
  test(`A handler and lua5.4 agree on the work of ${name}.lua`, async () => {
    const { status, text } = await gateway.ask('h2', `/${name}`);
    assert.equal(status, 200, gateway.log);
    assert.equal(withoutAddresses(text), withoutAddresses(runInLua(name)));
    assert.doesNotMatch(text, /^error: /m);
  });
}

test('No library leaves anything open in the gateway', () => gateway.untilIdle());

function runInLua(name: string): string {
  const code = `io.stdout:write(dofile('${DRIVER}')('${WORK}/${name}.lua', '${FOLDER}'))`;
  const { status, stdout, stderr, error } = spawnSync('lua5.4', ['-e', code], {
    cwd: home,
    env: { ...process.env, LUA_PATH, LUA_CPATH: '' },
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
