/**
 * The seam between protocols and handlers: one request and its response. Handlers, the router and Lua know only this;
 * behind it stand HTTP/1.1, node:http2 and pushed streams.
 */
import type { ByteQueue } from '../../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../../base/byte-stream.ts';
import type { GatewayError } from '../../base/errors.ts';
import type { TraceContext } from '../../base/trace-context.ts';
import type { Fields } from '../semantics/fields.ts';
import type { SplitTarget } from '../semantics/path.ts';
import type { ClientCertificate } from './client-certificate.ts';

export type Protocol = 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';

/** What is known of a connection; one object for all its exchanges. */
export interface ConnectionInfo {
  readonly peerAddress: string;
  readonly peerPort: number;
  /** The address the client connected to, not the one the listener was bound to. */
  readonly localAddress: string;
  readonly localPort: number;
  /** `TLSv1.3`; undefined on a cleartext connection. */
  readonly tlsProtocol: string | undefined;
  readonly tlsCipher: string | undefined;
  /** The server name the client asked for (SNI). */
  readonly tlsServerName: string | undefined;
  /** Of the client; undefined where the listener asks for none. Read when it is asked for. */
  readonly clientCertificate?: ClientCertificate | undefined;
}

/** For which requests a connection counts, where certificates are chosen by name. */
export interface ConnectionPolicy {
  /** False: 421, since a connection for this authority would have got another certificate, or have been refused. */
  serves(authority: string): boolean;
}

/** A connection as those who answer its exchanges know it. */
export interface ExchangeConnection extends ConnectionInfo {
  /** There where exchanges come strictly one after another: HTTP/1. */
  readonly series?: ExchangeSeries | undefined;
  /** Undefined: it counts for all. */
  readonly policy?: ConnectionPolicy | undefined;
}

/** The exchanges of a connection that has one at a time. */
export interface ExchangeSeries {
  /** No exchange will follow any more. */
  readonly ended: boolean;
  /** Calls `ended` once, when that becomes so. */
  whenEnded(ended: () => void): void;
  cancelEnded(ended: () => void): void;
  /** Closes the connection behind the current response, or at once where there is none. */
  finish(): void;
  /**
   * The current exchange may wait without end for what others do, or its answer has no end: it is over as soon as the client has ended its
   * side, whose other exchanges get their answers all the same.
   */
  endWithClient(): void;
}

/**
 * Stands for the head of a request: requests of a connection whose heads are the same may share one, so that what was
 * made of it need not be made again.
 */
export interface RequestIdentity {
  /** Belongs to whoever answers. */
  memo: unknown;
  /** Belongs to the access log. */
  logged?: unknown;
  /** Belongs to whoever finds the handler: what was made of the target. */
  split?: SplitTarget | undefined;
  /** The request has a body. */
  readonly hasBody: boolean;
}

/** The request's body. `read` side of the exchange; ends at once where there is none. */
export interface RequestBody extends ByteSource {
  readonly queue: ByteQueue;
  /** The Content-Length the client declared; undefined when it declared none. */
  readonly declaredLength: number | undefined;
  /** Fields behind the body, when it has ended; undefined: none. */
  readonly trailers?: Fields | undefined;
  /**
   * What the reader keeps of it beside the queue and nobody has used yet counts as unread: so many bytes more, or less. False: the
   * budget of unread bodies is used up, and this connection has more of it than the least.
   */
  hold?(bytes: number): boolean;
  /**
   * Gets what arrives while the queue is empty, and returns how many bytes from the start it has used; the rest is kept. The bytes are its own
   * only until it returns.
   */
  taker?: ((bytes: Uint8Array) => number) | undefined;
}

/** A final head. */
export interface FinalHead {
  readonly status: number;
  readonly fields: Fields;
}

/** Takes a final head before it is given, and returns it as it is to be; undefined: that has failed. */
export type HeadReviser = (status: number, fields: Fields) => FinalHead | undefined;

/** How the body of one answer is compressed, whatever its type and the settings say; for a client that takes it. */
export interface AnswerCompression {
  /** A shorter body goes as it is (bytes); default: the setting. */
  readonly bytesMin?: number | undefined;
  /** From 1, which is fast, to 9, which is small; default: that of the coding. */
  readonly level?: number | undefined;
}

/** Joins an exchange with log lines and error pages. */
export interface Answerer {
  readonly requestId: string;
  /** The number in the id, where that is one of this thread: to show it costs less than to make the id. */
  readonly requestNumber?: number | undefined;
  /** What the log calls the mapping. */
  readonly mappingName?: string | undefined;
  /** The handler of the mapping, where it has several. */
  readonly handlerName?: string | undefined;
  /** How long it had to wait for its turn before it began, ms; undefined: not at all. */
  readonly waitedMs?: number | undefined;
  /** Processor time that Lua has taken, ms; 0 when that was too little to be looked at. */
  readonly cpuTotalMs?: number | undefined;
}

/**
 * `hit`: from what is kept and fresh. `stale`: from what is kept and not fresh any more. `revalidated`: from what is kept, as the server has said
 * that it is still good. `miss`: from the server, as nothing was kept. `expired`: from the server, which had another one than what is kept.
 * `bypass`: from the server, as the cache has no say.
 */
export type CacheOutcome = 'hit' | 'stale' | 'revalidated' | 'miss' | 'expired' | 'bypass';

