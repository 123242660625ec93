/** Installs missing programs from Debian and prints so; fails when it cannot. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Program or file to look for, and the Debian package that contains it. */
type Tools = Readonly<Record<string, string>>;

/** The libraries of Lua that test/libraries/public/ does work with. */
const LUA_LIBRARIES: Tools = {
  '/usr/share/lua/5.1/ansicolors.lua': 'lua-ansicolors',
  '/usr/share/lua/5.1/argparse.lua': 'lua-argparse',
  '/usr/share/lua/5.1/basexx.lua': 'lua-basexx',
  '/usr/share/lua/5.1/binaryheap.lua': 'lua-binaryheap',
  '/usr/share/lua/5.1/cliargs.lua': 'lua-cliargs',
  '/usr/share/lua/5.1/coxpcall.lua': 'lua-coxpcall',
  '/usr/share/lua/5.1/dkjson.lua': 'lua-dkjson',
  '/usr/share/lua/5.1/fifo.lua': 'lua-fifo',
  '/usr/share/lua/5.1/inifile.lua': 'lua-inifile',
  '/usr/share/lua/5.1/inspect.lua': 'lua-inspect',
  '/usr/share/lua/5.1/logging.lua': 'lua-logging',
  '/usr/share/lua/5.1/ltn12.lua': 'lua-socket',
  '/usr/share/lua/5.1/luacheck/init.lua': 'lua-check',
  '/usr/share/lua/5.1/luassert/init.lua': 'lua-luassert',
  '/usr/share/lua/5.1/luaunit.lua': 'lua-unit',
  '/usr/share/lua/5.1/mediator.lua': 'lua-mediator',
  '/usr/share/lua/5.1/MessagePack.lua': 'lua-messagepack',
  '/usr/share/lua/5.1/moses.lua': 'lua-moses',
  '/usr/share/lua/5.1/pl/init.lua': 'lua-penlight',
  '/usr/share/lua/5.1/say/init.lua': 'lua-say',
  '/usr/share/lua/5.1/uri.lua': 'lua-uri',
};

/** The programs that the tests use. */
const TEST_TOOLS: Tools = {
  ab: 'apache2-utils',
  curl: 'curl',
  haproxy: 'haproxy',
  nginx: 'nginx',
  nghttp: 'nghttp2-client',
  h2load: 'nghttp2-client',
  chromium: 'chromium',
  openssl: 'openssl',
  'systemd-socket-activate': 'systemd',
  'lua5.4': 'lua5.4',
  wget: 'wget',
  wrk: 'wrk',
  '/usr/bin/python3': 'python3',
  '/usr/lib/python3/dist-packages/requests/__init__.py': 'python3-requests',
  '/usr/lib/python3/dist-packages/websockets/__init__.py': 'python3-websockets',
  ...LUA_LIBRARIES,
};

/** Makes sure that every program that the tests use can be started. */
export function installTestTools(): void {
  installTools(TEST_TOOLS, 'the tests');
}

/**
 * Makes sure that every program of `tools` can be started; otherwise exits with a message. `purpose` completes the sentence
 * "Installing for".
 */
export function installTools(tools: Tools, purpose: string): void {
  const missing = new Set<string>();
  for (const [program, packageName] of Object.entries(tools))
    if (!isInstalled(program)) missing.add(packageName);
  if (missing.size === 0) return;
  const names = [...missing];
  console.log(`Installing for ${purpose}: ${names.join(' ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const run = (...args: string[]): number | null =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env: environment }).status;
  if (run('update', '-q') !== 0 || run('install', '-y', '-q', '--no-install-recommends', ...names) !== 0) {
    console.error(
      `These Debian packages are needed for ${purpose}; install them as root: apt-get install ${names.join(' ')}`,
    );
    process.exit(1);
  }
}

function isInstalled(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program);
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}
