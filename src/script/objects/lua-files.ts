/** Lua's FILE* values: userdata that stand for files of the file layer, their metatable, life and errors. */

import { assert } from '../../base/assert.ts';
import type { ByteFile, ProcessExit } from '../../file/byte-file.ts';
import type { FileError } from '../../file/file-error.ts';
import { OpenFile } from '../../file/open-file.ts';
import { PipeFile } from '../../file/pipe-file.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { HostFunction } from '../../lua/host-functions.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../../lua/lua-exports.ts';
import { pushFailure } from '../../lua/push-failure.ts';
import type { Reference, State } from '../../lua/state.ts';
import { currentRun, type LuaRun } from '../run/lua-run.ts';
import { type ByteTransfer, bytesNeeded, type Wanted } from './byte-transfer.ts';
import { cannotWait } from './cannot-wait.ts';
import { createWeakTable } from './handles.ts';
import { HostObjects } from './host-objects.ts';

const EAGAIN = 11;

/** The runs of the script that are under way. */
export interface ActiveRuns {
  has(run: LuaRun): boolean;
}

/** One FILE* value. */
export interface LuaFile {
  readonly file: ByteFile;
  /** Standard files cannot be closed by scripts. */
  readonly standard: boolean;
  /** popen: close gives the exit status. */
  readonly process: boolean;
}

export class LuaFiles {
  readonly #state: State;
  readonly #scheduler: CoroutineScheduler;
  readonly #transfer: ByteTransfer;
  readonly #open = new Map<number, LuaFile>();
  /** Open files that no collection has looked at since the end of the run that opened them: it may have forgotten them. */
  readonly #young = new Map<number, LuaRun | undefined>();
  #nextNumber = 1;
  #objects: HostObjects | undefined;
  /**
   * Weak keys: FILE* → its owner, which closes the file when it is collected. A script with `debug` may take the metatable
   * off a FILE*, and with it `__gc`; it reaches no owner.
   */
  readonly #owners: Reference;
  readonly #ownerObjects: HostObjects;

