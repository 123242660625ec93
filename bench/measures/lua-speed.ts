/** Measures CPU-bound Lua in this process: the VM with the guard, the same VM without the guard, and wasmoon. */
import { createRequire } from 'node:module';
import { type CoroutineOwner, cpuBudget } from '../../src/lua/coroutine.ts';
import { CoroutineScheduler } from '../../src/lua/coroutine-scheduler.ts';
import { State } from '../../src/lua/state.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import type { Measure } from './measure.ts';

const { LuaFactory }: typeof import('wasmoon') = createRequire(import.meta.url)('wasmoon');

/** Each script takes some ten milliseconds. Together they cover what scripts usually compute. */
const SCRIPTS: Readonly<Record<string, string>> = {
  recursion: 'local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end fib(24)',
  loops: 'local x = 0 for i = 1, 1500000 do x = x + i % 7 end',
  'while and if': `local x, i = 0, 0
    while i < 1000000 do i = i + 1 if i % 3 == 0 then x = x + 1 elseif i % 5 == 0 then x = x - 1 end end`,
  'table fill':
    'for n = 1, 5 do local t = {} for i = 1, 60000 do t[i] = i end for i = 1, #t do t[i] = t[i] + 1 end end',
  'string building': `local parts = {} for i = 1, 40000 do parts[#parts + 1] = 'item ' .. i end
    local s = table.concat(parts, ',') for i = 1, 50 do s:upper():rep(2) end`,
  gmatch: `local text, n = ('some words of a text, '):rep(4000), 0
    for word in text:gmatch('%a+') do n = n + #word end`,
  sort: `local t, seed = {}, 42
    for i = 1, 20000 do seed = seed * 1103515245 + 12345 & 0x7fffffff t[i] = seed end
    table.sort(t) table.sort(t, function(a, b) return a > b end)`,
  'method calls': `local counter = { n = 0 } function counter:add(k) self.n = self.n + k return self end
    for i = 1, 400000 do counter:add(i) end`,
};
/**
 * Runs of each script on each VM, in turns, in one sample. The shortest run counts, because disturbances only make a run
 * longer.
 */
const RUNS = 11;
const WARM_UP_RUNS = 3;

/** Runs the text once; resolves to the duration in ms. */
type Vm = (source: string) => Promise<number>;

/** The sample holds the worst ratio of all scripts for each of the two comparisons. */
export const luaSpeed: Measure = async () => {
  const guarded = await createVm(true);
  const unguarded = await createVm(false);
  const wasmoon = await createWasmoon();
  for (const source of Object.values(SCRIPTS))
    for (const vm of [guarded, unguarded, wasmoon]) await repeat(WARM_UP_RUNS, () => vm(source));
  return {
    sample: async () => {
      const sample: Record<string, number> = { timesUnguarded: 0, timesWasmoon: 0 };
      for (const [name, source] of Object.entries(SCRIPTS)) {
        const rows = await repeat(RUNS, async () => [
          await guarded(source),
          await unguarded(source),
          await wasmoon(source),
        ]);
        const shortest = (vm: number): number => Math.min(...rows.map((row) => row[vm] as number));
        const guard = shortest(0) / shortest(1);
        sample[name] = guard;
        sample['timesUnguarded'] = Math.max(sample['timesUnguarded'] ?? 0, guard);
        sample['timesWasmoon'] = Math.max(sample['timesWasmoon'] ?? 0, shortest(0) / shortest(2));
      }
      return sample;
    },
    close: async () => undefined,
  };
};

async function createVm(guarded: boolean): Promise<Vm> {
  const { memoryBytesMax } = DEFAULT_LIMITS;
  const state = await State.create(await compileLuaModule({ memoryBytesMax, guarded }));
  const scheduler = new CoroutineScheduler(state, (reason) => {
    throw reason;
  });
  return (source) =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const owner: CoroutineOwner = {
        finished: () => resolve(performance.now() - start),
        failed: (message) => reject(new Error(message)),
        suspended: () => undefined,
      };
      const begin = (L: Parameters<typeof state.load>[0]): number => {
        state.load(L, Buffer.from(source), '=bench');
        return 0;
      };
      scheduler.start(owner, begin, cpuBudget(Number.POSITIVE_INFINITY));
    });
}

async function createWasmoon(): Promise<Vm> {
  const engine = await new LuaFactory().createEngine();
  return async (source) => {
    const start = performance.now();
    await engine.doString(source);
    return performance.now() - start;
  };
}

async function repeat<T>(times: number, act: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < times; i++) results.push(await act());
  return results;
}
