/** The wire of an exchange on one HTTP/2 stream, over the core stream API of node:http2. */
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { giveChunk, isLent } from '../../../src/http/exchange/chunk-pool.ts';
import type { Exchange, PushPromise } from '../../../src/http/exchange/exchange.ts';
import type { ExchangeWire, ResponseHead } from '../../../src/http/exchange/exchange-wire.ts';
import {
  LATE_BODY_BYTES_MAX,
  LATE_BODY_MS_MAX,
  LATE_BODY_QUIET_MS,
} from '../../../src/http/exchange/late-body.ts';
import type { Chunk } from '../../../src/http/exchange/response-buffer.ts';
import type { ServerExchange } from '../../../src/http/exchange/server-exchange.ts';
import type { BodyHolder } from '../../../src/http/exchange/unread-bodies.ts';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { STREAM_WINDOW_BYTES } from '../../../src/http/h2/session-bounds.ts';
import { type Fields, isConnectionSpecific } from '../../../src/http/semantics/fields.ts';
import { FixedFields } from '../../../src/http/semantics/fixed-fields.ts';

const WIRE: unique symbol = Symbol('wire');
interface WiredStream extends ServerHttp2Stream {
  [WIRE]?: Http2Wire;
}

/** What a wire needs from its connection. */
interface WireConnection extends BodyHolder {
  /** Bytes of a response that may wait before the handler has to wait. */
  readonly bufferBytesMax: number;
  /** Bytes that may wait in Node for one stream. */
  readonly writeAheadBytes: number;
  readonly hasPushRoom: boolean;
  push(parent: ServerHttp2Stream, promise: PushPromise): Exchange | undefined;
  /** Counts bytes that a client may send before the gateway reads them. */
  holdsUnseen(bytes: number): void;
  bodyAwaited(awaited: boolean): void;
  responseBlocked(blocked: boolean): void;
  /** Called when Node has the whole response. */
  completed(): void;
  /** Called when the stream has closed. */
  closed(pushed: boolean, wasComplete: boolean): void;
}

export class Http2Wire implements ExchangeWire {
  readonly #connection: WireConnection;
  readonly #pushed: boolean;
  #stream: ServerHttp2Stream | undefined;
  #exchange: ServerExchange | undefined;
  #written: ((error: Error | null | undefined) => void) | undefined;
  #trailers: Fields | undefined;
  #awaitsContinue: boolean;
  /** True when the stream has the whole response. */
  #complete = false;
  #aborted = false;
  /** True while the stream has no room for more of the response. */
  #blocked = false;
  #paused = false;

  constructor(connection: WireConnection, pushed: boolean, awaitsContinue: boolean) {
    this.#connection = connection;
    this.#pushed = pushed;
    this.#awaitsContinue = awaitsContinue;
  }

  get bufferBytesMax(): number {
    return this.#connection.bufferBytesMax;
  }

  /** Joins wire, stream and exchange. A promised stream is attached later than its exchange. */
  attach(stream: WiredStream, exchange: ServerExchange): void {
    this.#stream = stream;
    this.#exchange = exchange;
    stream[WIRE] = this;
    stream.on('error', ignore);
    stream.on('close', onStreamGone);
  }

  /**
   * Called when the handler has not finished at once: from now on the wire watches for a client that goes away, even with
   * NO_ERROR.
   */
  watch(): void {
    this.#stream?.on('aborted', onStreamGone);
  }

