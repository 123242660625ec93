/** What Lua gets where a form cannot be read: `nil, message, code, status`. */
import { GatewayError } from '../base/errors.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { type Failure, pushFailure } from '../lua/push-failure.ts';
import type { State } from '../lua/state.ts';

const BAD_REQUEST = 400;
const CONTENT_TOO_LARGE = 413;

/** Pushes the four values, and returns their number. The status is the one that the client should get. */
export function pushFormFailure(state: State, L: LuaThread, failure: Failure): number {
  const count = pushFailure(state, L, failure);
  const given = failure instanceof GatewayError ? failure.status : undefined;
  state.pushInteger(L, given ?? (failure.luaCode === 'limit' ? CONTENT_TOO_LARGE : BAD_REQUEST));
  return count + 1;
}
