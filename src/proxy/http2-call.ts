/** One request on a connection of HTTP/2 to an upstream: one stream of node:http2. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { GatewayError } from '../base/errors.ts';
import { type Fields, fieldValue, parseContentLength } from '../http/semantics/fields.ts';
import { webSocketAccept } from '../http/semantics/websocket-key.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import type { SessionHolder } from '../native/node-internals.ts';
import { callError, callErrorOf } from './call-error.ts';
import { INFORMATIONAL_HEADS_MAX } from './proxy-limits.ts';
import type { CallListener, CallStage, UpstreamAnswer, UpstreamCall, UpstreamRequest } from './upstream.ts';

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
/** Bytes of a request's body that wait in its stream: a session with a hundred streams holds as much as one upload of HTTP/1.1 does. */
const UNSENT_STREAM_BYTES_MAX = 64 * 1024;
const PIECE_BYTES_MAX = 16 * 1024;
const CONTINUE = 100;

/** What a call says to the session that it runs on. */
export interface CallOwner {
  readonly target: ProxyTarget;
  /** The upstream has said something. */
  heard(): void;
  /** The call is over. `unheard`: its client has given it up before anything of an answer came. */
  closed(call: Http2Call, unheard: boolean): void;
}

export class Http2Call implements UpstreamCall {
  readonly begunAt: number = performance.now();
  readonly #request: UpstreamRequest;
  readonly #owner: CallOwner;
  #listener: CallListener | undefined;
  #stream: ClientHttp2Stream | undefined;
  /** The session had served others before. */
  #isLater = false;
  #informational = 0;
  #hasHead = false;
  /** The server has ended its side of the stream (END_STREAM). */
  #hasEnd = false;
  #trailers: Fields | undefined;
  #isAwaited = false;

  constructor(request: UpstreamRequest, listener: CallListener, owner: CallOwner) {
    this.#request = request;
    this.#listener = listener;
    this.#owner = owner;
  }

  get isConnected(): boolean {
    return this.#stream !== undefined;
  }

