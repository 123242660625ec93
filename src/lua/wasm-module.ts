/** Reads the Lua module that the build has made boundable and compiles it once; every worker thread is handed the result. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../base/package-info.ts';
import { withMemoryMaximum } from './wasm-sections.ts';

/** What `rewriteLuaModule` makes; tools/write-lua-module.ts writes it. */
export const GUARDED_MODULE: string = join(PACKAGE_ROOT, 'dist/src/lua/guarded-lua.wasm');

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
  const module = guarded ? await readFile(GUARDED_MODULE) : await rewriteUnguarded();
  return WebAssembly.compile(withMemoryMaximum(module, Math.floor(memoryBytesMax / PAGE_BYTES)));
}

async function rewriteUnguarded(): Promise<Uint8Array> {
  // no server loads the code that rewrites
  const { rewriteLuaModule } = await import('./rewrite-lua-module.ts');
  return rewriteLuaModule(false);
}
