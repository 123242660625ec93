/**
 * Carries what is published here to the other machines, and what they publish to the threads of this one, over channels of a store. It joins the
 * mesh of the threads like one of them: what is published here reaches everybody here without it, whatever becomes of the store.
 */
import { GatewayError } from '../base/errors.ts';
import { type EventBatch, type EventEnd, type EventLink, loadOf } from '../events/event-link.ts';
import { EventLinks } from '../events/event-links.ts';
import { InterestTable } from '../events/interest-table.ts';
import { ReplyError } from '../store/resp-reply.ts';
import type { StoreClient } from '../store/store-client.ts';
import { decodeItems, encodeBatch, LENGTH_BYTES, senderOf } from './event-batch.ts';

/** Bytes that go to the store in one command, unless one message is longer: what many small ones cost is hardly less with more. */
const BATCH_BYTES_MAX: number = 64 * 1024;
/** A batch that the store has not taken by then is lost. */
const PUBLISH_TIMEOUT_MS = 1000;
/** In a cluster messages are spread over so many channels, and so over its servers; those of one channel of scripts stay in their order. */
const CLUSTER_CHANNELS = 16;

/** What has happened so far. */
export interface RelayCounts {
  /** Messages that the store has taken. */
  sent: number;
  /** Messages of other machines. */
  received: number;
  /** Messages that the store has not taken in time, or that found no room on the way to it. */
  lost: number;
  /** Batches that nobody can read. */
  unreadable: number;
}

export interface RelayOptions {
  /** Of this process, 16 hexadecimal digits. */
  readonly id: string;
  /** Its number among the threads. */
  readonly thread: number;
  readonly interest: InterestTable;
}

/** The channels of a store that all gateways with this database use. */
export function relayChannels(database: number, isCluster: boolean): readonly string[] {
  const count = isCluster ? CLUSTER_CHANNELS : 1;
  // publish and subscribe know no databases
  return Array.from({ length: count }, (_, i) => `lg:events:${database}:${i}`);
}

export class EventRelay {
  readonly counts: RelayCounts = { sent: 0, received: 0, lost: 0, unreadable: 0 };
  readonly #options: RelayOptions;
  readonly #client: Pick<StoreClient, 'publish'>;
  readonly #channels: readonly string[];
  readonly #links: EventLinks;

  constructor(options: RelayOptions, client: Pick<StoreClient, 'publish'>, channels: readonly string[]) {
    this.#options = options;
    this.#links = new EventLinks(options.thread, (link, batch) => this.#send(link, batch));
    this.#client = client;
    this.#channels = channels;
    // whoever publishes anything publishes to the other machines
    options.interest.addAll(options.thread);
  }

  /** Adds the way to a thread, in the place of one to a thread that has ended. */
  connect(end: EventEnd): void {
    this.#links.connect(end);
  }

  /** Takes what has come from the store, this process's own among it. */
  received(bytes: Buffer): void {
    const sender = senderOf(bytes);
    if (sender === this.#options.id) return;
    const items = sender === undefined ? undefined : decodeItems(bytes);
    if (items === undefined) {
      this.counts.unreadable += 1;
      return;
    }
    const { interest } = this.#options;
    for (let i = 0; i < items.length; i += 2) {
      const channel = items[i] as string;
      const slot = InterestTable.slotOf(channel);
      for (const link of this.#links.values())
        if (interest.count(link.peer, slot) > 0) link.send(channel, items[i + 1] as string);
    }
    this.counts.received += items.length / 2;
    this.#links.flush();
  }

  close(): void {
    this.#links.close();
  }

  #send(link: EventLink, { items, lost }: EventBatch): void {
    for (let i = 1; i < lost.length; i += 2) this.counts.lost += lost[i] as number;
    const batches = new Map<number, { items: string[]; bytes: number }>();
    for (let i = 0; i < items.length; i += 2) {
      const channel = items[i] as string;
      const text = items[i + 1] as string;
      const place = InterestTable.slotOf(channel) % this.#channels.length;
      const bytes = channel.length + text.length + LENGTH_BYTES;
      const batch = batches.get(place);
      if (batch === undefined) batches.set(place, { items: [channel, text], bytes });
      else if (batch.bytes + bytes > BATCH_BYTES_MAX) {
        this.#publish(link, place, batch.items);
        batches.set(place, { items: [channel, text], bytes });
      } else {
        batch.items.push(channel, text);
        batch.bytes += bytes;
      }
    }
    for (const [place, batch] of batches) this.#publish(link, place, batch.items);
  }

  /** The bytes count as being on the way until the store has taken them: so a thread never has more than those of one way waiting here. */
  #publish(link: EventLink, place: number, items: readonly string[]): void {
    const batch = encodeBatch(this.#options.id, items);
    this.#client.publish(this.#channels[place] as string, batch, PUBLISH_TIMEOUT_MS, (outcome) => {
      let load = 0;
      for (let i = 0; i < items.length; i += 2) load += loadOf(items[i] as string, items[i + 1] as string);
      link.taken(load);
      const isLost = outcome instanceof GatewayError || outcome instanceof ReplyError;
      this.counts[isLost ? 'lost' : 'sent'] += items.length / 2;
    });
  }
}
