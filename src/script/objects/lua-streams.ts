/**
 * Streams beside files and the client: userdata that stand for a byte source, a byte sink or both, with properties of
 * their own. Whoever opens one pushes it here; `httpd.read`, `write`, `copy` and `close` find it here.
 */

import { ByteQueue } from '../../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../../base/byte-stream.ts';
import type { HostFunction } from '../../lua/host-functions.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../../lua/lua-exports.ts';
import { pushFailure } from '../../lua/push-failure.ts';
import type { Reference, State } from '../../lua/state.ts';
import type { ByteTransfer, Wanted } from './byte-transfer.ts';
import { HostObjects } from './host-objects.ts';

/** What a script holds. */
export interface LuaStream {
  /** What it is, for `tostring` and messages: "response". */
  readonly name: string;
  readonly source: ByteSource | undefined;
  readonly sink: ByteSink | undefined;
  /** Ends it and frees what it holds; called at most once. */
  close(): void;
  /** Every use of it is an error that says this. */
  readonly refusal?: string;
  /** It stays known until the script has dropped it, for what it can tell when it is closed; `close` may be called again. */
  readonly outlivesClose?: boolean;
  /** Pushes the property whose name is at index 2, and returns 1; 0: it has none of that name. */
  property?(L: LuaThread): number;
  /** In place of what is read from `source` and written to `sink`: where a read gives a whole of some kind. */
  read?(L: LuaThread): number;
  write?(L: LuaThread): number;
}

/** A stream that has been read to its end. */
const DRAINED: LuaStream = {
  name: 'stream at its end',
  source: {
    queue: new ByteQueue(),
    ended: true,
    error: undefined,
    request: (_size, ready) => process.nextTick(ready),
    cancelRequest: () => undefined,
    consumed: () => undefined,
  },
  sink: undefined,
  close: () => undefined,
};

export class LuaStreams {
  readonly #state: State;
  readonly #transfer: ByteTransfer;
  readonly #objects: HostObjects;
  readonly #open = new Map<number, LuaStream>();
  #nextNumber = 1;
  /** A table of the functions that are methods of all streams. */
  #methods: Reference | undefined;

