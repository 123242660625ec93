/** The npm package: the result of `npm pack` serves without other files, and its installation runs no script. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PACKAGE_ROOT, packageVersion } from '../src/base/package-info.ts';
import { GatewayFolder, GatewayProcess } from './support/run-gateway.ts';
import { runProgram } from './support/run-program.ts';

/** Scripts that npm runs, or asks the user about, when a package is installed as a dependency. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'preprepare', 'prepare', 'postprepare'];

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

const lock: { readonly packages: Readonly<Record<string, LockedPackage>> } = JSON.parse(
  readFileSync(join(PACKAGE_ROOT, 'package-lock.json'), 'utf8'),
);
/** Folders of the packages that `npm install` would install together with the package, in this checkout. */
const installedFolders = Object.entries(lock.packages)
  .filter(([folder, { dev, devOptional }]) => folder !== '' && dev !== true && devOptional !== true)
  .map(([folder]) => folder);

let folder: string;
/** The folder of the installed package: `node_modules/lgateway` of an empty project. */
let installed: string;
let files: readonly string[];
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-package-'));
  // dist/ was built for these tests; the options keep npm from writing its cache and looking for updates
  const words = ['pack', '--ignore-scripts', '--json', '--offline', '--pack-destination', folder];
  const environment = { npm_config_cache: join(folder, 'cache'), npm_config_update_notifier: 'false' };
  const packed = await runProgram('npm', words, { cwd: PACKAGE_ROOT, environment });
  assert.equal(packed.code, 0, packed.stderr);
  const [{ filename, files: list }]: [{ filename: string; files: { path: string }[] }] = JSON.parse(
    packed.text,
  );
  files = list.map(({ path }) => path);

  installed = join(folder, 'node_modules/lgateway');
  mkdirSync(installed, { recursive: true });
  const archive = ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1'];
  const unpacked = await runProgram('tar', archive);
  assert.equal(unpacked.code, 0, unpacked.stderr);
  const topmost = installedFolders.filter((name) => name.lastIndexOf('node_modules') === 0);
  for (const name of topmost) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    // packages for other platforms are not installed
    symlinkSync(join(PACKAGE_ROOT, name), join(folder, name));
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('The packed package has no script that npm runs where it is installed', () => {
  const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  assert.deepEqual(
    Object.keys(scripts).filter((name) => INSTALL_SCRIPTS.includes(name)),
    [],
  );
  // builds a checkout after `npm ci` and before packing
  assert.equal(scripts.dependencies, 'npm run --silent build');
  assert.equal(scripts.prepack, scripts.dependencies);
});

test('Nothing that is installed with it has an install script', () => {
  assert.ok(installedFolders.includes('node_modules/wasmoon'), 'the dependencies were found');
  const scripted = installedFolders.filter((name) => lock.packages[name]?.hasInstallScript === true);
  assert.deepEqual(scripted, []);
});

test('The modules of koffi for each platform are of the one version whose types the source knows', () => {
  const modules = installedFolders.filter((name) => name.includes('@koromix/'));
  assert.ok(modules.length > 10, String(modules));
  const version = lock.packages['node_modules/koffi']?.version;
  for (const name of modules) assert.equal(lock.packages[name]?.version, version, name);
});

test('The package has what the program reads, and neither tests nor TypeScript sources', () => {
  for (const name of [
    'dist/src/main.js',
    'dist/src/command/command-bundle.cjs',
    'dist/src/worker/worker-start.cjs',
    'dist/src/worker/worker-bundle.cjs',
    'handlers/welcome.lua',
    'README.md',
  ])
    assert.ok(files.includes(name), name);
  const strays = files.filter((name) =>
    /^(?:test|bench|node_modules|dist\/(?!src\/))|(?<!\.d)\.ts$/.test(name),
  );
  assert.deepEqual(
    strays.filter((name) => !name.startsWith('examples/')),
    [],
  );
});

test('The installed command serves the scripts that come with it', async () => {
  const main = join(installed, 'dist/src/main.js');
  const version = await runProgram(process.execPath, [main, '--version']);
  assert.equal(version.text, `lgateway ${packageVersion()}\n`);

  const own = new GatewayFolder();
  const words = ['-a', '127.0.0.1', '-p', '0', '-w', '1', '-c', own.certificate, '-k', own.key];
  const gateway = new GatewayProcess(own, words, { main, cwd: own.path });
  try {
    await gateway.ready();
    const { status, body } = await gateway.ask('/hello');
    assert.equal(status, 200, body);
    assert.match(body, /^Hello/);
  } finally {
    await gateway.stop();
    own.remove();
  }
});
