/** The compiled Lua machines that workers get: one for each size of memory that scripts have. */
import type { LuaModules } from '../worker/messages.ts';

/** Compiles the machine for states that may grow to so many bytes; workers get it unread. */
type CompileLua = (memoryBytesMax: number) => Promise<object>;

export class LuaMachines {
  readonly #compile: CompileLua | undefined;
  /** Those of the setup that serves. */
  #modules: LuaModules = new Map();

  /** `compile` undefined: no script is served. */
  constructor(compile: CompileLua | undefined) {
    this.#compile = compile;
  }

  /** Compiles those that are missing; the others are kept only by whoever uses them. */
  async of(sizes: readonly number[]): Promise<LuaModules> {
    const compile = this.#compile;
    if (compile === undefined) return new Map();
    const known = this.#modules;
    const all = sizes.map(async (size) => [size, known.get(size) ?? (await compile(size))] as const);
    return new Map(await Promise.all(all));
  }

  /** These serve from now on. */
  use(modules: LuaModules): void {
    this.#modules = modules;
  }
}
