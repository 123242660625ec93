/**
 * `httpd.cache(key, options, fn)`: values that a script has computed, kept in its state for a time, and computed once for all who ask
 * meanwhile.
 */
import type { PurgeMarks } from '../cache/purge-marks.ts';
import type { Coroutine } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { readLuaSource } from '../lua/lua-source.ts';
import type { Reference } from '../lua/state.ts';
import { takeTurn } from '../lua/turns.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { readOptionTable } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { readTags } from './cache-tags.ts';

const PRELUDE = readLuaSource('httpd/kept-values.lua');
/** Values of one script; what was not asked for longest goes first. Their memory is that of the state. */
const VALUES_MAX = 10_000;
/** Bytes of a key. */
const KEY_BYTES_MAX = 1024;
/** The longest wait for the value that another one computes; then the waiting one computes it, too. */
const WAIT_MS_MAX = 5000;
/** Types of the arguments. */
const ARGUMENTS = ['string', 'table', 'function'] as const;
/** Of the functions under way, the one that the script has called. */
const CALLER = 2;

interface Options {
  ttlMs: number;
  staleMs: number;
  tags: readonly string[];
}

interface Kept {
  readonly value: Reference;
  /** Times of performance.now. */
  readonly freshUntil: number;
  readonly staleUntil: number;
  readonly marks: readonly number[];
  readonly purgesBefore: number;
  readonly askedAt: number;
}

/** Who computes the value of a key. */
interface Computation {
  readonly number: number;
  readonly key: string;
  readonly options: Options;
  readonly purgesBefore: number;
  readonly askedAt: number;
  /** Those who wait for it. */
  readonly waiting: Set<() => void>;
}

export class KeptValues {
  readonly #script: ScriptContext;
  readonly #marks: PurgeMarks;
  readonly #kept = new Map<string, Kept>();
  /** By key: the one that others wait for. */
  readonly #computing = new Map<string, Computation>();
  readonly #byNumber = new Map<number, Computation>();
  #lastNumber = 0;

  constructor(script: ScriptContext) {
    this.#script = script;
    this.#marks = script.cache.marks;
  }

  /** Pushes the function that is called with the table `httpd.cache`, a key, options and a function. */
  pushFunction(L: LuaThread): void {
    const { state } = this.#script;
    const { exports: x } = state;
    const { enter, settle } = state.addFunctions({
      enter: (T) => this.#enter(T),
      settle: (T) => this.#settle(T),
    });
    state.load(L, PRELUDE, '=gateway');
    x.lua_pushcclosure(L, enter, 0);
    x.lua_pushcclosure(L, settle, 0);
    state.call(L, 2, 1);
  }

