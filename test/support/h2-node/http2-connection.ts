/** One session of node:http2: makes exchanges of its streams, counts its promised streams, and knows since when it is idle. */

import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { isSameAuthority } from '../../../src/base/authority.ts';
import { describeConnection } from '../../../src/http/exchange/connection-info.ts';
import type { ConnectionInfo, Exchange, PushPromise } from '../../../src/http/exchange/exchange.ts';
import type { ExchangeSettings } from '../../../src/http/exchange/exchange-wire.ts';
import { promisedHead, type RequestHead } from '../../../src/http/exchange/request-head.ts';
import { ServerExchange } from '../../../src/http/exchange/server-exchange.ts';
import type { BodyHolder } from '../../../src/http/exchange/unread-bodies.ts';
import { ENTRY_OVERHEAD_BYTES } from '../../../src/http/h2/dynamic-table.ts';
import { CONTINUE, refusalOf } from '../../../src/http/h2/request-refusal.ts';
import { exchangeBufferBytes, SESSION_WRITE_BYTES } from '../../../src/http/h2/session-bounds.ts';
import { type Fields, isConnectionSpecific, parseContentLength } from '../../../src/http/semantics/fields.ts';
import { COUNT } from '../../../src/metrics/worker-metrics.ts';
import { startHandle, stopHandle, takeOwnListener } from '../../../src/native/node-internals.ts';
import { Http2Wire } from './http2-wire.ts';

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: unknown,
) => void;

/** Least number of response bytes that may wait in Node for one stream. */
const WRITE_AHEAD_MIN_BYTES = 16 * 1024;
const WRITE_AHEAD_MAX_BYTES = 128 * 1024;

export class Http2Connection implements BodyHolder {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  readonly #info: ConnectionInfo;
  readonly #scheme: 'https' | 'http';
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #headBytesMax: number;
  #lastHead: RequestHead | undefined;
  /** Number of open streams, and of those whose complete response only waits for the client to read it. */
  #exchanges = 0;
  #completed = 0;
  #pushes = 0;
  unreadBytes = 0;
  isHeldBack = false;
  /** Number of streams whose handler waits for body, and of those whose response waits for room. */
  #awaitedBodies = 0;
  #blockedResponses = 0;
  /**
   * Time of the last sweep that found that a stream had been opened or closed since the sweep before, or time of the
   * connection's start.
   */
  activeSince: number = Date.now();
  #active = false;
  /** Time when GOAWAY was sent; 0: not yet. */
  closingSince = 0;

