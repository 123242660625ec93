/** Installs the programs the tests drive from Debian when they are missing; says so; fails when it cannot. */
import { spawnSync } from 'node:child_process';

/** Program to look for → Debian package that has it. */
const TOOLS: Readonly<Record<string, string>> = {
  ab: 'apache2-utils',
  curl: 'curl',
  nghttp: 'nghttp2-client',
  h2load: 'nghttp2-client',
  chromium: 'chromium',
  openssl: 'openssl',
  'systemd-socket-activate': 'systemd',
  'lua5.4': 'lua5.4',
  wrk: 'wrk',
};

/** Makes sure every program of TOOLS can be started. Exits with a clear message otherwise. */
export function installTestTools(): void {
  const missing = new Set<string>();
  for (const [program, packageName] of Object.entries(TOOLS))
    if (!isInstalled(program)) missing.add(packageName);
  if (missing.size === 0) return;
  const names = [...missing];
  console.log(`Installing for the tests: ${names.join(' ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const run = (...args: string[]): number | null =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env: environment }).status;
  if (run('update', '-q') !== 0 || run('install', '-y', '-q', '--no-install-recommends', ...names) !== 0) {
    console.error(
      `The tests need these Debian packages; install them as root: apt-get install ${names.join(' ')}`,
    );
    process.exit(1);
  }
}

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}
