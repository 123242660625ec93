/** Says which requests are refused because of their method, their expectation, their content-length or the protocol that they ask for. */
import { isKnownMethod } from '../semantics/methods.ts';

/**
 * Returns the status that refuses a request; 0 when the request is served. `expect`: the lower-case value of the field;
 * `connectProtocol`: of an extended CONNECT.
 */
export function refusalOf(
  method: string,
  expect: string | undefined,
  declaredLength: number | undefined,
  bodyBytesMax: number,
  connectProtocol?: string,
): number {
  if (!isKnownMethod(method)) return 501;
  if (connectProtocol !== undefined && connectProtocol.toLowerCase() !== WEBSOCKET) return 501;
  if (expect !== undefined && expect !== CONTINUE) return 417;
  return declaredLength !== undefined && declaredLength > bodyBytesMax ? 413 : 0;
}

/**
 * True where an extended CONNECT may have `scheme` (RFC 8441 §5): https stands for wss, http for ws, which nobody asks for over TLS. Over
 * cleartext both may come, since a proxy may have taken the TLS off.
 */
export function mayConnectBy(scheme: string | undefined, schemeOfConnection: 'https' | 'http'): boolean {
  const given = scheme?.toLowerCase();
  return given === 'https' || (given === 'http' && schemeOfConnection === 'http');
}

/** The only expectation that RFC 9110 §10.1.1 defines. */
export const CONTINUE = '100-continue';

/** The only protocol that an extended CONNECT may ask for here (RFC 8441 §5). */
const WEBSOCKET = 'websocket';
