/**
 * Makes instances of the compiled Lua module inside wasmoon's own glue, which brings the C library's imports.
 *
 * The glue instantiates by itself and offers no way to pass a compiled module or to see the instance. So for the short
 * time of one initialisation `WebAssembly.instantiate` is replaced by a function that uses our module, notes the
 * instance and puts the original back. Initialisations therefore run one after the other.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../base/package-info.ts';
import { isLongjmp } from './lua-error.ts';
import type { LuaExports } from './lua-exports.ts';
import { CHECKS_STACK, checkedExports } from './stack-check.ts';

// require() instead of import: the ESM loader reads the 150 KB of glue once more for its export names, which takes five
// times as long as running it. The bundle of a worker has the glue inside (tools/write-bundles.ts)
const { LuaFactory }: typeof import('wasmoon') = createRequire(import.meta.url)('wasmoon');

/** The glue reads a file before it instantiates, and nobody looks at what it has read: a short one, which is always there. */
const READ_IN_VAIN = join(PACKAGE_ROOT, 'package.json');

/** An exception costs as much as so many rounds of a loop; a script can raise and catch them all day. */
const THROW_ROUNDS = 2000;

let previous: Promise<unknown> = Promise.resolve();

/** Whose fuel is used up: `mayRaise` when an error may be raised there. */
type OutOfFuel = (reason: number) => void;

/** A fresh Lua VM: its own memory, no state opened yet. `outOfFuel` is called whenever its fuel is used up. */
export function instantiateLua(module: WebAssembly.Module, outOfFuel: OutOfFuel): Promise<LuaExports> {
  const instance = previous.then(() => instantiateAlone(module, outOfFuel));
  previous = instance.catch(() => undefined);
  return instance;
}

async function instantiateAlone(module: WebAssembly.Module, outOfFuel: OutOfFuel): Promise<LuaExports> {
  const original = WebAssembly.instantiate;
  const consoleError = console.error;
  let captured: WebAssembly.Instance | undefined;
  let protectedCall: ProtectedCall = () => undefined;
  // The glue binds console.error when it starts, to print a notice for every refused growth of memory: Lua reports
  // that itself, as an ordinary "not enough memory".
  console.error = () => undefined;
  WebAssembly.instantiate = (async (bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports) => {
    const environment = imports['env'] as Record<string, unknown>;
    // others in this thread may make modules of theirs meanwhile, as Node does for its own fetch
    if (environment?.['invoke_vii'] === undefined) return await original(bytes, imports);
    environment['system'] = (reason: number) => {
      outOfFuel(reason);
      return 0;
    };
    environment['invoke_vii'] = (index: number, a: number, b: number) => protectedCall(index, a, b);
    environment['_emscripten_throw_longjmp'] = throwLongjmp;
    captured = await original(module, imports);
    protectedCall = createProtectedCall(captured.exports as unknown as LuaExports);
    return { instance: captured, module };
  }) as unknown as typeof WebAssembly.instantiate;
  try {
    await new LuaFactory(READ_IN_VAIN).getLuaModule();
  } finally {
    WebAssembly.instantiate = original;
    console.error = consoleError;
  }
  if (captured === undefined) throw new Error('wasmoon did not instantiate its module');
  const exports = captured.exports as unknown as LuaExports;
  return CHECKS_STACK ? checkedExports(exports) : exports;
}

/** What emscripten throws. V8 never compiles a function that never returns, so this one looks nothing up. */
const LONGJMP: number = Number.POSITIVE_INFINITY;

function throwLongjmp(): never {
  throw LONGJMP;
}

/** Calls the function of the table with two arguments, where Lua's C code has a setjmp. */
type ProtectedCall = (index: number, a: number, b: number) => void;

/**
 * What emscripten's `invoke_vii` does, without the checks its glue makes at every step: each call into Lua passes
 * here. A longjmp is a number that is thrown; the C code that asked for the call finds it by `setThrew`.
 */
function createProtectedCall(exports: LuaExports): ProtectedCall {
  const table = exports.__indirect_function_table;
  const functions: ((a: number, b: number) => void)[] = [];
  return (index, a, b) => {
    let run = functions[index];
    if (run === undefined) {
      run = table.get(index) as (a: number, b: number) => void;
      functions[index] = run;
    }
    const stackPointer = exports.stackSave();
    try {
      run(a, b);
    } catch (thrown) {
      exports.stackRestore(stackPointer);
      if (!isLongjmp(thrown)) throw thrown;
      exports.fuel.value -= THROW_ROUNDS;
      exports.setThrew(1, 0);
    }
  };
}