  constructor(scheduler: CoroutineScheduler, transfer: ByteTransfer) {
    this.#scheduler = scheduler;
    this.#state = scheduler.state;
    this.#transfer = transfer;
    this.#owners = createWeakTable(this.#state, 'k');
    this.#ownerObjects = new HostObjects(this.#state, 'FILE* owner', undefined, {
      __gc: (L) => this.#closeForgotten(this.#ownerObjects.find(L, 1)),
    });
  }

  /** True when a run that is none of the `active` ones may have forgotten a file. */
  mayBeForgotten(active: ActiveRuns): boolean {
    if (this.#young.size === 0) return false;
    for (const run of this.#young.values()) if (run === undefined || !active.has(run)) return true;
    return false;
  }

  /** The collector has run: what others than the `active` runs have left open is held on purpose. */
  collected(active: ActiveRuns): void {
    for (const [number, run] of this.#young)
      if (run === undefined || !active.has(run)) this.#young.delete(number);
  }

  /** Creates the metatable with its methods. */
  install(methods: Readonly<Record<string, HostFunction>>): void {
    this.#objects = new HostObjects(this.#state, 'FILE*', methods, {
      __tostring: (T) => this.#toStringMethod(T),
      __gc: (T) => this.#collect(T),
      __close: (T) => this.#closeVariable(T),
    });
  }

  /** Pushes a new FILE* for `file`. */
  push(L: LuaThread, file: ByteFile, options: { standard?: boolean; process?: boolean } = {}): void {
    const standard = options.standard === true;
    let pushed = false;
    try {
      const number = this.#nextNumber++;
      this.#known.push(L, number);
      if (!standard) this.#own(L, number);
      this.#open.set(number, { file, standard, process: options.process === true });
      if (!standard) this.#young.set(number, currentRun(this.#scheduler));
      pushed = true;
    } finally {
      // no memory for the value: nobody will ever close the file
      if (!pushed) file.destroy();
    }
  }

  /** Gives the value on top of the stack an owner. May raise. */
  #own(L: LuaThread, number: number): void {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#owners);
    x.lua_pushvalue(L, -2);
    this.#ownerObjects.push(L, number);
    x.lua_rawset(L, -3);
    this.#state.pop(L);
  }

  get #known(): HostObjects {
    assert(this.#objects !== undefined, 'the metatable is made before the first file');
    return this.#objects;
  }

  #forget(number: number): void {
    this.#open.delete(number);
    this.#young.delete(number);
  }

  /** The argument `n` as an open file; undefined when it is nil or absent; raises otherwise. */
  optionalFile(L: LuaThread, n: number): LuaFile | undefined {
    return this.#state.exports.lua_type(L, n) <= LUA_TYPE.nil ? undefined : this.checkFile(L, n);
  }

  /** The argument `n` as an open file; raises when it is no file, or a closed one. */
  checkFile(L: LuaThread, n: number): LuaFile {
    const file = this.find(L, n);
    if (file === undefined) throw new LuaError('attempt to use a closed file');
    return file;
  }

  /** The argument `n` as a file, undefined when closed; raises when it is no FILE*. */
  find(L: LuaThread, n: number): LuaFile | undefined {
    const number = this.#known.find(L, n);
    if (number !== undefined) return this.#open.get(number);
    // something else with the metatable of a file is none that could be open
    if (!this.#known.resembles(L, n)) this.#known.refuse(L, n);
    return undefined;
  }

  /** "file", "closed file" or undefined for anything else at `index`. */
  kindOf(L: LuaThread, index: number): 'file' | 'closed file' | undefined {
    const number = this.#known.find(L, index);
    if (number === undefined) return undefined;
    return this.#open.has(number) ? 'file' : 'closed file';
  }

  // ---- httpd.read and httpd.write on files ------------------------------------------------------------------------

  /** httpd.read(file, n): a string, nil at the end, or nil, message, code. */
  readStream(L: LuaThread, { file }: LuaFile, wanted: Wanted | undefined): number {
    if (wanted === undefined) {
      this.#state.exports.lua_pushnil(L);
      return 1;
    }
    const finish = (T: LuaThread): number => {
      const failure = file.takeError();
      return failure === undefined ? 1 : pushFailure(this.#state, T, failure);
    };
    if (this.#scheduler.canWait(L)) return this.#transfer.read(L, file, wanted, finish);
    for (;;) {
      const taken = this.#transfer.tryTake(L, file, wanted);
      if (taken === true) break;
      if (taken !== false) return pushFailure(this.#state, L, taken);
      const failure = file.fillSync(bytesNeeded(file, wanted));
      if (failure?.errno === EAGAIN) throw cannotWait('wait for a file');
      if (failure !== undefined) return pushFailure(this.#state, L, failure);
    }
    return finish(L);
  }

  /** httpd.write(file, s): the number of bytes, or nil, message, code. */
  writeStream(L: LuaThread, { file }: LuaFile): number {
    return this.#transfer.write(L, file, 2, (T, written, room) => {
      if (!room && !this.#scheduler.canWait(T) && file.isFull === true) throw cannotWait('wait for a file');
      const failure = file.takeError() ?? (this.#scheduler.canWait(T) ? undefined : file.flushSync());
      if (failure !== undefined) return pushFailure(this.#state, T, failure);
      this.#state.pushInteger(T, written);
      return 1;
    });
  }

  // ---- closing -----------------------------------------------------------------------------------------------------

  /** Closes the file at `index` as `f:close` does and returns its results, or those of `next` instead. */
  close(
    L: LuaThread,
    index: number,
    next?: (L: LuaThread) => number,
    fail: (L: LuaThread, failure: FileError) => number = (T, failure) => this.pushFailure(T, failure),
  ): number {
    const { exports: x } = this.#state;
    const entry = this.checkFile(L, index);
    if (entry.standard) {
      x.lua_pushnil(L);
      this.#state.pushString(L, 'cannot close standard file');
      return 2;
    }
    if (entry.file instanceof PipeFile && !this.#scheduler.canWait(L) && entry.file.process !== undefined) {
      if (entry.file.process.look() === undefined) throw cannotWait('wait for a program');
    }
    this.#forget(this.#known.check(L, index));
    if (!this.#scheduler.canWait(L)) {
      const { error, exit } = entry.file.closeSync();
      return next?.(L) ?? this.#pushClosed(L, entry, error, exit, fail);
    }
    // what was only read is closed behind the script's back
    if (entry.file instanceof OpenFile && entry.file.closesSilently) {
      if (entry.file.closesAtOnce) entry.file.closeSync();
      else entry.file.close(() => undefined);
      return next?.(L) ?? this.#pushClosed(L, entry, undefined, undefined, fail);
    }
    const coroutine = this.#scheduler.running;
    let failure: FileError | undefined;
    let status: ProcessExit | undefined;
    entry.file.close((error, exit) => {
      failure = error;
      status = exit;
      coroutine.wake();
    });
    return coroutine.wait(
      L,
      (T) => next?.(T) ?? this.#pushClosed(T, entry, failure, status, fail),
      () => undefined,
    );
  }

  /** httpd.close(file): as `f:close`, but a failure is nil, message, code. */
  closeStream(L: LuaThread, index: number): number {
    return this.close(L, index, undefined, (T, failure) => pushFailure(this.#state, T, failure));
  }

  /** Ends all files: the state is about to be closed. */
  destroyAll(): void {
    for (const { file } of this.#open.values()) file.destroy();
    this.#open.clear();
    this.#young.clear();
  }

  /** Pushes `nil, message, errno` as luaL_fileresult does. */
  pushFailure(L: LuaThread, failure: FileError, name?: string): number {
    this.#state.exports.lua_pushnil(L);
    this.#state.pushString(L, name === undefined ? failure.text : `${name}: ${failure.text}`);
    this.#state.pushInteger(L, failure.errno);
    return 3;
  }

  #pushClosed(
    L: LuaThread,
    entry: LuaFile,
    failure: FileError | undefined,
    exit: ProcessExit | undefined,
    fail: (L: LuaThread, failure: FileError) => number,
  ): number {
    const { exports: x } = this.#state;
    if (failure !== undefined) return fail(L, failure);
    if (entry.process && exit !== undefined) return this.pushExit(L, exit);
    x.lua_pushboolean(L, 1);
    return 1;
  }

  /** Pushes true or nil, "exit" or "signal", and the number, as luaL_execresult does. */
  pushExit(L: LuaThread, exit: ProcessExit): number {
    const { exports: x } = this.#state;
    if (exit.kind === 'exit' && exit.code === 0) x.lua_pushboolean(L, 1);
    else x.lua_pushnil(L);
    this.#state.pushString(L, exit.kind);
    this.#state.pushInteger(L, exit.code);
    return 3;
  }

  #toStringMethod(L: LuaThread): number {
    const entry = this.find(L, 1);
    const address = this.#state.exports.lua_touserdata(L, 1);
    const place = address.toString(16).padStart(8, '0');
    this.#state.pushString(L, entry === undefined ? 'file (closed)' : `file (0x${place})`);
    return 1;
  }

  /** The end of a `local f <close>`: waits for the disk, unless its coroutine is being ended from outside. */
  #closeVariable(L: LuaThread): number {
    const entry = this.find(L, 1);
    if (entry === undefined || entry.standard) return 0;
    if (this.#scheduler.current?.closing === true) return this.#collect(L);
    return this.close(L, 1);
  }

  /** `__gc`: errors cannot be reported, and nothing can wait. */
  #collect(L: LuaThread): number {
    return this.#closeForgotten(this.#known.find(L, 1));
  }

  #closeForgotten(number = 0): number {
    const entry = this.#open.get(number);
    if (entry !== undefined && !entry.standard) {
      this.#forget(number);
      entry.file.destroy();
    }
    return 0;
  }
}
