/** Bundles run with the code that the build has compiled, and without it where the engine does not take it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { codeFileOf, compileBundle } from '../../src/base/run-bundle.ts';
import { runProgram } from '../support/run-program.ts';

const BUILT = ['command/command-bundle.cjs', 'worker/worker-bundle.cjs'].map((name) =>
  join(PACKAGE_ROOT, 'dist/src', name),
);
const SOURCE =
  'console.log(typeof require, __filename === module.filename, new Error().stack.split("\\n")[1]);\n';

const folder = mkdtempSync(join(tmpdir(), 'lgateway-bundle-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A bundle, what runs it, and perhaps its code. */
function makeBundle(name: string, code: (bundle: string) => Buffer | undefined): string {
  const bundle = join(folder, `${name}.cjs`);
  writeFileSync(bundle, SOURCE);
  const compiled = code(bundle);
  if (compiled !== undefined) writeFileSync(codeFileOf(bundle), compiled);
  const run = join(PACKAGE_ROOT, 'dist/src/base/run-bundle.js');
  writeFileSync(
    join(folder, `${name}.mjs`),
    `import { runBundle } from ${JSON.stringify(run)}; runBundle(${JSON.stringify(bundle)});`,
  );
  return bundle;
}

/** Where coverage is counted, Node's own loader runs the bundles: here it is not. */
async function outputOf(name: string, ...words: string[]): Promise<string> {
  const given = [...words, join(folder, `${name}.mjs`)];
  const { code, text } = await runProgram(process.execPath, given, { environment: { NODE_V8_COVERAGE: '' } });
  assert.equal(code, 0, text);
  return text;
}

const compiledNow = (bundle: string): Buffer => compileBundle(bundle, undefined).script.createCachedData();

/** The build leaves one beside each bundle. */
function builtCode(bundle: string): string {
  const found = readdirSync(dirname(bundle)).filter((name) => name.endsWith('.code'));
  assert.equal(found.length, 1, String(found));
  return join(dirname(bundle), found[0] as string);
}

test('The release of Node that has built takes the code of both bundles, and no other does', () => {
  for (const bundle of BUILT) {
    const file = builtCode(bundle);
    const { script } = compileBundle(bundle, readFileSync(file));
    assert.equal(script.cachedDataRejected, file !== codeFileOf(bundle), bundle);
  }
});

test('A bundle is refused the code of another', () => {
  // one that this process has not compiled yet: the engine remembers those
  const bundle = makeBundle('other', () => undefined);
  const { script } = compileBundle(bundle, readFileSync(builtCode(BUILT[0] as string)));
  assert.equal(script.cachedDataRejected, true);
});

test('A bundle runs with its code, and errors tell its lines and columns', async () => {
  const bundle = makeBundle('whole', compiledNow);
  const text = await outputOf('whole');
  assert.match(text, /^function false /);
  assert.ok(text.includes(`${bundle}:1:${SOURCE.indexOf('new Error') + 1}`), text);
});

test('A bundle runs without code, with code of other flags, and with broken code', async () => {
  makeBundle('without', () => undefined);
  assert.match(await outputOf('without'), /^function true .*without\.cjs:1:\d+/);
  makeBundle('flags', compiledNow);
  assert.match(await outputOf('flags', '--no-opt'), /^function false .*flags\.cjs:1:\d+/);
  makeBundle('broken', (bundle) => compiledNow(bundle).subarray(0, 100));
  assert.match(await outputOf('broken'), /^function false .*broken\.cjs:1:\d+/);
});

test('Bundles import what stays outside with code as without', async () => {
  const main = join(PACKAGE_ROOT, 'dist/src/main.js');
  for (const environment of [{}, { NODE_V8_COVERAGE: join(folder, 'coverage') }]) {
    const { code, text } = await runProgram(process.execPath, [main, '--help'], { environment });
    assert.equal(code, 0, text);
    assert.match(text, /SCRIPT/);
  }
});

test('Node itself loads a bundle where source maps are wanted', async () => {
  makeBundle('mapped', compiledNow);
  assert.match(await outputOf('mapped', '--enable-source-maps'), /^function true /);
});
