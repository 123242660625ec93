/** Measures how long a new Lua state takes. The module is compiled once; each further worker only makes an instance of it. */

import { State } from '../../src/lua/state.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { median } from '../median.ts';
import type { Measure } from './measure.ts';

const STATES = 15;

/** Runs in this process after V8 has optimized the module, as is the case when a state is replaced or a worker is added. */
export const freshState: Measure = async () => {
  await State.create(await compileLuaModule(DEFAULT_LIMITS));
  return {
    sample: async () => {
      const start = performance.now();
      const module = await compileLuaModule(DEFAULT_LIMITS);
      const compileMs = performance.now() - start;
      const times: number[] = [];
      for (let i = 0; i < STATES; i++) {
        const before = performance.now();
        const state = await State.create(module);
        times.push(performance.now() - before);
        state.close();
      }
      return { stateMs: median(times), compileMs };
    },
    close: async () => undefined,
  };
};
