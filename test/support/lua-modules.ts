/** Compiles the Lua VM for tests, once for each maximum of memory: gateways and harnesses of a process share what they have compiled. */
import { compileLuaModule } from '../../src/lua/wasm-module.ts';

const compiled = new Map<number, Promise<WebAssembly.Module>>();

/** Returns the VM whose states may grow to so many bytes. It starts with 16 MiB: with little more a script of a test can use all of it. */
export function testLuaModule(memoryBytesMax: number): Promise<WebAssembly.Module> {
  let module = compiled.get(memoryBytesMax);
  if (module === undefined) {
    module = compileLuaModule({ memoryBytesMax });
    compiled.set(memoryBytesMax, module);
  }
  return module;
}
