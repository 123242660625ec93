/** Which files the command reads before it answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { runProgram } from './support/run-program.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgateway-main-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Resolves with the files of the package and its dependencies that the command evaluates, in all its threads. */
async function evaluated(word: string): Promise<string[]> {
  const coverage = join(folder, word);
  const { code } = await runProgram(process.execPath, [join(PACKAGE_ROOT, 'dist/src/main.js'), word], {
    environment: { NODE_V8_COVERAGE: coverage },
  });
  assert.equal(code, 0);
  const reports = readdirSync(coverage);
  assert.equal(reports.length, 1, 'one thread');
  const { result } = JSON.parse(readFileSync(join(coverage, reports[0] as string), 'utf8')) as {
    result: { url: string }[];
  };
  return result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
}

test('lgateway --version evaluates next to nothing, and --help nothing that serves', async () => {
  const forVersion = await evaluated('--version');
  assert(forVersion.some((url) => url.endsWith('/src/main.js')));
  assert(forVersion.length <= 8, forVersion.join('\n'));
  const forHelp = await evaluated('--help');
  assert(forHelp.some((url) => url.includes('/yargs/')));
  const serving = /\/src\/(?:lua|worker|http|script|shared|tls)\/|\/supervisor\/supervisor\.js$/;
  assert.deepEqual(
    forHelp.filter((url) => serving.test(url)),
    [],
  );
});
