/** What an exchange needs of its protocol: the seam between ServerExchange and HTTP/1.x or HTTP/2. */

import type { Logger } from '../../base/logger.ts';
import type { Counters } from '../../metrics/worker-metrics.ts';
import type { Compression } from '../coding/compression.ts';
import type { Fields } from '../semantics/fields.ts';
import type { ClientPatience } from './client-watch.ts';
import type { Exchange, PushPromise } from './exchange.ts';
import type { Chunk } from './response-buffer.ts';
import type { BodyHolder, UnreadBodies } from './unread-bodies.ts';

/** A final head as it goes to the wire: names and values are checked, bodyless statuses known. */
export interface ResponseHead {
  readonly status: number;
  /** Reason phrase, if not the registered one. */
  readonly reason: string | undefined;
  readonly responseFields: Fields;
  /** Body length to announce; undefined when it is not known. */
  readonly contentLength: number | undefined;
  /** The fields hold a `date`. */
  readonly hasDate: boolean;
  /** The handler wants the HTTP/1 connection closed after this response. */
  readonly closes: boolean;
  /** Trailers may follow the body. */
  readonly mayHaveTrailers: boolean;
  /** A HEAD request, or a status without content. */
  readonly bodyless: boolean;
}

/**
 * One exchange's end of a connection. The `send…` calls come in order: informational heads, one head, chunks, and
 * `last` exactly once (with the head, with a chunk, or by sendEnd). They return true while there is room for more;
 * after false the wire calls `exchange.wireDrained()`. When nothing of the exchange is left on the connection it calls
 * `exchange.wireClosed()`, exactly once.
 */
export interface ExchangeWire {
  /** Response bytes an exchange holds before its writer has to wait; no less than CHUNK_BYTES_MAX. */
  readonly bufferBytesMax: number;
  sendInformational(status: number, fields: Fields): void;
  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean;
  sendChunk(chunk: Chunk, last: boolean): boolean;
  /**
   * Sends a copy of at most CHUNK_BYTES_MAX bytes that stay the caller's, if they can go at once; false: nothing was done,
   * and they have to be sent as a chunk.
   */
  sendCopy?(bytes: Uint8Array): boolean;
  /** Ends the response. */
  sendEnd(trailers: Fields | undefined): void;
  /**
   * Answers the request by changing over to `protocol`: sends the head for it, and makes of the connection or the stream a
   * tunnel, whose bytes are the content of the exchange in both directions (RFC 9110 §7.8, RFC 8441). False: the client has not offered
   * it, and nothing was done. A wire without this cannot.
   */
  openTunnel?(protocol: string, fields: Fields): boolean;
  /** Breaks the response off so that the client sees it. */
  abort(): void;
  /** The client cannot send, since bodies that nobody reads have used up a window of its connection. */
  readonly holdsBody?: boolean;
  /** The connection, as the budget of unread bodies sees it. */
  readonly bodyHolder: BodyHolder;
  /** A reader has begun (true) or stopped (false) waiting for the body. */
  bodyAwaited?(awaited: boolean): void;
  /** The reader wants bytes for the first time: send 100 Continue where one is awaited. */
  startBody(): void;
  pauseBody(): void;
  resumeBody(): void;
  readonly canPush: boolean;
  push(promise: PushPromise): Exchange | undefined;
}

/** What all exchanges of one front end share. */
export interface ExchangeSettings {
  readonly logger: Logger;
  readonly counters: Counters;
  /** Infinity = no limit. */
  readonly bodyBytesMax: number;
  readonly patience: ClientPatience;
  /** The worker's. */
  readonly unreadBodies: UnreadBodies;
  /** The worker's. */
  readonly compression: Compression;
  /** Strict-Transport-Security of answers over TLS that have none of their own (RFC 6797 §7.1); undefined = none. */
  readonly transportSecurity?: string | undefined;
  /** Called for each exchange that is over, in this order. */
  readonly observers: readonly ExchangeObserver[];
}

/**
 * Called for each exchange that is over, with the times at which it began and ended (`performance.now()`); `startedAt` is undefined for
 * one that began before there was an observer. Exchanges that one read has brought are told of together (ended-exchanges.ts).
 */
export type ExchangeObserver = (exchange: Exchange, startedAt: number | undefined, endedAt: number) => void;
