/**
 * One Lua VM: its instance, memory and main thread, the stack operations host functions use, and the functions and
 * references it keeps. Knows nothing of coroutines that wait (coroutine.ts) nor of what scripts are for.
 *
 * Long because it is one flat list of short operations, which host functions find in one place.
 */

import { assert } from '../base/assert.ts';
import { GatewayError, systemCodeOf } from '../base/errors.ts';
import { ErrorTexts } from './error-texts.ts';
import {
  addHostContinuations,
  addHostFunctions,
  type HostContinuation,
  type HostFunction,
} from './host-functions.ts';
import { isLongjmp, LuaError } from './lua-error.ts';
import {
  type CFunction,
  type CString,
  type KFunction,
  LUA_STATUS,
  LUA_TYPE,
  type LuaExports,
  type LuaThread,
  NULL,
  REGISTRY_INDEX,
} from './lua-exports.ts';
import { Memory } from './memory.ts';
import { CHECKS_STACK, checkedFunction } from './stack-check.ts';
import { ThreadFields } from './thread-fields.ts';
import { instantiateLua } from './wasm-instance.ts';

/** A value kept in the registry until `release`. */
export type Reference = number & { readonly reference: unique symbol };

/** Loop rounds before a guard has been set: more than the libraries need to open. */
const START_FUEL = 0x7fff_ffff;

/** References are light userdata keys of the registry, below 0 because addresses of wasm memory, keys too, are not. */
const FIRST_REFERENCE = -0x8000_0000;

/** Made once: sizes and statuses are mostly small. */
const SMALL_INTEGERS: readonly bigint[] = Array.from({ length: 1024 }, (_, i) => BigInt(i));

/** What a host function returns that yields. */
const YIELDS = -1;

/** Bytes of a string that names something (a file, a command, an option): what Linux takes for one argument of a program. */
export const ARGUMENT_BYTES_MAX: number = 128 * 1024;
/** A shorter string costs no more than the call it is read in, which is paid for. */
const FREE_BYTES_MAX = 1024;
/** To make the text of a small value. */
const UNITS_PER_SHOWN = 60;
/** Strings above this length are no keys that the VM has looked up already: their bytes may still be written. */
const SHORT_STRING_BYTES_MAX = 40;

/** Characters that are no bytes. */
const NO_BYTES = /[^\0-\xff]/;

/** Kinds of chunk that may be loaded: bytecode, text. A script's own words would stay in memory as constants. */
export type ChunkMode = 'b' | 't' | 'bt' | '';

/** An error that ended a Lua call from the host: message and traceback as one text. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** Errors of the system that pass: descriptors or memory are used up. */
const LACKS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

export class State {
  readonly exports: LuaExports;
  readonly memory: Memory;
  readonly mainThread: LuaThread;
  readonly threadFields: ThreadFields;
  /** What is said of errors. */
  readonly errors: ErrorTexts;
  #nextReference = FIRST_REFERENCE;
  readonly #freeReferences: Reference[] = [];
  #references = 0;
  readonly #interned = new Map<string, Reference>();
  #closed = false;

  /** Called when the module has used up its fuel. */
  #outOfFuel: (reason: number) => void = refuel;
  #abandoned = false;
  /** What the host function under way yields, and what follows. */
  #yieldCount = 0;
  #yieldNext: KFunction = NULL;

  /** Opens a state with Lua's standard libraries. */
  static async create(module: WebAssembly.Module): Promise<State> {
    let state: State | undefined;
    const exports = await instantiateLua(module, (reason) => {
      if (state !== undefined) state.#outOfFuel(reason);
    });
    exports.fuel.value = START_FUEL;
    state = new State(exports);
    return state;
  }

