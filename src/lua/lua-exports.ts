/**
 * The raw exports of wasmoon's Lua 5.4 module that the bridge uses, with branded pointers so that one kind cannot be
 * passed for another. See the Lua 5.4 manual §4 for what each does; integers of 64 bits cross as BigInt.
 */

declare const brand: unique symbol;
/** An address in wasm memory that points to `Kind`. */
export type Pointer<Kind extends string> = number & { readonly [brand]: Kind };

/** A Lua thread (`lua_State *`): the main thread of a state, or a coroutine. */
export type LuaThread = Pointer<'lua_State'>;
/** NUL-terminated or counted bytes (`const char *`). */
export type CString = Pointer<'char'>;
/** An index into the function table (`lua_CFunction`). */
export type CFunction = Pointer<'lua_CFunction'>;
/** An index into the function table (`lua_KFunction`). */
export type KFunction = Pointer<'lua_KFunction'>;
/** Any other address. */
export type Address = Pointer<'void'>;

/** `NULL` of any kind. */
export const NULL = 0 as Pointer<never>;

/** `LUA_REGISTRYINDEX` of this build: -LUAI_MAXSTACK - 1000. */
export const REGISTRY_INDEX = -1_001_000;
/** `LUA_MULTRET` */
export const MULTIPLE_RESULTS = -1;

/** What `lua_type` returns. */
export const LUA_TYPE = {
  none: -1,
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
  userdata: 7,
  thread: 8,
} as const;

/** What `lua_resume`, `lua_pcallk` and `lua_status` return. */
export const LUA_STATUS = { ok: 0, yield: 1, runtimeError: 2, syntaxError: 3, memoryError: 4 } as const;

export interface LuaExports {
  readonly memory: WebAssembly.Memory;
  readonly __indirect_function_table: WebAssembly.Table;
  /** Loop rounds until the host is called (wasm-rewriter.ts). */
  readonly fuel: WebAssembly.Global;
  /** Loops that an error may end call the host when there is less fuel than this. */
  readonly raiseBelow: WebAssembly.Global;
  /** Takes fuel, and calls the host when it is used up. */
  pay(units: number): void;
  malloc(size: number): Address;
  free(address: Address): void;

  /** Emscripten's stack pointer: saved before and restored after a JavaScript exception passed through wasm frames. */
  stackSave(): number;
  stackRestore(pointer: number): void;
  /** Tells emscripten's C code that a protected call was left by longjmp. */
  setThrew(threw: number, value: number): void;

  luaL_newstate(): LuaThread;
  lua_atpanic(L: LuaThread, panic: CFunction): CFunction;
  luaL_openlibs(L: LuaThread): void;
  lua_close(L: LuaThread): void;
  lua_newthread(L: LuaThread): LuaThread;
  lua_resetthread(L: LuaThread): number;
  lua_resume(L: LuaThread, from: LuaThread, argumentCount: number, resultCount: Address): number;
  lua_yieldk(L: LuaThread, resultCount: number, context: number, k: KFunction): number;
  lua_isyieldable(L: LuaThread): number;
  lua_status(L: LuaThread): number;
  lua_sethook(L: LuaThread, hook: CFunction, mask: number, count: number): void;
  lua_pcallk(
    L: LuaThread,
    args: number,
    results: number,
    handler: number,
    context: number,
    k: KFunction,
  ): number;
  lua_callk(L: LuaThread, args: number, results: number, context: number, k: KFunction): void;
  lua_error(L: LuaThread): number;
  lua_setwarnf(L: LuaThread, warn: CFunction, data: Address): void;
  luaL_loadbufferx(L: LuaThread, bytes: CString, size: number, name: CString, mode: CString): number;
  luaL_traceback(L: LuaThread, of: LuaThread, message: CString, level: number): void;
  luaL_where(L: LuaThread, level: number): void;
  lua_getinfo(L: LuaThread, what: CString, activation: Address): number;
  lua_getstack(L: LuaThread, level: number, activation: Address): number;
  lua_getlocal(L: LuaThread, activation: Address, n: number): CString;

  lua_gettop(L: LuaThread): number;
  lua_settop(L: LuaThread, index: number): void;
  lua_absindex(L: LuaThread, index: number): number;
  lua_checkstack(L: LuaThread, slots: number): number;
  lua_rotate(L: LuaThread, index: number, n: number): void;
  lua_copy(L: LuaThread, from: number, to: number): void;
  lua_pushvalue(L: LuaThread, index: number): void;
  lua_xmove(from: LuaThread, to: LuaThread, n: number): void;

