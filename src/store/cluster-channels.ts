/** The subscriptions of a cluster: each channel at the server that has its slot, and at the next one when the slot moves (sharded pub/sub of Redis 7). */
import { command } from './resp-command.ts';
import { ReplyError } from './resp-reply.ts';
import { StoreCall } from './store-call.ts';
import type { StoreMessages } from './store-client.ts';
import { CALL_TIMEOUT_MS } from './store-limits.ts';
import type { StoreLink } from './store-link.ts';

export class ClusterChannels {
  readonly #messages: StoreMessages | undefined;
  readonly #linkOf: (channel: string) => StoreLink | undefined;
  readonly #moved: () => void;
  /** Where each channel is subscribed to, or has been asked to be. */
  readonly #places = new Map<string, StoreLink>();

  /** `linkOf`: by the map of the cluster; `moved`: the map is old. */
  constructor(
    messages: StoreMessages | undefined,
    linkOf: (channel: string) => StoreLink | undefined,
    moved: () => void,
  ) {
    this.#messages = messages;
    this.#linkOf = linkOf;
    this.#moved = moved;
  }

  /** Subscribes to what is not subscribed to where the map says. */
  follow(): void {
    for (const channel of this.#messages?.channels ?? []) {
      const link = this.#linkOf(channel);
      if (link?.isReady !== true || this.#places.get(channel) === link) continue;
      this.#places.set(channel, link);
      const one = command('SSUBSCRIBE', channel);
      // one that is late is confirmed later, or its connection ends
      link.send(
        new StoreCall(one, CALL_TIMEOUT_MS, (outcome) => {
          if (outcome instanceof ReplyError) this.#refused(channel, link, outcome);
        }),
      );
    }
  }

  /** The connection has ended, and its subscriptions with it. */
  lost(link: StoreLink): void {
    for (const [channel, place] of this.#places) if (place === link) this.#places.delete(channel);
  }

  /** The server has ended this one. */
  ended(channel: string, link: StoreLink): void {
    if (this.#places.get(channel) === link) this.#places.delete(channel);
  }

  #refused(channel: string, link: StoreLink, { code, message }: ReplyError): void {
    this.ended(channel, link);
    if (code === 'MOVED' || code === 'CLUSTERDOWN' || code === 'TRYAGAIN') this.#moved();
    else this.#messages?.refused(message);
  }
}
