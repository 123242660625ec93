/**
 * The way from one thread to another: messages of a turn go as one, and no more are on the way than the other takes. What finds no room is
 * lost, and the other side hears how much with what comes next.
 */
import type { MessagePort } from 'node:worker_threads';
import { BYTES_ON_THE_WAY_MAX, LOST_CHANNELS_MAX, MESSAGE_OVERHEAD_BYTES } from './event-limits.ts';

/** One end of a way. */
export interface EventEnd {
  /** The thread at the other end. */
  readonly peer: number;
  readonly port: MessagePort;
  /** Two Int32: the bytes that are on the way from the thread with the lower number, and from the other. */
  readonly load: SharedArrayBuffer;
}

/** What goes over in one message: channels and texts in turn; channels and how many were lost in turn. */
export interface EventBatch {
  readonly items: readonly string[];
  readonly lost: readonly (string | number)[];
}

/** Stands for all channels, where too many have lost messages to remember each. */
export const ALL_CHANNELS = '';

/** Bytes that a message counts. */
export function loadOf(channel: string, text: string): number {
  return channel.length + text.length + MESSAGE_OVERHEAD_BYTES;
}

export class EventLink {
  readonly peer: number;
  readonly #port: MessagePort;
  readonly #load: Int32Array;
  readonly #out: 0 | 1;
  #items: string[] = [];
  #lost = new Map<string, number>();

  /** `received` gets batches; `load` of what was handed out is given back by `taken`. */
  constructor(
    own: number,
    { peer, port, load }: EventEnd,
    received: (batch: EventBatch) => void,
    gone: () => void,
  ) {
    this.peer = peer;
    this.#port = port;
    this.#load = new Int32Array(load);
    this.#out = own < peer ? 0 : 1;
    port.on('message', received);
    port.on('close', gone);
    // a thread is not kept alive by what others may say
    port.unref();
  }

  /** Takes a message along with those of this turn. */
  send(channel: string, text: string): void {
    const size = loadOf(channel, text);
    if (Atomics.load(this.#load, this.#out) + size > BYTES_ON_THE_WAY_MAX) {
      const name = this.#lost.has(channel) || this.#lost.size < LOST_CHANNELS_MAX ? channel : ALL_CHANNELS;
      this.#lost.set(name, (this.#lost.get(name) ?? 0) + 1);
      return;
    }
    Atomics.add(this.#load, this.#out, size);
    this.#items.push(channel, text);
  }

  /** Sends what the turn has brought. False: the other side is to hear of losses when it has taken some of what is on the way. */
  flush(): boolean {
    if (this.#items.length === 0) {
      if (this.#lost.size === 0) return true;
      if (Atomics.load(this.#load, this.#out) > BYTES_ON_THE_WAY_MAX / 2) return false;
    }
    const batch: EventBatch = { items: this.#items, lost: [...this.#lost].flat() };
    this.#items = [];
    this.#lost.clear();
    this.#port.postMessage(batch);
    return true;
  }

  /** So many bytes of what came have been handed out. */
  taken(bytes: number): void {
    Atomics.sub(this.#load, this.#out === 0 ? 1 : 0, bytes);
  }

  close(): void {
    this.#port.close();
  }
}
