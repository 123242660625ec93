/** Moves bytes between Lua strings and the gateway's sources and sinks; suspends only when it has to. */

import type { ReadableBytes } from '../../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../../base/byte-stream.ts';
import { GatewayError } from '../../base/errors.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread, NULL } from '../../lua/lua-exports.ts';
import { pushFailure } from '../../lua/push-failure.ts';
import type { State } from '../../lua/state.ts';
import type { StateRoom } from '../../lua/state-room.ts';
import { takeSlice } from '../../lua/turns.ts';
import { noteMoved, waitForBytes } from './byte-wait.ts';

/** Whatever is there. */
export interface WantedChunk {
  readonly kind: 'chunk';
}

/** Exactly `size` bytes (fewer only at the end), a line, or all: what is long is gathered in pieces. */
export interface WantedWhole {
  readonly kind: 'size' | 'line' | 'all';
  /** Of kind `size`. */
  readonly size: number;
  /** Of kind `line`: its end belongs to it. */
  readonly keepEnd: boolean;
  /** Bytes at the front of the queue that are known to hold no line feed. */
  scanned: number;
  /** Strings on top of the stack that have been taken already, and their bytes. */
  pieces: number;
  bytes: number;
}

/** What a reader asks for. */
export type Wanted = WantedChunk | WantedWhole;

export function wantSize(size: number): WantedWhole {
  return { kind: 'size', size, keepEnd: false, scanned: 0, pieces: 0, bytes: 0 };
}

export function wantLine(keepEnd: boolean): WantedWhole {
  return { kind: 'line', size: 0, keepEnd, scanned: 0, pieces: 0, bytes: 0 };
}

export function wantAll(): WantedWhole {
  return { kind: 'all', size: 0, keepEnd: false, scanned: 0, pieces: 0, bytes: 0 };
}

/** Hears how many bytes a sink has accepted, and whether it has room for more. */
type WriteDone = (L: LuaThread, written: number, room: boolean) => number;

/**
 * Bytes handed to a sink in one go. A long string is written piece by piece, so that what a slow client does not take
 * stays where it is, in the script's memory, and is not copied to ours.
 */
const PIECE_BYTES = 16 * 1024;
/** To hand over such a piece (10 µs). */
const UNITS_PER_PIECE = 2000;
/** Up to this size a piece goes over as a byte string where the sink takes one, which costs less than a view and its copy. */
const TEXT_BYTES_MAX = 1024;
/**
 * What is longer goes into the state in strings of this size as it arrives, and is put together there: a read makes nobody
 * hold more outside than this and the source's own read-ahead, however much it asks for. The scratch area has this size.
 */
const GATHERED_BYTES = 64 * 1024;

export class ByteTransfer {
  readonly #state: State;
  readonly #scheduler: CoroutineScheduler;
  readonly #room: StateRoom;

  constructor(scheduler: CoroutineScheduler, room: StateRoom) {
    this.#state = scheduler.state;
    this.#scheduler = scheduler;
    this.#room = room;
  }

  /** The argument `n` of a read: nothing, a count, or a format with or without `*`. Undefined: zero bytes. */
  checkWanted(L: LuaThread, n: number): Wanted | undefined {
    const { exports: x } = this.#state;
    const type = x.lua_type(L, n);
    if (type <= LUA_TYPE.nil) return CHUNK;
    if (type === LUA_TYPE.number || x.lua_isnumber(L, n) !== 0) {
      const size = this.#state.checkInteger(L, n);
      if (size < 0) this.#state.argumentError(L, n, 'count must not be negative');
      return size === 0 ? undefined : wantSize(size);
    }
    const format = this.#state.checkString(L, n).replace(/^\*/, '');
    if (format === 'l' || format === 'L') return wantLine(format === 'L');
    if (format === 'a') return wantAll();
    return this.#state.argumentError(L, n, 'invalid format');
  }

  /**
   * Pushes as many bytes as argument `n` counts, if they are there: the short way of most small reads, which takes a tenth of
   * the time off a body that is read in pieces of 16 bytes. False: the argument is something else, or too few are there.
   */
  takeReady(L: LuaThread, n: number, source: ByteSource): boolean {
    const { exports: x } = this.#state;
    if (x.lua_isinteger(L, n) === 0) return false;
    const size = x.lua_tonumberx(L, n, NULL);
    const { queue } = source;
    if (size <= 0 || size > GATHERED_BYTES || size > queue.length) return false;
    this.#pushTaken(L, queue, size, 0);
    source.consumed();
    return true;
  }

