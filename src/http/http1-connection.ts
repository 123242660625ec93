/** One HTTP/1 connection: its requests strictly one after another, framing out, and an orderly or a hard close. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { GatewayError } from '../base/errors.ts';
import { giveChunk, isLent } from './chunk-pool.ts';
import { describeConnection } from './connection-info.ts';
import { errorPage } from './error-response.ts';
import type { Exchange, ExchangeConnection, ExchangeSeries, Fields } from './exchange.ts';
import type { ExchangeSettings, ExchangeWire, ResponseHead } from './exchange-wire.ts';
import {
  chooseFraming,
  type Framing,
  formatHead,
  formatInformational,
  formatLastChunk,
  joinBytes,
  readRequestFraming,
} from './http1-head.ts';
import { splitAbsoluteForm } from './path.ts';
import { type RequestHead, sameHead } from './request-head.ts';
import { BUFFER_BYTES_MAX, type Chunk } from './response-buffer.ts';
import { ServerExchange } from './server-exchange.ts';

/** Requests that may wait behind the one being served; a client that sends more ahead is cut off after these. */
const PIPELINE_REQUESTS_MAX = 256;
/** Response bytes that may wait in the socket before the next request of a pipeline is served. */
const BACKLOG_BYTES_MAX = 256 * 1024;
/** A declared request body this small is read to its end for the sake of the connection when the handler ignored it. */
const DRAIN_BYTES_MAX = 256 * 1024;
/** After our last byte the client's are read and dropped for this long, or it might never see that byte (RFC 9112 §9.6). */
const LINGER_MS = 2_000;

interface PendingRequest {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
}

export class Http1Connection implements ExchangeWire, ExchangeSeries {
  readonly bufferBytesMax: number = BUFFER_BYTES_MAX;
  readonly socket: Socket;
  readonly #info: ExchangeConnection;
  readonly #scheme: 'https' | 'http';
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #queue: PendingRequest[] = [];
  #current: PendingRequest | undefined;
  #lastHead: RequestHead | undefined;
  #exchange: ServerExchange | undefined;
  #framing: Framing = 'none';
  #minor = 1;
  /** The client waits for 100 Continue before it sends the body. */
  #awaitsContinue = false;
  #declaredLength: number | undefined;
  /** The connection stays open after the current response. */
  #persistent = true;
  #draining = false;
  /** More requests were pipelined than may be: the queued ones are the last. */
  #overflowed = false;
  /** A malformed head follows the queued requests: the status that answers it. */
  #failure = 0;
  /** Our last byte is written: what comes in is dropped. */
  #closing = false;
  #serving = false;
  /** Text of complete answers that waits for the next turn of the event loop. */
  #deferred = '';
  #lingerTimer: NodeJS.Timeout | undefined;
  readonly #endListeners = new Set<() => void>();
  /** When the last exchange ended, or the connection was made: where idleness starts. */
  idleSince: number = Date.now();

