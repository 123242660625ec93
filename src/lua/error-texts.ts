/** What is said of errors of Lua: their text, cut to what people read, and where they happened. */
import type { HostFunction } from './host-functions.ts';
import {
  type CFunction,
  type CString,
  LUA_STATUS,
  type LuaExports,
  type LuaThread,
  NULL,
} from './lua-exports.ts';
import type { Memory } from './memory.ts';

/** Bytes of an error's text that are kept when nobody has caught it: more than a message has that was written for people. */
const MESSAGE_BYTES_MAX = 8 * 1024;
/** Bytes of text and traceback together: names in a traceback may be of any length. */
const DESCRIPTION_BYTES_MAX = 32 * 1024;
/** A character has at most so many bytes in UTF-8. */
const CHARACTER_BYTES_MAX = 4;

/** The frame, or what is left of it, of code of ours that has called the function. */
const OWN_CALLER = /\n\t(?:\(\.\.\.tail calls\.\.\.\)|lgateway:\d+: in function <lgateway:\d+>)$/;

/** What is asked of the state. */
interface ErrorStack {
  readonly exports: LuaExports;
  readonly memory: Memory;
  readonly mainThread: LuaThread;
  addFunctions<K extends string>(functions: Readonly<Record<K, HostFunction>>): Record<K, CFunction>;
  pop(L: LuaThread, n?: number): void;
  typeName(L: LuaThread, index: number): string;
  pushString(L: LuaThread, text: string): void;
  tryPushString(L: LuaThread, text: string): boolean;
  toString(L: LuaThread, index: number): string | undefined;
}

export class ErrorTexts {
  readonly #state: ErrorStack;
  /** Makes a text of an error value and the thread it ended. */
  readonly #describer: CFunction;
  /** A message handler: the text of the error with a traceback. */
  readonly withTraceback: CFunction;

  /** To be made before the libraries are opened, so that a full heap never has to hold more for its functions. */
  constructor(state: ErrorStack) {
    this.#state = state;
    const x = state.exports;
    const { describe, traceback } = state.addFunctions({
      describe: (L) => {
        const message = this.#pushErrorText(L, 1);
        x.luaL_traceback(L, x.lua_tothread(L, 2), message, 0);
        return 1;
      },
      traceback: (L) => {
        const message = this.#pushErrorText(L, 1);
        x.luaL_traceback(L, L, message, 1);
        return 1;
      },
    });
    this.#describer = describe;
    this.withTraceback = traceback;
  }

  /** `message` followed by a traceback of `L`. Never raises. */
  traceback(L: LuaThread, message: string): string {
    const x = this.#state.exports;
    x.lua_pushcclosure(this.#state.mainThread, this.#describer, 0);
    if (!this.#state.tryPushString(this.#state.mainThread, message)) x.lua_pushnil(this.#state.mainThread);
    return this.#describe(L, message);
  }

  /** The same of a thread that stands still inside a C function of a VM that is given up: may throw anything. */
  last(L: LuaThread): string {
    const main = this.#state.mainThread;
    this.#state.exports.luaL_traceback(main, L, NULL as never, 0);
    return this.#state.toString(main, -1) ?? '';
  }

  /** The error value on top of `L`, which has ended, as text with a traceback of `L`; pops it. Never raises. */
  describe(L: LuaThread, status: number): string {
    const x = this.#state.exports;
    const main = this.#state.mainThread;
    if (status === LUA_STATUS.memoryError) {
      this.#state.pop(L);
      return 'not enough memory';
    }
    const fallback = `(error object is a ${this.#state.typeName(L, -1)} value)`;
    x.lua_pushcclosure(main, this.#describer, 0);
    x.lua_xmove(L, main, 1);
    return this.#describe(L, fallback);
  }

  /** Calls `describe`, which stands on the main thread below the error value, under protection. */
  #describe(L: LuaThread, fallback: string): string {
    const x = this.#state.exports;
    const main = this.#state.mainThread;
    // a function of Lua that was interrupted has no slot to spare
    if (x.lua_checkstack(L, 1) === 0) {
      this.#state.pop(main, 2);
      return fallback;
    }
    x.lua_pushthread(L);
    x.lua_xmove(L, main, 1);
    const described = x.lua_pcallk(main, 2, 1, 0, 0, NULL) === LUA_STATUS.ok;
    const text = described ? this.#toShortString(main, -1, DESCRIPTION_BYTES_MAX) : undefined;
    this.#state.pop(main);
    return text?.replace(OWN_CALLER, '') ?? fallback;
  }

  /** Pushes the text of an error value, as lua.c finds it, and returns where it stands. May raise. */
  #pushErrorText(L: LuaThread, index: number): CString {
    const x = this.#state.exports;
    const { sizeOut } = this.#state.memory;
    x.lua_pushvalue(L, index);
    let at = x.lua_tolstring(L, -1, sizeOut);
    if (at === 0 && x.luaL_callmeta(L, index, this.#state.memory.constant('__tostring')) !== 0)
      at = x.lua_tolstring(L, -1, sizeOut);
    if (at !== 0 && this.#state.memory.lastSize <= MESSAGE_BYTES_MAX) return at;
    const text =
      this.#toShortString(L, -1, MESSAGE_BYTES_MAX) ??
      `(error object is a ${this.#state.typeName(L, index)} value)`;
    this.#state.pushString(L, text);
    return x.lua_tolstring(L, -1, sizeOut);
  }

  /** As `toString`; of a string that is longer than `bytesMax`, the beginning and how long it is. */
  #toShortString(L: LuaThread, index: number, bytesMax: number): string | undefined {
    const { memory } = this.#state;
    const at = this.#state.exports.lua_tolstring(L, index, memory.sizeOut);
    if (at === 0) return undefined;
    const size = memory.lastSize;
    if (size <= bytesMax) return memory.readString(at, size);
    let end = bytesMax;
    // a character is left out rather than cut
    while (end > bytesMax - CHARACTER_BYTES_MAX && ((memory.heap[at + end] as number) & 0xc0) === 0x80)
      end -= 1;
    return `${memory.readString(at, end)}... (${size} bytes)`;
  }

  /** Pops the error message of a chunk that could not be compiled or run: always a string. */
  take(L: LuaThread): string {
    const message =
      this.#toShortString(L, -1, DESCRIPTION_BYTES_MAX) ??
      `(error object is a ${this.#state.typeName(L, -1)} value)`;
    this.#state.pop(L);
    return message;
  }
}
