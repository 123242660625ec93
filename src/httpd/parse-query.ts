/** Makes a table of `a=1&b&c=2`, for `httpd.query` and for forms. */
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { Failure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import { QUERY_PARTS_MAX, QueryParser } from './query-parser.ts';

/**
 * Pushes a table, which is made of the string at `index`, and goes on with `done` in the same host function, perhaps after a
 * suspension. `what` is what messages call the string.
 */
export function parseQuery(
  scheduler: CoroutineScheduler,
  L: LuaThread,
  what: string,
  index: number,
  done: (L: LuaThread, failure: Failure | undefined) => number,
): number {
  const { exports: x, memory } = scheduler.state;
  const at = x.lua_tolstring(L, index, memory.sizeOut);
  const parser = new QueryParser(scheduler, at, memory.lastSize);
  x.lua_createtable(L, 0, 4);
  return workInSlices(
    scheduler,
    L,
    (T) => parser.step(T),
    (T) => done(T, failureOf(parser, what)),
    () => parser.cancel(),
  );
}

function failureOf({ failure }: QueryParser, what: string): Failure | undefined {
  if (failure === undefined) return undefined;
  const reason =
    failure === 'invalid' ? 'an escape is invalid' : `it has more parts than the limit of ${QUERY_PARTS_MAX}`;
  return { message: `Cannot parse the ${what}: ${reason}`, luaCode: failure };
}
