/** A store that is one server, or the master of a set that sentinels watch. */
import { showStoreAddress } from '../base/store-address.ts';
import { type Command, command } from './resp-command.ts';
import { ReplyError } from './resp-reply.ts';
import { findMaster } from './sentinel.ts';
import { StoreCall } from './store-call.ts';
import type { Answer, StoreClient, StoreMaster, StoreMessages, StoreOptions } from './store-client.ts';
import { CALL_TIMEOUT_MS } from './store-limits.ts';
import { StoreLink } from './store-link.ts';

export class SingleStore implements StoreClient {
  readonly place: string;
  readonly #link: StoreLink;

  constructor({ address, tls, watcher, messages }: StoreOptions) {
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
        watcher.connected();
        if (messages !== undefined) this.#subscribe(messages);
        watcher.available(server);
      },
      lost: (reason, isConfiguration, wasReady) => {
        if (wasReady) watcher.invalidated(null);
        watcher.away(reason, isConfiguration);
      },
      invalidated: (keys) => watcher.invalidated(keys),
      message: (channel, bytes) => messages?.received(channel, bytes),
      refused: ({ code }) => {
        // a failover has made it one; other answers have come with this one
        if (code === 'READONLY') setImmediate(() => this.#link.reconnect('it has become a replica'));
      },
    });
  }

  call(_key: string, one: Command, timeoutMs: number, answer: Answer, before?: Command): void {
    this.#send(one, timeoutMs, answer, before);
  }

  publish(channel: string, bytes: string, timeoutMs: number, answer: Answer): void {
    this.#send(command('PUBLISH', channel, bytes), timeoutMs, answer);
  }

  findMasters(_timeoutMs: number, done: (masters: readonly StoreMaster[]) => void): void {
    done([{ call: (one, timeoutMs, answer) => this.#send(one, timeoutMs, answer) }]);
  }

  close(): void {
    this.#link.close();
  }

  /** Before all calls that wait. One that is late is confirmed later, or its connection ends. */
  #subscribe({ channels, refused }: StoreMessages): void {
    for (const channel of channels)
      this.#send(command('SUBSCRIBE', channel), CALL_TIMEOUT_MS, (outcome) => {
        if (outcome instanceof ReplyError) refused(outcome.message);
      });
  }

  #send(one: Command, timeoutMs: number, answer: Answer, before?: Command): void {
    this.#link.send(new StoreCall(one, timeoutMs, answer, before));
  }
}
