/** The memory of the health of upstreams: a row of words for each, behind them the names, and beside it what waits in each worker. */

/** Rows of a gateway: a proxy has up to 64 targets, and few gateways more than a dozen proxies with several. 64 KiB in all. */
export const HEALTH_ROWS_MAX = 1024;
/** Bytes of a row: a cache line, so that workers which write to different rows do not wait for each other. */
export const ROW_BYTES = 64;
/** Bytes of the name of a row, mapping and server: longer ones are shown cut off. The memory of names that are not used is never touched. */
export const ROW_NAME_BYTES_MAX = 256;
/** A row that nobody has used or held for so long belongs to nobody: what it says of a server holds for 10 s. */
export const ROW_KEPT_MS = 600_000;
/** Rows that are held are stamped so often: a row may be held by a worker whose loop stands still for minutes. */
export const ROW_STAMP_MS = 60_000;

/** Times are counts of so many ms, in 32 bits that go round after 497 days. */
export const TICK_MS = 10;

/** Words of a row. */
export const WORD = {
  /** The first half of its key, as a mark of whose the row is. */
  key: 0,
  /** Until when requests rest; 0: they do not. */
  restsUntil: 2,
  /** Failures that have been counted for the window; its rest says which of the next is the oldest. */
  failures: 3,
  failedAt: 4,
  /** 1: checks say that it is down. */
  isDown: 7,
  passes: 8,
  fails: 9,
  checkedAt: 10,
  /** When somebody was last seen to use or hold the row; 0: never, or nobody does any more. */
  usedAt: 11,
  failuresTotal: 12,
  checksTotal: 13,
  failedChecksTotal: 14,
  /** Bytes of its name; 0: it is being written. */
  nameBytes: 15,
} as const;

const WORDS = ROW_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** Memory for all rows: the supervisor makes it once. */
export function createHealthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEALTH_ROWS_MAX * (ROW_BYTES + ROW_NAME_BYTES_MAX));
}

/** Requests of one worker that wait, by row: the supervisor makes it for each worker, which alone writes it. */
export function createWaitingMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEALTH_ROWS_MAX * Int32Array.BYTES_PER_ELEMENT);
}

/** A time of the clock that all threads of a process have in common. */
export function healthNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * (1000 / TICK_MS) + Math.floor(nanoseconds / (TICK_MS * 1_000_000))) | 0;
}

export function wordsOf(memory: SharedArrayBuffer, place: number): Int32Array {
  return new Int32Array(memory, place * ROW_BYTES, WORDS);
}

/** Nobody has used or held the row for a time, so that another key may take it. */
export function isAbandoned(words: Int32Array, now: number): boolean {
  const usedAt = Atomics.load(words, WORD.usedAt);
  return usedAt === 0 || ((now - usedAt) | 0) * TICK_MS > ROW_KEPT_MS;
}

/** `name`: a key of the table. */
export function writeName(memory: SharedArrayBuffer, place: number, name: string): void {
  const bytes = Buffer.from(name).subarray(0, ROW_NAME_BYTES_MAX);
  new Uint8Array(memory, nameOffset(place), bytes.length).set(bytes);
  Atomics.store(wordsOf(memory, place), WORD.nameBytes, bytes.length);
}

/** Undefined where the row has none. */
export function readName(memory: SharedArrayBuffer, place: number): string | undefined {
  const length = Atomics.load(wordsOf(memory, place), WORD.nameBytes);
  if (length <= 0 || length > ROW_NAME_BYTES_MAX) return undefined;
  return Buffer.from(new Uint8Array(memory, nameOffset(place), length)).toString();
}

function nameOffset(place: number): number {
  return HEALTH_ROWS_MAX * ROW_BYTES + place * ROW_NAME_BYTES_MAX;
}
