/** Finds out what a loaded script is (its mode), and makes the function it answers with its handler. */
import { parametersOf } from '../lua/function-facts.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { ScriptError } from '../lua/state.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import { createHandler } from './context/create-handler.ts';
import type { ScriptContext } from './context/script-context.ts';
import { Luars } from './luars.ts';
import { Luvit } from './luvit.ts';

/** luars' handlers of three parameters take method, path and body. */
const SHORT_PARAMETERS = 3;

export class ScriptShape {
  readonly #script: ScriptContext;
  readonly #wanted: ScriptMode | undefined;

  /** Make this before the script is loaded: the script may use the functions of its mode from its first line on. */
  constructor(script: ScriptContext, wanted: ScriptMode | undefined) {
    this.#script = script;
    this.#wanted = wanted;
    if (wanted === 'luars' || wanted === undefined) this.#offerLuars();
  }

  /** What the script has come to: the value it returned is on top of the main thread's stack, and popped. */
  settle(hasHandlers: boolean): ScriptMode {
    const { state } = this.#script;
    const L = state.mainThread;
    const mode = this.#wanted ?? this.#detect(L, hasHandlers);
    if (mode === 'luars') this.#becomeLuars(L);
    else this.#withdrawLuars();
    if (mode === 'luvit') this.#becomeLuvit(L);
    state.exports.lua_settop(L, 0);
    return mode;
  }

  #detect(L: LuaThread, hasHandlers: boolean): ScriptMode {
    const { state } = this.#script;
    const { exports: x, memory } = state;
    if (hasHandlers) return 'lhttpd';
    if (x.lua_type(L, -1) === LUA_TYPE.function) {
      const { count, isVariadic } = parametersOf(state, L);
      return isVariadic || count > 2 || count === 0 ? 'luars' : 'luvit';
    }
    const type = x.lua_getglobal(L, memory.constant('handle_request'));
    state.pop(L);
    return type === LUA_TYPE.function ? 'luars' : 'lhttpd';
  }

  // ---- luars ----

  /** Its functions are found as globals, but are none yet. Keeps globals and `wrap` at the bottom of the main stack. */
  #offerLuars(): void {
    const { state } = this.#script;
    const { exports: x, memory, mainThread: L } = state;
    new Luars(this.#script).push(L);
    x.lua_getglobal(L, memory.constant('_G'));
    x.lua_createtable(L, 0, 1);
    x.lua_pushvalue(L, 1);
    x.lua_setfield(L, -2, memory.constant('__index'));
    x.lua_setmetatable(L, -2);
    state.pop(L);
  }

  #withdrawLuars(): void {
    const { state } = this.#script;
    const { exports: x, memory, mainThread: L } = state;
    x.lua_getglobal(L, memory.constant('_G'));
    // a script may have given its globals a metatable of its own
    if (this.#wanted === undefined && x.lua_getmetatable(L, -1) !== 0) {
      x.lua_getfield(L, -1, memory.constant('__index'));
      const isOurs = x.lua_topointer(L, -1) === x.lua_topointer(L, 1);
      state.pop(L, 2);
      if (isOurs) {
        x.lua_pushnil(L);
        x.lua_setmetatable(L, -2);
      }
    }
    state.pop(L);
  }

  #becomeLuars(L: LuaThread): void {
    const { state } = this.#script;
    const { exports: x, memory } = state;
    let isShort = false;
    if (x.lua_type(L, -1) !== LUA_TYPE.function) {
      x.lua_getglobal(L, memory.constant('handle_request'));
      if (x.lua_type(L, -1) !== LUA_TYPE.function)
        throw new ScriptError('the script neither returns a function nor defines handle_request');
      const { count, isVariadic } = parametersOf(state, L);
      isShort = count <= SHORT_PARAMETERS && !isVariadic;
    }
    const handler = state.keep(L);
    this.#withdrawLuars();
    x.lua_getglobal(L, memory.constant('_G'));
    x.lua_pushnil(L);
    while (x.lua_next(L, 1) !== 0) {
      // _G, name, function: what the script has defined itself stays
      x.lua_pushvalue(L, -2);
      if (x.lua_rawget(L, -4) === LUA_TYPE.nil) {
        state.pop(L);
        x.lua_pushvalue(L, -2);
        x.lua_rotate(L, -2, 1);
        x.lua_rawset(L, -4);
      } else state.pop(L, 2);
    }
    state.pop(L);
    x.lua_pushvalue(L, 2);
    state.pushReference(L, handler);
    x.lua_pushboolean(L, isShort ? 1 : 0);
    state.call(L, 2, 1);
    state.release(handler);
    const reference = state.keep(L);
    const called = { reference, pushArguments: undefined, callsHooks: false };
    this.#script.handlers.answerAll(createHandler(this.#script, called, this.#script.limits));
  }

  // ---- luvit ----

  /** One parameter: the app is called with each request and returns the answer. Two: it reads and writes. */
  #becomeLuvit(L: LuaThread): void {
    const { state } = this.#script;
    if (state.exports.lua_type(L, -1) !== LUA_TYPE.function)
      throw new ScriptError('the script returns no app: a function(read, write) or function(request)');
    this.#script.hooks.refuseForRequests('requests of an app for luvit have no hooks: it reads them itself');
    const { count, isVariadic } = parametersOf(state, L);
    new Luvit(this.#script).serve(L, count === 1 && !isVariadic);
  }
}