  /** It is sent as an extended CONNECT (RFC 8441), which the server has to allow. */
  get isWebSocket(): boolean {
    return isWebSocketUpgrade(this.#request);
  }

  /** Sends the head. `isLater`: the session has served others before. Throws where the head cannot be sent. */
  begin(session: ClientHttp2Session, scheme: string, isLater: boolean, holder: SessionHolder): void {
    this.#isLater = isLater;
    const stream = session.request(headersOf(this.#request, scheme), {
      endStream: !this.#request.hasBody && !this.isWebSocket,
      waitForTrailers: this.#request.announcesTrailers,
    });
    this.#stream = stream;
    holder.add(stream);
    this.#noteEnd(stream);
    stream.on('headers', (headers) => this.#inform(headers));
    stream.on('response', (headers, flags) => this.#respond(headers, flags));
    stream.on('trailers', (headers) => this.#takeTrailers(headers));
    stream.on('end', () => this.#end());
    stream.on('drain', () => this.#drained());
    stream.on('error', (error) => this.#break(error));
    stream.on('close', () => this.#break(undefined));
  }

  /** There was no session at the beginning, and there is one now. */
  connected(): void {
    this.#listener?.connected();
  }

  // ---- UpstreamCall ----

  send(queue: ReadableBytes): boolean {
    const stream = this.#stream;
    if (stream === undefined) return false;
    while (queue.length > 0 && stream.writableLength < UNSENT_STREAM_BYTES_MAX) {
      const piece = Buffer.allocUnsafeSlow(Math.min(queue.length, PIECE_BYTES_MAX));
      queue.takeInto(piece, 0, piece.length);
      stream.write(piece);
    }
    if (stream.writableLength < UNSENT_STREAM_BYTES_MAX) return true;
    this.#isAwaited = true;
    return false;
  }

  /** Only trailers that were announced: to wait for others would cost each body an event. */
  endBody(trailers: Fields | undefined): void {
    const stream = this.#stream;
    if (stream !== undefined && this.#request.announcesTrailers)
      stream.once('wantTrailers', () => stream.sendTrailers(trailersOf(trailers)));
    stream?.end();
  }

  resume(): void {
    this.#stream?.resume();
  }

  cancel(): void {
    if (this.#listener === undefined) return;
    this.#listener = undefined;
    const stream = this.#stream;
    stream?.close(NGHTTP2_CANCEL);
    this.#owner.closed(this, stream !== undefined && !this.#hasHead);
  }

  /** It has no stream and will get none. */
  fail(error: GatewayError, stage: CallStage): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.failed(error, stage);
  }

  // ---- the stream ----

  /**
   * node:http2 ends the readable side (`push` of null, and `end`) also of a stream that was reset with NO_ERROR or CANCEL or whose
   * connection has gone; it closes such a stream before.
   */
  #noteEnd(stream: ClientHttp2Stream): void {
    const push = stream.push;
    stream.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#hasEnd = true;
      return push.call(stream, chunk, encoding);
    };
  }

  #inform(headers: IncomingHttpHeaders & { readonly ':status'?: number | undefined }): void {
    this.#owner.heard();
    const status = Number(headers[':status']);
    this.#informational += 1;
    if (this.#informational > INFORMATIONAL_HEADS_MAX)
      this.#refuse(`it has more than ${INFORMATIONAL_HEADS_MAX} informational heads`);
    else if (status !== CONTINUE) this.#listener?.informed(status, fieldsOf(headers));
  }

  #respond(headers: IncomingHttpHeaders & { readonly ':status'?: number | undefined }, flags: number): void {
    this.#owner.heard();
    if (this.#listener === undefined) return;
    const status = Number(headers[':status']);
    if (!(status >= 200 && status <= 599)) {
      this.#refuse(`its status is ${status}`);
      return;
    }
    const length = headers['content-length'];
    // nghttp2 takes lengths that no double holds
    if (length !== undefined && parseContentLength(length) === undefined) {
      this.#refuse('its content-length is not a length');
      return;
    }
    this.#hasHead = true;
    if (this.isWebSocket && status < 300) {
      this.#listener.switched('websocket', [...fieldsOf(headers), ...acceptOf(this.#request)]);
      if (this.#listener !== undefined) this.#stream?.on('data', (bytes: Buffer) => this.#receive(bytes));
      return;
    }
    const answer: UpstreamAnswer = { status, reason: undefined, fields: fieldsOf(headers) };
    if ((flags & NGHTTP2_FLAG_END_STREAM) !== 0) {
      // a head that is the end, too, as gRPC has it where there is nothing but trailers, goes on as one
      this.#finish()?.answeredWhole(answer, NOTHING);
      return;
    }
    this.#listener.answered(answer);
    // by now the listener may have given it up
    if (this.#listener !== undefined) this.#stream?.on('data', (bytes: Buffer) => this.#receive(bytes));
  }

  #receive(bytes: Buffer): void {
    this.#owner.heard();
    if (this.#listener?.received(bytes) === false) this.#stream?.pause();
  }

  #takeTrailers(headers: IncomingHttpHeaders): void {
    const trailers = fieldsOf(headers);
    // another message may hide behind a second length (RFC 9110 §6.5.1)
    if (fieldValue(trailers, 'content-length') === undefined) this.#trailers = trailers;
    else if (this.#listener !== undefined) this.#refuse('its trailers have a content-length');
  }

  /** A stream that was cut off is told by its close. */
  #end(): void {
    if (this.#hasHead && this.#hasEnd) this.#finish()?.ended(this.#trailers);
  }

  /** The answer has come whole. */
  #finish(): CallListener | undefined {
    const listener = this.#listener;
    if (listener === undefined) return undefined;
    this.#listener = undefined;
    const stream = this.#stream;
    // nobody wants the rest of a body that has its answer
    if (stream !== undefined && !stream.writableFinished) stream.close(NGHTTP2_NO_ERROR);
    this.#owner.closed(this, false);
    return listener;
  }

  #drained(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#listener?.drained();
  }

  #refuse(text: string): void {
    this.#stream?.close(NGHTTP2_CANCEL);
    this.#failed(
      callError('invalid', this.#owner.target.name, `the answer is malformed: ${text}`),
      'answering',
    );
  }

  /** The stream is over before its answer. */
  #break(error: Error | undefined): void {
    if (this.#listener === undefined) return;
    const code = this.#stream?.rstCode;
    // it has done nothing (RFC 9113 §8.7), which is also what a GOAWAY says of streams behind its last one
    if (code === NGHTTP2_REFUSED_STREAM && !this.#hasHead) {
      this.#failed(callError('refused', this.#owner.target.name, 'it refuses the stream'), 'unsent');
      return;
    }
    const failure =
      error === undefined
        ? callError('closed', this.#owner.target.name, `it ended the stream with code ${code}`)
        : callErrorOf(this.#owner.target, error);
    const wasCut = this.#isLater && code !== undefined && this.#stream?.session?.destroyed !== false;
    this.#failed(failure, this.#hasHead ? 'answering' : wasCut ? 'stale' : 'unanswered');
  }

  #failed(error: GatewayError, stage: CallStage): void {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#owner.closed(this, false);
    listener?.failed(error, stage);
  }
}

const NOTHING = Buffer.alloc(0);

function isWebSocketUpgrade({ upgrade }: UpstreamRequest): boolean {
  return upgrade?.toLowerCase() === 'websocket';
}

/** What a client of HTTP/1.1 asks its server for, and HTTP/2 does not have (RFC 8441 §5). */
function acceptOf({ fields }: UpstreamRequest): Fields {
  return ['Sec-WebSocket-Accept', webSocketAccept(fieldValue(fields, 'sec-websocket-key') ?? '')];
}

/**
 * Names in lower case (RFC 9113 §8.2.1). A name that comes again has its values joined (RFC 9110 §5.3): node:http2 throws for two
 * values of a field that it takes for one, and a client must not make requests fail.
 */
function headersOf(request: UpstreamRequest, scheme: string): Record<string, string> {
  const { method, authority, target, fields, hasBody, declaredLength, takesTrailers } = request;
  const isWebSocket = isWebSocketUpgrade(request);
  // without a prototype: `constructor` and `__proto__` are names of fields like others
  const headers: Record<string, string> = Object.create(null);
  headers[':method'] = isWebSocket ? 'CONNECT' : method;
  if (isWebSocket) headers[':protocol'] = 'websocket';
  headers[':scheme'] = scheme;
  headers[':authority'] = authority;
  headers[':path'] = target;
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (isWebSocket && name === 'sec-websocket-key') continue;
    const value = fields[i + 1] as string;
    const known = headers[name];
    headers[name] = known === undefined ? value : `${known}, ${value}`;
  }
  if (takesTrailers) headers['te'] = 'trailers';
  if (hasBody && declaredLength !== undefined) headers['content-length'] = String(declaredLength);
  return headers;
}

function trailersOf(fields: Fields = []): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    headers[name] = [...(headers[name] ?? []), fields[i + 1] as string];
  }
  return headers;
}

function fieldsOf(headers: IncomingHttpHeaders): Fields {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(':')) continue;
    if (typeof value === 'string') fields.push(name, value);
    else for (const one of value) fields.push(name, one);
  }
  return fields;
}
