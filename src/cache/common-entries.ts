/** What the cache needs of a store that machines share: entries that end by themselves. */

export interface FoundEntry {
  /** The receiver's own. */
  readonly bytes: Buffer;
  /** What is left of its time. */
  readonly ttlMs: number;
}

export interface CommonEntries {
  /** It answers, as far as is known. */
  readonly isThere: boolean;
  /** `done` gets undefined where there is none, it is longer than `bytesMax`, or the store has not answered within `timeoutMs`. */
  read(key: string, bytesMax: number, timeoutMs: number, done: (found: FoundEntry | undefined) => void): void;
  write(
    key: string,
    bytes: Uint8Array,
    ttlMs: number,
    timeoutMs: number,
    done: (isWritten: boolean) => void,
  ): void;
}
