/** Reads once what handlers may know of a connection. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { serverNameOf } from '../../native/node-internals.ts';
import type { ConnectionInfo } from './exchange.ts';

/** Describes a connected socket; call it before the peer can have gone. */
export function describeConnection(socket: Socket): ConnectionInfo {
  const secure = socket instanceof TLSSocket ? socket : undefined;
  return {
    peerAddress: plainAddress(socket.remoteAddress),
    peerPort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    tlsProtocol: secure?.getProtocol() ?? undefined,
    tlsCipher: secure?.getCipher()?.name,
    tlsServerName: secure === undefined ? undefined : serverNameOf(secure),
  };
}

/** An IPv4 client of a socket for both families has an address like `::ffff:192.0.2.7`: told as IPv4. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
