/** Lua's `io` on the gateway's file layer: the functions of manual §6.8 beside the methods of FILE*. */
import type { ByteFile } from '../file/byte-file.ts';
import { FileError } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import type { OperationOwner } from '../file/operation-queue.ts';
import type { PipeFile } from '../file/pipe-file.ts';
import type { ProcessOwner, ProcessTable } from '../file/process-table.ts';
import type { Cancellable } from '../file/task.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import type { LuaFile, LuaFiles } from '../script/objects/lua-files.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';
import type { FileMethods } from './file-methods.ts';
import { LogFile } from './log-file.ts';

export interface IoLibraryOptions {
  readonly scheduler: CoroutineScheduler;
  readonly files: LuaFiles;
  readonly methods: FileMethods;
  readonly fileSystem: FileSystem;
  readonly processes: ProcessTable;
  /** Who the operations of a file opened now take turns for. */
  readonly operationOwner: () => OperationOwner;
  /** Whose a process started now is. */
  readonly processOwner: () => ProcessOwner;
  /** A line a script wrote to stdout or stderr. */
  readonly print: (line: string) => void;
}

/** To open a file and wait for that (100 µs). */
const UNITS_PER_OPEN = 20_000;
/** A FIFO that nobody reads. */
const ENXIO = 6;

type Opened = FileError | ByteFile;

export class IoLibrary {
  readonly #options: IoLibraryOptions;
  readonly #state: State;
  /** Default input and output, as references to FILE* values. */
  #input: Reference;
  #output: Reference;

  /** Replaces the global `io` and `package.loaded.io`. */
  constructor(options: IoLibraryOptions) {
    this.#options = options;
    this.#state = options.scheduler.state;
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    options.files.install(options.methods.all());
    const functions = state.addFunctions(this.#functions());
    x.lua_createtable(L, 0, 16);
    state.setFunctions(L, -1, functions);
    this.#input = this.#pushStandard(L, 'stdin', undefined);
    this.#output = this.#pushStandard(L, 'stdout', options.print);
    state.release(this.#pushStandard(L, 'stderr', options.print));
    x.luaL_getsubtable(L, REGISTRY_INDEX, memory.constant('_LOADED'));
    x.lua_pushvalue(L, -2);
    x.lua_setfield(L, -2, memory.constant('io'));
    state.pop(L);
    x.lua_setglobal(L, memory.constant('io'));
  }

  #functions(): Record<string, HostFunction> {
    const { files, methods } = this.#options;
    const { exports: x } = this.#state;
    return {
      open: (L) => this.#open(L),
      popen: (L) => this.#popen(L),
      tmpfile: (L) =>
        this.#whenOpened(
          L,
          (done) => this.#options.fileSystem.openTemporary(done, this.#options.operationOwner()),
          () => this.#options.fileSystem.openTemporarySync(this.#options.operationOwner()),
          (T, opened) => this.#pushOpened(T, opened, undefined),
        ),
      close: (L) => {
        if (x.lua_type(L, 1) === LUA_TYPE.none) this.#state.pushReference(L, this.#output);
        return files.close(L, 1);
      },
      read: (L) => methods.read(L, this.#standard(L, this.#input, 'input'), 1),
      write: (L) => {
        const output = this.#standard(L, this.#output, 'output');
        return methods.write(L, output, 1, (T) => {
          this.#state.pushReference(T, this.#output);
          return 1;
        });
      },
      flush: (L) => methods.flush(L, this.#standard(L, this.#output, 'output')),
      lines: (L) => this.#lines(L),
      input: (L) => this.#redirect(L, 'r'),
      output: (L) => this.#redirect(L, 'w'),
      type: (L) => {
        x.luaL_checkany(L, 1);
        const kind = files.kindOf(L, 1);
        if (kind === undefined) x.lua_pushnil(L);
        else this.#state.pushString(L, kind);
        return 1;
      },
    };
  }

  #open(L: LuaThread): number {
    const name = this.#state.checkString(L, 1);
    const mode = this.#state.optionalString(L, 2) ?? 'r';
    if (!/^[rwa]\+?b?$/.test(mode)) this.#state.argumentError(L, 2, 'invalid mode');
    const { fileSystem, operationOwner } = this.#options;
    return this.#whenOpened(
      L,
      (done) => fileSystem.open(name, mode, done, operationOwner()),
      () => fileSystem.openSync(name, mode, operationOwner()),
      (T, opened) => this.#pushOpened(T, opened, name),
    );
  }

