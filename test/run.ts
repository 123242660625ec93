/** Runs the test suite: installs what it needs from Debian, then every `*.test.js` (or those named) through node:test. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
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

/** Files at a time: one more than there are processors, as many tests wait. With two of them it takes three quarters of the time. */
const CONCURRENCY = availableParallelism() + 1;

/** Folders whose tests reach HTTP/2 through a socket: they hold for both of its layers. */
const BOTH_LAYERS = /^(?:gateway|interop|attack|http\/(?!h2\/)[^/]*)\/[^/]*$/;

function run(paths: readonly string[], layer: string | undefined): Promise<number> {
  const environment = layer === undefined ? process.env : { ...process.env, LGATEWAY_TEST_HTTP2: layer };
  const child = spawn(
    process.execPath,
    [
      '--test',
      `--test-concurrency=${CONCURRENCY}`,
      '--test-reporter=spec',
      '--test-timeout=240000',
      ...paths,
    ],
    { stdio: 'inherit', env: environment },
  );
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

const words = process.argv.slice(2);
const files = selectTestFiles(words);
if (files.length === 0) {
  console.error('No test file matches');
  process.exit(1);
}
installTestTools();
let failed = await run(files, undefined);
if (failed === 0 && words.length === 0) {
  console.log('\nOnce more over node:http2 (--http2 node)\n');
  failed = await run(
    files.filter((file) => BOTH_LAYERS.test(relative(testRoot, file))),
    'node',
  );
}
process.exit(failed);
