/**
 * What all connections of a worker hold of request bodies that nobody has read yet, against one budget. Below half of it bodies
 * are as they are without; above, they are read less far ahead; when it is used up, connections that hold more than a little are
 * not read any more until a handler waits for them, or others have let go.
 */

import type { Logger } from '../../base/logger.ts';
import { MinuteNotice } from '../../base/minute-notice.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';

/** Bytes a body holds ahead of its reader before its client is held back: half of an HTTP/2 stream's window. */
export const READ_AHEAD_BYTES: number = 128 * 1024;
/** The same while more than half of the budget is used. Small bodies come whole, whatever others hold. */
export const TIGHT_READ_AHEAD_BYTES: number = 16 * 1024;
/** Memory that bodies of one connection may take however much others take: one of the above, in a block half filled. */
export const CONNECTION_BYTES_MIN: number = 32 * 1024;
/** From this share of the budget on bodies are read less far ahead; until it has fallen below the second. */
const TIGHT_SHARE = 1 / 2;
const LOOSE_SHARE = 3 / 8;
/** The budget is used up until it has fallen below this share. */
const ROOM_SHARE = 7 / 8;
/** Bytes that a connection is expected to deliver when it is read again. */
const READ_BYTES = 64 * 1024;

/** A connection, as the budget sees it. */
export interface BodyHolder {
  /** Memory that unread bodies of it take; kept by UnreadBodies. */
  unreadBytes: number;
  /** True while it is not read for the sake of the budget. */
  readonly isHeldBack: boolean;
  /** Stops reading it, unless somebody waits for its client. */
  holdBack(): void;
  /** Reads on. */
  letGo(): void;
}

export class UnreadBodies {
  #bytesMax: number;
  #tightBytes: number;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #notice = new MinuteNotice();
  /** Those that are not read, in the order in which they came to it. */
  readonly #heldBack = new Set<BodyHolder>();
  #bytes = 0;
  #isFull = false;
  /** How far a body is read ahead of its reader. */
  readAheadBytes: number = READ_AHEAD_BYTES;

  constructor(bytesMax: number, counters: Counters, logger: Logger) {
    this.#bytesMax = bytesMax;
    this.#tightBytes = bytesMax * TIGHT_SHARE;
    this.#counters = counters;
    this.#logger = logger;
  }

  /** From now on. What is held above a smaller budget is let go of as it is read. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#tightBytes = bytesMax * TIGHT_SHARE;
    this.#loosen();
  }

  /** Memory that is held now. */
  get bytes(): number {
    return this.#bytes;
  }
  get bytesMax(): number {
    return this.#bytesMax;
  }
  /** More than half of the budget is used. */
  get isTight(): boolean {
    return this.readAheadBytes !== READ_AHEAD_BYTES;
  }
  /** The budget is used up. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** A body of the connection takes so many bytes more, or less. */
  change(holder: BodyHolder, bytes: number): void {
    this.#bytes += bytes;
    holder.unreadBytes += bytes;
    this.#counters.add(COUNT.unreadBodyBytes, bytes);
    if (bytes > 0) {
      if (this.#bytes >= this.#tightBytes) this.#grown(holder);
    } else if (this.isTight) this.#shrunk(holder);
  }

  /** The connection is read again, because somebody waits for its client or it is over. */
  letGo(holder: BodyHolder): void {
    if (this.#heldBack.delete(holder)) holder.letGo();
  }

  /** Connections are let go a few at a time, so that they do not fill the budget anew all at once; the rest comes here. */
  sweep(): void {
    if (this.#heldBack.size > 0 && !this.#isFull) this.#letSomeGo();
  }

  #grown(holder: BodyHolder): void {
    this.readAheadBytes = TIGHT_READ_AHEAD_BYTES;
    if (this.#bytes >= this.#bytesMax && !this.#isFull) {
      this.#isFull = true;
      this.#report();
    }
    if (!this.#isFull || holder.unreadBytes <= CONNECTION_BYTES_MIN || holder.isHeldBack) return;
    holder.holdBack();
    if (holder.isHeldBack) this.#heldBack.add(holder);
  }

  #shrunk(holder: BodyHolder): void {
    if (holder.isHeldBack && holder.unreadBytes <= CONNECTION_BYTES_MIN) this.letGo(holder);
    this.#loosen();
  }

  /** What holds while much of the budget is used ends when there is room again. */
  #loosen(): void {
    if (this.#bytes >= this.#bytesMax * ROOM_SHARE) return;
    this.#isFull = false;
    if (this.#heldBack.size > 0) this.#letSomeGo();
    if (this.#bytes < this.#bytesMax * LOOSE_SHARE) this.readAheadBytes = READ_AHEAD_BYTES;
  }

  #letSomeGo(): void {
    let left = Math.max(1, Math.floor((this.#bytesMax - this.#bytes) / READ_BYTES));
    for (const holder of this.#heldBack) {
      if (left === 0) return;
      left -= 1;
      this.letGo(holder);
    }
  }

  #report(): void {
    const times = this.#notice.note();
    if (times === undefined) return;
    const text = 'Unread request bodies have used up their budget (--max-unread-bodies): their clients wait';
    this.#logger.warn(text, { limit: this.#bytesMax, times });
  }
}
