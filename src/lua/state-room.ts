/** How much the memory of one state may still take: asked before the host puts something large into it. */
import { type LuaThread, NULL } from './lua-exports.ts';
import type { Reference, State } from './state.ts';

/** Share of the memory that is left for Lua's own needs, and for holes between what is in use. */
const MARGIN_SHARE = 1 / 16;
/** Collections of ours take at most this share of the time: clients can ask for them. */
const COLLECT_SHARE = 1 / 4;
const KIB = 1024;

export class StateRoom {
  /** Bytes the memory of the state may grow to. */
  readonly bytesMax: number;
  readonly #state: State;
  readonly #collectGarbage: Reference;
  /** Where the heap begins: what lies before are constants and the C stack. */
  readonly #baseBytes: number;
  /** When the next collection may be made (`performance.now()`). */
  #collectsFrom = 0;

  constructor(state: State, memoryBytesMax: number) {
    const { exports: x, memory, mainThread: L } = state;
    this.#state = state;
    this.bytesMax = memoryBytesMax;
    const first = x.malloc(1);
    x.free(first);
    this.#baseBytes = first;
    x.lua_getglobal(L, memory.constant('collectgarbage'));
    this.#collectGarbage = state.keep(L);
  }

  /** True when `bytes` more can be put into the state; collects its garbage where that may make the difference. */
  fits(L: LuaThread, bytes: number): boolean {
    const room = this.bytesMax * (1 - MARGIN_SHARE) - this.#baseBytes - bytes;
    if (room < 0) return false;
    if (this.#collector(L, 'count') * KIB <= room) return true;
    const now = performance.now();
    if (now < this.#collectsFrom) return false;
    this.#collector(L, 'collect');
    const after = performance.now();
    this.#collectsFrom = after + (after - now) / COLLECT_SHARE;
    return this.#collector(L, 'count') * KIB <= room;
  }

  /** Lua's collectgarbage, whatever the script has made of it. */
  #collector(L: LuaThread, what: 'count' | 'collect'): number {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#collectGarbage);
    this.#state.pushString(L, what);
    x.lua_callk(L, 1, 1, 0, NULL);
    const result = x.lua_tonumberx(L, -1, NULL);
    this.#state.pop(L);
    return result;
  }
}
