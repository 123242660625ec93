/** The Lua VM with little memory, so that scripts run out of it in a test. */
import { compileLuaModule } from '../../src/lua/wasm-module.ts';

/** The VM starts with 16 MiB. */
export function compileCappedModule(bytesMax: number): Promise<WebAssembly.Module> {
  return compileLuaModule({ memoryBytesMax: bytesMax });
}
