/** Decides which stream of a connection sends next, by urgency (RFC 9218 §10). */
import { URGENCIES } from './priority.ts';

/** A stream that may stand in a line; the links belong to the scheduler. */
export interface Scheduled {
  urgency: number;
  /** True: the stream goes to the end of its line after each turn. */
  incremental: boolean;
  /** True while the stream stands in a line. */
  scheduled: boolean;
  next: Scheduled | undefined;
  previous: Scheduled | undefined;
}

export class SendScheduler<T extends Scheduled> {
  /** The first and the last stream of each line; a line is for one urgency. */
  readonly #first: (Scheduled | undefined)[] = [];
  readonly #last: (Scheduled | undefined)[] = [];
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Puts a stream at the end of the line of its urgency, unless it stands in the line already. */
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

  /** Returns the stream whose turn it is; the stream stays in its line. */
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
