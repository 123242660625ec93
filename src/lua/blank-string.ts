/**
 * Makes a long string of the VM whose bytes the host then writes, in slices: memory that the system has yet to give is
 * touched piece by piece before Lua copies over all of it at once.
 */
import { type Address, type CString, type LuaThread, NULL } from './lua-exports.ts';
import type { State } from './state.ts';

/** Bytes touched in one step: with memory that is fresh this takes up to a millisecond. */
const STEP_BYTES = 256 * 1024;
/** What a string has beside its bytes, rounded up. */
const OVERHEAD_BYTES = 64;

export class BlankString {
  readonly #state: State;
  readonly #size: number;
  #block: Address = NULL;
  #touched = -1;

  /** `size`: more than 40 bytes. */
  constructor(state: State, size: number) {
    this.#state = state;
    this.#size = size;
  }

  /** Goes on; the address of the bytes when the string stands on top of the stack. May raise. */
  step(L: LuaThread): CString | undefined {
    const { exports: x, memory } = this.#state;
    if (this.#touched < 0) {
      this.#touched = 0;
      if (this.#size > STEP_BYTES) this.#block = x.malloc(this.#size + OVERHEAD_BYTES);
      // no room without a collection, which Lua makes itself
      if (this.#block === NULL) this.#touched = this.#size;
    }
    if (this.#touched < this.#size) {
      const end = Math.min(this.#size, this.#touched + STEP_BYTES);
      memory.heap.fill(0, this.#block + this.#touched, this.#block + end);
      this.#touched = end;
      return undefined;
    }
    // the next allocation of this size finds the same place
    this.cancel();
    return this.#state.pushBlank(L, this.#size);
  }

  /** Frees the memory that it holds outside of Lua's objects; call this when the string is not completed. */
  cancel(): void {
    if (this.#block !== NULL && !this.#state.abandoned) this.#state.exports.free(this.#block);
    this.#block = NULL;
  }
}