  /** `true` and the value, or `false` and the number of the computation that the caller begins. */
  #enter(L: LuaThread): number {
    const { state, scheduler } = this.#script;
    this.#checkTypes(L);
    const key = state.checkString(L, 1);
    if (key.length > KEY_BYTES_MAX)
      throw new LuaError(`the key of a value has ${key.length} bytes and the limit is ${KEY_BYTES_MAX}`);
    const options = this.#readOptions(L);
    const kept = this.#find(key);
    const now = performance.now();
    const running = this.#computing.get(key);
    if (kept !== undefined && (now < kept.freshUntil || (running !== undefined && now < kept.staleUntil)))
      return this.#pushKept(L, key, kept);
    const canWait = running !== undefined && currentRun(scheduler) !== undefined && scheduler.canWait(L);
    return canWait ? this.#wait(L, key, options, running) : this.#begin(L, key, options);
  }

  /** Messages name the function that the script has called, not this one. */
  #checkTypes(L: LuaThread): void {
    const { state } = this.#script;
    for (const [i, wanted] of ARGUMENTS.entries())
      if (state.exports.lua_type(L, i + 1) !== LUA_TYPE[wanted])
        throw new LuaError(
          `cache wants a key, options and a function: argument #${i + 1} is ${state.typeName(L, i + 1)}`,
          CALLER,
        );
  }

  #readOptions(L: LuaThread): Options {
    const { state } = this.#script;
    const options: Options = { ttlMs: 0, staleMs: 0, tags: [] };
    readOptionTable(state, L, 2, 'cache', {
      ttl: (name) => {
        options.ttlMs = secondsOption(state, L, name);
      },
      stale: (name) => {
        options.staleMs = secondsOption(state, L, name);
      },
      tags: (name) => {
        options.tags = readTags(state, L, name);
      },
    });
    if (options.ttlMs === 0) throw new LuaError('cache wants an option "ttl", a number of seconds above 0');
    return options;
  }

  #find(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (!this.#marks.isPurged(kept))
      return this.#marks.isDoubtful(kept, performance.now()) ? undefined : kept;
    this.#forget(key, kept);
    return undefined;
  }

  #pushKept(L: LuaThread, key: string, kept: Kept): number {
    const { state } = this.#script;
    // others go first
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    state.exports.lua_pushboolean(L, 1);
    state.pushReference(L, kept.value);
    return 2;
  }

  #begin(L: LuaThread, key: string, options: Options): number {
    const { state } = this.#script;
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const computation = {
      number,
      key,
      options,
      purgesBefore: this.#marks.number,
      askedAt: performance.now(),
      waiting: new Set<() => void>(),
    };
    this.#byNumber.set(number, computation);
    if (!this.#computing.has(key)) this.#computing.set(key, computation);
    state.exports.lua_pushboolean(L, 0);
    state.pushInteger(L, number);
    return 2;
  }

  #wait(L: LuaThread, key: string, options: Options, { waiting }: Computation): number {
    const coroutine: Coroutine = this.#script.scheduler.running;
    // many may wake at once: they take turns with everybody else
    let cancelTurn: (() => void) | undefined;
    const wake = (): void => {
      clearTimeout(timer);
      waiting.delete(wake);
      cancelTurn = takeTurn(coroutine.turnOwner, coroutine.goOn);
    };
    const timer = setTimeout(wake, WAIT_MS_MAX);
    waiting.add(wake);
    return coroutine.wait(
      L,
      (T) => {
        const kept = this.#find(key);
        const isKept = kept !== undefined && performance.now() < kept.freshUntil;
        return isKept ? this.#pushKept(T, key, kept) : this.#begin(T, key, options);
      },
      () => {
        clearTimeout(timer);
        waiting.delete(wake);
        cancelTurn?.();
      },
    );
  }

  /** The computation with this number has ended: with values, of which the first is kept, or without. Returns the values. */
  #settle(L: LuaThread): number {
    const { state } = this.#script;
    const { exports: x } = state;
    const number = Number(x.lua_tointegerx(L, 1, NULL));
    const computation = this.#byNumber.get(number);
    const count = x.lua_gettop(L) - 1;
    if (computation === undefined) return count;
    const { key, waiting } = computation;
    this.#byNumber.delete(number);
    if (this.#computing.get(key) === computation) this.#computing.delete(key);
    if (count > 0 && x.lua_type(L, 2) !== LUA_TYPE.nil) {
      x.lua_pushvalue(L, 2);
      this.#keep(computation, state.keep(L));
    }
    for (const wake of [...waiting]) wake();
    return count;
  }

  #keep({ key, options, purgesBefore, askedAt }: Computation, value: Reference): void {
    const { ttlMs, staleMs, tags } = options;
    const before = this.#kept.get(key);
    if (before !== undefined) this.#forget(key, before);
    const freshUntil = performance.now() + ttlMs;
    const marks = tags.map((tag) => this.#marks.ofTag(tag));
    this.#kept.set(key, {
      value,
      freshUntil,
      staleUntil: freshUntil + staleMs,
      marks,
      purgesBefore,
      askedAt,
    });
    if (this.#kept.size <= VALUES_MAX) return;
    for (const [oldest, kept] of this.#kept) {
      this.#forget(oldest, kept);
      break;
    }
  }

  #forget(key: string, { value }: Kept): void {
    this.#kept.delete(key);
    this.#script.state.release(value);
  }
}
