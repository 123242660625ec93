/** Every limit an operator may set, with its unit, default and reason: the one declaration for all rooms. */

export interface Limits {
  /** A connection without an open exchange is closed after this time. */
  readonly idleTimeoutMs: number;
  /** From accept to the end of the TLS handshake, or to the first bytes that tell the protocol in cleartext. */
  readonly handshakeTimeoutMs: number;
  /** From the first byte of a request head to its last. */
  readonly headTimeoutMs: number;
  /** An exchange whose client neither sends awaited body bytes nor reads waiting ones for this long is cut. */
  readonly stallTimeoutMs: number;
  /** Bytes a second that a request body has to come with while its handler waits for it; 0 = any. */
  readonly bodyRateMin: number;
  /** A whole request head: its bytes over HTTP/1, over HTTP/2 as RFC 9113 §6.5.2 counts it. */
  readonly headBytesMax: number;
  /** Request body; Infinity = no limit (`--max-body 0`). */
  readonly bodyBytesMax: number;
  /** Memory that request bodies nobody has read yet may take in one worker. */
  readonly unreadBodyBytesMax: number;
  /** Memory that answers may take which one worker keeps. */
  readonly cacheBytesMax: number;
  /** Concurrent streams of one HTTP/2 connection. */
  readonly streamsMax: number;
  /** Open connections of one worker. */
  readonly connectionsMax: number;
  /** Those of them from one IPv4 address, or from one IPv6 network of 64 bits. */
  readonly connectionsPerAddressMax: number;
  /** Streams of one HTTP/2 connection that its client may reset, or make us reset, per second; four times that at once. */
  readonly resetsPerSecond: number;
  /** Frames that only steer one HTTP/2 connection, per second; four times that at once. */
  readonly controlFramesPerSecond: number;
  /** Time that open exchanges are given to finish after the first SIGTERM. */
  readonly drainTimeoutMs: number;
  /** Part of it in which idle connections, and those in their handshake, may ask once more. */
  readonly drainGraceMs: number;
  /** Memory of one Lua state: one script in one worker. */
  readonly memoryBytesMax: number;
  /** Time a worker thread may be held up outside Lua; then it is replaced. Infinity = no limit (`--heartbeat-limit 0`). */
  readonly heartbeatLimitMs: number;
  /** CPU time of one exchange in Lua, waits not counted; Infinity = no limit (`--cpu-limit 0`). */
  readonly cpuLimitMs: number;
  /** Time a handler may go on without moving a byte: of its answer, its request, files, upstreams; Infinity = no limit (`--time-limit 0`). */
  readonly timeLimitMs: number;
  /**
   * How much of what the other mappings leave free one mapping may take of a worker's files, processes, fetches, tasks and
   * timers, in percent. A mapping that is alone may take all.
   */
  readonly mappingSharePercent: number;
  /** What the script of one mapping may write to the log of one worker per second, four times that at once; Infinity = no limit. */
  readonly logBytesPerSecond: number;
}

/** The limits that belong to connections and to what comes over them. */
export type ConnectionLimits = Pick<
  Limits,
  | 'idleTimeoutMs'
  | 'handshakeTimeoutMs'
  | 'headTimeoutMs'
  | 'stallTimeoutMs'
  | 'bodyRateMin'
  | 'headBytesMax'
  | 'bodyBytesMax'
  | 'unreadBodyBytesMax'
  | 'streamsMax'
  | 'connectionsMax'
  | 'connectionsPerAddressMax'
  | 'resetsPerSecond'
  | 'controlFramesPerSecond'
>;

