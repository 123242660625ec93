/** One text of a script on its way through a codec, from the VM's memory to the VM's memory, in slices. */
import { BlankString } from '../lua/blank-string.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { type Codec, type Cursor, cursorOver } from './text-codecs.ts';

/** Bytes looked at or written in one step: a fraction of a millisecond. */
const STEP_BYTES = 96 * 1024;
/** Bytes of a text that are worth one unit of fuel, in each of the two passes: html, the slowest, takes 2 ns for each. */
const BYTES_PER_UNIT = 2;
/** Results up to this length are written outside and pushed at once. */
const SMALL_BYTES_MAX = 64 * 1024;

type Phase = 'measure' | 'make' | 'write' | 'done' | 'invalid';

export class Transcoding {
  readonly #scheduler: CoroutineScheduler;
  readonly #state: State;
  readonly #codec: Codec;
  readonly #from: number;
  readonly #index: number | undefined;
  #cursor: Cursor;
  #phase: Phase = 'measure';
  /** The result, where it is short; else a string of the VM, while it is made. */
  #small: Buffer | undefined;
  #long: BlankString | undefined;

  /**
   * The text: the bytes from address `at` to `end`, of a string that stays on the stack; `index`: where the string stands,
   * if it is all of it.
   */
  constructor(scheduler: CoroutineScheduler, codec: Codec, at: number, end: number, index?: number) {
    this.#index = index;
    this.#scheduler = scheduler;
    this.#state = scheduler.state;
    this.#codec = codec;
    this.#from = at;
    this.#cursor = cursorOver(at, end);
  }

  get isInvalid(): boolean {
    return this.#phase === 'invalid';
  }

  /** To be called where it does not come to its end. */
  cancel(): void {
    this.#long?.cancel();
  }

  /** Goes on; true when the result stands on top of the stack, or the text was invalid. */
  step(L: LuaThread): boolean {
    if (this.#phase === 'make') {
      const address = this.#long?.step(L);
      if (address !== undefined) this.#begin(address);
      return false;
    }
    const cursor = this.#cursor;
    const stop = Math.min(cursor.end, cursor.at + STEP_BYTES);
    this.#scheduler.guard.pay((stop - cursor.at) / BYTES_PER_UNIT);
    const { heap } = this.#state.memory;
    if (this.#phase === 'measure') {
      if (!this.#codec.measure(cursor, heap, stop)) this.#phase = 'invalid';
      else if (cursor.at >= cursor.end) {
        this.#measured(L);
        // a short text is written at once
        if (this.#small !== undefined && cursor.end - this.#from <= STEP_BYTES) return this.step(L);
      }
    } else if (this.#phase === 'write') {
      this.#codec.write(cursor, heap, stop, this.#small ?? heap);
      if (cursor.at >= cursor.end) this.#written(L);
    }
    return this.#phase === 'done' || this.#phase === 'invalid';
  }

  #measured(L: LuaThread): void {
    const { out: size, seen } = this.#cursor;
    if (this.#codec.isComplete?.(this.#cursor) === false) {
      this.#phase = 'invalid';
      return;
    }
    if (seen === 0 && this.#index !== undefined) {
      // nothing changes
      this.#state.exports.lua_pushvalue(L, this.#index);
      this.#phase = 'done';
      return;
    }
    if (size <= SMALL_BYTES_MAX) {
      this.#small = Buffer.allocUnsafe(size);
      this.#begin(0);
    } else {
      this.#phase = 'make';
      this.#long = new BlankString(this.#state, size);
    }
  }

  #begin(out: number): void {
    this.#phase = 'write';
    this.#cursor = cursorOver(this.#from, this.#cursor.end, out);
  }

  #written(L: LuaThread): void {
    if (this.#small !== undefined) this.#state.pushBytes(L, this.#small);
    this.#phase = 'done';
  }
}