  constructor(state: State, transfer: ByteTransfer) {
    this.#state = state;
    this.#transfer = transfer;
    const collect: HostFunction = (T) => this.#collect(T);
    this.#objects = new HostObjects(state, 'httpd.stream', undefined, {
      __index: (T) => this.#index(T),
      __tostring: (T) => this.#toStringMethod(T),
      __gc: (T) => this.#forget(T),
      __close: collect,
    }).protect('httpd.stream');
  }

  /** Pops the table of the functions that are methods of all streams. */
  giveMethods(L: LuaThread): void {
    this.#methods = this.#state.keep(L);
  }

  /**
   * Replaces the table on top of the stack, the stream's properties, by the stream. The result closes it early; with a text every
   * later use says why.
   */
  push(L: LuaThread, stream: LuaStream): (why?: string) => void {
    const { exports: x } = this.#state;
    const number = this.#nextNumber++;
    let pushed = false;
    try {
      this.#objects.push(L, number, 0, 1);
      this.#open.set(number, stream);
      x.lua_rotate(L, -2, 1);
      x.lua_setiuservalue(L, -2, 1);
      pushed = true;
    } finally {
      // no memory for the value: the script cannot close the stream
      if (!pushed) {
        this.#open.delete(number);
        stream.close();
      }
    }
    return (why) => this.#close(number, why);
  }

  /** The stream at `index`; undefined when the value is no stream; raises when the stream is closed. */
  find(L: LuaThread, index: number): LuaStream | undefined {
    const number = this.#objects.find(L, index);
    if (number === undefined) return undefined;
    const stream = this.#open.get(number);
    if (stream === undefined) throw new LuaError('attempt to use a closed stream');
    if (stream.refusal !== undefined) throw new LuaError(stream.refusal);
    return stream;
  }

  /** httpd.read(stream, n): a string, nil at the end, or nil, message, code. */
  read(L: LuaThread, stream: LuaStream, wanted: Wanted | undefined): number {
    const { source } = stream;
    const { exports: x } = this.#state;
    if (stream.read !== undefined) {
      if (wanted?.kind !== 'chunk')
        throw new LuaError(`a ${stream.name} is read as a whole: no count and no format`);
      return stream.read(L);
    }
    if (source === undefined) throw new LuaError(`cannot read from a ${stream.name}`);
    if (wanted === undefined) {
      x.lua_pushnil(L);
      return 1;
    }
    return this.#transfer.read(L, source, wanted, (T) => {
      const { error } = source;
      if (error === undefined && source.ended && source.queue.length === 0) this.#drain(T, stream);
      // bytes that arrived before the failure are given first, but not where the script asked for all bytes
      if (error === undefined || (wanted.kind !== 'all' && x.lua_type(T, -1) !== LUA_TYPE.nil)) return 1;
      return pushFailure(this.#state, T, error);
    });
  }

  /** Everything has been read: what the stream holds need not wait for the collector. */
  #drain(L: LuaThread, stream: LuaStream): void {
    if (stream.sink !== undefined) return;
    const number = this.#objects.find(L, 1);
    if (number === undefined || this.#open.get(number) !== stream) return;
    this.#close(number);
    this.#open.set(number, DRAINED);
  }

  /** httpd.write(stream, s): the number of bytes, or nil, message, code. */
  write(L: LuaThread, stream: LuaStream): number {
    const { sink } = stream;
    if (stream.write !== undefined) return stream.write(L);
    if (sink === undefined) throw new LuaError(`cannot write to a ${stream.name}`);
    return this.#transfer.write(L, sink, 2, (T, written, room) => {
      if (sink.error !== undefined) return pushFailure(this.#state, T, sink.error);
      if (!room) throw new LuaError('cannot wait for a stream here: a yield cannot cross this call');
      this.#state.pushInteger(T, written);
      return 1;
    });
  }

  /** httpd.close(stream): true. */
  close(L: LuaThread, index: number): number {
    this.#collect(L, index);
    this.#state.exports.lua_pushboolean(L, 1);
    return 1;
  }

  /** Ends all streams: the state is about to be closed, or lost. */
  destroyAll(): void {
    for (const number of [...this.#open.keys()]) this.#close(number);
  }

  #close(number: number, why?: string): void {
    const stream = this.#open.get(number);
    if (stream === undefined) return;
    if (why === undefined) {
      if (stream.outlivesClose !== true) this.#open.delete(number);
    } else this.#open.set(number, { ...DRAINED, refusal: why });
    stream.close();
  }

  #collect(L: LuaThread, index = 1): number {
    this.#close(this.#objects.check(L, index));
    return 0;
  }

  /** The script has dropped it. */
  #forget(L: LuaThread): number {
    const number = this.#objects.check(L, 1);
    this.#close(number);
    this.#open.delete(number);
    return 0;
  }

  /** Properties stay when the stream is closed. */
  #index(L: LuaThread): number {
    const { exports: x } = this.#state;
    const number = this.#objects.check(L, 1);
    // debug.setuservalue may have put anything there
    if (x.lua_getiuservalue(L, 1, 1) === LUA_TYPE.table) {
      x.lua_pushvalue(L, 2);
      if (x.lua_rawget(L, -2) !== LUA_TYPE.nil) return 1;
    }
    if (this.#open.get(number)?.property?.(L) === 1) return 1;
    if (this.#methods === undefined) return 0;
    this.#state.pushReference(L, this.#methods);
    x.lua_pushvalue(L, 2);
    x.lua_rawget(L, -2);
    return 1;
  }

  #toStringMethod(L: LuaThread): number {
    const stream = this.#open.get(this.#objects.check(L, 1));
    const place = this.#state.exports.lua_touserdata(L, 1).toString(16).padStart(8, '0');
    this.#state.pushString(L, stream === undefined ? 'stream (closed)' : `${stream.name} (0x${place})`);
    return 1;
  }
}
