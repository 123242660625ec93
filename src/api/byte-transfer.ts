/** Moves bytes between Lua strings and the gateway's sources and sinks; suspends only when it has to. */

import type { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../base/byte-stream.ts';
import type { CoroutineScheduler } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** What a reader asks for: exactly `size` bytes (fewer only at the end), whatever is there, a line, or all. */
export type Wanted =
  | { readonly kind: 'size'; readonly size: number }
  | { readonly kind: 'chunk' }
  | {
      readonly kind: 'line';
      readonly keepEnd: boolean;
      /** Bytes at the front of the queue that are known to hold no line feed. */
      scanned: number;
    }
  | { readonly kind: 'all' };

/**
 * Bytes handed to a sink in one go. A long string is written piece by piece, so that what a slow client does not take
 * stays where it is, in the script's memory, and is not copied to ours.
 */
const PIECE_BYTES = 16 * 1024;
/** Up to this size a piece goes over as a byte string where the sink takes one, which costs less than a view and its copy. */
const TEXT_BYTES_MAX = 1024;
/** One read cannot collect more: Lua could not hold the string (wasm memory ends at 2 GiB, a state's much earlier). */
const READ_BYTES_MAX = 1024 * 1024 * 1024;

export class ByteTransfer {
  readonly #state: State;
  readonly #scheduler: CoroutineScheduler;

  constructor(scheduler: CoroutineScheduler) {
    this.#state = scheduler.state;
    this.#scheduler = scheduler;
  }

  /** The argument `n` of a read: nothing, a count, or a format with or without `*`. Undefined: zero bytes. */
  checkWanted(L: LuaThread, n: number): Wanted | undefined {
    const { exports: x } = this.#state;
    const type = x.lua_type(L, n);
    if (type <= LUA_TYPE.nil) return { kind: 'chunk' };
    if (type === LUA_TYPE.number || x.lua_isnumber(L, n) !== 0) {
      const size = this.#state.checkInteger(L, n);
      if (size < 0) this.#state.argumentError(L, n, 'count must not be negative');
      return size === 0 ? undefined : { kind: 'size', size: Math.min(size, READ_BYTES_MAX) };
    }
    const format = this.#state.checkString(L, n).replace(/^\*/, '');
    if (format === 'l') return { kind: 'line', keepEnd: false, scanned: 0 };
    if (format === 'L') return { kind: 'line', keepEnd: true, scanned: 0 };
    if (format === 'a') return { kind: 'all' };
    return this.#state.argumentError(L, n, 'invalid format');
  }

  /**
   * Reads from `source`; pushes a string, or nil at the end, and then goes on with `done` in the same host function,
   * perhaps after a suspension. `L` has to be the thread the host function was called with.
   */
  read(L: LuaThread, source: ByteSource, wanted: Wanted, done: (L: LuaThread) => number): number {
    if (this.tryTake(L, source, wanted)) return done(L);
    if (!this.#scheduler.canWait(L))
      throw new LuaError('cannot wait for input here: a yield cannot cross this call');
    const coroutine = this.#scheduler.running;
    source.request(bytesNeeded(source, wanted), coroutine.wake);
    return coroutine.wait(
      L,
      (T) => this.read(T, source, wanted, done),
      () => source.cancelRequest(coroutine.wake),
    );
  }

  /** Pushes what is wanted if it is there, or if the source has ended what is left of it; false: wait. */
  tryTake(L: LuaThread, source: ByteSource, wanted: Wanted): boolean {
    const { queue } = source;
    let size: number;
    let dropped = 0;
    switch (wanted.kind) {
      case 'size':
        size = wanted.size;
        break;
      case 'chunk':
        size = queue.length === 0 ? 1 : queue.length;
        break;
      case 'all':
        size = READ_BYTES_MAX;
        break;
      case 'line':
        size = queue.lineLength(wanted.scanned);
        if (size === -1) {
          wanted.scanned = queue.length;
          size = READ_BYTES_MAX;
        } else if (!wanted.keepEnd) dropped = 1;
    }
    if (queue.length < size) {
      if (!source.ended) return false;
      size = queue.length;
      dropped = 0;
      if (size === 0) {
        // "a" succeeds at the end, with nothing (manual §6.8)
        if (wanted.kind === 'all') this.#state.pushString(L, '');
        else this.#state.exports.lua_pushnil(L);
        return true;
      }
    }
    this.#pushTaken(L, queue, size, dropped);
    source.consumed();
    return true;
  }

  /**
   * Writes the string (or number) argument `n` to `sink`, waiting as often as the sink asks, and goes on with `done`,
   * which is told how many bytes were accepted; fewer than the string's length: the sink has failed. Where nothing can
   * wait (below `table.sort` and the like) all bytes are handed over, and `done` is told when the sink has no `room` left.
   */
  write(
    L: LuaThread,
    sink: ByteSink,
    n: number,
    done: (L: LuaThread, written: number, room: boolean) => number,
    from = 0,
  ): number {
    const { exports: x, memory } = this.#state;
    const at = x.lua_tolstring(L, n, memory.sizeOut);
    const size = memory.lastSize;
    let written = from;
    let room = true;
    while (written < size) {
      if (sink.error !== undefined) return done(L, written, room);
      const piece = Math.min(PIECE_BYTES, size - written);
      const place = (at + written) as CString;
      room =
        piece <= TEXT_BYTES_MAX && sink.writeText !== undefined
          ? sink.writeText(memory.readText(place, piece))
          : sink.write(memory.view(place, piece));
      written += piece;
      if (!room && this.#scheduler.canWait(L)) return this.#waitForRoom(L, sink, n, done, written);
    }
    return done(L, written, room);
  }

  #waitForRoom(
    L: LuaThread,
    sink: ByteSink,
    n: number,
    done: (L: LuaThread, written: number, room: boolean) => number,
    written: number,
  ): number {
    const coroutine = this.#scheduler.running;
    sink.whenDrained(coroutine.wake);
    return coroutine.wait(
      L,
      (T) => this.write(T, sink, n, done, written),
      () => sink.cancelDrained(coroutine.wake),
    );
  }

  /** Pushes the next `size` bytes of the queue without the last `dropped` of them. */
  #pushTaken(L: LuaThread, queue: ByteQueue, size: number, dropped: number): void {
    const { memory, exports: x } = this.#state;
    const scratch = memory.scratch(size);
    if (scratch !== undefined) {
      queue.takeInto(memory.heap, scratch, size);
      x.lua_pushlstring(L, scratch, size - dropped);
      return;
    }
    const bytes = queue.take(size);
    this.#state.pushBytes(L, dropped === 0 ? bytes : bytes.subarray(0, size - dropped));
  }
}

/** How many bytes the source's queue has to hold before it is worth looking again. */
export function bytesNeeded(source: ByteSource, wanted: Wanted): number {
  switch (wanted.kind) {
    case 'size':
      return wanted.size;
    case 'chunk':
      return 1;
    case 'line':
      return source.queue.length + 1;
    case 'all':
      return READ_BYTES_MAX;
  }
}