  /**
   * Reads from `source`; pushes a string, or nil at the end, and then goes on with `done` in the same host function,
   * perhaps after a suspension. `L` has to be the thread the host function was called with. What does not fit into the
   * state is nil, message, code; the client whose body it is gets 413, and its handler ends here.
   */
  read(L: LuaThread, source: ByteSource, wanted: Wanted, done: (L: LuaThread) => number): number {
    const taken = this.tryTake(L, source, wanted);
    if (taken === true) return done(L);
    if (taken !== false) return this.#refuse(L, source, taken);
    if (!this.#scheduler.canWait(L))
      throw new LuaError('cannot wait for input here: a yield cannot cross this call');
    const { wake } = this.#scheduler.running;
    const size = bytesNeeded(source, wanted);
    if (source.requestInTime === undefined) source.request(size, wake);
    else source.requestInTime(size, wake);
    return waitForBytes(
      this.#scheduler,
      L,
      () => source.queue.length,
      (T) => {
        const late = source.takeTimeout?.(wake);
        return late === undefined
          ? this.read(T, source, wanted, done)
          : this.#giveUp(T, source, wanted, late);
      },
      () => source.cancelRequest(wake),
    );
  }

  /** What has come stays for the next read, but for pieces that are in the state already: without these the rest makes no sense. */
  #giveUp(L: LuaThread, source: ByteSource, wanted: Wanted, late: GatewayError): number {
    if (wanted.kind !== 'chunk' && wanted.pieces > 0) {
      this.#state.pop(L, wanted.pieces);
      source.refuse?.(late);
    }
    return pushFailure(this.#state, L, late);
  }

  #refuse(L: LuaThread, source: ByteSource, reason: GatewayError): number {
    const ends = source.refuse?.(reason) === true && this.#scheduler.canWait(L);
    if (!ends) return pushFailure(this.#state, L, reason);
    // the owner of the exchange has been told, or is told when this waits
    return this.#scheduler.running.wait(
      L,
      (T) => pushFailure(this.#state, T, reason),
      () => undefined,
    );
  }

  /**
   * Pushes what is wanted if it is there, or if the source has ended what is left of it; false: wait, with what has been
   * gathered of it on top of the stack. An error, and nothing on the stack: it does not fit into the state.
   */
  tryTake(L: LuaThread, source: ByteSource, wanted: Wanted): boolean | GatewayError {
    const { queue } = source;
    let size: number;
    let dropped = 0;
    switch (wanted.kind) {
      case 'size':
        size = wanted.size - wanted.bytes;
        break;
      case 'chunk':
        size = queue.length === 0 ? 1 : queue.length;
        break;
      case 'all':
        size = Number.POSITIVE_INFINITY;
        break;
      case 'line':
        size = queue.lineLength(wanted.scanned);
        if (source.lineBytesMax !== undefined) {
          const bytes = wanted.bytes + (size === -1 ? queue.length : size);
          if (bytes > source.lineBytesMax) {
            this.#state.pop(L, wanted.pieces);
            return lineTooLong(bytes, source.lineBytesMax);
          }
        }
        if (size === -1) {
          wanted.scanned = queue.length;
          size = Number.POSITIVE_INFINITY;
        } else if (!wanted.keepEnd) dropped = 1;
    }
    if (wanted.kind !== 'chunk') {
      const isLong = size > GATHERED_BYTES && !(source.ended && queue.length <= GATHERED_BYTES);
      if (isLong || wanted.pieces > 0) return this.#gather(L, source, wanted, size, dropped);
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

  /** As tryTake, for what is long: at most `left` more bytes, of which the last `dropped` are not wanted. */
  #gather(
    L: LuaThread,
    source: ByteSource,
    wanted: WantedWhole,
    left: number,
    dropped: number,
  ): boolean | GatewayError {
    const { queue } = source;
    const { exports: x } = this.#state;
    if (wanted.pieces === 0) {
      const known = Math.min(left, source.expected ?? 0);
      if (known > GATHERED_BYTES && wanted.kind !== 'line' && !this.#room.fits(L, 2 * known))
        return this.#tooLarge(known);
    }
    const isComplete = queue.length >= left || source.ended;
    if (!isComplete && queue.length < GATHERED_BYTES) return false;
    for (let rest = Math.min(left, queue.length); rest > 0; ) {
      const size = Math.min(rest, GATHERED_BYTES);
      rest -= size;
      // there has to be room for this piece, and then for all of them in one string
      if (!this.#room.fits(L, wanted.bytes + 2 * size) || x.lua_checkstack(L, SPARE_SLOTS) === 0) {
        this.#state.pop(L, wanted.pieces);
        return this.#tooLarge(wanted.bytes + size + rest);
      }
      this.#pushTaken(L, queue, size, rest === 0 && isComplete ? dropped : 0);
      wanted.pieces += 1;
      wanted.bytes += size;
    }
    source.consumed();
    wanted.scanned = 0;
    if (isComplete) x.lua_concat(L, wanted.pieces);
    return isComplete;
  }

  #tooLarge(bytes: number): GatewayError {
    const limit = this.#room.bytesMax;
    return new GatewayError(
      'LGW_READ_LIMIT',
      `Cannot read ${bytes} bytes or more at once: they and what the state holds already do not fit into its ${limit} bytes (--memory)`,
      { status: 413, luaCode: 'limit' },
    );
  }

  /**
   * Writes the string (or number) argument `n` to `sink`, waiting as often as the sink asks, and goes on with `done`,
   * which is told how many bytes were accepted; fewer than the string's length: the sink has failed. Where nothing can
   * wait (below `table.sort` and the like) all bytes are handed over, and `done` is told when the sink has no `room` left.
   */
  write(L: LuaThread, sink: ByteSink, n: number, done: WriteDone, from = 0): number {
    const { exports: x, memory } = this.#state;
    const at = x.lua_tolstring(L, n, memory.sizeOut);
    const size = memory.lastSize;
    const pieceBytesMax = sink.pieceBytesMax ?? PIECE_BYTES;
    let written = from;
    // all has been taken: what others have filled meanwhile is their affair
    let room = from >= size || sink.isFull !== true;
    if (!room && !this.#scheduler.canWait(L)) return done(L, written, room);
    while (written < size) {
      if (sink.error !== undefined) return done(L, written, room);
      const piece = Math.min(pieceBytesMax, size - written);
      if (written > from && piece === pieceBytesMax) {
        const { guard } = this.#scheduler;
        guard.pay(UNITS_PER_PIECE);
        if (guard.armed === 'limit') return done(L, written, room);
        if (guard.armed === 'slice' && this.#scheduler.canWait(L)) {
          // a sink that always has room: others get their turns between its pieces
          const { turnOwner, goOn } = this.#scheduler.running;
          return this.#writeLater(L, sink, n, done, written, takeSlice(turnOwner, goOn));
        }
      }
      const place = (at + written) as CString;
      room =
        piece <= TEXT_BYTES_MAX && sink.writeText !== undefined
          ? sink.writeText(memory.readText(place, piece))
          : sink.write(memory.view(place, piece));
      written += piece;
      if (sink.bytesWritten === undefined) noteMoved(this.#scheduler, piece);
      if (room) continue;
      if (this.#scheduler.canWait(L)) {
        const { wake } = this.#scheduler.running;
        sink.whenDrained(wake);
        return this.#writeLater(L, sink, n, done, written, () => sink.cancelDrained(wake));
      }
      if (sink.isFull === true) break;
    }
    return done(L, written, room);
  }

  /** Goes on with the bytes behind the first `written` when the coroutine is resumed; `cancel` ends what it waits for. */
  #writeLater(
    L: LuaThread,
    sink: ByteSink,
    n: number,
    done: WriteDone,
    written: number,
    cancel: () => void,
  ): number {
    return this.#scheduler.running.wait(L, (T) => this.write(T, sink, n, done, written), cancel);
  }

  /** Pushes the next `size` bytes of the queue without the last `dropped` of them. */
  #pushTaken(L: LuaThread, queue: ReadableBytes, size: number, dropped: number): void {
    const { memory, exports: x } = this.#state;
    noteMoved(this.#scheduler, size);
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

const CHUNK: WantedChunk = { kind: 'chunk' };

function lineTooLong(bytes: number, limit: number): GatewayError {
  return new GatewayError(
    'LGW_READ_LIMIT',
    `Cannot read a line: it has ${bytes} bytes or more and the limit is ${limit}`,
    { luaCode: 'limit' },
  );
}

/** Stack slots for a piece and for what is asked about the room. */
const SPARE_SLOTS = 8;

/** How many bytes the source's queue has to hold before it is worth looking again. */
export function bytesNeeded(source: ByteSource, wanted: Wanted): number {
  switch (wanted.kind) {
    case 'size':
      return Math.min(wanted.size - wanted.bytes, GATHERED_BYTES);
    case 'chunk':
      return 1;
    case 'line':
      return source.queue.length + 1;
    case 'all':
      return GATHERED_BYTES;
  }
}
