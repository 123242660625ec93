/** Makes errors of the gateway for connections of scripts that have failed. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError } from '../base/errors.ts';
import { describeFailure, reasonOf } from './failure-reason.ts';

/** A failure for `nil, message, code`; `action`: what cannot be done, "connect to". */
export function socketFailure(
  reason: LuaCode,
  action: string,
  place: string,
  text: string,
  cause?: unknown,
): GatewayError {
  const code = `LGW_CONNECT_${reason.toUpperCase() as Uppercase<LuaCode>}` as const;
  return new GatewayError(code, `Cannot ${action} "${place}": ${text}`, {
    luaCode: reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The failure for a value that node:net or node:tls has thrown. */
export function socketErrorOf(action: string, place: string, thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return socketFailure(reasonOf(thrown), action, place, describeFailure(thrown), thrown);
}
