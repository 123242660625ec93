/**
 * Part of the build: writes the bundles that the main thread and the worker threads run. They are CommonJS, which Node begins
 * faster than modules, and what is imported on demand begins on demand in them, too.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

const source = join(PACKAGE_ROOT, 'dist/src');

interface Bundle {
  readonly entry: string;
  readonly file: string;
  /** Modules that stay outside, as patterns of import paths: rarely needed, or one for several bundles. */
  readonly external: readonly string[];
}

const BUNDLES: readonly Bundle[] = [
  {
    entry: 'command/command.js',
    file: 'command/command-bundle.cjs',
    external: ['../config/parse-command-line.js', './subcommands.js'],
  },
  // modules in TypeScript import the package itself, which has to be one with what serves them
  { entry: 'worker/worker-entry.js', file: 'worker/worker-bundle.cjs', external: ['../web/*'] },
  { entry: 'opener/opener-process.js', file: 'opener/opener-process.cjs', external: [] },
  { entry: 'worker/worker-start.js', file: 'worker/worker-start.cjs', external: [] },
];

/** `import()` of a module that stays outside, and what stands for it: of one length, so that source maps stay right. */
const IMPORT = /\bimport\("/g;
const IMPORT_OF_BUNDLE = 'Import("';

const BANNER = [
  '"use strict";const bundleUrl=require("node:url").pathToFileURL(__filename).href;',
  // base/run-bundle.ts gives one, Node's own loader does not
  'const Import=module.importModule??((name)=>import(name));',
].join('');

/** How a file asks for wasmoon, so that the loader of modules does not read it for its names. */
const ASKS_WASMOON = "createRequire(import.meta.url)('wasmoon')";

/** Takes wasmoon into the bundle, where it is no file of its own that each thread would compile: 150 KB, 8 ms. */
const WITH_WASMOON: Plugin = {
  name: 'with-wasmoon',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/lua\/wasm-instance\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (!text.includes(ASKS_WASMOON)) throw new Error(`"${path}" does not say ${ASKS_WASMOON}`);
      const entry = createRequire(import.meta.url).resolve('wasmoon');
      return { contents: text.replace(ASKS_WASMOON, `require(${JSON.stringify(entry)})`), loader: 'js' };
    });
  },
};

for (const { entry, file, external } of BUNDLES) {
  const { outputFiles } = await build({
    entryPoints: [join(source, entry)],
    outfile: join(source, file),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    packages: 'external',
    external: [...external],
    sourcemap: true,
    minifyWhitespace: true,
    lineLimit: 160,
    logLevel: 'warning',
    define: { 'import.meta.url': 'bundleUrl' },
    banner: { js: BANNER },
    plugins: [WITH_WASMOON],
    write: false,
  });
  for (const { path, text } of outputFiles)
    writeFileSync(path, path.endsWith('.map') ? text : text.replaceAll(IMPORT, IMPORT_OF_BUNDLE));
}
