/** Joins the threads that publish and subscribe: each gets a way to each other, and the table that says who wants what. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { EventHub } from '../events/event-hub.ts';
import type { EventEnd } from '../events/event-link.ts';
import { InterestTable } from '../events/interest-table.ts';
import { createEventShare, TextEvents } from '../events/text-events.ts';

/** Of the main thread, which an embedding program publishes from. */
const MAIN_THREAD = 0;
/** Bytes of the two counters of a way. */
const LOAD_BYTES: number = 2 * Int32Array.BYTES_PER_ELEMENT;

/** Hands a thread its end of a way. */
type Give = (end: EventEnd, transfer: readonly MessagePort[]) => void;

export class EventMesh {
  readonly interest: InterestTable;
  readonly #members = new Map<number, Give>();
  #main: TextEvents | undefined;
  #mainHub: EventHub | undefined;

  /** Of the relay to other machines, which is part of the main thread, too. */
  readonly relayThread: number;

  /** For the main thread, so many workers, and perhaps a relay. */
  constructor(workers: number, hasRelay = false) {
    this.relayThread = workers + 1;
    this.interest = new InterestTable(workers + (hasRelay ? 2 : 1));
  }

  /** Joins a thread with all that have joined before; those that it had with a thread of this number end by themselves. */
  join(thread: number, give: Give): void {
    this.leave(thread);
    for (const [other, giveOther] of this.#members) {
      const { port1, port2 } = new MessageChannel();
      const load = new SharedArrayBuffer(LOAD_BYTES);
      give({ peer: other, port: port1, load }, [port1]);
      giveOther({ peer: thread, port: port2, load }, [port2]);
    }
    this.#members.set(thread, give);
  }

  /** The main thread's part, which an embedding program uses; made at the first use. */
  get main(): TextEvents {
    if (this.#main === undefined) {
      const hub = new EventHub(MAIN_THREAD, this.interest);
      this.#mainHub = hub;
      this.#main = new TextEvents(hub, createEventShare('program'));
      this.join(MAIN_THREAD, (end) => hub.connect(end));
    }
    return this.#main;
  }

  /** Ends the main thread's part, and what it has subscribed to. */
  close(): void {
    this.leave(MAIN_THREAD);
    this.#mainHub?.close();
    this.#mainHub?.closeSubscriptions();
  }

  /** The thread has ended: nobody subscribes there any more. */
  leave(thread: number): void {
    if (this.#members.delete(thread)) this.interest.forget(thread);
  }
}
