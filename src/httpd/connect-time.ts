/** Reads the time for a connection to another server, which has an upper bound. */
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { CONNECT_TIMEOUT_MS_MAX } from '../outbound/outbound-limits.ts';
import { secondsOption } from '../script/run/seconds.ts';

/** The value on top of the stack in milliseconds, for the option `name`; raises above the limit. */
export function connectMsOption(state: State, L: LuaThread, name: string): number {
  const ms = secondsOption(state, L, name);
  if (ms <= CONNECT_TIMEOUT_MS_MAX) return ms;
  throw new LuaError(`option "${name}" is above its limit of ${CONNECT_TIMEOUT_MS_MAX / 1000} s`);
}
