/** Short notices between the machines of a fleet, over a channel of the store. One that is lost is lost: what counts stands in entries. */
import type { StoreClient } from '../store/store-client.ts';
import { promisedReply } from '../store/store-failures.ts';

/** A longer message is none of ours. */
const NOTICE_BYTES_MAX = 256;
const PUBLISH_TIMEOUT_MS = 1000;

export interface ChannelReader {
  /** A notice has come, this machine's own among them. */
  noticed(text: string): void;
  /** A connection to the store was opened: notices may have been lost before. */
  connected(): void;
}

export class FleetChannel {
  readonly name: string;
  readonly #client: Pick<StoreClient, 'publish' | 'place'>;
  readonly #readers = new Set<ChannelReader>();

  constructor(name: string, client: Pick<StoreClient, 'publish' | 'place'>) {
    this.name = name;
    this.#client = client;
  }

  read(reader: ChannelReader): void {
    this.#readers.add(reader);
  }

  /** Resolves to the number of machines that get it, this one among them. Rejects with GatewayError: the store has not taken it. */
  async publish(text: string): Promise<number> {
    const client = this.#client;
    return Number(
      await promisedReply(client.place, (done) => client.publish(this.name, text, PUBLISH_TIMEOUT_MS, done)),
    );
  }

  /** For whoever has the connection. */
  received(bytes: Buffer): void {
    if (bytes.length > NOTICE_BYTES_MAX) return;
    const text = bytes.toString('latin1');
    for (const reader of this.#readers) reader.noticed(text);
  }

  /** As `received`. */
  connected(): void {
    for (const reader of this.#readers) reader.connected();
  }
}
