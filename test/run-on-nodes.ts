/**
 * `npm run test:node`: runs a part of the test suite on each release line of Node that the register of Node's internals names.
 * npm fetches the programs into a cache folder; they are no dependencies of the project.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { NODE_VERSIONS_TRIED } from '../src/native/node-internals.ts';

const USAGE = `Usage: npm run test:node -- [MAJOR]... [WORD]...
Runs the test files whose path contains one of the words, or the part of the suite that depends on Node most, on the newest
Node of each major version given, or of all that the gateway runs on. Exit status 1 when a test fails or a Node cannot be had.
`;

/** Tests of what depends most on Node: its internals, sockets, TLS, HTTP, the web's classes, threads, files and processes. */
const PART: readonly string[] = [
  'native/',
  'index.test',
  'package.test',
  'tls/',
  'http/front/',
  'http/h1/',
  'http/exchange/',
  'http/h2/session',
  'http/exchange/socket-reader',
  'http/h2/conformance/',
  'interop/',
  'web/',
  'embed/',
  'file/',
  'lua/',
  'outbound/',
  'httpd/fetch',
  'supervisor/',
  'gateway/bytes',
  'gateway/workers',
  'gateway/urls',
];

const CACHE = join(PACKAGE_ROOT, 'node_modules/.cache/test-node');
const PROGRAM_PACKAGE = `node-${process.platform}-${process.arch}`;

/** Returns the newest Node of a release line; undefined when npm cannot fetch it, for which npm has printed the reason. */
function fetchNode(major: string): { readonly program: string; readonly version: string } | undefined {
  const folder = join(CACHE, major);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const words = ['install', '--no-save', '--no-package-lock', '--silent', `${PROGRAM_PACKAGE}@${major}`];
  if (spawnSync('npm', words, { cwd: folder, stdio: 'inherit' }).status !== 0) return undefined;
  const program = join(folder, 'node_modules', PROGRAM_PACKAGE, 'bin/node');
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return stdout?.startsWith(`v${major}.`) ? { program, version: stdout.trim() } : undefined;
}

interface Outcome {
  readonly major: string;
  readonly text: string;
  readonly passed: boolean;
}

function runOn(major: string, words: readonly string[]): Outcome {
  const node = fetchNode(major);
  if (node === undefined)
    return {
      major,
      passed: false,
      text: `cannot be had: npm has no ${PROGRAM_PACKAGE}@${major} that runs here`,
    };
  console.log(`\nNode ${node.version}\n`);
  const begun = performance.now();
  const run = fileURLToPath(new URL('run.js', import.meta.url));
  const { status } = spawnSync(node.program, [run, ...words], { stdio: 'inherit' });
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  return {
    major,
    passed: status === 0,
    text: `${node.version} ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s`,
  };
}

const given = process.argv.slice(2);
if (given.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
const isMajor = (word: string): boolean => /^\d+$/.test(word);
const majorsGiven = given.filter(isMajor);
const wordsGiven = given.filter((word) => !isMajor(word));
const majors =
  majorsGiven.length > 0 ? majorsGiven : NODE_VERSIONS_TRIED.map((version) => version.replace(/\..*/, ''));
const outcomes = majors.map((major) => runOn(major, wordsGiven.length > 0 ? wordsGiven : PART));
console.log('');
for (const { major, text } of outcomes) console.log(`Node ${major}: ${text}`);
process.exit(outcomes.every(({ passed }) => passed) ? 0 : 1);