export const DEFAULT_LIMITS: Limits = {
  // lhttpd's idle time
  idleTimeoutMs: 30_000,
  // a handshake is three round trips at most; node's own 120 s lets strangers hold sockets
  handshakeTimeoutMs: 10_000,
  headTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  // Apache's RequestReadTimeout; an old modem is ten times as fast
  bodyRateMin: 500,
  // twice what browsers send with large cookies
  headBytesMax: 32 * 1024,
  // 1 GiB lets photographs and firmware images in and keeps a disk from filling at once
  bodyBytesMax: 1024 * 1024 * 1024,
  // 512 bodies that are 128 KiB ahead of their handlers; a quarter of the memory of one script
  unreadBodyBytesMax: 64 * 1024 * 1024,
  // six thousand pages of 10 KiB, and less than one script may take
  cacheBytesMax: 64 * 1024 * 1024,
  // RFC 9113 §6.5.2 recommends no less than 100
  streamsMax: 128,
  // about 50 KiB each: 500 MiB per worker
  connectionsMax: 10_000,
  // a quarter of them: one address cannot shut out the others, and a proxy or a town behind one address still fits
  connectionsPerAddressMax: 2500,
  // whoever leaves a page breaks off all its streams at once, and then loads another; an attack needs thousands
  resetsPerSecond: 100,
  // honest clients send a PING now and then, and a change of priorities for each image that scrolls into view
  controlFramesPerSecond: 500,
  drainTimeoutMs: 30_000,
  // where nobody takes over, a client that is let in gains nothing
  drainGraceMs: 0,
  // a quarter of a small machine; grows only as scripts use it
  memoryBytesMax: 256 * 1024 * 1024,
  // twenty heartbeats; clients have given up by then, and nothing that ends by itself takes so long
  heartbeatLimitMs: 10_000,
  // an endpoint that computes for longer belongs elsewhere
  cpuLimitMs: 1000,
  timeLimitMs: 60_000,
  // with half, something is free for the next, however many take what they can
  mappingSharePercent: 50,
  // two thousand lines; a day of it is 22 GB, as much as a disk has room for
  logBytesPerSecond: 256 * 1024,
};

/** More scripts may let more bodies wait, but clients bring them, and no machine has more memory for that. */
const UNREAD_BODY_BYTES_DEFAULT_MAX = 256 * 1024 * 1024;

/** The budget of unread bodies where none is given: a quarter of what the states of a worker may take together, up to a bound. */
export function defaultUnreadBodyBytes(
  memoryBytesMax: number,
  scripts: readonly { readonly memoryBytesMax?: number | undefined }[],
): number {
  const all = scripts.length === 0 ? [{}] : scripts;
  const states = all.reduce((sum, script) => sum + (script.memoryBytesMax ?? memoryBytesMax), 0);
  return Math.min(UNREAD_BODY_BYTES_DEFAULT_MAX, Math.floor(states / 4));
}

/** The bounds within which each limit may be set; outside them it is a slip of the keyboard. */
export const LIMIT_BOUNDS: Readonly<
  Record<
    | 'heartbeatMsMin'
    | 'timeoutMsMin'
    | 'timeoutMsMax'
    | 'bodyRateMax'
    | 'headBytesMin'
    | 'headBytesMax'
    | 'unreadBodyBytesMin'
    | 'unreadBodyBytesMax'
    | 'cacheBytesMin'
    | 'cacheBytesMax'
    | 'streamsMax'
    | 'connectionsMax'
    | 'framesPerSecondMax'
    | 'workersMax'
    | 'memoryBytesMin'
    | 'memoryBytesMax'
    | 'percentMax',
    number
  >
> = {
  /** Two heartbeats: less would be no limit of what holds up a thread, but of chance. */
  heartbeatMsMin: 1000,
  /** Shorter than one timer tick would mean at once. */
  timeoutMsMin: 1,
  /** A day; a timer of Node ends at 24.8 days and fires at once beyond. */
  timeoutMsMax: 86_400_000,
  /** 1 MiB/s: more would cut off honest clients. */
  bodyRateMax: 1024 * 1024,
  /** A request with a long cookie does not fit in less. */
  headBytesMin: 1024,
  /** Every connection may hold this much before a handler runs. */
  headBytesMax: 1024 * 1024,
  /** What one HTTP/2 connection may have on its way. */
  unreadBodyBytesMin: 1024 * 1024,
  /** More than a process can have. */
  unreadBodyBytesMax: 1024 * 1024 * 1024 * 1024,
  /** The longest answer that is kept. */
  cacheBytesMin: 1024 * 1024,
  /** More than a process can have. */
  cacheBytesMax: 1024 * 1024 * 1024 * 1024,
  streamsMax: 10_000,
  connectionsMax: 1_000_000,
  /** More than a connection can carry: no limit. */
  framesPerSecondMax: 10_000_000,
  /** Threads: each has Lua states of 16 MiB and more of its own. */
  workersMax: 256,
  /** What the Lua machine starts with. */
  memoryBytesMin: 16 * 1024 * 1024,
  /** Addresses of wasm memory above 2 GiB are negative numbers to its C code. */
  memoryBytesMax: 2 * 1024 * 1024 * 1024 - 64 * 1024,
  percentMax: 100,
};