/**
 * One request and its response.
 *
 * The one who handles it calls, in this order: `inform` any number of times, `head` once, `write` any number of times,
 * `trailers` at most once, `end` once; or `reset` at any time instead. Nothing reaches the wire before `flush`, a full
 * buffer or `end`, so that a short answer leaves in one piece and can be given its Content-Length.
 *
 * As a ByteSink it takes the response's body. A `write` before `head` sends `200` without fields.
 */
export interface Exchange extends ByteSink {
  readonly protocol: Protocol;
  /** As sent by the client, e.g. `GET`. */
  readonly method: string;
  /** The request target as received, undecoded, with its query (origin form; absolute form is reduced to it). */
  readonly target: string;
  readonly scheme: 'https' | 'http';
  /** `:authority` or `Host`; empty when an HTTP/1.0 client sent none. */
  readonly authority: string;
  /**
   * `:protocol` of an extended CONNECT (RFC 8441), whose `method` is GET as it would be over HTTP/1.1. An answer of 2xx that opens no
   * tunnel becomes 501: such a client takes it for the opened tunnel.
   */
  readonly connectProtocol: string | undefined;
  /** Request fields without pseudo-header fields; HTTP/1 keeps the client's case, HTTP/2 is lower case. */
  readonly fields: Fields;
  readonly connection: ExchangeConnection;
  readonly identity: RequestIdentity;
  readonly body: RequestBody;
  /** Where the client says that it stands in a trace, with a span of its own; undefined: it does not, or not in the right form. */
  readonly trace?: TraceContext | undefined;
  /** True for an exchange the server promised itself. */
  readonly pushed: boolean;

  /** True from `head` (or the first `write`) on: the status can no longer be chosen. */
  readonly headGiven: boolean;
  /** True once the response has been ended, reset or lost: every further call is ignored. */
  readonly finished: boolean;
  /** Final status given so far; 0 before `head`. */
  readonly status: number;
  /** Body bytes written so far. */
  readonly bytesWritten: number;

  /** Whoever answers it and knows the id under which the log speaks of it; undefined while nobody does. */
  answeredBy?: Answerer | undefined;
  /**
   * When the head was given to the connection (`performance.now()`), where something was left to be sent then; only known while an
   * observer is there.
   */
  readonly headSentAt?: number | undefined;
  /** The mapping it was led to; undefined: to none. */
  servedFor?: object | undefined;
  /** The server that a proxy has passed it on to, for the access log; undefined = none. */
  upstream?: string | undefined;
  /** What the cache has done for it, for the access log; undefined: it came to no cache. */
  cacheOutcome?: CacheOutcome | undefined;
  /** Reason phrase of HTTP/1.x, if not the registered one of the status; to be set before `head`. */
  reason?: string | undefined;

  /**
   * Asked for each final head, also for that of an error page. Where it fails, the page of status 500 takes the place of the
   * answer, and an error page stays as it is.
   */
  reviseHead?: HeadReviser | undefined;
  /** False: the body goes as it is. Undefined: the settings decide. To be set before `head`. */
  compression?: AnswerCompression | false | undefined;

  /** Called at most once, when the client has gone, reset the stream or broken a limit before `end`. */
  onAbort: ((reason: GatewayError) => void) | undefined;
  /** Called exactly once, after `end`, `reset` or abort, when nothing of the exchange is held any more. */
  onClose: (() => void) | undefined;

  /**
   * Takes at most so many bytes of request body from now on; the limit of the server holds as well. A body that is longer, or is
   * declared longer, is answered with 413 as one over the limit of the server is.
   */
  limitBody(bytesMax: number): void;
  /** Sends an informational head (100, 102..199) at once. */
  inform(status: number, fields: Fields): void;
  /**
   * Gives the final head, 200..599. Framing is the exchange's business: HTTP/2 drops connection-specific fields and
   * lower-cases names; HTTP/1 honours `content-length` and `connection: close` and adds chunked coding where needed.
   * Throws RangeError when `headGiven`.
   */
  head(status: number, fields: Fields): void;
  /** Sends what is buffered; called when the handler is about to wait. Cheap when nothing is. */
  flush(): void;
  /** Fields to send after the body; dropped where the protocol cannot carry them. */
  trailers(fields: Fields): void;
  /** Completes the response. Fewer bytes than the declared Content-Length: the same as `reset`. */
  end(): void;
  /**
   * Ends the exchange so that the client sees it is broken: RST_STREAM INTERNAL_ERROR, or the socket destroyed. Before
   * anything was sent, an error page with `status` is sent instead (`status` 500 when not given).
   */
  reset(status?: number): void;
  /** The client has broken off, or a rule of what the tunnel carries: as `reset`, and `error` says why. */
  fail?(reason: GatewayError): void;

  /**
   * Answers by changing over to `protocol` (a token, as the client offers it in Upgrade, RFC 9110 §7.8, or asks for by `:protocol`,
   * RFC 8441), in place of `head`.
   * From then on `body` has the bytes that the client sends, without a limit and without an end of silence, and what is written
   * goes to the client as it is; `end` ends the connection, or the stream. False: the client has not offered it, the request has a body, or the
   * wire cannot; nothing was done.
   */
  openTunnel(protocol: string, fields: Fields): boolean;

  /** True when `push` can succeed: HTTP/2, the client allows it, not itself pushed, streams left. */
  readonly canPush: boolean;
  /**
   * Promises `target` to the client and returns the exchange that has to answer it, or undefined where that is not
   * possible (any more).
   */
  push(promise: PushPromise): Exchange | undefined;
}

export interface PushPromise {
  /** GET or HEAD. */
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly target: string;
  readonly fields: Fields;
}
