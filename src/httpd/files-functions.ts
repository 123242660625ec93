/** `httpd.files`: what Lua's `io` and `os` cannot do with names of files, inside the root and without holding up the thread. */
import type { FileError } from '../file/file-error.ts';
import type { DirectoryEntry, FileFacts } from '../file/file-steps.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { booleanOption, readOptionTable } from '../script/run/option-table.ts';

const MS_PER_SECOND = 1000;
/** To look at one entry of a directory (20 µs). */
const UNITS_PER_ENTRY = 4000;
/** Values of one entry: name, kind, size, time of its last change. */
const VALUES_PER_ENTRY = 4;
/** Permissions and special bits of st_mode. */
const MODE_BITS = 0o7777;
/** Times beyond are none that a file system keeps (seconds since 1970). */
const TIME_MAX = 2 ** 40;

/** `stat`, `list`, `mkdir`, `remove` and `touch`; each fails with nil, message, code. */
export function fileFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, fileSystem, fileOperations, scheduler } = script;
  const { exports: x, memory } = state;

  function finishTrue(T: LuaThread, error: FileError | undefined): number {
    if (error !== undefined) return pushFailure(state, T, error);
    x.lua_pushboolean(T, 1);
    return 1;
  }

  function setInteger(T: LuaThread, name: string, value: number): void {
    state.pushInteger(T, value);
    x.lua_setfield(T, -2, memory.constant(name));
  }

  function pushFacts(T: LuaThread, { kind, size, stats }: FileFacts): number {
    x.lua_createtable(T, 0, 11);
    state.pushString(T, kind);
    x.lua_setfield(T, -2, memory.constant('kind'));
    for (const [name, ms] of [
      ['mtime', stats.mtimeMs],
      ['atime', stats.atimeMs],
      ['ctime', stats.ctimeMs],
    ] as const) {
      x.lua_pushnumber(T, ms / MS_PER_SECOND);
      x.lua_setfield(T, -2, memory.constant(name));
    }
    setInteger(T, 'size', size);
    setInteger(T, 'mode', stats.mode & MODE_BITS);
    setInteger(T, 'links', stats.nlink);
    setInteger(T, 'uid', stats.uid);
    setInteger(T, 'gid', stats.gid);
    setInteger(T, 'dev', stats.dev);
    setInteger(T, 'ino', stats.ino);
    return 1;
  }

  const { next } = state.addFunctions({
    // the list has its position at 0, and the values of its entries behind each other from 1
    next: (T) => {
      x.luaL_checktype(T, 1, LUA_TYPE.table);
      x.lua_rawgeti(T, 1, 0n);
      const at = x.lua_tointegerx(T, -1, NULL);
      x.lua_pushinteger(T, at + BigInt(VALUES_PER_ENTRY));
      x.lua_rawseti(T, 1, 0n);
      for (let value = 1n; value <= VALUES_PER_ENTRY; value += 1n) x.lua_rawgeti(T, 1, at + value);
      return VALUES_PER_ENTRY;
    },
  });

  function pushList(T: LuaThread, entries: readonly DirectoryEntry[]): number {
    scheduler.guard.pay(entries.length * UNITS_PER_ENTRY);
    x.lua_pushcclosure(T, next, 0);
    x.lua_createtable(T, entries.length * VALUES_PER_ENTRY, 1);
    state.pushInteger(T, 0);
    x.lua_rawseti(T, -2, 0n);
    let at = 1n;
    for (const { name, facts } of entries) {
      state.pushString(T, name);
      x.lua_rawseti(T, -2, at);
      state.pushString(T, facts.kind);
      x.lua_rawseti(T, -2, at + 1n);
      state.pushInteger(T, facts.size);
      x.lua_rawseti(T, -2, at + 2n);
      x.lua_pushnumber(T, facts.modifiedMs / MS_PER_SECOND);
      x.lua_rawseti(T, -2, at + 3n);
      at += BigInt(VALUES_PER_ENTRY);
    }
    return 2;
  }

  /** Argument `index` as seconds since 1970; now where it is absent. */
  function timeArgument(L: LuaThread, index: number): number {
    if (x.lua_type(L, index) <= LUA_TYPE.nil) return Date.now() / MS_PER_SECOND;
    const seconds = x.luaL_checknumber(L, index);
    if (!(Math.abs(seconds) <= TIME_MAX)) return state.argumentError(L, index, 'a time in seconds expected');
    return seconds;
  }

  return {
    stat: (L) => {
      checkArgumentCount(state, L, 'stat', 1, 2);
      const name = state.checkString(L, 1);
      let follow = true;
      readOptionTable(state, L, 2, 'stat', {
        follow: (option) => {
          follow = booleanOption(state, L, option);
        },
      });
      return fileOperations.run<FileFacts>(L, {
        begin: (done, owner) => fileSystem.stat(name, done, owner, follow),
        sync: () => fileSystem.statSync(name, follow),
        finish: (T, error, facts) =>
          error === undefined ? pushFacts(T, facts as FileFacts) : pushFailure(state, T, error),
      });
    },

    list: (L) => {
      checkArgumentCount(state, L, 'list', 1);
      const name = state.checkString(L, 1);
      return fileOperations.run<DirectoryEntry[]>(L, {
        begin: (done, owner) => fileSystem.list(name, done, owner),
        sync: () => fileSystem.listSync(name),
        finish: (T, error, entries) =>
          error === undefined ? pushList(T, entries as DirectoryEntry[]) : pushFailure(state, T, error),
      });
    },

    mkdir: (L) => {
      checkArgumentCount(state, L, 'mkdir', 1);
      const name = state.checkString(L, 1);
      return fileOperations.run<void>(L, {
        begin: (done, owner) => fileSystem.makeDirectory(name, done, owner),
        sync: () => fileSystem.makeDirectorySync(name),
        finish: finishTrue,
      });
    },

    remove: (L) => {
      checkArgumentCount(state, L, 'remove', 1);
      const name = state.checkString(L, 1);
      return fileOperations.run<void>(L, {
        begin: (done, owner) => fileSystem.remove(name, done, owner),
        sync: () => fileSystem.removeSync(name),
        finish: finishTrue,
      });
    },

    touch: (L) => {
      checkArgumentCount(state, L, 'touch', 1, 3);
      const name = state.checkString(L, 1);
      const modified = timeArgument(L, 2);
      const accessed = x.lua_type(L, 3) <= LUA_TYPE.nil ? modified : timeArgument(L, 3);
      return fileOperations.run<void>(L, {
        begin: (done, owner) => fileSystem.touch(name, accessed, modified, done, owner),
        sync: () => fileSystem.touchSync(name, accessed, modified),
        finish: finishTrue,
      });
    },
  };
}
