/** Where a script wants to connect to and how: what `httpd.connect` was given, checked. */
import type { FetchTls } from './fetch-request.ts';

export interface SocketTimeouts {
  /** From the call to the connection, TLS included. */
  readonly connectMs: number;
  /** How long one read waits for its bytes, and one write for room; infinity: for ever. */
  readonly readMs: number;
  readonly writeMs: number;
}

export interface SocketRequest {
  /** A name or an address as `canonicalHost` writes it, with a port; or the path of a unix socket. */
  readonly target: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly timeouts: SocketTimeouts;
  /** Undefined: without TLS. */
  readonly tls: FetchTls | undefined;
  /** The name under which the connection may be kept; undefined: it is not kept. */
  readonly keepName: string | undefined;
}

/** The target for messages. */
export function placeOf({ target }: SocketRequest): string {
  if ('path' in target) return `unix:${target.path}`;
  return target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

/** What connections have in common that may stand for each other: target, TLS and name. */
export function keepKeyOf(request: SocketRequest): string {
  const { verify, ca, cert, key, servername } = request.tls ?? {};
  return JSON.stringify([
    placeOf(request),
    request.keepName,
    request.tls !== undefined,
    verify,
    ca,
    cert,
    key,
    servername,
  ]);
}
