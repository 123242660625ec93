/** Whose turn it is to send: the streams of a connection that have something to send, by urgency (RFC 9218 §10). */
import { URGENCIES } from './priority.ts';

/** A stream in the line; the links belong to the scheduler. */
export interface Scheduled {
  urgency: number;
  /** Goes to the end of the line after each turn. */
  incremental: boolean;
  /** In the line. */
  scheduled: boolean;
  next: Scheduled | undefined;
  previous: Scheduled | undefined;
}

export class SendScheduler<T extends Scheduled> {
  /** First and last of each urgency. */
  readonly #first: (Scheduled | undefined)[] = [];
  readonly #last: (Scheduled | undefined)[] = [];
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Puts a stream at the end of the line of its urgency, unless it stands there already. */
  add(stream: T): void {
    if (stream.scheduled) return;
    stream.scheduled = true;
    this.#size += 1;
    this.#append(stream);
  }

  remove(stream: T): void {
    if (!stream.scheduled) return;
    stream.scheduled = false;
    this.#size -= 1;
    this.#unlink(stream);
  }

  /** The stream whose turn it is; it stays in the line. */
  next(): T | undefined {
    if (this.#size === 0) return undefined;
    for (let urgency = 0; urgency < URGENCIES; urgency++) {
      const stream = this.#first[urgency];
      if (stream === undefined) continue;
      if (stream.incremental && stream.next !== undefined) {
        this.#unlink(stream);
        this.#append(stream);
      }
      return stream as T;
    }
    return undefined;
  }

  /** The stream's priority has changed. */
  reprioritise(stream: T, urgency: number, incremental: boolean): void {
    const waits = stream.scheduled;
    this.remove(stream);
    stream.urgency = urgency;
    stream.incremental = incremental;
    if (waits) this.add(stream);
  }

  #append(stream: Scheduled): void {
    const { urgency } = stream;
    const last = this.#last[urgency];
    stream.previous = last;
    stream.next = undefined;
    if (last === undefined) this.#first[urgency] = stream;
    else last.next = stream;
    this.#last[urgency] = stream;
  }

  #unlink(stream: Scheduled): void {
    const { previous, next, urgency } = stream;
    if (previous === undefined) this.#first[urgency] = next;
    else previous.next = next;
    if (next === undefined) this.#last[urgency] = previous;
    else next.previous = previous;
    stream.previous = undefined;
    stream.next = undefined;
  }
}
