/** How long a new Lua state takes: the module is compiled once, and what a second worker pays is an instance. */

import { State } from '../../src/lua/state.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { median } from '../median.ts';
import type { Measure } from './measure.ts';

const STATES = 15;

/** In this process, with V8's code of the module warm, as it is when a state is replaced or a worker joins. */
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
