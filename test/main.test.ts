/** Which files the command reads before it answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { GatewayFolder, GatewayProcess } from './support/run-gateway.ts';
import { runProgram } from './support/run-program.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgateway-main-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Evaluated {
  /** Of the package and its dependencies, in all threads. */
  readonly files: readonly string[];
  /** Of bundles: the modules that began, by their path in dist/src. */
  readonly parts: readonly string[];
}

/** How esbuild names what begins a module of a bundle. */
const PART = /^dist\/src\//;

/** Resolves with what the command evaluates. */
async function evaluated(word: string): Promise<Evaluated> {
  const coverage = join(folder, word);
  const { code } = await runProgram(process.execPath, [join(PACKAGE_ROOT, 'dist/src/main.js'), word], {
    environment: { NODE_V8_COVERAGE: coverage },
  });
  assert.equal(code, 0);
  assert.equal(readdirSync(coverage).length, 1, 'one thread');
  return readEvaluated(coverage);
}

/** What all threads of a process have evaluated, as Node has written it to the folder. */
function readEvaluated(coverage: string): Evaluated {
  const scripts = readdirSync(coverage).flatMap((report) => {
    const { result } = JSON.parse(readFileSync(join(coverage, report), 'utf8')) as {
      result: { url: string; functions: { functionName: string; ranges: { count: number }[] }[] }[];
    };
    return result.filter(({ url }) => url.startsWith('file:'));
  });
  const parts = scripts
    .flatMap(({ functions }) => functions)
    .filter(({ functionName, ranges }) => PART.test(functionName) && (ranges[0]?.count ?? 0) > 0)
    .map(({ functionName }) => functionName.replace(PART, ''));
  return { files: scripts.map(({ url }) => url), parts };
}

test('lgateway --version evaluates next to nothing, and --help nothing that serves', async () => {
  const forVersion = await evaluated('--version');
  assert(forVersion.files.some((url) => url.endsWith('/src/main.js')));
  assert(forVersion.files.length <= 4, forVersion.files.join('\n'));
  const forHelp = await evaluated('--help');
  assert(forHelp.files.some((url) => url.includes('/yargs/')));
  assert(forHelp.parts.includes('config/plain-words.js'), forHelp.parts.join('\n'));
  const serving = /(?:^|\/src\/)(?:lua|worker|http|script|shared|tls)\/|(?:^|\/)supervisor\/supervisor\.js$/;
  assert.deepEqual(
    [...forHelp.files, ...forHelp.parts].filter((name) => serving.test(name)),
    [],
  );
});

test('What serves evaluates no package and no part for what its options do not ask for', async () => {
  const files = new GatewayFolder();
  const script = files.file('hello.lua');
  writeFileSync(
    script,
    `local httpd = require 'httpd'\nhttpd.register_handler('/', function() httpd.write(nil, 'hello') end)`,
  );
  const words = [
    '-c',
    files.certificate,
    '-k',
    files.key,
    '-a',
    '127.0.0.1',
    '-p',
    '0',
    '-w',
    '1',
    '-l',
    '/',
    script,
  ];
  try {
    // a main thread that ends while the machine is busy does not always write its report
    let { files: evaluatedFiles, parts } = await served(files, words, join(folder, 'serve-1'));
    for (let run = 2; run <= REPORTED_RUNS_MAX && !parts.includes(CERTAIN_PART); run++)
      ({ files: evaluatedFiles, parts } = await served(files, words, join(folder, `serve-${run}`)));
    assert(parts.includes(CERTAIN_PART), parts.join('\n'));
    const packages = evaluatedFiles.flatMap(
      (url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [],
    );
    // the glue of wasmoon is part of the bundle
    assert.deepEqual([...new Set(packages)], ['@koromix/koffi-linux-x64']);
    const optional =
      /^(?:acme|admin\/admin-server|config\/file\/(?!configure|environment))|make-certificate|wasm-rewriter|file-watch|subcommands/;
    assert.deepEqual(
      parts.filter((part) => optional.test(part)),
      [],
    );
  } finally {
    files.remove();
  }
});

const CERTAIN_PART = 'supervisor/supervisor.js';
const REPORTED_RUNS_MAX = 3;

/** Starts the command, asks it once and ends it; what it has evaluated. */
async function served(files: GatewayFolder, words: readonly string[], coverage: string): Promise<Evaluated> {
  const gateway = new GatewayProcess(files, words, { environment: { NODE_V8_COVERAGE: coverage } });
  try {
    await gateway.ready();
    assert.equal((await gateway.ask('/')).body, 'hello');
    gateway.signal('SIGTERM');
    assert.equal((await gateway.ended).code, 0, gateway.stderr);
    return readEvaluated(coverage);
  } finally {
    await gateway.stop();
  }
}
