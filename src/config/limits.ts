/** Every limit an operator may set, with its unit, default and reason. */

export interface Limits {
  /** A connection without an open exchange is closed after this time. */
  readonly idleTimeoutMs: number;
  /** From accept to the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** From the first byte of a request head to its last. */
  readonly headTimeoutMs: number;
  /** An exchange whose client neither sends awaited body bytes nor reads waiting ones for this long is cut. */
  readonly stallTimeoutMs: number;
  /** Request head, names and values together. */
  readonly headBytesMax: number;
  /** Request body. */
  readonly bodyBytesMax: number;
  /** Concurrent streams of one HTTP/2 connection. */
  readonly streamsMax: number;
  /** Open connections of one worker. */
  readonly connectionsMax: number;
  /** Time that open exchanges are given to finish after the first SIGTERM. */
  readonly drainTimeoutMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  // lhttpd's idle time
  idleTimeoutMs: 30_000,
  // a handshake is three round trips at most; node's own 120 s lets strangers hold sockets
  handshakeTimeoutMs: 10_000,
  headTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  // twice what browsers send with large cookies
  headBytesMax: 32 * 1024,
  // 0 would be no limit; 1 GiB lets photographs and firmware images in and keeps a disk from filling at once
  bodyBytesMax: 1024 * 1024 * 1024,
  // RFC 9113 §6.5.2 recommends no less than 100
  streamsMax: 128,
  // about 50 KiB each: 500 MiB per worker
  connectionsMax: 10_000,
  drainTimeoutMs: 30_000,
};
