/** Installs missing programs from Debian and prints so; fails when it cannot. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Program or file to look for, and the Debian package that contains it. */
type Tools = Readonly<Record<string, string>>;

/** The programs that the tests use. */
const TEST_TOOLS: Tools = {
  ab: 'apache2-utils',
  curl: 'curl',
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
