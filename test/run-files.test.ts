/** What `npm test` reports of test files that fail in unusual ways while they share a process with others. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram } from './support/run-program.ts';
import { ALONE, groupFiles } from './support/test-groups.ts';
import { selectTestFiles, WHOLE_PROGRAM } from './support/test-selection.ts';

const RUN_FILES = fileURLToPath(new URL('support/run-files.js', import.meta.url));
const TEST_ROOT = fileURLToPath(new URL('.', import.meta.url));

const GOOD = `import { test } from 'node:test';
test('good', () => undefined);`;

const folder = mkdtempSync(join(tmpdir(), 'lgateway-run-files-'));
mkdirSync(join(folder, 'x'));
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a group of a good file, the given one and another good one, in the way of `npm test`. */
async function runBeside(source: string): Promise<{ readonly code: number | null; readonly text: string }> {
  const names = ['x/a.test.js', 'x/b.test.js', 'x/c.test.js', 'x/d.test.js'];
  for (const name of names)
    writeFileSync(join(folder, name), name === 'x/b.test.js' ? `${GOOD}\n${source}` : GOOD);
  const units = groupFiles(names, folder, folder);
  assert.equal(units.length, 1);
  // a separate run, which writes its results as text for people
  const words = ['-u', 'NODE_TEST_CONTEXT', process.execPath, RUN_FILES, '2', JSON.stringify(units)];
  const { code, stdout, stderr } = await runProgram('env', words, { environment: { NO_COLOR: '1' } });
  return { code, text: `${stderr}\n${stdout.toString('utf8')}` };
}

const BAD: Readonly<
  Record<string, { readonly source: string; readonly says: readonly RegExp[]; readonly passed: number }>
> = {
  'a test that fails': {
    source: `test('bad', () => { throw new Error('on purpose'); });`,
    says: [/failing tests:[\s\S]*✖ bad [\s\S]*on purpose/],
    passed: 4,
  },
  'a file that throws when it is loaded': {
    source: `throw new Error('on purpose');`,
    says: [/failing tests:[\s\S]*✖ x\/b\.test\.js [\s\S]*on purpose/],
    passed: 3,
  },
  'a file that ends the process': {
    source: `test('bad', () => process.exit(0));`,
    says: [
      /The process ended in x\/b\.test\.js; not run: x\/c\.test\.js x\/d\.test\.js/,
      /ended badly; the last it began: x\/b\.test\.js/,
    ],
    passed: 1,
  },
  'an error after the end of a test': {
    source: `test('bad', () => void setTimeout(() => { throw new Error('on purpose'); }, 10));
test('waits', () => new Promise((resolve) => setTimeout(resolve, 100)));`,
    says: [
      /Test "bad" at \S+ generated asynchronous activity after the test ended[\s\S]*on purpose/,
      /ended badly/,
    ],
    passed: 6,
  },
  'a test that waits for what never comes': {
    source: `test('bad', () => new Promise(() => undefined));`,
    says: [/failing tests:[\s\S]*✖ bad/],
    passed: 2,
  },
};

for (const [what, { source, says, passed }] of Object.entries(BAD))
  test(`A group fails by name for ${what}`, async () => {
    const { code, text } = await runBeside(source);
    assert.equal(code, 1, text);
    for (const pattern of says) assert.match(text, pattern);
    assert.ok(text.includes(`ℹ pass ${passed}\n`), text);
    assert.match(text, /ℹ tests \d+\n[\s\S]*ℹ duration_ms/);
  });

test('A group without a failure passes, and its tests are those of its files', async () => {
  const { code, text } = await runBeside('');
  assert.equal(code, 0, text);
  assert.match(text, /▶ x\/b\.test\.js\n {2}✔ good/);
  assert.match(text, /ℹ tests 4\n/);
});

test('Every file that runs alone is there', () => {
  const names = Object.keys(ALONE).map((name) => `${name}.test.js`);
  const units = groupFiles(names, TEST_ROOT, folder);
  assert.deepEqual(
    units.map(({ files }) => files),
    names.map((name) => [name]),
  );
  for (const name of names) assert.ok(existsSync(join(TEST_ROOT, name)), name);
});

test('A run has the parts; with --all the whole program too; with words what they name, in any room', () => {
  const parts = ['docs/names.test.js', 'index.test.js', 'lua/state.test.js'];
  const whole = ['docs/typescript.test.js', 'gateway/tls.test.js', 'main.test.js'];
  const others = ['gateway/helper.js', 'support/gateway.js'];
  const select = (words: readonly string[], all: boolean): string[] =>
    selectTestFiles([...whole, ...others, ...parts], { words, all });
  assert.deepEqual(select([], false), parts);
  assert.deepEqual(select([], true), [...parts, ...whole].sort());
  for (const all of [false, true]) assert.deepEqual(select(['tls', 'state'], all), [whole[1], parts[2]]);
});

test('Every room of the whole program is there', () => {
  for (const name of WHOLE_PROGRAM) assert.ok(existsSync(join(TEST_ROOT, name)), name);
});
