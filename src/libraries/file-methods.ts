/** The methods of FILE*: read, write, lines, seek, setvbuf, flush, close (Lua 5.4 manual §6.8). */

import { GatewayError } from '../base/errors.ts';
import type { Buffering, ByteFile, Whence } from '../file/byte-file.ts';
import type { FileError } from '../file/file-error.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CFunction, LUA_TYPE, type LuaThread, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { Reference, State } from '../lua/state.ts';
import {
  type ByteTransfer,
  bytesNeeded,
  type Wanted,
  wantAll,
  wantLine,
  wantSize,
} from '../script/objects/byte-transfer.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import type { LuaFile, LuaFiles } from '../script/objects/lua-files.ts';
import { NEEDS_MORE, scanNumeral } from './numeral.ts';

/** Formats of one call; `lines` of C's Lua keeps as many. */
const FORMATS_MAX = 250;
/** To write an argument, beside its bytes. */
const UNITS_PER_ARGUMENT = 60;
/** To wait for a file, beside what happens meanwhile (20 µs). */
const UNITS_PER_WAIT = 4000;
const EAGAIN = 11;
const WHENCES: readonly Whence[] = ['set', 'cur', 'end'];
const BUFFERINGS: readonly Buffering[] = ['no', 'full', 'line'];
/** Stack slots kept free beside what is pushed. */
const SPARE_SLOTS = 20;

/** A read format: what `Wanted` can say, a numeral, or the test for the end that a count of 0 is. */
type Format = Wanted | { readonly kind: 'numeral' } | { readonly kind: 'end' };

export class FileMethods {
  readonly #state: State;
  readonly #scheduler: CoroutineScheduler;
  readonly #transfer: ByteTransfer;
  readonly #files: LuaFiles;
  readonly #linesIterator: CFunction;
  readonly #formatFunction: Reference;

  constructor(scheduler: CoroutineScheduler, transfer: ByteTransfer, files: LuaFiles) {
    this.#scheduler = scheduler;
    this.#state = scheduler.state;
    this.#transfer = transfer;
    this.#files = files;
    const { exports: x, memory, mainThread: L } = this.#state;
    this.#linesIterator = this.#state.addFunctions({ iterate: (T) => this.#nextLine(T) }).iterate;
    x.lua_getglobal(L, memory.constant('string'));
    x.lua_getfield(L, -1, memory.constant('format'));
    this.#formatFunction = this.#state.keep(L);
    this.#state.pop(L);
  }