  lua_type(L: LuaThread, index: number): number;
  lua_isinteger(L: LuaThread, index: number): number;
  lua_isnumber(L: LuaThread, index: number): number;
  lua_toboolean(L: LuaThread, index: number): number;
  lua_tonumberx(L: LuaThread, index: number, isNumber: Address): number;
  lua_tointegerx(L: LuaThread, index: number, isNumber: Address): bigint;
  lua_tolstring(L: LuaThread, index: number, size: Address): CString;
  lua_tocfunction(L: LuaThread, index: number): CFunction;
  lua_touserdata(L: LuaThread, index: number): Address;
  lua_tothread(L: LuaThread, index: number): LuaThread;
  lua_topointer(L: LuaThread, index: number): Address;
  lua_arith(L: LuaThread, operation: number): void;
  lua_concat(L: LuaThread, count: number): void;
  lua_rawequal(L: LuaThread, a: number, b: number): number;
  lua_rawlen(L: LuaThread, index: number): bigint;
  lua_stringtonumber(L: LuaThread, text: CString): number;

  lua_pushnil(L: LuaThread): void;
  lua_pushboolean(L: LuaThread, value: number): void;
  lua_pushnumber(L: LuaThread, value: number): void;
  lua_pushinteger(L: LuaThread, value: bigint): void;
  lua_pushlstring(L: LuaThread, bytes: CString, size: number): CString;
  lua_pushlightuserdata(L: LuaThread, value: number): void;
  lua_pushcclosure(L: LuaThread, fn: CFunction, upvalues: number): void;
  lua_pushthread(L: LuaThread): number;
  lua_getupvalue(L: LuaThread, index: number, n: number): CString;
  lua_setupvalue(L: LuaThread, index: number, n: number): CString;
  lua_newuserdatauv(L: LuaThread, size: number, userValues: number): Address;
  lua_setiuservalue(L: LuaThread, index: number, n: number): number;
  lua_getiuservalue(L: LuaThread, index: number, n: number): number;

  lua_createtable(L: LuaThread, arraySize: number, hashSize: number): void;
  lua_getmetatable(L: LuaThread, index: number): number;
  lua_setmetatable(L: LuaThread, index: number): number;
  lua_gettable(L: LuaThread, index: number): number;
  lua_settable(L: LuaThread, index: number): void;
  lua_getfield(L: LuaThread, index: number, name: CString): number;
  lua_setfield(L: LuaThread, index: number, name: CString): void;
  lua_rawget(L: LuaThread, index: number): number;
  lua_rawset(L: LuaThread, index: number): void;
  lua_rawgeti(L: LuaThread, index: number, n: bigint): number;
  lua_rawseti(L: LuaThread, index: number, n: bigint): void;
  lua_rawgetp(L: LuaThread, index: number, key: number): number;
  lua_rawsetp(L: LuaThread, index: number, key: number): void;
  lua_getglobal(L: LuaThread, name: CString): number;
  lua_setglobal(L: LuaThread, name: CString): void;
  lua_next(L: LuaThread, index: number): number;

  luaL_newmetatable(L: LuaThread, name: CString): number;
  luaL_setmetatable(L: LuaThread, name: CString): void;
  luaL_testudata(L: LuaThread, index: number, name: CString): Address;
  luaL_checkudata(L: LuaThread, index: number, name: CString): Address;
  luaL_argerror(L: LuaThread, argument: number, message: CString): number;
  luaL_typeerror(L: LuaThread, argument: number, typeName: CString): number;
  luaL_checklstring(L: LuaThread, argument: number, size: Address): CString;
  luaL_checkinteger(L: LuaThread, argument: number): bigint;
  luaL_optinteger(L: LuaThread, argument: number, otherwise: bigint): bigint;
  luaL_checknumber(L: LuaThread, argument: number): number;
  luaL_checktype(L: LuaThread, argument: number, type: number): void;
  luaL_checkany(L: LuaThread, argument: number): void;
  luaL_callmeta(L: LuaThread, index: number, event: CString): number;
  luaL_tolstring(L: LuaThread, index: number, size: Address): CString;
  luaL_getsubtable(L: LuaThread, index: number, name: CString): number;
}
