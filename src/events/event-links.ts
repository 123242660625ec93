/** The ways of one thread to all others: what a turn has brought leaves together, and losses that could not be told follow. */
import { LOSSES_TOLD_MS } from './event-limits.ts';
import { type EventBatch, type EventEnd, EventLink } from './event-link.ts';

export class EventLinks {
  readonly #thread: number;
  readonly #received: (link: EventLink, batch: EventBatch) => void;
  readonly #links = new Map<number, EventLink>();
  /** Losses are still to be told. */
  #isTelling = false;

  constructor(thread: number, received: (link: EventLink, batch: EventBatch) => void) {
    this.#thread = thread;
    this.#received = received;
  }

  get size(): number {
    return this.#links.size;
  }

  values(): Iterable<EventLink> {
    return this.#links.values();
  }

  /** Adds the way to another thread, in the place of one to a thread that has ended. */
  connect(end: EventEnd): void {
    const link: EventLink = new EventLink(
      this.#thread,
      end,
      (batch) => this.#received(link, batch),
      () => {
        if (this.#links.get(end.peer) === link) this.#links.delete(end.peer);
      },
    );
    this.#links.set(end.peer, link);
  }

  /** Sends what the turn has brought; what could not be told yet follows. */
  flush(): void {
    let isAllTold = true;
    for (const link of this.#links.values()) if (!link.flush()) isAllTold = false;
    if (isAllTold || this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      this.flush();
    }, LOSSES_TOLD_MS).unref();
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