  /** The methods by name. */
  all(): Record<string, HostFunction> {
    return {
      close: (L) => this.#files.close(L, 1),
      flush: (L) => this.flush(L, this.#files.checkFile(L, 1)),
      lines: (L) => {
        this.#files.checkFile(L, 1);
        this.pushLines(L, false);
        return 1;
      },
      read: (L) => this.read(L, this.#files.checkFile(L, 1), 2),
      seek: (L) => this.#seek(L),
      setvbuf: (L) => this.#setBuffering(L),
      write: (L) => {
        const entry = this.#files.checkFile(L, 1);
        return this.write(L, entry, 2, (T) => {
          this.#state.exports.lua_pushvalue(T, 1);
          return 1;
        });
      },
    };
  }

  // ---- reading -----------------------------------------------------------------------------------------------------

  /** Reads by the formats that stand on the stack from index `first` on; returns the number of results. */
  read(L: LuaThread, { file }: LuaFile, first: number): number {
    const { exports: x } = this.#state;
    const count = x.lua_gettop(L) - first + 1;
    file.clearEnd();
    const finish = (T: LuaThread, results: number): number => {
      const failure = file.takeError();
      return failure === undefined ? results : this.#files.pushFailure(T, failure);
    };
    const refuse = (T: LuaThread, reason: GatewayError): number => pushFailure(this.#state, T, reason);
    if (count <= 0) return this.#readFormats(L, file, [wantLine(false)], 0, finish, refuse);
    if (count > FORMATS_MAX) this.#state.argumentError(L, first + FORMATS_MAX, 'too many arguments');
    if (x.lua_checkstack(L, count + SPARE_SLOTS) === 0) throw new LuaError('too many arguments');
    const formats: Format[] = [];
    for (let i = 0; i < count; i++) formats.push(this.#checkFormat(L, first + i));
    return this.#readFormats(L, file, formats, 0, finish, refuse);
  }

  #checkFormat(L: LuaThread, n: number): Format {
    const { exports: x } = this.#state;
    if (x.lua_type(L, n) !== LUA_TYPE.number) {
      const text = this.#state.checkString(L, n);
      const format = text.startsWith('*') ? text.slice(1) : text;
      if (format.startsWith('n')) return { kind: 'numeral' };
      if (format.startsWith('l')) return wantLine(false);
      if (format.startsWith('L')) return wantLine(true);
      if (format.startsWith('a')) return wantAll();
      return this.#state.argumentError(L, n, 'invalid format');
    }
    const size = this.#state.checkInteger(L, n);
    return size === 0 ? { kind: 'end' } : wantSize(size < 0 ? Number.MAX_SAFE_INTEGER : size);
  }

  /**
   * Pushes a result for each format until one fails, waiting in between as needed; `index` formats are done. Then goes
   * on with `finish`, which is told how many results are on top; or with `refuse` where the state has no room for one.
   */
  #readFormats(
    L: LuaThread,
    file: ByteFile,
    formats: readonly Format[],
    index: number,
    finish: (L: LuaThread, count: number) => number,
    refuse: (L: LuaThread, reason: GatewayError) => number,
  ): number {
    let at = index;
    while (at < formats.length) {
      const format = formats[at] as Format;
      const taken = this.#tryRead(L, file, format);
      if (taken instanceof GatewayError) return refuse(L, taken);
      if (!taken) {
        const size = wantedLength(file, format);
        if (this.#scheduler.canWait(L)) {
          const resumeAt = at;
          return this.#wait(
            L,
            (wake) => file.request(size, wake),
            (T) => this.#readFormats(T, file, formats, resumeAt, finish, refuse),
            (wake) => file.cancelRequest(wake),
            () => file.queue.length,
          );
        }
        const failure = file.fillSync(size);
        if (failure?.errno === EAGAIN) throw cannotWait('wait for a file');
        if (failure !== undefined) return this.#files.pushFailure(L, failure);
        continue;
      }
      at += 1;
      if (this.#state.exports.lua_type(L, -1) === LUA_TYPE.nil) break;
    }
    return finish(L, at);
  }

  /** Pushes what the format says, or nil; false when more bytes have to arrive first. */
  #tryRead(L: LuaThread, file: ByteFile, format: Format): boolean | GatewayError {
    const { exports: x, memory } = this.#state;
    if (format.kind === 'numeral') {
      const before = file.queue.length;
      const numeral = scanNumeral(file.queue, file.ended);
      this.#scheduler.guard.pay(before - file.queue.length);
      if (numeral === NEEDS_MORE) return false;
      file.queue.take(numeral.consumed);
      file.consumed();
      const converted = memory.withString(`${numeral.text}\0`, (at) => x.lua_stringtonumber(L, at));
      if (converted === 0) x.lua_pushnil(L);
      return true;
    }
    if (format.kind === 'end') {
      if (file.queue.length > 0) this.#state.pushString(L, '');
      else if (file.ended) x.lua_pushnil(L);
      else return false;
      return true;
    }
    return this.#transfer.tryTake(L, file, format);
  }

  // ---- lines -------------------------------------------------------------------------------------------------------

  /** Replaces file (index 1) and formats (from 2) by an iterator over them, left on top. */
  pushLines(L: LuaThread, closeAtEnd: boolean): void {
    const { exports: x } = this.#state;
    const count = x.lua_gettop(L) - 1;
    if (count > FORMATS_MAX) this.#state.argumentError(L, FORMATS_MAX + 2, 'too many arguments');
    x.lua_pushvalue(L, 1);
    this.#state.pushInteger(L, count);
    x.lua_pushboolean(L, closeAtEnd ? 1 : 0);
    x.lua_rotate(L, 2, 3);
    x.lua_pushcclosure(L, this.#linesIterator, 3 + count);
  }

  /** The iterator; upvalues: file, number of formats, close at the end, formats. */
  #nextLine(L: LuaThread): number {
    const { exports: x } = this.#state;
    const count = x.lua_tonumberx(L, upvalue(2), 0 as never);
    x.lua_settop(L, 0);
    x.lua_pushvalue(L, upvalue(1));
    const entry = this.#files.find(L, 1);
    if (entry === undefined) throw new LuaError('file is already closed');
    x.lua_checkstack(L, count + SPARE_SLOTS);
    const formats: Format[] = [];
    for (let i = 1; i <= count; i++) {
      x.lua_pushvalue(L, upvalue(3 + i));
      formats.push(this.#checkFormat(L, 1 + i));
    }
    if (count === 0) formats.push(wantLine(false));
    entry.file.clearEnd();
    return this.#readFormats(
      L,
      entry.file,
      formats,
      0,
      (T, results) => this.#finishRound(T, entry, results),
      (_T, reason) => {
        throw new LuaError(reason.message);
      },
    );
  }

  /** `count` results are on top: returns them, or ends the loop when the first is nil. */
  #finishRound(L: LuaThread, entry: LuaFile, count: number): number {
    const { exports: x } = this.#state;
    const failure = entry.file.takeError();
    if (failure !== undefined) throw new LuaError(failure.text);
    if (x.lua_toboolean(L, -count) !== 0) return count;
    if (x.lua_toboolean(L, upvalue(3)) === 0) return 0;
    x.lua_settop(L, 0);
    x.lua_pushvalue(L, upvalue(1));
    return this.#files.close(L, 1, () => 0);
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  /** Writes the arguments from index `first` on, then goes on with `done`; or returns nil, message, errno. */
  write(L: LuaThread, entry: LuaFile, first: number, done: (L: LuaThread) => number): number {
    return this.#writeFrom(L, entry.file, first, this.#state.exports.lua_gettop(L), done);
  }

  #writeFrom(L: LuaThread, file: ByteFile, n: number, last: number, done: (L: LuaThread) => number): number {
    const { exports: x } = this.#state;
    // in a loop as long as nothing has to wait: there may be a million of them
    let at = n;
    let isInCall = true;
    let goesOn = true;
    while (goesOn && at <= last) {
      goesOn = false;
      if (at > n) this.#scheduler.guard.pay(UNITS_PER_ARGUMENT);
      if (x.lua_type(L, at) === LUA_TYPE.number && x.lua_isinteger(L, at) === 0) this.#formatFloat(L, at);
      else x.luaL_checklstring(L, at, this.#state.memory.sizeOut);
      const results = this.#transfer.write(L, file, at, (T, written, room) => {
        const failure = file.takeError() ?? (this.#scheduler.canWait(T) ? undefined : file.flushSync());
        if (failure !== undefined) return this.#files.pushFailure(T, failure);
        if (!room && written < Number(x.lua_rawlen(T, at))) {
          if (!this.#scheduler.canWait(T)) throw cannotWait('wait for a file');
        }
        if (!isInCall) return this.#writeFrom(T, file, at + 1, last, done);
        at += 1;
        goesOn = true;
        return 0;
      });
      if (!goesOn) {
        isInCall = false;
        return results;
      }
    }
    isInCall = false;
    return done(L);
  }

  /** Replaces a float argument by its text: "%.14g", as C's Lua prints it. */
  #formatFloat(L: LuaThread, at: number): void {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#formatFunction);
    this.#state.pushString(L, '%.14g');
    x.lua_pushvalue(L, at);
    x.lua_callk(L, 2, 1, 0, 0 as never);
    x.lua_copy(L, -1, at);
    this.#state.pop(L);
  }