  constructor(socket: Socket, settings: ExchangeSettings, handle: (exchange: Exchange) => void) {
    this.socket = socket;
    // not shown to handlers that print what they know of their connection
    this.#info = Object.defineProperty(describeConnection(socket), 'series', { value: this });
    this.#scheme = socket instanceof TLSSocket ? 'https' : 'http';
    this.#settings = settings;
    this.#handle = handle;
    socket.on('error', ignore);
    socket.on('drain', () => this.#drained());
    socket.on('close', () => this.#closed());
  }

  /** True while no request is being served or waiting. */
  get idle(): boolean {
    return this.#current === undefined && this.#queue.length === 0;
  }

  /** A request head has been parsed. */
  accept(message: IncomingMessage, response: ServerResponse): void {
    if (this.#closing || this.#overflowed || this.#failure !== 0) return;
    if (this.#queue.length >= PIPELINE_REQUESTS_MAX) {
      this.overflow();
      return;
    }
    this.#queue.push({ message, response });
    this.#serveNext();
    if (this.#queue.length > 0) this.socket.pause();
  }

  /** More was pipelined than may be: what is queued is served, nothing after it. */
  overflow(): void {
    if (this.#overflowed) return;
    this.#overflowed = true;
    // One who neither reads nor stops sending is not served to the end: that would hold all it has sent.
    if (this.socket.writableNeedDrain && this.#queue.length > 0) this.socket.destroy();
    else this.#serveNext();
  }

  /** The parser or a head deadline has refused what the client sent. */
  refuse(status: number): void {
    if (this.#closing) return;
    const last = this.#queue.at(-1) ?? this.#current;
    if (last === undefined) {
      this.#answerAndClose(status);
    } else if (last.message.complete || this.#failure !== 0) {
      this.#failure ||= status;
    } else if (last === this.#current) {
      this.#exchange?.fail(
        new GatewayError('LGW_BODY_MALFORMED', 'Request body is malformed', { status, luaCode: 'closed' }),
      );
    } else {
      this.#queue.pop();
      this.#failure = status;
    }
  }

  /** Finishes what is being served, then closes. */
  drain(): void {
    this.#draining = true;
    if (this.idle && !this.#closing) this.close();
  }

  /** Ends our side in order and drops what the client still sends, for a short time. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#queue.length = 0;
    this.#flushDeferred();
    this.socket.end();
    this.socket.resume();
    this.#lingerTimer = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.#lingerTimer.unref();
    this.#tellEnd();
  }

  // ---- ExchangeSeries ----

  get ended(): boolean {
    return this.#closing;
  }

  whenEnded(ended: () => void): void {
    this.#endListeners.add(ended);
  }

  cancelEnded(ended: () => void): void {
    this.#endListeners.delete(ended);
  }

  finish(): void {
    this.#persistent = false;
    if (this.#current === undefined) this.close();
  }

  // ---- ExchangeWire, for the current exchange ----

  readonly canPush = false;

  push(): undefined {
    return undefined;
  }

  sendInformational(status: number, fields: Fields): void {
    if (this.#minor === 0) return;
    if (status === 100) this.#awaitsContinue = false;
    this.#writeText(formatInformational(status, fields));
  }

  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean {
    this.#framing = chooseFraming(head, this.#minor);
    this.#persistent &&=
      this.#framing !== 'close' &&
      !head.closes &&
      !this.#draining &&
      this.#bodyWillEnd() &&
      !(this.#overflowed && this.#queue.length === 0);
    const text = formatHead(head, this.#framing, this.#persistent, this.#minor);
    const chunked = this.#framing === 'chunked';
    const tail = last && chunked ? '0\r\n\r\n' : '';
    const room = this.#writeBytes(text, chunk, chunked, tail);
    if (last) this.#complete();
    return room;
  }

  sendChunk(chunk: Chunk, last: boolean): boolean {
    const chunked = this.#framing === 'chunked';
    const room = this.#writeBytes('', chunk, chunked, last && chunked ? '0\r\n\r\n' : '');
    if (last) this.#complete();
    return room;
  }

  sendEnd(trailers: Fields | undefined): void {
    if (this.#framing === 'chunked') this.#writeText(formatLastChunk(trailers));
    this.#complete();
  }

  abort(): void {
    this.socket.destroy();
  }

  startBody(): void {
    const message = this.#current?.message;
    const exchange = this.#exchange;
    if (message === undefined || exchange === undefined) return;
    if (this.#awaitsContinue && !exchange.headSent) this.sendInformational(100, []);
    message.on('error', ignore);
    message.on('data', (chunk: Buffer) => {
      if (!exchange.receiveBody(chunk)) message.pause();
    });
    message.on('end', () => exchange.endBody());
  }

  pauseBody(): void {
    this.#current?.message.pause();
  }

  resumeBody(): void {
    this.#current?.message.resume();
  }

  // ---- inside ----

  /** Serves queued requests until one has to wait. A loop, for a handler that answers at once must not recurse. */
  #serveNext(): void {
    if (this.#serving) return;
    this.#serving = true;
    while (this.#current === undefined && !this.#closing && !this.#isBacklogged()) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#serve(next);
    }
    this.#serving = false;
    if (this.#current !== undefined || this.#closing || this.#queue.length > 0) return;
    if (this.#failure !== 0) this.#answerAndClose(this.#failure);
    else if (this.#overflowed || this.#draining) this.close();
  }

  #isBacklogged(): boolean {
    return this.socket.writableLength + this.#deferred.length > BACKLOG_BYTES_MAX;
  }

  #serve(request: PendingRequest): void {
    const { message } = request;
    const minor = message.httpVersion === '1.0' ? 0 : 1;
    const framing = readRequestFraming(message.rawHeaders, minor);
    let target = message.url ?? '';
    let authority = framing.host;
    const absolute = splitAbsoluteForm(target);
    if (absolute !== undefined) {
      target = absolute.target;
      authority = absolute.authority;
    }
    this.#current = request;
    this.#minor = minor;
    this.#persistent = request.response.shouldKeepAlive;
    this.#awaitsContinue = framing.expectsContinue;
    this.#declaredLength = framing.chunked ? undefined : (framing.declaredLength ?? 0);
    this.#lastHead = sameHead(this.#lastHead, {
      protocol: minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1',
      method: message.method ?? '',
      target,
      scheme: this.#scheme,
      authority,
      fields: message.rawHeaders,
      connection: this.#info,
      pushed: false,
      hasBody: framing.chunked || (framing.declaredLength ?? 0) > 0,
      declaredLength: framing.declaredLength,
      memo: undefined,
    });
    const exchange = new ServerExchange(this.#lastHead, this, this.#settings);
    this.#exchange = exchange;
    const refusal = this.#refusalOf(message, framing.refusal, framing.declaredLength);
    if (refusal === 0) {
      this.#handle(exchange);
      return;
    }
    this.#persistent = false;
    exchange.reset(refusal);
  }

  #refusalOf(message: IncomingMessage, refusal: number, declaredLength: number | undefined): number {
    if (message.httpVersion !== '1.1' && message.httpVersion !== '1.0') {
      return message.httpVersionMajor >= 1 ? 505 : 400;
    }
    if (refusal !== 0) return refusal;
    const limit = this.#settings.bodyBytesMax;
    return limit > 0 && declaredLength !== undefined && declaredLength > limit ? 413 : 0;
  }

  /** True when the rest of the request body will have been read soon, so that the next request can be found. */
  #bodyWillEnd(): boolean {
    if (this.#current?.message.complete === true) return true;
    if (this.#awaitsContinue) return false;
    return this.#declaredLength !== undefined && this.#declaredLength <= DRAIN_BYTES_MAX;
  }

  /** One write for everything: a write is a TLS record and a packet. */
  #writeBytes(head: string, chunk: Chunk | undefined, chunked: boolean, tail: string): boolean {
    if (chunk === undefined) return this.#writeText(head + tail);
    if (typeof chunk === 'string') {
      const framed = chunked ? `${chunk.length.toString(16)}\r\n${chunk}\r\n` : chunk;
      return this.#writeText(head + framed + tail);
    }
    this.#flushDeferred();
    if (head === '' && !chunked) return this.#writeChunk(chunk);
    const joined = joinBytes(head, chunk, chunked, tail);
    giveChunk(chunk);
    return this.socket.write(joined);
  }

  /** The chunk is free when the socket has its bytes, unless that came to an untimely end. */
  #writeChunk(chunk: Buffer): boolean {
    const { socket } = this;
    if (!isLent(chunk)) return socket.write(chunk);
    return socket.write(chunk, (error) => {
      if (!error && !socket.destroyed) giveChunk(chunk);
    });
  }

  /**
   * Writes text at once, but never so much within one read event that the socket asks to wait: node would pause its
   * parser then, and lose the requests that the same TLS read still brings. What is too much waits for the next turn.
   */
  #writeText(bytes: string): boolean {
    const { socket } = this;
    const waiting = socket.writableLength;
    if (this.#deferred === '' && (waiting === 0 || waiting + bytes.length < socket.writableHighWaterMark)) {
      return socket.write(bytes, 'latin1');
    }
    if (this.#deferred === '') setImmediate(() => this.#flushDeferred(true));
    this.#deferred += bytes;
    return this.#deferred.length < BACKLOG_BYTES_MAX;
  }

  #flushDeferred(wake = false): void {
    if (this.#deferred === '') return;
    const bytes = this.#deferred;
    this.#deferred = '';
    if (this.socket.destroyed) return;
    if (this.socket.write(bytes, 'latin1') && wake) this.#drained();
  }

  /** The current response is with the socket. */
  #complete(): void {
    const current = this.#current;
    const exchange = this.#exchange;
    if (current === undefined || exchange === undefined) return;
    const persistent = this.#persistent && this.#bodyWillEnd();
    this.#current = undefined;
    this.#exchange = undefined;
    this.idleSince = Date.now();
    if (!current.message.complete || current.message.readableFlowing !== null) {
      current.message.removeAllListeners('data');
      current.message.resume();
    }
    // node's parser counts on its own ServerResponse to say when the next request's turn has come; the bytes were ours.
    current.response.emit('finish');
    if (!persistent) this.close();
    exchange.wireClosed();
    this.#continue();
  }

  #continue(): void {
    this.#serveNext();
    if (this.#current === undefined && this.#queue.length === 0 && !this.#closing && this.socket.isPaused()) {
      this.socket.resume();
    }
  }

  #drained(): void {
    if (this.#exchange !== undefined) this.#exchange.wireDrained();
    else this.#continue();
    if (this.#queue.length > 0) this.socket.pause();
  }

  #answerAndClose(status: number): void {
    const page = errorPage(status);
    const text = formatHead(
      {
        status,
        reason: undefined,
        responseFields: page.fields,
        contentLength: page.body.length,
        hasDate: false,
        closes: true,
        mayHaveTrailers: false,
        bodyless: false,
      },
      'length',
      false,
      1,
    );
    this.#flushDeferred();
    this.socket.write(joinBytes(text, page.body, false, ''));
    this.close();
  }

  #closed(): void {
    this.#closing = true;
    this.#queue.length = 0;
    clearTimeout(this.#lingerTimer);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#current = undefined;
    exchange?.wireClosed();
    this.#tellEnd();
  }

  #tellEnd(): void {
    const listeners = [...this.#endListeners];
    this.#endListeners.clear();
    for (const ended of listeners) ended();
  }
}

/** Socket and message errors are followed by `close`, which is where they are dealt with. */
function ignore(): void {}
