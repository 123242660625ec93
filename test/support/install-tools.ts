/** Installs missing programs from Debian and prints so; fails when it cannot. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** For all checkouts of a user. */
const EXTRACTED: string = join(homedir(), '.cache/lgateway');

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
  ip: 'iproute2',
  nsenter: 'util-linux',
  nginx: 'nginx',
  nghttp: 'nghttp2-client',
  h2load: 'nghttp2-client',
  chromium: 'chromium',
  openssl: 'openssl',
  'systemd-socket-activate': 'systemd',
  'lua5.4': 'lua5.4',
  pebble: 'pebble',
  wget: 'wget',
  wrk: 'wrk',
  'redis-cli': 'redis-tools',
  '/usr/bin/python3': 'python3',
  '/usr/lib/python3/dist-packages/requests/__init__.py': 'python3-requests',
  '/usr/lib/python3/dist-packages/websockets/__init__.py': 'python3-websockets',
  ...LUA_LIBRARIES,
};

/**
 * Programs of packages that would start a service of their own where they are installed: the file alone is taken out of the package,
 * into a cache of the user.
 */
const EXTRACTED_TOOLS: Tools = { promtool: 'prometheus' };

/** Makes sure that every program that the tests use can be started. */
export function installTestTools(): void {
  installTools(TEST_TOOLS, 'the tests');
  for (const [program, packageName] of Object.entries(EXTRACTED_TOOLS)) extractTool(program, packageName);
}

/** The file of a program that was taken out of its package, or the name of one that is installed. */
export function extractedTool(program: string): string {
  const file = join(EXTRACTED, program);
  return existsSync(file) ? file : program;
}

function extractTool(program: string, packageName: string): void {
  if (isInstalled(program) || existsSync(join(EXTRACTED, program))) return;
  console.log(`Taking ${program} out of the package ${packageName} for the tests`);
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-tool-'));
  const commands = [
    `(apt-get download -q ${packageName} || (apt-get update -q && apt-get download -q ${packageName})) >/dev/null`,
    `dpkg-deb --fsys-tarfile ${packageName}_*.deb | tar -x ./usr/bin/${program}`,
  ];
  // the user that apt downloads as may not write here, and apt says so at length
  const options = { cwd: folder, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync('sh', ['-c', commands.join(' && ')], options);
  try {
    if (status !== 0) {
      console.error(`${stderr}The tests need ${program}, of the Debian package ${packageName}`);
      process.exit(1);
    }
    mkdirSync(EXTRACTED, { recursive: true });
    // whole or not at all, whoever else does the same
    const partial = join(EXTRACTED, `${program}.${process.pid}`);
    copyFileSync(join(folder, 'usr/bin', program), partial);
    renameSync(partial, join(EXTRACTED, program));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
