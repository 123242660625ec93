/** Reads and compiles wasmoon's Lua module once; the compiled module is handed to every worker thread. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Compiles the Lua VM. A WebAssembly.Module can be posted to other threads without compiling it again. */
export async function compileLuaModule(): Promise<WebAssembly.Module> {
  const entry = createRequire(import.meta.url).resolve('wasmoon');
  return WebAssembly.compile(await readFile(join(dirname(entry), 'glue.wasm')));
}
