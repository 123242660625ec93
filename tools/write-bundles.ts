/**
 * Part of the build: writes the bundles that the main thread and the worker threads run. They are CommonJS, which Node begins
 * faster than modules, and what is imported on demand begins on demand in them, too.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
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
    write: false,
  });
  for (const { path, text } of outputFiles)
    writeFileSync(path, path.endsWith('.map') ? text : text.replaceAll(IMPORT, IMPORT_OF_BUNDLE));
}