  private constructor(exports: LuaExports) {
    this.exports = exports;
    this.memory = new Memory(exports);
    this.mainThread = exports.luaL_newstate();
    this.errors = new ErrorTexts(this);
    const { panic } = this.addFunctions({ panic: (L) => this.#panic(L) });
    exports.lua_atpanic(this.mainThread, panic);
    this.threadFields = new ThreadFields(
      exports,
      this.memory,
      this.mainThread,
      (run) => this.addFunctions({ run }).run,
    );
    exports.luaL_openlibs(this.mainThread);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True after a JavaScript exception has passed through the VM: nothing may call into it any more. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** Gives the VM up: it is not closed properly, its memory goes with the last reference to it. */
  abandon(): void {
    this.#abandoned = true;
    this.#closed = true;
  }

  /** Who looks at the clock when fuel is used up; `reason`: in a loop of a library in C, which an error may end. */
  setFuelWatch(outOfFuel: (reason: number) => void): void {
    this.#outOfFuel = outOfFuel;
  }

  /** References held now, without interned constants. */
  get references(): number {
    return this.#references;
  }

  /** Frees the VM; finalisers of its objects run. Nothing may be called afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.exports.lua_close(this.mainThread);
  }

  // ---- functions ------------------------------------------------------------------------------------------------

  /**
   * Makes JavaScript functions callable from Lua. A LuaError, GatewayError or RangeError they throw becomes a Lua error, and so
   * does what the system has no room for (a package that is loaded at its first use finds no descriptor);
   * anything else is a defect of the gateway and leaves the VM unusable.
   */
  addFunctions<K extends string>(functions: Readonly<Record<K, HostFunction>>): Record<K, CFunction> {
    const guarded = Object.fromEntries(
      Object.entries<HostFunction>(functions).map(([name, run]) => [name, this.#guard(name, run)]),
    ) as Record<K, HostFunction>;
    return addHostFunctions(this.exports, guarded);
  }

  addContinuation(given: HostContinuation): KFunction {
    const run = CHECKS_STACK ? checkedFunction(this.exports, given.name, YIELDS, given) : given;
    const { lua_yieldk } = this.exports;
    const guarded: HostContinuation = (L, status, context) => {
      let results: number;
      try {
        results = run(L, status, context);
      } catch (thrown) {
        return this.#raise(L, thrown);
      }
      return results === YIELDS ? lua_yieldk(L, this.#yieldCount, 0, this.#yieldNext) : results;
    };
    return addHostContinuations(this.exports, { run: guarded }).run;
  }

  /** The function Lua would call through this pointer, for host functions that stand before a library's own. */
  nativeFunction(pointer: CFunction): HostFunction {
    return this.exports.__indirect_function_table.get(pointer) as unknown as HostFunction;
  }

  /** Sets functions as fields of the table at `index`. */
  setFunctions(L: LuaThread, index: number, functions: Readonly<Record<string, CFunction>>): void {
    const table = this.exports.lua_absindex(L, index);
    for (const [name, pointer] of Object.entries(functions)) {
      this.exports.lua_pushcclosure(L, pointer, 0);
      this.exports.lua_setfield(L, table, this.memory.constant(name));
    }
  }

  // ---- stack ----------------------------------------------------------------------------------------------------

  pop(L: LuaThread, n = 1): void {
    this.exports.lua_settop(L, -n - 1);
  }

  type(L: LuaThread, index: number): number {
    return this.exports.lua_type(L, index);
  }

  /** The name of a value's basic type as Lua's error messages write it. */
  typeName(L: LuaThread, index: number): string {
    const names = [
      'no value',
      'nil',
      'boolean',
      'light userdata',
      'number',
      'string',
      'table',
      'function',
      'userdata',
      'thread',
    ];
    return names[this.exports.lua_type(L, index) + 1] ?? 'no value';
  }

  pushString(L: LuaThread, text: string): void {
    const size = text.length;
    // most strings are short: no closure for them
    if (this.memory.scratch(size) !== undefined) {
      this.exports.lua_pushlstring(L, this.memory.scratchString(text), size);
    } else this.memory.withString(text, (at) => this.exports.lua_pushlstring(L, at, size));
  }

  /** The same where nothing protects the call; false when there is no memory for it. */
  tryPushString(L: LuaThread, text: string): boolean {
    return !(this.attempt(() => this.pushString(L, text)) instanceof ScriptError);
  }

  /** Pushes a text of the gateway's own, which may quote anything, as UTF-8 where it is no byte string. */
  pushMessage(L: LuaThread, text: string): void {
    this.pushString(L, NO_BYTES.test(text) ? Buffer.from(text).toString('latin1') : text);
  }

  pushBytes(L: LuaThread, bytes: Uint8Array): void {
    this.memory.withBytes(bytes, (at, size) => this.exports.lua_pushlstring(L, at, size));
  }

  /** Pushes a whole number as a Lua integer. */
  pushInteger(L: LuaThread, value: number): void {
    this.exports.lua_pushinteger(L, SMALL_INTEGERS[value] ?? BigInt(value));
  }

  /** Pushes a constant string that is kept in the VM: for keys and values that come again and again. */
  pushInterned(L: LuaThread, text: string): void {
    let reference = this.#interned.get(text);
    if (reference === undefined) {
      this.pushString(L, text);
      reference = this.#newReference();
      this.exports.lua_rawsetp(L, REGISTRY_INDEX, reference);
      this.#interned.set(text, reference);
    }
    this.exports.lua_rawgetp(L, REGISTRY_INDEX, reference);
  }

  /**
   * Pushes a string of `size` bytes, more than 40, whose bytes the caller writes at the address that is returned, before
   * any code of a script can see it: long results need no second copy inside the VM.
   */
  pushBlank(L: LuaThread, size: number): CString {
    assert(size > SHORT_STRING_BYTES_MAX, 'a short string is looked up when it is made');
    // whatever lies at the start of the memory, which has as many bytes
    this.exports.lua_pushlstring(L, NULL as CString, size);
    return this.exports.lua_tolstring(L, -1, this.memory.sizeOut);
  }

  /** The string (or number as string) at `index` as a byte string, at most its first `bytesMax`; undefined for other types. */
  toString(L: LuaThread, index: number, bytesMax: number = ARGUMENT_BYTES_MAX): string | undefined {
    const at = this.exports.lua_tolstring(L, index, this.memory.sizeOut);
    return at === 0 ? undefined : this.#readString(at, Math.min(this.memory.lastSize, bytesMax));
  }

  /** What Lua's `tostring` says of the value, with metamethods, at most the first `bytesMax` bytes. May raise. */
  toDisplayString(L: LuaThread, index: number, bytesMax: number = ARGUMENT_BYTES_MAX): string {
    const at = this.exports.luaL_tolstring(L, index, this.memory.sizeOut);
    const text = this.#readString(at, Math.min(this.memory.lastSize, bytesMax));
    this.pop(L);
    return text;
  }

  /** Values `from` to the last as `print` shows them, with `separator` between, at most `bytesMax` bytes. May raise. */
  toDisplayStrings(L: LuaThread, from: number, separator: string, bytesMax: number): string {
    const count = this.exports.lua_gettop(L);
    let text = '';
    for (let i = from; i <= count && text.length < bytesMax; i++) {
      if (i > from) {
        text += separator;
        this.exports.pay(UNITS_PER_SHOWN);
      }
      text += this.toDisplayString(L, i, bytesMax - text.length);
    }
    return text.slice(0, bytesMax);
  }

  // ---- arguments of host functions ------------------------------------------------------------------------------

  /** The string argument `n`; raises like Lua's own functions when it is not one, and when it has more than `bytesMax`. */
  checkString(L: LuaThread, n: number, bytesMax: number = ARGUMENT_BYTES_MAX): string {
    const at = this.exports.luaL_checklstring(L, n, this.memory.sizeOut);
    const size = this.memory.lastSize;
    if (size > bytesMax)
      return this.argumentError(L, n, `string of ${size} bytes is longer than the limit of ${bytesMax}`);
    return this.#readString(at, size);
  }

  optionalString(L: LuaThread, n: number, bytesMax: number = ARGUMENT_BYTES_MAX): string | undefined {
    return this.exports.lua_type(L, n) <= LUA_TYPE.nil ? undefined : this.checkString(L, n, bytesMax);
  }

  /** What is made of a long string outside takes about as long as a loop round for each byte. */
  #readString(at: CString, size: number): string {
    if (size > FREE_BYTES_MAX) this.exports.pay(size);
    return this.memory.readString(at, size);
  }

  /** The integer argument `n`, exact up to 2^53. */
  checkInteger(L: LuaThread, n: number): number {
    if (this.exports.lua_isinteger(L, n) !== 0) return this.exports.lua_tonumberx(L, n, NULL);
    return Number(this.exports.luaL_checkinteger(L, n));
  }

  /** Raises `bad argument #n to 'function' (message)`. */
  argumentError(L: LuaThread, n: number, message: string): never {
    this.memory.withString(`${message}\0`, (at) => this.exports.luaL_argerror(L, n, at));
    throw new Error('luaL_argerror does not return');
  }

  // ---- references -----------------------------------------------------------------------------------------------

  /** Pops the value on top of the stack and keeps it. */
  keep(L: LuaThread): Reference {
    const reference = this.#newReference();
    this.exports.lua_rawsetp(L, REGISTRY_INDEX, reference);
    this.#references += 1;
    return reference;
  }

  pushReference(L: LuaThread, reference: Reference): void {
    this.exports.lua_rawgetp(L, REGISTRY_INDEX, reference);
  }

  release(reference: Reference): void {
    const L = this.mainThread;
    this.exports.lua_pushnil(L);
    this.exports.lua_rawsetp(L, REGISTRY_INDEX, reference);
    this.#freeReferences.push(reference);
    this.#references -= 1;
  }

  /**
   * Makes the host function under way yield the `count` values on top of its stack as soon as it returns this method's
   * result; `next` is called in its place when the thread is resumed.
   */
  yield(count: number, next: KFunction): number {
    this.#yieldCount = count;
    this.#yieldNext = next;
    return YIELDS;
  }

  // ---- calls from the host ---------------------------------------------------------------------------------------

  /** Compiles a chunk, as `mode` of Lua's `load` allows, and leaves its function on the stack; throws ScriptError with Lua's message. */
  load(L: LuaThread, source: Uint8Array, chunkName: string, mode: ChunkMode = 't'): void {
    const modeName = this.memory.constant(mode);
    const size = source.length;
    const chunk = Buffer.concat([source, Buffer.from(`${chunkName}\0`, 'latin1')]);
    const status = this.memory.withCopy(chunk, (at) =>
      this.exports.luaL_loadbufferx(L, at, size, (at + size) as CString, modeName),
    );
    if (status !== LUA_STATUS.ok) throw new ScriptError(this.errors.take(L));
  }

  /** Calls the function below its `argumentCount` arguments outside any coroutine; throws ScriptError with traceback. */
  call(L: LuaThread, argumentCount: number, resultCount: number): void {
    const x = this.exports;
    const base = x.lua_gettop(L) - argumentCount;
    x.lua_pushcclosure(L, this.errors.withTraceback, 0);
    x.lua_rotate(L, base, 1);
    const status = x.lua_pcallk(L, argumentCount, resultCount, base, 0, NULL);
    x.lua_rotate(L, base, -1);
    this.pop(L);
    if (status !== LUA_STATUS.ok) throw new ScriptError(this.errors.take(L));
  }

  /** Runs `run` outside Lua's protection; an error Lua raises there (it is out of memory) is returned. */
  attempt<T>(run: (L: LuaThread) => T, L: LuaThread = this.mainThread): T | ScriptError {
    const stackPointer = this.exports.stackSave();
    try {
      return run(L);
    } catch (thrown) {
      if (!(thrown instanceof ScriptError || thrown instanceof RangeError)) throw thrown;
      this.exports.stackRestore(stackPointer);
      return thrown instanceof ScriptError ? thrown : new ScriptError(thrown.message);
    }
  }

  /** Raises an error without position in `L`; does not return. */
  raise(L: LuaThread, message: string): number {
    this.pushString(L, message);
    return this.exports.lua_error(L);
  }

  #guard(name: string, given: HostFunction): HostFunction {
    const run = CHECKS_STACK ? checkedFunction(this.exports, name, YIELDS, given) : given;
    // Lua leaves a C function that yields by a longjmp, an exception here: nobody on its way must catch it and throw it again
    const { lua_yieldk } = this.exports;
    return (L) => {
      let results: number;
      try {
        results = run(L);
      } catch (thrown) {
        return this.#raise(L, thrown);
      }
      return results === YIELDS ? lua_yieldk(L, this.#yieldCount, 0, this.#yieldNext) : results;
    };
  }

  /** Turns what a host function threw into a Lua error. */
  #raise(L: LuaThread, thrown: unknown): number {
    if (isLongjmp(thrown)) throw thrown;
    if (thrown instanceof LuaError) this.#pushPositioned(L, thrown.message, thrown.level);
    else if (thrown instanceof GatewayError) this.#pushPositioned(L, thrown.message, 1);
    else if (thrown instanceof RangeError) this.pushString(L, thrown.message);
    else if (LACKS.has(systemCodeOf(thrown) ?? ''))
      this.#pushPositioned(L, `the system has no room for it: ${systemCodeOf(thrown)}`, 1);
    else throw thrown;
    return this.exports.lua_error(L);
  }

  #pushPositioned(L: LuaThread, message: string, level: number): void {
    let position = '';
    if (level > 0) {
      this.exports.luaL_where(L, level);
      position = this.toString(L, -1) ?? '';
      this.pop(L);
    }
    this.pushMessage(L, position + message);
  }

  /** Lua raised an error where nothing catches it: out of memory while the host prepares a call. */
  #panic(L: LuaThread): never {
    throw new ScriptError(this.toString(L, -1) ?? 'not enough memory');
  }

  #newReference(): Reference {
    const free = this.#freeReferences.pop();
    if (free !== undefined) return free;
    this.#nextReference += 1;
    return this.#nextReference as Reference;
  }
}

function refuel(): void {}
