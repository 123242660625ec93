/** Makes connections to the servers behind a proxy. */
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls';
import type { UpstreamTls } from '../mapping/proxy-settings.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import type { PooledUpstream } from './upstream.ts';

/** What all kinds of upstreams are made of. */
export interface UpstreamParts {
  readonly target: ProxyTarget;
  readonly tls: UpstreamTls;
  /** Resolves the host; undefined = Node's own. */
  readonly lookup: LookupFunction | undefined;
  /** Idle connections of all upstreams of the worker. */
  readonly idle: { count: number };
  /** TLS session of its last connection, with which the next one goes on (RFC 8446 §2.2). */
  readonly resumption: { session: Buffer | undefined };
  /** Hears of each new connection. */
  readonly opened: (upstream: PooledUpstream) => void;
}

/** `protocols`: what is offered in TLS (ALPN), the best first. */
export function connectTo(
  { target: { host, port, socketPath, isSecure }, tls, lookup, resumption }: UpstreamParts,
  protocols: readonly ('http/1.1' | 'h2')[],
): Socket | TLSSocket {
  if (socketPath !== undefined) return connectTcp({ path: socketPath });
  const place = { host, port, noDelay: true, ...(lookup === undefined ? {} : { lookup }) };
  if (!isSecure) return connectTcp(place);
  const { verify, ca, servername } = tls;
  const { session } = resumption;
  const options: ConnectionOptions = {
    ...place,
    rejectUnauthorized: verify,
    ALPNProtocols: [...protocols],
    ...(ca === undefined ? {} : { ca }),
    ...serverNameOf(servername ?? host),
    ...(session === undefined ? {} : { session }),
  };
  const socket = connectTls(options);
  socket.on('session', (next: Buffer) => {
    resumption.session = next;
  });
  return socket;
}

/** What the certificate has to be for. Addresses are no server names (RFC 6066 §3): Node would check the host in their place. */
function serverNameOf(name: string): ConnectionOptions {
  return isAddress(name)
    ? { checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate) }
    : { servername: name };
}

function isAddress(name: string): boolean {
  return name.includes(':') || /^[\d.]+$/.test(name);
}
