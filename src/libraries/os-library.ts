/** Replaces the functions of Lua's `os` that would end the process, reach no real file, or block the worker. */

import type { ProcessExit } from '../file/byte-file.ts';
import { FileError } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import type { OperationOwner } from '../file/operation-queue.ts';
import type { ProcessOwner, ProcessTable } from '../file/process-table.ts';
import type { Cancellable } from '../file/task.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import { type FileOperations, UNITS_PER_FILE } from '../script/objects/file-operations.ts';
import type { LuaFiles } from '../script/objects/lua-files.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';

type Done = (error: FileError | undefined) => void;

export interface OsLibraryOptions {
  readonly scheduler: CoroutineScheduler;
  readonly fileSystem: FileSystem;
  readonly processes: ProcessTable;
  readonly files: LuaFiles;
  readonly operations: FileOperations;
  /** Whose a process started now is. */
  readonly processOwner: () => ProcessOwner;
  /** What `getenv` shows of the environment. */
  readonly variables: readonly string[];
}

export function installOsLibrary(options: OsLibraryOptions): void {
  const { scheduler, fileSystem, processes, files } = options;
  const { state } = scheduler;
  const { exports: x, memory, mainThread: L } = state;

  /** Runs an operation; true, or nil, message (with `name`) and errno. */
  function operate(
    T: LuaThread,
    name: string | undefined,
    begin: (done: Done, owner: OperationOwner) => Cancellable,
    sync: () => void,
  ): number {
    return options.operations.run(T, {
      begin,
      sync,
      finish: (thread, failure) => {
        if (failure !== undefined) return files.pushFailure(thread, failure, name);
        x.lua_pushboolean(thread, 1);
        return 1;
      },
    });
  }

  function pushEnd(
    T: LuaThread,
    command: string,
    failure: FileError | undefined,
    exit: ProcessExit | undefined,
  ): number {
    if (failure !== undefined || exit === undefined)
      return files.pushFailure(T, failure ?? new FileError(`Cannot run "${command}"`, EIO));
    return files.pushExit(T, exit);
  }

  x.lua_getglobal(L, memory.constant('os'));
  x.lua_getfield(L, -1, memory.constant('date'));
  const nativeDate = state.nativeFunction(x.lua_tocfunction(L, -1));
  state.pop(L, 2);

  const functions = state.addFunctions({
    exit: () => {
      throw new LuaError('os.exit is not available: a script cannot end the gateway');
    },
    // a script sees only the variables of the gateway's environment that it may see
    getenv: (T) => {
      const name = state.checkString(T, 1);
      const value = options.variables.includes(name) ? process.env[name] : undefined;
      if (value === undefined) x.lua_pushnil(T);
      else state.pushString(T, Buffer.from(value).toString('latin1'));
      return 1;
    },
    date: (T) => {
      const asked = state.optionalString(T, 1, DATE_FORMAT_BYTES_MAX) ?? '%c';
      const seconds = x.lua_type(T, 2) <= LUA_TYPE.nil ? Date.now() / 1000 : state.checkInteger(T, 2);
      if (Math.abs(seconds) > DATE_SECONDS_MAX)
        throw new LuaError('date result cannot be represented in this installation');
      // the VM's C library writes these in a way of its own
      let zone: string | undefined;
      const format = asked.replace(/%(E?.)/gs, (conversion, letter) => {
        if (letter === 'c' || letter === 'Ec') return '%a %b %e %H:%M:%S %Y';
        if (letter !== 'Z') return conversion;
        zone ??= zoneName(asked, seconds, scheduler);
        return zone;
      });
      // each is a call of the C library, whose own loops do not count
      const conversions = format.split('%').length - 1;
      if (conversions > DATE_CONVERSIONS_MAX)
        return state.argumentError(T, 1, `more conversions than the limit of ${DATE_CONVERSIONS_MAX}`);
      scheduler.guard.pay(conversions * UNITS_PER_CONVERSION);
      if (x.lua_gettop(T) === 0) x.lua_pushnil(T);
      state.pushString(T, format);
      x.lua_copy(T, -1, 1);
      state.pop(T);
      return nativeDate(T);
    },
    // that of the VM's C library overflows
    difftime: (T) => {
      const to = x.luaL_checkinteger(T, 1);
      x.lua_pushnumber(T, Number(to - x.luaL_checkinteger(T, 2)));
      return 1;
    },
    // the VM's C library takes any name for a locale
    setlocale: (T) => {
      const locale = state.optionalString(T, 1);
      const category = state.optionalString(T, 2) ?? 'all';
      if (!LOCALE_CATEGORIES.includes(category)) state.argumentError(T, 2, `invalid option '${category}'`);
      if (locale === undefined || ['', 'C', 'POSIX'].includes(locale)) state.pushString(T, 'C');
      else x.lua_pushnil(T);
      return 1;
    },
    remove: (T) => {
      const name = state.checkString(T, 1);
      return operate(
        T,
        name,
        (done, owner) => fileSystem.remove(name, done, owner),
        () => fileSystem.removeSync(name),
      );
    },
    rename: (T) => {
      const from = state.checkString(T, 1);
      const to = state.checkString(T, 2);
      return operate(
        T,
        undefined,
        (done, owner) => fileSystem.rename(from, to, done, owner),
        () => fileSystem.renameSync(from, to),
      );
    },
    tmpname: (T) => {
      let name = '';
      scheduler.guard.pay(UNITS_PER_FILE);
      const failure = failureOf(() => {
        name = fileSystem.temporaryNameSync();
      });
      if (failure !== undefined) throw new LuaError('unable to generate a unique filename');
      state.pushString(T, name);
      return 1;
    },
    execute: (T) => {
      if (x.lua_type(T, 1) <= LUA_TYPE.nil) {
        const hasShell = options.processOwner().allowedCommands === undefined;
        x.lua_pushboolean(T, hasShell ? 1 : 0);
        return 1;
      }
      const command = state.checkString(T, 1);
      if (!scheduler.canWait(T)) throw cannotWait('run a program');
      const coroutine = scheduler.running;
      let failure: FileError | undefined;
      let status: ProcessExit | undefined;
      const execution = processes.execute(command, options.processOwner(), (error, exit) => {
        failure = error;
        status = exit;
        coroutine.wake();
      });
      return waitInScope(
        scheduler,
        T,
        (thread) => pushEnd(thread, command, failure, status),
        () => execution.cancel(),
      );
    },
  });
  x.lua_getglobal(L, memory.constant('os'));
  state.setFunctions(L, -1, functions);
  state.pop(L);
}

const EIO = 5;
const LOCALE_CATEGORIES: readonly string[] = ['all', 'collate', 'ctype', 'monetary', 'numeric', 'time'];
/** What a JavaScript Date reaches, which the VM's C library counts with. */
const DATE_SECONDS_MAX = 8.64e12;

/** Bytes of a format of os.date. */
const DATE_FORMAT_BYTES_MAX = 32 * 1024;
/** Conversions of one call, of which %c is seven, and what one costs (10 µs). */
const DATE_CONVERSIONS_MAX = 1000;
const UNITS_PER_CONVERSION = 2000;
/** To ask for the name of a zone (20 µs). */
const UNITS_PER_ZONE = 4000;

/** Made once: that takes longer than all else together. */
let zoneFormat: Intl.DateTimeFormat | undefined;

/** The abbreviation of the time zone, as far as ICU knows one. */
function zoneName(format: string, seconds: number, { guard }: CoroutineScheduler): string {
  if (format.startsWith('!')) return 'GMT';
  guard.pay(UNITS_PER_ZONE);
  zoneFormat ??= new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' });
  const parts = zoneFormat.formatToParts(seconds * 1000);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC';
}

function failureOf(run: () => void): FileError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
}