  sendInformational(status: number, fields: Fields): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.headersSent || this.#pushed) return;
    if (status === 100) this.#awaitsContinue = false;
    const headers = toHeaders(fields, { ':status': status });
    stream.additionalHeaders(headers);
  }

  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.destroyed) return true;
    const headers = responseHeaders(head);
    if (last) this.#markComplete();
    if (last && chunk === undefined) {
      stream.respond(headers, END_STREAM);
      this.#finishBody(stream);
      return true;
    }
    if (head.mayHaveTrailers) {
      stream.once('wantTrailers', onWantTrailers);
      stream.respond(headers, WAIT_FOR_TRAILERS);
    } else stream.respond(headers);
    return chunk === undefined ? true : this.#give(stream, chunk, last);
  }

  sendChunk(chunk: Chunk, last: boolean): boolean {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.destroyed) return true;
    if (last) this.#markComplete();
    return this.#give(stream, chunk, last);
  }

  sendEnd(trailers: Fields | undefined): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.destroyed) return;
    this.#markComplete();
    this.#trailers = trailers;
    if (!stream.headersSent) return;
    stream.end();
    this.#finishBody(stream);
  }

  abort(): void {
    this.#aborted = true;
    // lets the bytes written before go out
    if ((this.#stream?.writableCorked ?? 0) > 0) this.#stream?.uncork();
    // close(INTERNAL_ERROR) would first end the stream normally, and the client would take the part for the whole response
    this.#stream?.destroy(BROKEN_OFF);
  }

  startBody(): void {
    if (this.#awaitsContinue) this.sendInformational(100, []);
    this.deliver();
  }

  /** Gives body bytes to the exchange as they arrive, read or not, because they count for the budget of unread bodies. */
  deliver(): void {
    const stream = this.#stream;
    const exchange = this.#exchange;
    if (stream === undefined || exchange === undefined || stream.listenerCount('data') > 0) return;
    stream.on('data', (chunk: Buffer) => {
      if (!exchange.receiveBody(chunk)) stream.pause();
    });
    stream.on('end', () => exchange.endBody());
  }

  get bodyHolder(): BodyHolder {
    return this.#connection;
  }

  bodyAwaited(awaited: boolean): void {
    this.#connection.bodyAwaited(awaited);
  }

  /** Counts the whole rest of the window, because Node accepts that much without telling the gateway. */
  pauseBody(): void {
    if (this.#stream === undefined || this.#paused) return;
    this.#paused = true;
    this.#stream.pause();
    this.#connection.holdsUnseen(STREAM_WINDOW_BYTES);
  }

  resumeBody(): void {
    if (!this.#paused) return;
    this.#unpaused();
    this.#stream?.resume();
  }

  get canPush(): boolean {
    return (
      !this.#pushed && this.#stream !== undefined && this.#stream.pushAllowed && this.#connection.hasPushRoom
    );
  }

  push(promise: PushPromise): Exchange | undefined {
    return this.#stream === undefined ? undefined : this.#connection.push(this.#stream, promise);
  }

  /** The promised stream has become usable: sends what has waited for it. */
  promised(stream: ServerHttp2Stream, exchange: ServerExchange): void {
    if (stream.destroyed || stream.closed) {
      stream.on('error', ignore);
      this.#exchange = exchange;
      this.gone();
      return;
    }
    this.attach(stream, exchange);
    this.watch();
    if (this.#aborted) this.abort();
    else exchange.wireDrained();
  }

  /** The stream is closed, by either side. */
  gone(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    this.#unpaused();
    this.#setBlocked(false);
    this.#connection.closed(this.#pushed, this.#complete);
    exchange.wireClosed();
    // after a reset with NO_ERROR Node would wait for writes that can no longer end
    if (this.#stream?.destroyed === false) this.#stream.destroy();
  }

  drained(): void {
    this.#setBlocked(false);
    this.#exchange?.wireDrained();
  }

  finishTrailers(): void {
    const headers = toHeaders(this.#trailers ?? [], {});
    this.#stream?.sendTrailers(headers);
  }

  #setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.#connection.responseBlocked(blocked);
  }

  #unpaused(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#connection.holdsUnseen(-STREAM_WINDOW_BYTES);
  }

  #markComplete(): void {
    this.#complete = true;
    this.#connection.completed();
  }

  #give(stream: ServerHttp2Stream, chunk: Chunk, last: boolean): boolean {
    if (last) {
      stream.end(chunk, 'latin1');
      this.#finishBody(stream);
      return true;
    }
    // corks the stream, so that one pass of writes reaches Node's session at once
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(uncork, stream);
    }
    const room = stream.writableLength + chunk.length < this.#connection.writeAheadBytes;
    // 'drain' comes only when more than Node's high-water mark waits, which is 64 KiB from Node 22 on
    const written = room ? undefined : this.#listenForWritten();
    if (typeof chunk === 'string') stream.write(chunk, 'latin1', written);
    else if (isLent(chunk))
      stream.write(chunk, (error) => {
        recycle(stream, chunk, error);
        written?.(error);
      });
    else stream.write(chunk, written);
    if (!room) this.#setBlocked(true);
    return room;
  }

  /** Returns the callback for the end of a write. It is made once, and only for a response that needs it. */
  #listenForWritten(): (error: Error | null | undefined) => void {
    this.#written ??= (error) => {
      if (!error) this.drained();
    };
    return this.#written;
  }

  /**
   * The response is complete: drops an unread request body up to a size, and resets the stream when the client has stopped
   * sending (RFC 9113 §8.1).
   */
  #finishBody(stream: ServerHttp2Stream): void {
    if (this.#exchange?.bodyComplete !== false || stream.readableEnded) return;
    const answeredAt = Date.now();
    let dropped = 0;
    // dropped bytes do not count
    this.#unpaused();
    const quiet = setTimeout(() => {
      stream.close(ERROR_CODE.noError);
      // Node does not close a stream before it is read to its end
      stream.resume();
    }, LATE_BODY_QUIET_MS).unref();
    stream.once('close', () => clearTimeout(quiet));
    stream.removeAllListeners('data');
    stream.on('data', (chunk: Buffer) => {
      dropped += chunk.length;
      if (Date.now() - answeredAt < LATE_BODY_MS_MAX) quiet.refresh();
      if (dropped > LATE_BODY_BYTES_MAX && !stream.closed) stream.pause();
    });
    stream.resume();
  }
}

