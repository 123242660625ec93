/**
 * One HTTP/1 connection: its requests strictly one after another, and an orderly or a hard close.
 *
 * Long because what comes in and what goes out decide together when the next request begins and whether the connection lives on.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { GatewayError } from '../../base/errors.ts';
import { describeConnection } from '../exchange/connection-info.ts';
import type { Exchange, ExchangeConnection, ExchangeSeries } from '../exchange/exchange.ts';
import { clientGone } from '../exchange/exchange-errors.ts';
import type { ExchangeSettings, ExchangeWire, ResponseHead } from '../exchange/exchange-wire.ts';
import { LATE_BODY_BYTES_MAX } from '../exchange/late-body.ts';
import { BUFFER_BYTES_MAX, type Chunk } from '../exchange/response-buffer.ts';
import { ServerExchange } from '../exchange/server-exchange.ts';
import { readSocket } from '../exchange/socket-reader.ts';
import { startReading, stopReading } from '../exchange/socket-reading.ts';
import type { BodyHolder } from '../exchange/unread-bodies.ts';
import { type Fields, hasListMember } from '../semantics/fields.ts';
import { Http1BodyHolder } from './http1-body-holder.ts';
import {
  chooseFraming,
  type Framing,
  formatHead,
  formatInformational,
  formatLastChunk,
  formatUpgrade,
  isEndless,
  LAST_CHUNK,
} from './http1-head.ts';
import { Http1Input, type InputFault, type InputSink } from './http1-input.ts';
import { Linger, type LingerLimits } from './http1-linger.ts';
import { Http1Output } from './http1-output.ts';
import { type Http1Request, type RequestLine, readRequest, refusedHead } from './http1-request.ts';

/** Requests of a pipeline that are served before others get their turn: some 3 ms. */
const TURN_REQUESTS_MAX = 64;

export interface Http1Limits {
  readonly idleTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly headBytesMax: number;
  readonly linger: LingerLimits;
}

export class Http1Connection implements ExchangeWire, ExchangeSeries, InputSink {
  readonly bufferBytesMax: number = BUFFER_BYTES_MAX;
  readonly socket: Socket;
  readonly #info: ExchangeConnection;
  readonly #scheme: 'https' | 'http';
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #limits: Http1Limits;
  readonly #input: Http1Input;
  readonly #output: Http1Output;
  /** The request that is being served; its body may still come when the exchange is over. */
  #request: Http1Request | undefined;
  #exchange: ServerExchange | undefined;
  #framing: Framing = 'none';
  #minor = 1;
  /** The client waits for 100 Continue before it sends the body. */
  #awaitsContinue = false;
  /** The socket is not read. */
  #isHeld = false;
  /** The connection stays open after the current response. */
  #persistent = true;
  #draining = false;
  /** The client has ended its side, and still reads. */
  #inputEnded = false;
  /** The current exchange is over when the client has ended its side. */
  #endsWithClient = false;
  /** Our last byte is written: what comes in is dropped. */
  #closing = false;
  /** Requests that have begun since others had their turn. */
  #begun = 0;
  #linger: Linger | undefined;
  /** Those who want to hear that no exchange will follow; undefined = nobody has wanted to. */
  #endListeners: Set<() => void> | undefined;
  /** When the last exchange ended, or the connection was made: where idleness starts. */
  idleSince: number = performance.now();

  /** When the head that is being waited for began to arrive; 0: none has. */
  #headSince = 0;

