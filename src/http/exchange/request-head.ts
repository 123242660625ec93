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
}

/** Exchanges with equal heads may share it. */
export interface RequestHead extends RequestIdentity, ClientRequest {
  readonly protocol: Protocol;
  readonly scheme: 'https' | 'http';
  readonly connection: ExchangeConnection;
  readonly pushed: boolean;
  /** True when the request has a body. */
  readonly hasBody: boolean;
}

/** Fields of a head that is worth comparing. */
const FIELDS_MAX = 64;

/** `last` if it says the same as `fresh`: clients repeat themselves, and then what was made of the head still holds. */
export function sameHead(last: RequestHead | undefined, fresh: RequestHead): RequestHead {
  const { fields } = fresh;
  if (
    last === undefined ||
    last.target !== fresh.target ||
    last.fields.length !== fields.length ||
    fields.length > FIELDS_MAX ||
    last.method !== fresh.method ||
    last.authority !== fresh.authority ||
    last.protocol !== fresh.protocol ||
    last.hasBody !== fresh.hasBody ||
    last.declaredLength !== fresh.declaredLength
  )
    return fresh;
  for (let i = 0; i < fields.length; i++) if (last.fields[i] !== fields[i]) return fresh;
  return last;
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
  };
}