/** Makes Node reset the stream with INTERNAL_ERROR; no handler sees this error. */
const BROKEN_OFF = new Error('Response is broken off');
const END_STREAM = { endStream: true };
const WAIT_FOR_TRAILERS = { waitForTrailers: true };

/** One object for each list of fields is enough, because Node copies it. */
const known = new FixedFields<OutgoingHttpHeaders>();

/** Makes the head in the form that node:http2 takes. */
function responseHeaders(head: ResponseHead): OutgoingHttpHeaders {
  const { responseFields, status, contentLength } = head;
  const repeated = known.get(responseFields);
  if (
    repeated !== undefined &&
    repeated[':status'] === status &&
    Number(repeated['content-length']) === contentLength
  ) {
    return repeated;
  }
  const headers = toHeaders(responseFields, { ':status': status });
  if (contentLength === undefined) delete headers['content-length'];
  else headers['content-length'] ??= String(contentLength);
  if (contentLength !== undefined) known.set(responseFields, headers);
  return headers;
}

/** Makes the object that node:http2 takes: lower-case names, no connection-specific fields, repeated fields joined. */
function toHeaders(fields: Fields, headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const value = fields[i + 1] as string;
    if (isConnectionSpecific(name)) continue;
    const present = headers[name];
    if (present === undefined) headers[name] = value;
    else if (name !== 'set-cookie') headers[name] = `${present}, ${value}`;
    else if (Array.isArray(present)) present.push(value);
    else headers[name] = [String(present), value];
  }
  return headers;
}

/** The session has the bytes, so the chunk is free, unless an error has ended the stream. */
function recycle(stream: ServerHttp2Stream, chunk: Buffer, error: Error | null | undefined): void {
  if (!error && !stream.destroyed) giveChunk(chunk);
}

function uncork(stream: ServerHttp2Stream): void {
  stream.uncork();
}

function onStreamGone(this: WiredStream): void {
  this[WIRE]?.gone();
}

function onWantTrailers(this: WiredStream): void {
  this[WIRE]?.finishTrailers();
}

/** Ignores errors of the stream, because `close` follows each of them and handles the end. */
function ignore(): void {}
