/** One connection of HTTP/2 to an upstream: as many calls at a time as its server allows, until it is idle for too long or ends. */
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { GatewayError } from '../base/errors.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { SessionHolder } from '../native/node-internals.ts';
import { callError, callErrorOf } from './call-error.ts';
import { type CallOwner, Http2Call } from './http2-call.ts';
import { ANSWER_HEAD_BYTES_MAX, SESSION_STREAMS_MAX } from './proxy-limits.ts';
import type { CallListener, UpstreamCall, UpstreamRequest } from './upstream.ts';

/** What an upstream may send ahead of its client: for one stream, and for all of a session. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const SESSION_WINDOW_BYTES: number = 4 * 1024 * 1024;
/** MiB that node:http2 may hold for a session: the bodies of as many streams as it has, and their heads. */
const SESSION_MEMORY_MIB = 64;
/** Fields of a head; more end the stream. */
const HEAD_FIELDS_MAX = 1000;

/** Who made the connection. */
export interface SessionOwner {
  /** It has no call any more, and may have others. */
  idle(session: Http2Session): void;
  /** It gets a call. */
  used(session: Http2Session): void;
  /** Called once. */
  closed(session: Http2Session): void;
}

export class Http2Session implements CallOwner {
  readonly target: ProxyTarget;
  readonly #owner: SessionOwner;
  readonly #socket: Socket;
  readonly #calls = new Set<Http2Call>();
  readonly #holder = new SessionHolder();
  #session: ClientHttp2Session | undefined;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  /** It takes no further call. */
  #isRetired = false;
  /** The server has told its settings. */
  #hasSettings = false;
  #served = 0;
  #heardAt = 0;
  /** Since when it has no call: a time of performance.now. */
  idleSince: number = performance.now();

  /** `isConnected`: the socket, else it is being connected. */
  constructor(target: ProxyTarget, socket: Socket, isConnected: boolean, owner: SessionOwner) {
    this.target = target;
    this.#owner = owner;
    this.#socket = socket;
    if (isConnected) {
      this.#connected(socket);
      return;
    }
    const onError = (error: Error): void => this.#fail(callErrorOf(target, error));
    const onClose = (): void =>
      this.#fail(callError('closed', target.name, 'it closed the connection before it answered'));
    socket.on('error', onError).on('close', onClose);
    socket.once(target.isSecure ? 'secureConnect' : 'connect', () => {
      if (this.#state === 'closed') return;
      if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
        this.#fail(callError('invalid', target.name, 'it does not speak HTTP/2'));
        return;
      }
      socket.off('error', onError).off('close', onClose);
      this.#connected(socket);
    });
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** It has had no call, and waits for one. */
  get isUnused(): boolean {
    return this.#served === 0 && this.#calls.size === 0;
  }

  /** It takes one more call. */
  get hasRoom(): boolean {
    if (this.#state === 'closed' || this.#isRetired) return false;
    const session = this.#session;
    // it may have ended without having said so yet
    if (session?.destroyed === true || session?.closed === true) return false;
    const allowed = session?.remoteSettings.maxConcurrentStreams ?? SESSION_STREAMS_MAX;
    return this.#calls.size < Math.min(allowed, SESSION_STREAMS_MAX);
  }

  call(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const call = new Http2Call(request, listener, this);
    this.#owner.used(this);
    this.#calls.add(call);
    if (this.#state === 'open') this.#begin(call);
    return call;
  }

  /** Takes no further call; those under way go on. */
  retire(): void {
    this.#isRetired = true;
    if (this.#calls.size === 0) this.close();
  }

  /** Ends it, and fails what is under way. */
  close(): void {
    this.#fail(callError('closed', this.target.name, 'the connection was ended'));
  }

  // ---- CallOwner ----

  heard(): void {
    this.#heardAt = performance.now();
  }

  closed(call: Http2Call, unheard: boolean): void {
    if (!this.#calls.delete(call)) return;
    // a server that has said nothing at all meanwhile may be gone: further calls try another connection
    if (unheard && this.#heardAt < call.begunAt && this.#state === 'open') this.#isRetired = true;
    if (this.#calls.size > 0) return;
    if (this.#state === 'open' && !this.#isRetired) this.#idle();
    else this.close();
  }

  // ---- inside ----

  #connected(socket: Socket): void {
    const { target } = this;
    const scheme = target.isSecure ? 'https' : 'http';
    const session = connect(`${scheme}://${target.authority}`, {
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxHeaderListSize: ANSWER_HEAD_BYTES_MAX,
      },
      maxSessionMemory: SESSION_MEMORY_MIB,
      maxHeaderListPairs: HEAD_FIELDS_MAX,
      peerMaxConcurrentStreams: SESSION_STREAMS_MAX,
    });
    this.#session = session;
    this.#state = 'open';
    session.once('connect', () => {
      this.#holder.connected(session);
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    });
    session.on('error', (error) => this.#fail(callErrorOf(target, error)));
    session.once('remoteSettings', () => {
      this.#hasSettings = true;
      for (const call of [...this.#calls])
        if (!call.isConnected && this.#calls.has(call)) this.#beginLate(call);
    });
    session.on('goaway', () => this.retire());
    session.on('close', () =>
      this.#fail(callError('closed', target.name, 'it closed the connection before it answered')),
    );
    for (const call of [...this.#calls]) {
      if (!this.#calls.has(call)) continue;
      this.#beginLate(call);
    }
  }

  #beginLate(call: Http2Call): void {
    this.#begin(call);
    if (call.isConnected) call.connected();
  }

  #begin(call: Http2Call): void {
    const session = this.#session as ClientHttp2Session;
    if (call.isWebSocket && session.remoteSettings.enableConnectProtocol !== true) {
      // the settings of the server may still be on their way
      if (this.#hasSettings) this.#refuse(call, 'it takes no WebSockets over HTTP/2 (RFC 8441)');
      return;
    }
    try {
      call.begin(session, this.target.isSecure ? 'https' : 'http', this.#served > 0, this.#holder);
      this.#served += 1;
    } catch (error) {
      this.#refuse(call, `the request cannot be sent: ${String(error)}`);
    }
  }

  #idle(): void {
    if (this.#calls.size > 0 || this.#state !== 'open') return;
    if (this.#isRetired) {
      this.close();
      return;
    }
    this.idleSince = performance.now();
    this.#owner.idle(this);
  }

  #refuse(call: Http2Call, text: string): void {
    this.#calls.delete(call);
    // the one that tells of it keeps the connection meanwhile
    if (this.#calls.size === 0) setImmediate(() => this.#idle());
    // not within the call that has begun it
    process.nextTick(() => call.fail(callError('invalid', this.target.name, text), 'unsent'));
  }

  #fail(error: GatewayError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    // streams hear of it by themselves
    if (this.#session !== undefined) this.#session.destroy();
    else this.#socket.destroy();
    for (const call of [...this.#calls]) if (!call.isConnected) call.fail(error, 'unsent');
    this.#owner.closed(this);
  }
}
