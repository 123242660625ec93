/** A store that is one server, or the master of a set that sentinels watch. */
import { showStoreAddress } from '../base/store-address.ts';
import type { Command } from './resp-command.ts';
import { findMaster } from './sentinel.ts';
import { StoreCall } from './store-call.ts';
import type { Answer, StoreClient, StoreMaster, StoreOptions } from './store-client.ts';
import { StoreLink } from './store-link.ts';

export class SingleStore implements StoreClient {
  readonly place: string;
  readonly #link: StoreLink;

  constructor({ address, tls, watcher }: StoreOptions) {
    this.place = showStoreAddress(address);
    const [node] = address.nodes;
    if (node === undefined) throw new RangeError('A store has at least one server');
    this.#link = new StoreLink({
      address,
      tls,
      place: this.place,
      findNode: () => (address.kind === 'sentinel' ? findMaster(address, tls) : node),
      connected: ({ server, isTracking }) => {
        if (!isTracking) watcher.untracked();
        watcher.available(server);
      },
      lost: (reason, isConfiguration, wasReady) => {
        if (wasReady) watcher.invalidated(null);
        watcher.away(reason, isConfiguration);
      },
      invalidated: (keys) => watcher.invalidated(keys),
      refused: ({ code }) => {
        // a failover has made it one; other answers have come with this one
        if (code === 'READONLY') setImmediate(() => this.#link.reconnect('it has become a replica'));
      },
    });
  }

  call(_key: string, one: Command, timeoutMs: number, answer: Answer, before?: Command): void {
    this.#send(one, timeoutMs, answer, before);
  }

  findMasters(_timeoutMs: number, done: (masters: readonly StoreMaster[]) => void): void {
    done([{ call: (one, timeoutMs, answer) => this.#send(one, timeoutMs, answer) }]);
  }

  close(): void {
    this.#link.close();
  }

  #send(one: Command, timeoutMs: number, answer: Answer, before?: Command): void {
    this.#link.send(new StoreCall(one, timeoutMs, answer, before));
  }
}