  constructor(
    session: ServerHttp2Session,
    socket: Socket,
    headBytesMax: number,
    settings: ExchangeSettings,
    handle: (exchange: Exchange) => void,
  ) {
    this.session = session;
    this.socket = socket;
    this.#info = describeConnection(socket);
    this.#scheme = session.encrypted === true ? 'https' : 'http';
    this.#headBytesMax = headBytesMax;
    this.#settings = settings;
    this.#handle = handle;
    session.on('error', ignore);
    // the types of Node lack the fourth argument of this event, the raw list
    const accept: StreamListener = (stream, headers, flags, rawHeaders) =>
      this.#accept(stream, headers, flags, rawHeaders as string[]);
    // Node's own listener only passes the event on to the server, where nothing listens for it
    takeOwnListener(session, 'stream');
    session.on(
      'stream',
      accept as (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => void,
    );
  }

  get idle(): boolean {
    return this.#exchanges === 0;
  }

  /** True while complete responses wait for the client to read them. */
  get unread(): boolean {
    return this.#completed > 0;
  }

  get bufferBytesMax(): number {
    return exchangeBufferBytes(this.#exchanges);
  }

  /**
   * Bytes that may wait in Node for one stream: so few that all streams together stay far below Node's limit of 10 MB for a
   * session.
   */
  get writeAheadBytes(): number {
    return Math.max(
      WRITE_AHEAD_MIN_BYTES,
      Math.min(WRITE_AHEAD_MAX_BYTES, SESSION_WRITE_BYTES / this.#exchanges),
    );
  }

  /** True while the client accepts one more promised stream. */
  get hasPushRoom(): boolean {
    const limit = this.session.remoteSettings.maxConcurrentStreams;
    return limit === undefined || this.#pushes < limit;
  }

  // ---- BodyHolder ----

  /** Stops reading the socket itself, because Node's session reads it; does nothing while a handler waits for the client. */
  holdBack(): void {
    if (this.#awaitedBodies + this.#blockedResponses + this.#completed > 0) return;
    this.isHeldBack = true;
    stopHandle(this.socket);
  }

  letGo(): void {
    this.isHeldBack = false;
    if (!this.socket.destroyed) startHandle(this.socket);
  }

  /** Called with true when a reader begins to wait for a body, with false when it stops. */
  bodyAwaited(awaited: boolean): void {
    this.#awaitedBodies += awaited ? 1 : -1;
    if (awaited) this.#hears();
  }

  /** Called with true when a response begins to wait for room, with false when it stops. */
  responseBlocked(blocked: boolean): void {
    this.#blockedResponses += blocked ? 1 : -1;
    if (blocked) this.#hears();
  }

  /** Counts body bytes that Node may hold. */
  holdsUnseen(bytes: number): void {
    this.#settings.unreadBodies.change(this, bytes);
  }

  /** Reads the socket again, because a handler waits for the client. */
  #hears(): void {
    if (this.isHeldBack) this.#settings.unreadBodies.letGo(this);
  }

  /** Notes activity since the last sweep. Only sweeps read the clock, not requests. */
  refresh(now: number): void {
    if (!this.#active) return;
    this.#active = false;
    this.activeSince = now;
  }

  /** Sends GOAWAY: open streams are completed, new ones are refused. */
  close(): void {
    if (this.closingSince !== 0) return;
    this.closingSince = Date.now();
    if (!this.session.closed) this.session.close();
  }

  push(parent: ServerHttp2Stream, promise: PushPromise): Exchange | undefined {
    const wire = new Http2Wire(this, true, false);
    const exchange = new ServerExchange(promisedHead(promise, this.#info), wire, this.#settings, false);
    this.#opened(true);
    try {
      parent.pushStream(toPromiseHeaders(promise), (error, stream) => {
        if (error === null && stream !== undefined) wire.promised(stream, exchange);
        else this.#pushFailed(exchange);
      });
    } catch {
      this.#pushFailed(exchange);
      return undefined;
    }
    this.#settings.counters.add(COUNT.pushesTotal, 1);
    return exchange;
  }

  /** A wire reports that its whole response is in the stream; the client may not have read it yet. */
  completed(): void {
    this.#completed += 1;
    this.#active = true;
    this.#hears();
  }

  /** A wire reports that its stream is closed. */
  closed(pushed: boolean, complete: boolean): void {
    this.#exchanges -= 1;
    if (complete) this.#completed -= 1;
    if (pushed) this.#pushes -= 1;
    this.#active = true;
  }

  #opened(pushed: boolean): void {
    this.#exchanges += 1;
    if (pushed) this.#pushes += 1;
  }

  #pushFailed(exchange: ServerExchange): void {
    this.closed(true, false);
    exchange.wireClosed();
  }

  #accept(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: readonly string[],
  ): void {
    const expect = headers.expect?.toLowerCase();
    const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
    const length = headers['content-length'];
    const declaredLength = length === undefined ? undefined : parseContentLength(length);
    const method = headers[':method'] ?? '';
    const authority = headers[':authority'];
    const { host } = headers;
    const namesDiffer =
      authority !== undefined &&
      host !== undefined &&
      !isSameAuthority(authority, host, headers[':scheme'] ?? '');
    this.#lastHead = sameHead(this.#lastHead, {
      protocol: 'HTTP/2',
      method,
      target: headers[':path'] ?? '',
      scheme: this.#scheme,
      authority: authority ?? host ?? '',
      fields: rawHeaders,
      connection: this.#info,
      pushed: false,
      hasBody,
      declaredLength,
      memo: undefined,
    });
    const wire = new Http2Wire(this, false, expect === CONTINUE);
    const exchange = new ServerExchange(this.#lastHead, wire, this.#settings);
    this.#opened(false);
    wire.attach(stream, exchange);
    const refusal = refusalOf(method, expect, declaredLength, this.#settings.bodyBytesMax);
    if (listSize(rawHeaders) > this.#headBytesMax) exchange.reset(431);
    else if (namesDiffer) exchange.reset(400);
    else if (refusal !== 0) exchange.reset(refusal);
    else this.#handle(exchange);
    if (exchange.finished) return;
    wire.watch();
    if (hasBody) wire.deliver();
  }
}

function listSize(fields: Fields): number {
  // RFC 9113 §6.5.2
  let size = (fields.length / 2) * ENTRY_OVERHEAD_BYTES;
  for (let i = 0; i < fields.length; i++) size += (fields[i] as string).length;
  return size;
}

function toPromiseHeaders(promise: PushPromise): Record<string, string> {
  const headers: Record<string, string> = {
    ':method': promise.method,
    ':scheme': promise.scheme,
    ':authority': promise.authority,
    ':path': promise.target,
  };
  for (let i = 0; i < promise.fields.length; i += 2) {
    const name = (promise.fields[i] as string).toLowerCase();
    if (!isConnectionSpecific(name)) headers[name] = promise.fields[i + 1] as string;
  }
  return headers;
}

/** Ignores errors of the session, because `close` follows each of them. */
function ignore(): void {}

/** Heads with more fields are not compared. */
const FIELDS_MAX = 64;

/** Returns `last` if it equals `fresh`. Clients often repeat a head, and then the object made of it is still valid. */
function sameHead(last: RequestHead | undefined, fresh: RequestHead): RequestHead {
  const { fields } = fresh;
  if (
    last === undefined ||
    last.target !== fresh.target ||
    last.fields.length !== fields.length ||
    fields.length > FIELDS_MAX ||
    last.method !== fresh.method ||
    last.authority !== fresh.authority ||
    last.protocol !== fresh.protocol ||
    last.hasBody !== fresh.hasBody ||
    last.declaredLength !== fresh.declaredLength
  )
    return fresh;
  for (let i = 0; i < fields.length; i++) if (last.fields[i] !== fields[i]) return fresh;
  return last;
}
