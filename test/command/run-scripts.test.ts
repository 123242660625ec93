/** `--run` of `lgateway check` and `lgateway routes`: scripts are loaded as a start would load them, and nothing serves. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { runSubcommand } from '../../src/command/subcommands.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { tryScripts } from '../../src/supervisor/script-trial.ts';
import { MAIN } from '../support/run-gateway.ts';
import { runProgram } from '../support/run-program.ts';
import { waitFor } from '../support/test-front-end.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgateway-run-'));
const IS_ROOT = process.getuid?.() === 0;
const at = (name: string): string => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));

const SCRIPTS = {
  'good.lua': `local httpd = require 'httpd'
httpd.register_handler('/', function() end)
httpd.register_handler('/items/{id}', function() end, {methods = {'GET', 'PUT'}})
httpd.register_handler('/items/{id}', function() end)
httpd.register_handler('/form', function() end, {methods = {'POST'}})
httpd.timer(0.001, function() io.open('${folder}/timer', 'w'):close() end)
httpd.hook('start', function() io.open('${folder}/hook', 'w'):close() end)
io.open('${folder}/loaded', 'w'):close()`,
  'app.lua': 'return function(request) return {code = 200}, "" end',
  'error.lua': 'local text = "a\\27[2Jb"\nerror(text)',
  'syntax.lua': 'x = = 1',
  'hungry.lua':
    "local text = ('x'):rep(32 * 1048576)\nrequire('httpd').register_handler('/', function() return text end)",
  'program.lua': "assert(io.popen('cat x'))",
  'waits.lua': `local pipe = io.popen('echo $$ > ${folder}/pid; exec sleep 600')\npipe:read 'a'`,
} as const;

before(() => {
  for (const [name, text] of Object.entries(SCRIPTS)) writeFileSync(at(name), text);
  mkdirSync(at('root'));
  writeFileSync(at('root/program.lua'), SCRIPTS['program.lua']);
});

const shown = (faults: readonly string[]): string[] =>
  faults.map((fault) => (fault.split('\n')[0] ?? '').replaceAll(`${folder}/`, ''));

test('check --run loads scripts with their rights and limits, binds nothing, and begins no timer and no start hook', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  writeFileSync(
    at('good.toml'),
    `address = "127.0.0.1"
port = ${port}
[[lua]]
prefix = "/good"
script = "good.lua"
[[lua]]
prefix = "/app"
script = "app.lua"
sandbox = true
`,
  );
  const { output, faults } = await runSubcommand('check', ['--run', '--config', at('good.toml')]);
  server.close();
  deepEqual(faults, []);
  match(output, /\nScripts: 2 loaded\n/);
  deepEqual(
    ['loaded', 'timer', 'hook'].map((name) => existsSync(at(name))),
    [true, false, false],
  );
});

test('check --run tells every error of a load with the place of its mapping, and ends with code 2', async () => {
  const tables = [
    ['/error', 'error.lua', ''],
    ['/syntax', 'syntax.lua', ''],
    ['/hungry', 'hungry.lua', 'memory = "16M"'],
    ['/full', 'hungry.lua', ''],
    ['/program', 'program.lua', 'root = "root"'],
  ].map(([prefix, script, more]) => `[[lua]]\nprefix = "${prefix}"\nscript = "${script}"\n${more}\n`);
  writeFileSync(at('bad.toml'), tables.join(''));
  const { faults } = await runSubcommand('check', ['--config', at('bad.toml'), '--run']);
  deepEqual(shown(faults), [
    `bad.toml:5:3: Mapping /syntax: syntax.lua:1: unexpected symbol near '='`,
    'bad.toml:1:3: Mapping /error: Cannot load "error.lua": error.lua:2: a\\x1b[2Jb',
    'bad.toml:9:3: Mapping /hungry: Cannot load "hungry.lua": not enough memory',
    'bad.toml:17:3: Mapping /program: Cannot load "program.lua": program.lua:1: cat x: "cat" is not among the allowed commands',
  ]);
  const { code, stdout } = await runProgram(process.execPath, [MAIN, 'check', '--run', '-s', 'error.lua'], {
    cwd: folder,
  });
  deepEqual([code, String(stdout).includes('loaded')], [2, false]);
});

test('routes --run lists the handlers that scripts register, with their methods and modes', async () => {
  const words = [
    '--run',
    '-l',
    '/good',
    at('good.lua'),
    '-l',
    '/app',
    at('app.lua'),
    '-l',
    '/no',
    at('error.lua'),
  ];
  const { output, faults } = await runSubcommand('routes', words);
  equal(
    output.replaceAll(`${folder}/`, ''),
    `/good  script  good.lua (lhttpd)
  /            any method
  /form        POST
  /items/{id}  GET, HEAD, PUT, all others
/app   script  app.lua (luvit)
  answers every path
/no    script  error.lua
`,
  );
  match(shown(faults).join(), /^Mapping \/no: Cannot load "error.lua": error.lua:2: /);
  equal((await runSubcommand('routes', ['-l', '/', at('error.lua')])).faults.length, 0);
  writeFileSync(at('routes.toml'), '\n[[lua]]\nprefix = "/no"\nscript = "error.lua"\n');
  const fromFile = await runSubcommand('routes', ['--run', '--config', at('routes.toml')]);
  match(shown(fromFile.faults).join(), /^routes\.toml:2:3: Mapping \/no: Cannot load "error.lua": /);
});

test('check --run loads scripts as the user of -u', { skip: !IS_ROOT && 'needs root' }, async () => {
  chmodSync(folder, 0o755);
  writeFileSync(
    at('user.lua'),
    "assert(io.popen('id -un'):read() == 'nobody') require('httpd').register_handler('/', function() end)",
  );
  const check = async (script: string): Promise<string> => {
    const words = ['check', '--run', '-u', 'nobody', '-s', at(script)];
    const { code, stdout, stderr } = await runProgram(process.execPath, [MAIN, ...words]);
    return `${code} ${stdout}${stderr}`;
  };
  match(await check('user.lua'), /^0 .*\nScripts: 1 loaded\n/s);
  // root has compiled it before
  chmodSync(at('good.lua'), 0o600);
  match(await check('good.lua'), /^2 .*Mapping \/: Cannot load ".*good\.lua": .*Permission denied/s);
  chmodSync(at('good.lua'), 0o644);
});

test('A trial that takes longer than a start may is given up, and its programs end with it', async () => {
  const config = parsePlainWords(['-s', at('waits.lua')]);
  ok(config !== undefined);
  const hasRun = (): boolean => existsSync(at('pid')) && readFileSync(at('pid'), 'utf8').endsWith('\n');
  // on a busy machine the program does not run before the first times are over
  for (let readyTimeoutMs = 2000; !hasRun(); readyTimeoutMs *= 2) {
    ok(readyTimeoutMs < 120_000, 'the program runs');
    const trial = tryScripts({
      config,
      logger: createLogger('error', 'test', () => undefined),
      writeLine: () => undefined,
      compileLua: (memoryBytesMax) => compileLuaModule({ memoryBytesMax }),
      times: { readyTimeoutMs },
    });
    await rejects(
      trial,
      new RegExp(`^GatewayError: Worker 1 did not get ready within ${readyTimeoutMs} ms$`),
    );
  }
  const pid = Number(readFileSync(at('pid'), 'utf8'));
  await waitFor(() => hasEnded(pid), 'the program to end', 30_000);
});

/** A process that has ended may wait for its parent to ask. */
function hasEnded(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    // it is gone
    return true;
  }
}
