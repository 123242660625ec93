/** Names of HTTP for programs that embed the gateway: methods, versions, and the reasons of common answers. */
import type { Protocol } from '../http/exchange/exchange.ts';

/** A request method as it stands on the wire; there are others. */
export const Method: Readonly<
  Record<'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'OPTIONS', string>
> = {
  GET: 'GET',
  HEAD: 'HEAD',
  POST: 'POST',
  PUT: 'PUT',
  DELETE: 'DELETE',
  PATCH: 'PATCH',
  OPTIONS: 'OPTIONS',
};
/** The name of a request method, case-sensitive (RFC 9110 §9.1). */
export type Method = string;

/** The protocol a request came by. */
export const Version: { readonly http10: 'HTTP/1.0'; readonly http11: 'HTTP/1.1'; readonly http2: 'HTTP/2' } =
  { http10: 'HTTP/1.0', http11: 'HTTP/1.1', http2: 'HTTP/2' };
/** `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`. */
export type Version = Protocol;

/** A status code with its reason phrase. */
export interface Reason {
  readonly code: number;
  /** Sent in the status line of HTTP/1.x; HTTP/2 has none. */
  readonly reason: string;
}

/** The four answers that most services are made of. */
export const Reason: Readonly<
  Record<'ok200' | 'badRequest400' | 'notFound404' | 'internalServerError500', Reason>
> = {
  ok200: { code: 200, reason: 'OK' },
  badRequest400: { code: 400, reason: 'Bad Request' },
  notFound404: { code: 404, reason: 'Not Found' },
  internalServerError500: { code: 500, reason: 'Internal Server Error' },
};
