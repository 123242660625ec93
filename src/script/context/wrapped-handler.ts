/** The function of a handler that takes nothing, as it is called in a mapping with hooks before requests: behind these. */
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Reference } from '../../lua/state.ts';
import type { HandlerFunction, Invocation } from './invocation.ts';
import type { ScriptContext } from './script-context.ts';

/** Functions of Lua are made when they are first wanted: the hooks may take the tables of a request later, when others are added. */
export class WrappedHandler implements HandlerFunction {
  readonly callsHooks = true;
  readonly #script: ScriptContext;
  readonly #plain: Reference;
  #bare: Reference | undefined;
  #withTables: Reference | undefined;

  constructor(script: ScriptContext, { reference }: HandlerFunction) {
    this.#script = script;
    this.#plain = reference;
  }

  /** Throws ScriptError when there is no memory for it. */
  get reference(): Reference {
    if (this.#script.hooks.takeTables) {
      this.#withTables ??= this.#wrap((L) => this.#script.lazyTables.wrap(L));
      return this.#withTables;
    }
    this.#bare ??= this.#wrap((L) => this.#script.lazyTables.wrapBare(L));
    return this.#bare;
  }

  get pushArguments(): ((L: LuaThread, invocation: Invocation) => number) | undefined {
    return this.#script.hooks.takeTables ? this.#script.pushTables : undefined;
  }

  #wrap(wrap: (L: LuaThread) => void): Reference {
    const { state } = this.#script;
    const { mainThread: L } = state;
    state.pushReference(L, this.#plain);
    wrap(L);
    return state.keep(L);
  }
}