  constructor(
    socket: Socket,
    limits: Http1Limits,
    settings: ExchangeSettings,
    handle: (exchange: Exchange) => void,
  ) {
    this.socket = socket;
    // not shown to handlers that print what they know of their connection
    this.#info = Object.defineProperty(describeConnection(socket), 'series', { value: this });
    this.#scheme = socket instanceof TLSSocket ? 'https' : 'http';
    this.#limits = limits;
    this.#settings = settings;
    this.#handle = handle;
    this.#input = new Http1Input(limits.headBytesMax, this);
    this.#output = new Http1Output(socket, () => this.#drained());
    // a client that has asked may end its side and wait for the answer
    socket.allowHalfOpen = true;
    socket.on('error', ignore);
    socket.on('close', () => this.#closed());
    socket.on('end', () => this.#endInput());
    readSocket(socket, (bytes) => this.#receive(bytes));
  }

  /** True while no request is being served. */
  get idle(): boolean {
    return this.#exchange === undefined;
  }

  /** Closes behind the next answer, or behind the one that is being made. */
  leave(): void {
    this.#draining = true;
  }

  /** Closes where no request is served and none has begun to come; else behind its answer. */
  drain(): void {
    this.#draining = true;
    if (this.idle && this.#headSince === 0 && !this.#closing) this.close();
  }

  /** Ends our side in order; what the client still sends is read and dropped for a time (RFC 9112 §9.6). */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#input.stop();
    this.#output.flush();
    this.#linger = new Linger(this.socket, this.#limits.linger, this.#limits.stallTimeoutMs);
    this.socket.end();
    this.#startReading();
    this.#tellEnd();
  }

  /** Looks at the deadlines; `now` is a time of performance.now. */
  sweep(now: number): void {
    const { headTimeoutMs, idleTimeoutMs, stallTimeoutMs } = this.#limits;
    if (this.#linger !== undefined) this.#linger.sweep(now);
    else if (this.#exchange !== undefined) return;
    else if (this.#output.isBacklogged) {
      // a client that pipelines and does not read
      if (now - this.#output.stalledSince(now) >= stallTimeoutMs) this.socket.destroy();
    } else if (this.#headSince !== 0) {
      if (now - this.#headSince < headTimeoutMs) return;
      const reason = `the head took longer than ${headTimeoutMs} ms`;
      this.refuse({ status: 408, code: 'LGW_HEAD_TIMEOUT', reason }, this.#input.line);
    } else if (now - this.idleSince >= idleTimeoutMs) this.close();
  }

  // ---- ExchangeSeries ----

  get ended(): boolean {
    return this.#closing;
  }

  whenEnded(ended: () => void): void {
    this.#endListeners ??= new Set();
    this.#endListeners.add(ended);
  }

  cancelEnded(ended: () => void): void {
    this.#endListeners?.delete(ended);
  }

  finish(): void {
    this.#persistent = false;
    if (this.#exchange === undefined) this.close();
  }

  /**
   * RFC 9112 §9.6 lets a client that has ended its side wait for its answer. Of one that waits without end nothing else would ever be heard:
   * nginx, Node and Go take the end of the client's side for the end of the client there, too.
   */
  endWithClient(): void {
    this.#endsWithClient = true;
    // whoever calls this goes on first
    if (this.#inputEnded) setImmediate(() => this.#endWithInput());
  }

  // ---- InputSink ----

  get takesRequest(): boolean {
    return (
      this.#exchange === undefined &&
      !this.#closing &&
      this.#begun < TURN_REQUESTS_MAX &&
      !this.#output.isBacklogged
    );
  }

  get bodyBytesMax(): number {
    return this.#settings.bodyBytesMax;
  }

  readRequest(line: RequestLine, fields: Fields): Http1Request {
    return readRequest(line, fields, this.#scheme, this.#info, this.#settings.bodyBytesMax);
  }

  takeRequest(request: Http1Request): void {
    const { framing, head, line, refusal } = request;
    this.#headSince = 0;
    this.#begun += 1;
    if (this.#begun === TURN_REQUESTS_MAX) setImmediate(() => this.#beginTurn());
    this.#request = request;
    this.#endsWithClient = false;
    this.#minor = line.minor;
    this.#persistent = framing.persistent;
    this.#awaitsContinue = framing.expectsContinue && head.hasBody;
    const exchange = new ServerExchange(head, this, this.#settings);
    this.#exchange = exchange;
    if (refusal === 0) {
      this.#handle(exchange);
      return;
    }
    // where the end of the body is in doubt, or it will not be read
    if (refusal === 400 || refusal === 413 || framing.refusal === 501) this.#persistent = false;
    exchange.reset(refusal);
  }

  takeBody(content: Buffer): void {
    this.#exchange?.receiveBody(content, true);
  }

  endBody(trailers?: Fields): void {
    this.#exchange?.endBody(trailers);
  }

  refuse({ status, code, reason }: InputFault, line: RequestLine | undefined): void {
    if (this.#closing) return;
    this.#input.stop();
    this.#settings.logger.debug('Request is refused', { peer: this.#info.peerAddress, status, reason });
    const inBody = this.#exchange !== undefined;
    // a body whose request has its answer: another one would be taken for that of the next request
    if (!inBody && (code === 'LGW_BODY_MALFORMED' || code === 'LGW_BODY_TOO_LARGE')) {
      this.close();
      return;
    }
    this.#persistent = false;
    const exchange = this.#exchange ?? this.#makeRefused(line);
    const what = inBody ? 'Request body is refused' : 'Request is refused';
    exchange.fail(new GatewayError(code, `${what}: ${reason}`, { status, luaCode: 'closed' }));
  }

  // ---- ExchangeWire, for the current exchange ----

  readonly canPush = false;
  readonly bodyHolder: BodyHolder = new Http1BodyHolder();

  push(): undefined {
    return undefined;
  }

  sendInformational(status: number, fields: Fields): void {
    if (this.#minor === 0) return;
    if (status === 100) this.#awaitsContinue = false;
    this.#output.writeText(formatInformational(status, fields));
  }

  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean {
    this.#framing = chooseFraming(head, this.#minor);
    this.#persistent &&=
      this.#framing !== 'close' &&
      !head.closes &&
      !this.#draining &&
      this.#bodyWillEnd() &&
      !(this.#inputEnded && this.#input.isEmpty);
    const security = this.#scheme === 'https' ? this.#settings.transportSecurity : undefined;
    const text = formatHead(head, this.#framing, this.#persistent, this.#minor, security);
    if (!last && isEndless(head, this.#framing)) this.endWithClient();
    const chunked = this.#framing === 'chunked';
    const tail = last && chunked ? LAST_CHUNK : '';
    const output = this.#output;
    const room =
      chunk === undefined ? output.writeText(text + tail) : output.write(text, chunk, chunked, tail);
    if (last) this.#complete();
    return room;
  }

  sendChunk(chunk: Chunk, last: boolean): boolean {
    const chunked = this.#framing === 'chunked';
    const room = this.#output.write('', chunk, chunked, last && chunked ? LAST_CHUNK : '');
    if (last) this.#complete();
    return room;
  }

  sendEnd(trailers: Fields | undefined): void {
    if (this.#framing === 'chunked') this.#output.writeText(formatLastChunk(trailers));
    this.#complete();
  }

  openTunnel(protocol: string, fields: Fields): boolean {
    const offered = this.#request?.framing.upgrade;
    if (offered === undefined || !hasListMember(offered, protocol.toLowerCase())) return false;
    this.#persistent = false;
    this.#framing = 'close';
    this.#output.writeText(formatUpgrade(protocol, fields));
    this.#input.openTunnel();
    // what came behind the head is for the exchange, which does not take it before this call has returned
    process.nextTick(() => this.#takeHeld());
    return true;
  }

  abort(): void {
    // the answers before it are whole
    this.#output.flush();
    // an end in order would be the end of the answer
    if (this.#framing === 'close' && this.#scheme === 'http') this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  startBody(): void {
    if (this.#awaitsContinue && this.#exchange?.headSent === false) this.sendInformational(100, []);
  }

  pauseBody(): void {
    this.#stopReading();
  }

  resumeBody(): void {
    if (this.#isHeld && !this.#input.isFull) this.#startReading();
  }

  // ---- inside ----

  #receive(chunk: Buffer): void {
    if (this.#linger !== undefined) {
      this.#linger.receive(chunk.length);
      return;
    }
    this.#output.hold();
    this.#input.receive(chunk);
    if (this.#exchange !== undefined && !this.#input.isEmpty) this.#waitForMore();
    this.#settle();
    this.#output.flush();
  }

  /** Something cannot be taken yet: a head that is not complete, or requests that have to wait. */
  #waitForMore(): void {
    if (this.#input.isFull) this.#stopReading();
    else if (this.#exchange === undefined && this.#headSince === 0) this.#headSince = performance.now();
  }

  /** The client has ended its side. What it has asked for is answered (RFC 9112 §9.6, RFC 8446 §6.1). */
  #endInput(): void {
    this.#inputEnded = true;
    if (this.#closing) return;
    if (this.#exchange === undefined) this.#closeEnded();
    else if (this.#input.isTunnel) this.#exchange.endBody();
    else if (this.#input.isAmidBody) {
      const message = 'Client has gone in the middle of its request';
      this.#exchange.fail(new GatewayError('LGW_CLIENT_GONE', message, { status: 400, luaCode: 'closed' }));
    } else this.#endWithInput();
  }

  #endWithInput(): void {
    if (this.#endsWithClient) this.#exchange?.fail(clientGone());
  }

  /** Nothing is being served, and nothing will come any more. */
  #closeEnded(): void {
    const { isEmpty, isAmidBody, line } = this.#input;
    if (isEmpty || isAmidBody) this.close();
    else if (!this.#output.isBacklogged && this.#begun < TURN_REQUESTS_MAX)
      this.refuse({ status: 400, code: 'LGW_HEAD_MALFORMED', reason: 'the head is not complete' }, line);
  }

  /** The exchange of a request that never became one: it is counted and logged like others. */
  #makeRefused(line: RequestLine | undefined): ServerExchange {
    this.#minor = line?.minor ?? 1;
    this.#persistent = false;
    this.#awaitsContinue = false;
    const head = refusedHead(line, this.#scheme, this.#info);
    this.#exchange = new ServerExchange(head, this, this.#settings);
    return this.#exchange;
  }

  /** True when the rest of the request body will have been read soon, so that the next request can be found. */
  #bodyWillEnd(): boolean {
    if (!this.#input.isAmidBody) return true;
    const length = this.#request?.framing.declaredLength;
    return !this.#awaitsContinue && length !== undefined && length <= LATE_BODY_BYTES_MAX;
  }

  /** The current response is with the socket. */
  #complete(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const persistent = this.#persistent && this.#bodyWillEnd();
    this.#exchange = undefined;
    this.idleSince = performance.now();
    if (!persistent) this.close();
    exchange.wireClosed();
    this.#continue();
  }

  #stopReading(): void {
    this.#isHeld = true;
    stopReading(this.socket);
  }

  #startReading(): void {
    this.#isHeld = false;
    startReading(this.socket);
  }

  /** Others have had their turn: what was pipelined goes on. */
  #beginTurn(): void {
    this.#begun = 0;
    this.#continue();
  }

  /** The next request, if there is one already. */
  #continue(): void {
    // amid what is taken it comes by itself
    if (this.#exchange !== undefined || this.#closing || this.#input.isConsuming) return;
    this.#takeHeld();
  }

  #takeHeld(): void {
    this.#output.hold();
    this.#input.continue();
    this.#settle();
    this.#output.flush();
  }

  /** All that may be taken now has been: waits for more, or ends. */
  #settle(): void {
    if (this.#exchange !== undefined || this.#closing) return;
    if (this.#draining) this.close();
    else if (!this.#input.isEmpty) this.#waitForMore();
    if (this.#closing) return;
    if (this.#inputEnded) this.#closeEnded();
    else if (this.#isHeld && !this.#input.isFull) this.#startReading();
  }

  #drained(): void {
    if (this.#exchange !== undefined) this.#exchange.wireDrained();
    else this.#continue();
    if (this.#input.isFull) this.#stopReading();
  }

  #closed(): void {
    this.#closing = true;
    this.#input.stop();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.wireClosed();
    this.#tellEnd();
  }

  #tellEnd(): void {
    const listeners = this.#endListeners;
    this.#endListeners = undefined;
    if (listeners !== undefined) for (const ended of listeners) ended();
  }
}

/** Socket errors are followed by `close`, which is where they are dealt with. */
function ignore(): void {}
