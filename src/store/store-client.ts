/** What dictionaries see of a store, whether it is one server or many. */
import type { GatewayError } from '../base/errors.ts';
import type { StoreAddress } from '../base/store-address.ts';
import type { Command } from './resp-command.ts';
import type { Reply } from './resp-reply.ts';
import type { StoreTls } from './store-socket.ts';

/** One call's end: the server's reply, a refusal among them, or what came in between. */
export type Answer = (outcome: Reply | GatewayError) => void;

/** One server that has keys of its own. */
export interface StoreMaster {
  call(one: Command, timeoutMs: number, answer: Answer): void;
}

export interface StoreClient {
  /** As messages name it. */
  readonly place: string;
  /** Calls the server that has `key`, a text of bytes; `before` goes right before it. `answer` is called once, in a later turn or in this one. */
  call(key: string, one: Command, timeoutMs: number, answer: Answer, before?: Command): void;
  /** Sends to all who have subscribed to a channel of the store. `answer` as of `call`. */
  publish(channel: string, bytes: string, timeoutMs: number, answer: Answer): void;
  /** Hands out all that have keys now; not sooner than they are known. */
  findMasters(timeoutMs: number, done: (masters: readonly StoreMaster[] | GatewayError) => void): void;
  close(): void;
}

/** Hears what comes of a store. */
export interface StoreWatcher {
  /** A connection to one of its servers was opened, and greeted. */
  connected(): void;
  /** Calls are answered from now on. */
  available(server: string): void;
  /** They are not, or an attempt has failed. */
  away(reason: string, isConfiguration: boolean): void;
  /** These keys were changed by somebody; null: any may have been, and nothing tells of it. */
  invalidated(keys: readonly Reply[] | null): void;
  /** This server tells of no changes. */
  untracked(): void;
}

/** Channels of a store, which are subscribed to as long as it is open: with each connection anew. */
export interface StoreMessages {
  readonly channels: readonly string[];
  /** The bytes are the receiver's own. */
  received(channel: string, bytes: Buffer): void;
  /** A subscription was refused, by the server's own words. */
  refused(reason: string): void;
}

export interface StoreOptions {
  readonly address: StoreAddress;
  readonly tls: StoreTls | undefined;
  readonly watcher: StoreWatcher;
  readonly messages?: StoreMessages | undefined;
}
