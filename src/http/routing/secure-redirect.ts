/** Answers requests of a listener without TLS: the same host and target, over TLS (RFC 9110 §15.4). */
import { isAuthority } from '../../base/authority.ts';
import { hostOfAuthority } from '../../base/host-name.ts';
import { respondWithError } from '../exchange/error-response.ts';
import type { Exchange } from '../exchange/exchange.ts';

/** What an authority of certificates asks for over cleartext (RFC 8555 §8.3): it may be served here. */
const CHALLENGES = '/.well-known/acme-challenge/';
const SECURE_PORT = 443;
/** For GET and HEAD; 308 keeps the method and the body of all others. */
const MOVED = 301;
const MOVED_WITH_METHOD = 308;

/** `port`: where the gateway speaks TLS; `serve` gets the challenges. */
export function redirectToSecure(
  exchange: Exchange,
  port: number,
  serve: (exchange: Exchange) => void,
): void {
  const { authority, method, target } = exchange;
  if (target.startsWith(CHALLENGES)) {
    serve(exchange);
    return;
  }
  const host = isAuthority(authority) ? hostOfAuthority(authority) : undefined;
  // `*` of OPTIONS is nowhere to go; a host of HTTP/1.0 may not be named
  if (host === undefined || !PLAIN_TARGET.test(target)) {
    respondWithError(exchange, 400);
    return;
  }
  const location = `https://${host}${port === SECURE_PORT ? '' : `:${port}`}${target}`;
  const keepsMethod = method !== 'GET' && method !== 'HEAD';
  exchange.head(keepsMethod ? MOVED_WITH_METHOD : MOVED, ['location', location, 'content-length', '0']);
  exchange.end();
}

/** The path and query of a request, and not `*` or an address of its own. */
const PLAIN_TARGET = /^\/[\x21-\x7e]*$/;
