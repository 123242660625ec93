/** The TLS servers of a front end, one for each policy: each takes the connections whose first message asks for what the policy is for. */
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { offerProtocols, readTicketsOf, takeOwnListener } from '../../native/node-internals.ts';
import { LIMIT_BOUNDS } from '../../settings/limits.ts';
import { bindPolicy } from '../exchange/connection-info.ts';
import type { ConnectionPolicy } from '../exchange/exchange.ts';
import type { ClientHello } from './client-hello.ts';

/** What some handshakes have in common. */
export interface HandshakePolicy extends ConnectionPolicy {
  readonly options: TlsOptions;
  /** 48 bytes each, the newest first. */
  readonly ticketKeys: readonly Uint8Array[];
  /** An OCSP response in DER, for clients that ask for one; default: none. */
  readonly staple?: Uint8Array | undefined;
  /** Of ALPN, in the place of those of HTTP. */
  readonly protocols?: readonly string[];
}

/** Which policy a handshake has. */
export interface HandshakePolicies {
  /** False: all have the common one, and are not read. */
  readonly readsHello: boolean;
  readonly common: HandshakePolicy;
  /** Undefined: the handshake is refused. */
  choose(
    serverName: string | undefined,
    protocols: readonly string[],
    takesP256: boolean,
  ): HandshakePolicy | undefined;
}

export interface TlsServerEvents {
  /** The handshake is done. `speaksHttp` false: it was all that the client wanted. */
  secured(socket: TLSSocket, speaksHttp: boolean): void;
  /** It has failed; the listener destroys the socket. */
  failed(error: Error, socket: TLSSocket): void;
}

/** A fatal alert, unrecognized_name (RFC 6066 §3), in a record of its own. */
const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/** Best first. curl --http1.0 offers the last one alone, and node by itself would end that handshake. */
const APPLICATION_PROTOCOLS = ['h2', 'http/1.1', 'http/1.0'];

export class TlsServers {
  readonly #events: TlsServerEvents;
  #policies: HandshakePolicies;
  readonly #starts = new Map<HandshakePolicy, (socket: Socket) => void>();

  constructor(tls: TlsOptions | HandshakePolicies, events: TlsServerEvents) {
    this.#events = events;
    this.#policies = policiesOf(tls);
    this.#prepare();
  }

  /** Handshakes that begin from now on go by these. */
  replace(tls: TlsOptions | HandshakePolicies): void {
    this.#policies = policiesOf(tls);
    this.#starts.clear();
    this.#prepare();
  }

  /** Handshakes are to be read before they begin. */
  get readsHello(): boolean {
    return this.#policies.readsHello;
  }

  /** Begins the handshake; false: the client has been told that nothing here has the name that it asks for. `hello`: where it was read. */
  start(socket: Socket, hello: ClientHello | undefined): boolean {
    const { common } = this.#policies;
    const policy =
      hello === undefined
        ? common
        : this.#policies.choose(hello.serverName, hello.protocols, hello.takesP256);
    if (policy === undefined) {
      // what it has sent already would make a reset of the end
      socket.resume();
      socket.end(UNRECOGNIZED_NAME);
      return false;
    }
    // a client that names nobody has not been told who this is
    if (hello?.serverName !== undefined) bindPolicy(socket, policy);
    this.#startOf(policy)(socket);
    return true;
  }

  /** The one that most need, so that the first client does not wait for it. */
  #prepare(): void {
    this.#startOf(this.#policies.common);
  }

  #startOf(policy: HandshakePolicy): (socket: Socket) => void {
    let start = this.#starts.get(policy);
    if (start === undefined) {
      start = this.#createServer(policy);
      this.#starts.set(policy, start);
    }
    return start;
  }

  /**
   * A server of node:http2 owns TLS and ALPN; its sockets are taken from it when their handshake is done. It never listens: it is given the
   * sockets of the front end.
   */
  #createServer({ options, ticketKeys, staple, protocols }: HandshakePolicy): (socket: Socket) => void {
    const offered = protocols ?? APPLICATION_PROTOCOLS;
    let server = createSecureServer({ ...serverOptions(options), allowHTTP1: true });
    if (!offerProtocols(server, offered))
      server = createSecureServer({
        ...serverOptions(options),
        allowHTTP1: true,
        ALPNCallback: chooserOf(offered),
      });
    if (ticketKeys.length > 1) readTicketsOf(server, ticketKeys);
    if (staple !== undefined) stapleTo(server, staple);
    // the server would make a session of its own of each socket
    takeOwnListener<TLSSocket>(server, 'secureConnection');
    server.on('secureConnection', (socket: TLSSocket) =>
      this.#events.secured(socket, protocols === undefined),
    );
    server.on('tlsClientError', (error, socket) => this.#events.failed(reasonOf(error, socket), socket));
    return takeOwnListener<Socket>(server, 'connection');
  }
}

/** With a listener each handshake that asks for a response waits for it, and no other pays anything. */
function stapleTo(server: Http2SecureServer, staple: Uint8Array): void {
  const response = Buffer.from(staple);
  server.on('OCSPRequest', (_certificate, _issuer, answer: (error: Error | null, response: Buffer) => void) =>
    answer(null, response),
  );
}

/** Of a client whose certificate is not taken node says that its connection was closed. */
function reasonOf(error: Error, socket: TLSSocket): Error {
  // node writes the code of OpenSSL here, whatever the type says
  const code: unknown = socket.authorizationError;
  return typeof code === 'string' ? new Error(`the certificate of the client is not taken: ${code}`) : error;
}

function policiesOf(tls: TlsOptions | HandshakePolicies): HandshakePolicies {
  if ('readsHello' in tls) return tls;
  const common: HandshakePolicy = { options: tls, ticketKeys: [], serves: () => true };
  return { readsHello: false, common, choose: () => common };
}

function serverOptions({ ALPNProtocols: _replaced, ...tls }: TlsOptions): TlsOptions {
  // our own clock ends handshakes: it may be set anew, and node's may not
  return { ...tls, handshakeTimeout: LIMIT_BOUNDS.timeoutMsMax };
}

type ProtocolChooser = (offer: { readonly protocols: readonly string[] }) => string | undefined;

function chooserOf(ours: readonly string[]): ProtocolChooser {
  return ({ protocols }) => ours.find((protocol) => protocols.includes(protocol));
}
