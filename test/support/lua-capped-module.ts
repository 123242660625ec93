/** Compiles the Lua VM with little memory, so that a script of a test can use all of it. */
import { compileLuaModule } from '../../src/lua/wasm-module.ts';

/** The VM starts with 16 MiB. */
export function compileCappedModule(bytesMax: number): Promise<WebAssembly.Module> {
  return compileLuaModule({ memoryBytesMax: bytesMax });
}