  // ---- position and buffer -----------------------------------------------------------------------------------------

  flush(L: LuaThread, { file }: LuaFile): number {
    const finish = (T: LuaThread, failure: FileError | undefined): number => {
      if (failure !== undefined) return this.#files.pushFailure(T, failure);
      this.#state.exports.lua_pushboolean(T, 1);
      return 1;
    };
    if (!this.#scheduler.canWait(L)) return finish(L, file.flushSync());
    let failure: FileError | undefined;
    return this.#wait(
      L,
      (wake) =>
        file.flush((error) => {
          failure = error;
          wake();
        }),
      (T) => finish(T, failure),
    );
  }

  #seek(L: LuaThread): number {
    const { file } = this.#files.checkFile(L, 1);
    const whence = this.#checkOption(L, 2, WHENCES, 'cur');
    const offset = this.#state.exports.lua_type(L, 3) <= LUA_TYPE.nil ? 0 : this.#state.checkInteger(L, 3);
    const finish = (T: LuaThread, result: number | FileError): number => {
      if (typeof result !== 'number') return this.#files.pushFailure(T, result);
      this.#state.pushInteger(T, result);
      return 1;
    };
    if (!this.#scheduler.canWait(L)) return finish(L, file.seekSync(whence, offset));
    let result: number | FileError = 0;
    return this.#wait(
      L,
      (wake) =>
        file.seek(whence, offset, (error, position) => {
          result = error ?? position;
          wake();
        }),
      (T) => finish(T, result),
    );
  }

  #setBuffering(L: LuaThread): number {
    const { file } = this.#files.checkFile(L, 1);
    const buffering = this.#checkOption(L, 2, BUFFERINGS, undefined);
    if (this.#state.exports.lua_type(L, 3) > LUA_TYPE.nil) this.#state.checkInteger(L, 3);
    file.setBuffering(buffering);
    this.#state.exports.lua_pushboolean(L, 1);
    return 1;
  }

  #checkOption<T extends string>(
    L: LuaThread,
    n: number,
    options: readonly T[],
    otherwise: T | undefined,
  ): T {
    const given =
      otherwise === undefined
        ? this.#state.checkString(L, n)
        : (this.#state.optionalString(L, n) ?? otherwise);
    const option = options.find((known) => known === given);
    return option ?? this.#state.argumentError(L, n, `invalid option '${given}'`);
  }

  #wait(
    L: LuaThread,
    begin: (wake: () => void) => void,
    next: (L: LuaThread) => number,
    cancel: (wake: () => void) => void = () => undefined,
    arrived: () => number = () => 0,
  ): number {
    const { wake } = this.#scheduler.running;
    this.#scheduler.guard.pay(UNITS_PER_WAIT);
    begin(wake);
    return waitForBytes(this.#scheduler, L, arrived, next, () => cancel(wake));
  }
}

function wantedLength(file: ByteFile, format: Format): number {
  if (format.kind === 'end') return 1;
  return format.kind === 'numeral' ? file.queue.length + 1 : bytesNeeded(file, format);
}

function upvalue(n: number): number {
  return REGISTRY_INDEX - n;
}
