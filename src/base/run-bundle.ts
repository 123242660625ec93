/** Runs a bundle that the build has made, with the machine code of the build where this engine takes it. */
import type { Script } from 'node:vm';

// not by import, by which a module of ECMAScript gets a copy of each of their names
const { readFileSync } = process.getBuiltinModule('node:fs');
const { createRequire, isBuiltin } = process.getBuiltinModule('node:module');
const { dirname } = process.getBuiltinModule('node:path');
const { pathToFileURL } = process.getBuiltinModule('node:url');
const vm = process.getBuiltinModule('node:vm');

/** What Node itself wraps a CommonJS module in. */
const WRAPPER = '(function (exports, require, module, __filename, __dirname) { ';
const WRAPPER_END = '\n})';

/** Arguments of Node by which the places of the bundle are traced back to its sources; only Node's own loader knows how. */
const MAPS_SOURCES = /--enable-source-maps/;

/**
 * What the engine compiled of a bundle when the build ran it: to compile it anew takes a third of the time in which a thread
 * begins. The engine takes it only from its own version with its own flags, and compiles where it does not.
 */
export function codeFileOf(bundle: string): string {
  return `${bundle}.${process.versions.v8}-${process.arch}.code`;
}

/** Runs a CommonJS file by its path. */
export function runBundle(bundle: string): void {
  const code = isObserved() ? undefined : readCode(bundle);
  if (code === undefined) createRequire(bundle)(bundle);
  else compileBundle(bundle, code)();
}

/** The script of a bundle, and what runs it. */
export interface CompiledBundle {
  (): void;
  readonly script: Script;
}

/** `code` undefined: compiles all of it. */
export function compileBundle(bundle: string, code: Buffer | undefined): CompiledBundle {
  // all its characters are ASCII, as esbuild writes it
  const source = WRAPPER + readFileSync(bundle, 'latin1') + WRAPPER_END;
  const script = new vm.Script(source, {
    filename: bundle,
    columnOffset: -WRAPPER.length,
    ...(code === undefined ? {} : { cachedData: code }),
  });
  const run = (): void => {
    const require = createRequire(bundle);
    // code that was compiled before cannot import by itself: Node knows who asks by what it gave the engine to compile
    const importModule = (name: string): Promise<unknown> =>
      import(isBuiltin(name) ? name : pathToFileURL(require.resolve(name)).href);
    const module = { exports: {}, importModule };
    const body: unknown = script.runInThisContext();
    if (typeof body !== 'function') throw new TypeError(`"${bundle}" is no bundle`);
    Reflect.apply(body, module.exports, [module.exports, require, module, bundle, dirname(bundle)]);
  };
  return Object.assign(run, { script });
}

/** True where somebody wants to know which lines of the sources run. */
function isObserved(): boolean {
  return (
    (process.env['NODE_V8_COVERAGE'] ?? '') !== '' ||
    MAPS_SOURCES.test(process.env['NODE_OPTIONS'] ?? '') ||
    process.execArgv.some((word) => MAPS_SOURCES.test(word))
  );
}

function readCode(bundle: string): Buffer | undefined {
  try {
    return readFileSync(codeFileOf(bundle));
  } catch {
    // the package was built by another release of Node
    return undefined;
  }
}
