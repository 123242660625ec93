/** Failures of calls to upstreams, for the log, for clients (502, 503, 504) and for `nil, message, code`. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError, systemCodeOf } from '../base/errors.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { describeFailure, reasonOf } from '../outbound/failure-reason.ts';

const BAD_GATEWAY = 502;
/** The gateway is short of something, and the upstream is not to blame: 503. */
const NO_DESCRIPTORS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE']);
const STATUSES: Partial<Record<LuaCode, number>> = { timeout: 504, limit: 503 };

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
  if (thrown instanceof GatewayError) return callError(thrown.luaCode, name, thrown.message, thrown);
  const reason = NO_DESCRIPTORS.has(systemCodeOf(thrown) ?? '') ? 'limit' : reasonOf(thrown);
  return callError(reason, name, describeFailure(thrown) + remedyOf(systemCodeOf(thrown) ?? ''), thrown);
}

/** Certificates of an authority that nobody has named. */
const UNKNOWN_AUTHORITY =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/;

/** The option that helps, for what goes wrong most often with certificates. */
function remedyOf(code: string): string {
  if (UNKNOWN_AUTHORITY.test(code))
    return ' (the option tls.ca, or --proxy-ca, names the authority to trust)';
  if (code !== 'ERR_TLS_CERT_ALTNAME_INVALID') return '';
  return ' (the option tls.servername, or --proxy-servername, says which name the certificate has)';
}