  #popen(L: LuaThread): number {
    const { processes, processOwner, files } = this.#options;
    const command = this.#state.checkString(L, 1);
    const mode = this.#state.optionalString(L, 2) ?? 'r';
    if (mode !== 'r' && mode !== 'w') this.#state.argumentError(L, 2, 'invalid mode');
    return this.#whenOpened<PipeFile>(
      L,
      (done) => processes.openPipe(command, mode, processOwner(), done),
      () => {
        throw cannotWait('run a program');
      },
      (T, opened) => {
        if (opened instanceof FileError) return files.pushFailure(T, opened, command);
        // other users of the pipe keep it: they read it to its end, or close it
        files.push(T, opened, { process: true });
        return 1;
      },
    );
  }

  #lines(L: LuaThread): number {
    const { methods, files, fileSystem, operationOwner } = this.#options;
    const { exports: x } = this.#state;
    if (x.lua_type(L, 1) <= LUA_TYPE.nil) {
      if (x.lua_gettop(L) === 0) x.lua_pushnil(L);
      this.#state.pushReference(L, this.#input);
      x.lua_copy(L, -1, 1);
      this.#state.pop(L);
      files.checkFile(L, 1);
      methods.pushLines(L, false);
      return 1;
    }
    const name = this.#state.checkString(L, 1);
    return this.#whenOpened(
      L,
      (done) => fileSystem.open(name, 'r', done, operationOwner()),
      () => fileSystem.openSync(name, 'r', operationOwner()),
      (T, opened) => {
        if (opened instanceof FileError) throw cannotOpen(name, opened);
        files.push(T, opened);
        x.lua_copy(T, -1, 1);
        this.#state.pop(T);
        methods.pushLines(T, true);
        // iterator, state, control, and the file as the value to be closed with the loop
        x.lua_pushnil(T);
        x.lua_pushnil(T);
        x.lua_pushvalue(T, 1);
        return 4;
      },
    );
  }

  /** io.input and io.output: sets the default file from a name or FILE*, and returns it. */
  #redirect(L: LuaThread, mode: 'r' | 'w'): number {
    const { files, fileSystem, operationOwner } = this.#options;
    const { exports: x } = this.#state;
    const finish = (T: LuaThread): number => {
      if (x.lua_type(T, 1) > LUA_TYPE.nil) {
        x.lua_pushvalue(T, 1);
        const kept = this.#state.keep(T);
        if (mode === 'r') this.#input = this.#replace(this.#input, kept);
        else this.#output = this.#replace(this.#output, kept);
      }
      this.#state.pushReference(T, mode === 'r' ? this.#input : this.#output);
      return 1;
    };
    if (x.lua_type(L, 1) !== LUA_TYPE.string && x.lua_type(L, 1) !== LUA_TYPE.number) {
      if (x.lua_type(L, 1) > LUA_TYPE.nil) files.checkFile(L, 1);
      return finish(L);
    }
    const name = this.#state.checkString(L, 1);
    return this.#whenOpened(
      L,
      (done) => fileSystem.open(name, mode, done, operationOwner()),
      () => fileSystem.openSync(name, mode, operationOwner()),
      (T, opened) => {
        if (opened instanceof FileError) throw cannotOpen(name, opened);
        files.push(T, opened);
        x.lua_copy(T, -1, 1);
        this.#state.pop(T);
        return finish(T);
      },
    );
  }

  #replace(old: Reference, kept: Reference): Reference {
    this.#state.release(old);
    return kept;
  }

  /** The default input or output, which may have been closed. */
  #standard(L: LuaThread, reference: Reference, what: string): LuaFile {
    this.#state.pushReference(L, reference);
    const file = this.#options.files.find(L, -1);
    this.#state.pop(L);
    if (file === undefined) throw new LuaError(`default ${what} file is closed`);
    return file;
  }

  /** Sets a standard file as a field of the table on top of the stack and keeps a reference to it. */
  #pushStandard(L: LuaThread, name: string, print: ((line: string) => void) | undefined): Reference {
    const { exports: x, memory } = this.#state;
    this.#options.files.push(L, new LogFile(name, print), { standard: true });
    x.lua_pushvalue(L, -1);
    x.lua_setfield(L, -3, memory.constant(name));
    return this.#state.keep(L);
  }

  #pushOpened(L: LuaThread, opened: Opened, name: string | undefined): number {
    if (opened instanceof FileError) return this.#options.files.pushFailure(L, opened, name);
    this.#options.files.push(L, opened);
    return 1;
  }

  /** Opens, without blocking the worker where the caller can wait, and goes on with what came of it. */
  #whenOpened<F extends ByteFile = ByteFile>(
    L: LuaThread,
    open: (done: (error: FileError | undefined, file: F | undefined) => void) => Cancellable,
    openSync: () => F,
    next: (L: LuaThread, opened: FileError | F) => number,
  ): number {
    const { scheduler } = this.#options;
    if (!scheduler.canWait(L)) {
      const opened = attempt(openSync);
      if (opened instanceof FileError && opened.errno === ENXIO)
        throw cannotWait('wait for the other side of a FIFO');
      return next(L, opened);
    }
    scheduler.guard.pay(UNITS_PER_OPEN);
    const coroutine = scheduler.running;
    let result: FileError | F | undefined;
    const opening = open((error, file) => {
      result = error ?? file;
      coroutine.wake();
    });
    return waitInScope(
      scheduler,
      L,
      (T) => next(T, result as FileError | F),
      () => {
        opening.cancel();
        if (result !== undefined && !(result instanceof FileError)) result.destroy();
      },
    );
  }
}

function cannotOpen(name: string, error: FileError): LuaError {
  return new LuaError(`cannot open file '${name}' (${error.text})`);
}

function attempt<F extends ByteFile>(openSync: () => F): FileError | F {
  try {
    return openSync();
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
}
