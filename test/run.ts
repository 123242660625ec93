/** Runs the test suite: installs what it needs from Debian, then every `*.test.js` (or those named) through node:test. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installTestTools } from './support/install-tools.ts';

const testRoot = fileURLToPath(new URL('.', import.meta.url));

/** `npm test` runs all; `npm test -- lua file/` runs the files whose path contains one of the words. */
function selectTestFiles(words: readonly string[]): string[] {
  return readdirSync(testRoot, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .sort()
    .map((name) => join(testRoot, name));
}

const files = selectTestFiles(process.argv.slice(2));
if (files.length === 0) {
  console.error('No test file matches');
  process.exit(1);
}
installTestTools();
const child = spawn(
  process.execPath,
  ['--test', '--test-concurrency=2', '--test-reporter=spec', '--test-timeout=240000', ...files],
  { stdio: 'inherit' },
);
child.on('exit', (code) => process.exit(code ?? 1));
