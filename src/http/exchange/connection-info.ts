/** What handlers may know of a connection. */
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { serverNameOf, socketBelow } from '../../native/node-internals.ts';
import { type ClientCertificate, readClientCertificate } from './client-certificate.ts';
import type { ConnectionPolicy, ExchangeConnection } from './exchange.ts';

/** By the socket below TLS. */
const policies = new WeakMap<object, ConnectionPolicy>();

/** The connections of these sockets have this policy: tell it before they are described. */
export function bindPolicy(socket: Socket, policy: ConnectionPolicy): void {
  policies.set(socket, policy);
}

/** Describes a connected socket; call it before the peer can have gone. */
export function describeConnection(socket: Socket): ExchangeConnection {
  return new SocketConnection(socket, socket instanceof TLSSocket ? socket : undefined);
}

class SocketConnection implements ExchangeConnection {
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly tlsProtocol: string | undefined;
  readonly tlsCipher: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly #policy: ConnectionPolicy | undefined;
  /** Until the certificate of the client has been read. */
  #unread: TLSSocket | undefined;
  #certificate: ClientCertificate | undefined;

  constructor(socket: Socket, secure: TLSSocket | undefined) {
    const below = secure === undefined ? socket : socketBelow(secure);
    // the one below has asked the system for its addresses already
    const { remoteAddress, remotePort, localAddress, localPort } = below instanceof Socket ? below : socket;
    this.peerAddress = plainAddress(remoteAddress);
    this.peerPort = remotePort ?? 0;
    this.localAddress = plainAddress(localAddress);
    this.localPort = localPort ?? 0;
    this.tlsProtocol = secure?.getProtocol() ?? undefined;
    this.tlsCipher = secure?.getCipher()?.name;
    this.tlsServerName = secure === undefined ? undefined : serverNameOf(secure);
    this.#policy = policies.get(below);
    this.#unread = secure;
  }

  get policy(): ConnectionPolicy | undefined {
    return this.#policy;
  }

  /** Read when somebody asks for it: most do not. */
  get clientCertificate(): ClientCertificate | undefined {
    const socket = this.#unread;
    if (socket !== undefined) {
      this.#unread = undefined;
      this.#certificate = readClientCertificate(socket);
    }
    return this.#certificate;
  }
}

/** An IPv4 client of a socket for both families has an address like `::ffff:192.0.2.7`: told as IPv4. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
