/** Makes errors of the gateway for outgoing requests that have failed. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError } from '../base/errors.ts';
import { describeFailure, reasonOf } from './failure-reason.ts';

/** Returns the URL of a fetch for messages: without its query, which may hold secrets. */
interface FetchUrl {
  readonly origin: string;
  readonly pathname: string;
}

/** A failure of a fetch, for `nil, message, code`. */
export function fetchFailure(reason: LuaCode, url: FetchUrl, text: string, cause?: unknown): GatewayError {
  const code = `LGW_FETCH_${reason.toUpperCase() as Uppercase<LuaCode>}` as const;
  return new GatewayError(code, `Cannot fetch "${url.origin}${url.pathname}": ${text}`, {
    luaCode: reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Returns the failure for a value that undici, node:tls or the sender of a body has thrown. */
export function fetchErrorOf(url: FetchUrl, thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return fetchFailure(reasonOf(thrown), url, describeFailure(thrown), thrown);
}
