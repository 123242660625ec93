/** What a protocol knows of a request when its head is complete. */

import type { Fields } from '../semantics/fields.ts';
import type { ExchangeConnection, Protocol, PushPromise, RequestIdentity } from './exchange.ts';

/** What the client says of a request, whatever it goes over. */
export interface ClientRequest {
  readonly method: string;
  /** `:path`; empty for CONNECT over HTTP/2. */
  readonly target: string;
  readonly authority: string;
  /** May begin with pseudo-header fields. */
  readonly fields: Fields;
  readonly declaredLength: number | undefined;
  /** `:protocol` of an extended CONNECT (RFC 8441 §4), whose method is GET here; undefined for all other requests. */
  readonly connectProtocol?: string | undefined;
}

/** Exchanges with equal heads may share it. */
export interface RequestHead extends RequestIdentity, ClientRequest {
  readonly protocol: Protocol;
  readonly scheme: 'https' | 'http';
  readonly connection: ExchangeConnection;
  readonly pushed: boolean;
}

/** The head of a request that is promised over HTTP/2: nobody has sent it. */
export function promisedHead(promise: PushPromise, connection: ExchangeConnection): RequestHead {
  return {
    protocol: 'HTTP/2',
    method: promise.method,
    target: promise.target,
    scheme: promise.scheme === 'http' ? 'http' : 'https',
    authority: promise.authority,
    fields: promise.fields,
    connection,
    pushed: true,
    hasBody: false,
    declaredLength: undefined,
    memo: undefined,
    logged: undefined,
    split: undefined,
  };
}
