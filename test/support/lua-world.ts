/** A Lua VM with a scheduler and one host function that waits, for tests of src/lua without the rooms above. */
import assert from 'node:assert/strict';
import { type Coroutine, type CoroutineOwner, cpuBudget } from '../../src/lua/coroutine.ts';
import { installCoroutineLibrary } from '../../src/lua/coroutine-library.ts';
import { CoroutineScheduler } from '../../src/lua/coroutine-scheduler.ts';
import { type Fill, LazyTables } from '../../src/lua/lazy-tables.ts';
import type { LuaThread } from '../../src/lua/lua-exports.ts';
import { State } from '../../src/lua/state.ts';
import { eventually, luaModule } from './script-harness.ts';

/** One running Lua function. */
export class Run implements CoroutineOwner {
  outcome: 'running' | 'suspended' | 'finished' | 'failed' = 'running';
  /** The results as text; or the error with its traceback. */
  results: string[] = [];
  message = '';
  suspensions = 0;
  coroutine: Coroutine | undefined;
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  finished(L: LuaThread): void {
    assert.notEqual(this.outcome, 'finished', 'a coroutine ends once');
    this.outcome = 'finished';
    const count = this.#state.exports.lua_gettop(L);
    for (let i = 1; i <= count; i++) this.results.push(this.#state.toDisplayString(L, i));
  }

  failed(message: string): void {
    this.outcome = 'failed';
    this.message = message;
  }

  suspended(): void {
    this.outcome = 'suspended';
    this.suspensions += 1;
  }
}

export class LuaWorld {
  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  readonly lazyTables: LazyTables;
  /** Fills the lazy tables. */
  fill: Fill | undefined;
  /** The values that Lua passed to `note`, one line for each call. */
  readonly notes: string[] = [];
  /** The current waits, oldest first: a name, and the function that ends the wait with a value. */
  readonly waits: { readonly name: string; readonly wake: (value: string) => void; cancelled: boolean }[] =
    [];

  static async create(module?: WebAssembly.Module): Promise<LuaWorld> {
    return new LuaWorld(await State.create(module ?? (await luaModule())));
  }

  private constructor(state: State) {
    this.state = state;
    this.scheduler = new CoroutineScheduler(state, (reason) => {
      throw reason;
    });
    installCoroutineLibrary(this.scheduler);
    this.lazyTables = new LazyTables(
      state,
      (L, argument, number) => this.fill?.(L, argument, number),
      () => false,
    );
    const { exports: x, memory } = state;
    const functions = state.addFunctions({
      note: (L) => {
        const parts: string[] = [];
        for (let i = 1; i <= x.lua_gettop(L); i++) parts.push(state.toDisplayString(L, i));
        this.notes.push(parts.join(' '));
        return 0;
      },
      wait: (L) => this.#wait(L, x.lua_gettop(L) === 0 ? '' : state.checkString(L, 1)),
    });
    for (const [name, pointer] of Object.entries(functions)) {
      x.lua_pushcclosure(state.mainThread, pointer, 0);
      x.lua_setglobal(state.mainThread, memory.constant(name));
    }
  }

  /** Starts the text as a function. */
  run(source: string): Run {
    const run = new Run(this.state);
    run.coroutine = this.scheduler.start(
      run,
      (L) => {
        this.state.load(L, Buffer.from(source, 'latin1'), '=test');
        return 0;
      },
      cpuBudget(Number.POSITIVE_INFINITY),
    );
    return run;
  }

  /** Runs the text, which must not wait, and returns its results as text. */
  evaluate(source: string): string[] {
    const run = this.run(source);
    assert.equal(run.outcome, 'finished', run.message);
    return run.results;
  }

  /** Like `evaluate`, for a text that may run longer than a slice. */
  async evaluateLong(source: string): Promise<string[]> {
    const run = await this.settle(this.run(source));
    assert.equal(run.outcome, 'finished', run.message);
    return run.results;
  }

  /** Waits until the run has ended or waits for the host. */
  async settle(run: Run): Promise<Run> {
    await eventually(() => assert.notEqual(run.outcome, 'running'));
    return run;
  }

  /** Ends the oldest wait. */
  wake(value = 'woken'): void {
    const wait = this.waits.shift();
    assert(wait !== undefined, 'somebody waits');
    wait.wake(value);
  }

  /** Ends all waits, and also the waits that follow from them. */
  wakeAll(): void {
    while (this.waits.length > 0) this.wake(this.waits[0]?.name.toUpperCase());
  }

  /** Suspends until the test calls `wake`; returns the value given there. */
  #wait(L: LuaThread, name: string): number {
    if (!this.scheduler.canWait(L)) {
      this.state.pushString(L, 'cannot wait');
      return 1;
    }
    const coroutine = this.scheduler.running;
    let answer = '';
    const entry = {
      name,
      cancelled: false,
      wake: (value: string) => {
        answer = value;
        coroutine.goOn();
      },
    };
    this.waits.push(entry);
    return coroutine.wait(
      L,
      (T) => {
        this.state.pushString(T, answer);
        return 1;
      },
      () => {
        entry.cancelled = true;
        this.waits.splice(this.waits.indexOf(entry), 1);
      },
    );
  }
}
