/** Failures of calls to upstreams, for the log, for clients (502, 503, 504) and for `nil, message, code`. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';

const BAD_GATEWAY = 502;
const STATUSES: Partial<Record<LuaCode, number>> = { timeout: 504, limit: 503 };

const REASONS: ReadonlyMap<string, LuaCode> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['EADDRNOTAVAIL', 'refused'],
  ['ENOENT', 'notfound'],
  ['ENOTFOUND', 'notfound'],
  ['EAI_AGAIN', 'notfound'],
  ['ETIMEDOUT', 'timeout'],
  ['ECONNRESET', 'closed'],
  ['EPIPE', 'closed'],
  ['EACCES', 'denied'],
  ['EPROTO', 'denied'],
  ['EMFILE', 'limit'],
  ['ENFILE', 'limit'],
]);
/** Codes of failed certificate checks and TLS handshakes. */
const TLS_CODES =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|DEPTH_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_|INVALID_(?:CA|PURPOSE))/;

/** A failure of a call to `name`, with the status that its client gets. */
export function callError(reason: LuaCode, name: string, text: string, cause?: unknown): GatewayError {
  const code = `LGW_PROXY_${reason.toUpperCase() as Uppercase<LuaCode>}` as const;
  return new GatewayError(code, `Cannot pass the request on to ${name}: ${text}`, {
    luaCode: reason,
    status: STATUSES[reason] ?? BAD_GATEWAY,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The failure for what a socket has thrown. */
export function callErrorOf({ name }: ProxyTarget, thrown: unknown): GatewayError {
  const code = systemCodeOf(thrown);
  // where several addresses were tried, each has an error
  const first = thrown instanceof AggregateError && thrown.message === '' ? thrown.errors[0] : thrown;
  if (thrown instanceof GatewayError) return callError(thrown.luaCode, name, thrown.message, thrown);
  return callError(reasonOf(code), name, messageOf(first), thrown);
}

function reasonOf(code: string | undefined): LuaCode {
  if (code === undefined) return 'io';
  return REASONS.get(code) ?? (TLS_CODES.test(code) ? 'denied' : 'io');
}
