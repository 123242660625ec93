/** Reads wasmoon's Lua module, makes it boundable and compiles it once; every worker thread is handed the result. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findInterruptible } from './interruptible-functions.ts';
import { withOrderFallback } from './order-fallback.ts';
import { rewriteModule } from './wasm-rewriter.ts';

const PAGE_BYTES = 64 * 1024;

export interface LuaModuleOptions {
  /** Bytes of memory a state may grow to. */
  readonly memoryBytesMax: number;
  /** False: a VM that cannot be stopped, for comparisons; the default is true. */
  readonly guarded?: boolean;
}

/** Compiles the Lua VM. A WebAssembly.Module can be posted to other threads without compiling it again. */
export async function compileLuaModule({
  memoryBytesMax,
  guarded = true,
}: LuaModuleOptions): Promise<WebAssembly.Module> {
  const entry = createRequire(import.meta.url).resolve('wasmoon');
  const module = await readFile(join(dirname(entry), 'glue.wasm'));
  return WebAssembly.compile(
    rewriteModule(module, {
      memoryPagesMax: Math.floor(memoryBytesMax / PAGE_BYTES),
      // only os.execute ever called it, and that is replaced
      hostCall: 'env.system',
      fuelName: 'fuel',
      payName: 'pay',
      counts: guarded,
      interruptible: { find: findInterruptible, globalName: 'raiseBelow' },
      editCode: withOrderFallback,
    }),
  );
}
