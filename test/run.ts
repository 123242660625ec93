/**
 * Runs the test suite: installs what it needs from Debian, then every `*.test.js` (or those named) through node:test. With
 * LGATEWAY_TEST_LONG=1, its long form.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CERTIFICATES_VARIABLE, makeCertificates } from './support/certificate.ts';
import { installTestTools } from './support/install-tools.ts';
import { IS_LONG } from './support/test-form.ts';

const testRoot = fileURLToPath(new URL('.', import.meta.url));
const RUN_FILES = join(testRoot, 'support', 'run-files.js');

/**
 * What takes longest begins first, so that none of it is alone at the end: files of more than ten seconds on two
 * processors, and those that mostly wait. The order of all others does not matter.
 */
const LONGEST_FIRST: readonly string[] = [
  'supervisor/process',
  'script/fuzz',
  'hostile/hostile',
  'httpd/copy',
  'gateway/luars',
  'httpd/fetch',
  'embed/server',
  'examples/readme',
  'gateway/regressions-22-42',
  'httpd/large-json',
  'attack/hostile-scripts',
  'script/function-costs',
  'supervisor/supervisor',
  'supervisor/socket-activation',
  'gateway/held-memory',
  'http/h2/fuzz',
  'web/web-handler',
  'gateway/workers',
  'bench/run',
  'handlers/browser',
  'file/pipe-file',
  'http/exchange/body-rate',
];

/** `npm test` runs all; `npm test -- lua file/` runs the files whose path contains one of the words. */
function selectTestFiles(words: readonly string[]): string[] {
  return readdirSync(testRoot, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function rank(name: string): number {
  const place = LONGEST_FIRST.indexOf(name.replace('.test.js', ''));
  return place === -1 ? LONGEST_FIRST.length : place;
}

/** Files at a time: one more than there are processors, as many tests wait. With two of them it takes three quarters of the time. */
const CONCURRENCY = availableParallelism() + 1;

/**
 * Folders whose tests reach HTTP/2 through a socket: they hold for both of its layers. The long form runs all of them over
 * node:http2, too; the short form has test/interop/node-layer.test.ts.
 */
const BOTH_LAYERS = /^(?:gateway|interop|attack|http\/(?!h2\/)[^/]*)\/[^/]*$/;
const NODE_LAYER_ONLY = 'interop/node-layer.test.js';

function run(names: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<number> {
  const paths = names.map((name) => join(testRoot, name));
  const child = spawn(process.execPath, [RUN_FILES, String(CONCURRENCY), ...paths], {
    stdio: 'inherit',
    // LGATEWAY_CHECK_STACK: what host functions do to Lua's stack is looked at (src/lua/stack-check.ts)
    env: { ...process.env, LGATEWAY_CHECK_STACK: '1', ...variables },
  });
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

const words = process.argv.slice(2);
const files = selectTestFiles(words);
if (files.length === 0) {
  console.error('No test file matches');
  process.exit(1);
}
installTestTools();
process.env[CERTIFICATES_VARIABLE] = makeCertificates();
let failed = await run(files);
if (failed === 0 && words.length === 0 && IS_LONG) {
  console.log('\nOnce more over node:http2 (--http2 node)\n');
  const again = files.filter((file) => BOTH_LAYERS.test(file) && file !== NODE_LAYER_ONLY);
  failed = await run(again, { LGATEWAY_TEST_HTTP2: 'node' });
}
process.exit(failed);
