/** A store that is a Redis Cluster: finds the server of each key, and follows keys that move. */
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import { type StoreNode, showStoreAddress, showStoreNode } from '../base/store-address.ts';
import { ClusterChannels } from './cluster-channels.ts';
import { readRedirect, readSlots, SLOTS, type SlotRange, slotOf } from './cluster-slots.ts';
import { type Command, command } from './resp-command.ts';
import { type Reply, ReplyError } from './resp-reply.ts';
import { StoreCall } from './store-call.ts';
import type { Answer, StoreClient, StoreMaster, StoreOptions } from './store-client.ts';
import { refusedError } from './store-failures.ts';
import {
  CALL_TIMEOUT_MS,
  CLUSTER_NODES_MAX,
  REDIRECTS_MAX,
  SLOTS_AGE_MS_MIN,
  TRY_AGAIN_MS,
} from './store-limits.ts';
import { StoreLink } from './store-link.ts';

const ASKING: Command = command('ASKING');
const CLUSTER_SLOTS: Command = command('CLUSTER', 'SLOTS');
/** The map is read again now and then, as a server that has got slots of one that died tells nobody. */
const REFRESH_MS = 60_000;

/** One call on its way through the cluster. */
interface Errand {
  readonly key: string;
  readonly one: Command;
  readonly timeoutMs: number;
  readonly deadline: number;
  readonly answer: Answer;
  readonly before: Command | undefined;
  /** How often it was sent on. */
  hops: number;
}

export class ClusterStore implements StoreClient {
  readonly place: string;
  readonly #options: StoreOptions;
  /** By host and port. */
  readonly #links = new Map<string, StoreLink>();
  readonly #slots: (string | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #channels: ClusterChannels;
  #isMapped = false;
  /** As the watcher was told. */
  #isWhole = false;
  #reason: string | undefined;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #planned: NodeJS.Timeout | undefined;
  readonly #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.place = showStoreAddress(options.address);
    this.#channels = new ClusterChannels(
      options.messages,
      (channel) => this.#links.get(this.#slots[slotOf(channel)] ?? ''),
      () => this.#refreshSoon(),
    );
    for (const node of options.address.nodes) this.#linkTo(node);
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
  }

  publish(channel: string, bytes: string, timeoutMs: number, answer: Answer): void {
    this.call(channel, command('SPUBLISH', channel, bytes), timeoutMs, answer);
  }

  call(key: string, one: Command, timeoutMs: number, answer: Answer, before?: Command): void {
    const deadline = performance.now() + timeoutMs;
    this.#send({ key, one, timeoutMs, deadline, answer, before, hops: 0 });
  }

  findMasters(timeoutMs: number, done: (masters: readonly StoreMaster[] | GatewayError) => void): void {
    if (this.#isMapped) {
      done(this.#masters());
      return;
    }
    this.#askForMap(this.#someLink() ?? this.#firstLink(), timeoutMs, (outcome) => {
      if (this.#isMapped) done(this.#masters());
      else if (outcome instanceof GatewayError) done(outcome);
      else done(refusedError(this.place, this.#reason ?? 'its map is not known'));
    });
  }

  #masters(): readonly StoreMaster[] {
    const names = new Set(this.#slots.filter((name) => name !== undefined));
    return [...names].flatMap((name) => {
      const link = this.#links.get(name);
      if (link === undefined) return [];
      const call: StoreMaster['call'] = (one, timeoutMs, answer) =>
        link.send(new StoreCall(one, timeoutMs, answer));
      return [{ call }];
    });
  }

  #firstLink(): StoreLink {
    const [link] = this.#links.values();
    assert(link !== undefined, 'an address names a server');
    return link;
  }

  #nameOfLink(link: StoreLink): string {
    return [...this.#links].find(([, one]) => one === link)?.[0] ?? '';
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#planned);
    for (const link of this.#links.values()) link.close();
  }

  #send(errand: Errand, link: StoreLink = this.#linkOf(errand.key), asking = false): void {
    const { one, timeoutMs, deadline, before } = errand;
    const answer: Answer = (outcome) => {
      if (outcome instanceof ReplyError && this.#sendOn(errand, outcome)) return;
      errand.answer(outcome);
    };
    // what a server that imports the slot says of its keys is told by nobody
    link.send(new StoreCall(one, timeoutMs, answer, asking ? ASKING : before, deadline));
  }

  /** True when the refusal says where to go, or to come again. */
  #sendOn(errand: Errand, { code, message }: ReplyError): boolean {
    if (code === 'CLUSTERDOWN' || code === 'READONLY' || code === 'MASTERDOWN') this.#refreshSoon();
    if (errand.hops >= REDIRECTS_MAX || this.#isClosed) return false;
    errand.hops += 1;
    if (code === 'TRYAGAIN') {
      setTimeout(() => this.#send(errand), TRY_AGAIN_MS);
      return true;
    }
    if (code !== 'MOVED' && code !== 'ASK') return false;
    const redirect = readRedirect(message);
    if (redirect === undefined) return false;
    const { slot, host, port } = redirect;
    const name = this.#nameOf(host, port, errand.key);
    const link = name === undefined ? undefined : this.#linkTo(name);
    if (name === undefined || link === undefined) return false;
    if (code === 'MOVED') {
      this.#slots[slot] = showStoreNode(name);
      this.#refreshSoon();
    }
    this.#send(errand, link, code === 'ASK');
    return true;
  }

  /** A server that does not know its own host is where it was asked. */
  #nameOf(host: string, port: number, key: string): StoreNode | undefined {
    if (host !== '' && host !== '?') return { host, port };
    const asked = this.#slots[slotOf(key)] ?? [...this.#links.keys()][0];
    return asked === undefined ? undefined : { host: hostOf(asked), port };
  }

  #linkOf(key: string): StoreLink {
    const name = this.#slots[slotOf(key)];
    const known = name === undefined ? undefined : this.#links.get(name);
    // anyone says where it is
    return known ?? this.#someLink() ?? this.#firstLink();
  }

  #someLink(): StoreLink | undefined {
    for (const link of this.#links.values()) if (link.isReady) return link;
    return undefined;
  }

  /** Undefined where there are too many already. */
  #linkTo(node: StoreNode): StoreLink | undefined {
    const name = showStoreNode(node);
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    if (this.#links.size >= CLUSTER_NODES_MAX) return undefined;
    const { address, tls, watcher } = this.#options;
    const link: StoreLink = new StoreLink({
      address,
      tls,
      place: this.place,
      findNode: () => node,
      connected: ({ server, isTracking }) => {
        if (!isTracking) watcher.untracked();
        watcher.connected();
        this.#channels.follow();
        if (this.#isMapped) this.#tellIfWhole(server);
        else this.#refresh();
      },
      lost: (reason, isConfiguration, wasReady) => {
        this.#reason = reason;
        if (wasReady) watcher.invalidated(null);
        this.#channels.lost(link);
        // one that has no keys is missed by nobody
        if (!this.#isMapped || this.#slots.includes(name)) this.#tellAway(reason, isConfiguration);
        this.#refreshSoon();
      },
      invalidated: (keys) => watcher.invalidated(keys),
      message: (channel, bytes) => this.#options.messages?.received(channel, bytes),
      unsubscribed: (channel) => {
        this.#channels.ended(channel, link);
        this.#refreshSoon();
      },
    });
    this.#links.set(name, link);
    return link;
  }

  #refreshSoon(): void {
    if (this.#isClosed) return;
    const waitMs = Math.max(0, this.#refreshedAt + SLOTS_AGE_MS_MIN - performance.now());
    this.#planned ??= setTimeout(() => this.#refresh(), waitMs);
  }

  #refresh(): void {
    clearTimeout(this.#planned);
    this.#planned = undefined;
    this.#refreshedAt = performance.now();
    const link = this.#someLink();
    if (link !== undefined) this.#askForMap(link, CALL_TIMEOUT_MS);
  }

  /** `done` hears the answer when the map has been made of it, if it is one. */
  #askForMap(link: StoreLink, timeoutMs: number, done?: Answer): void {
    const take: Answer = (outcome) => {
      this.#take(this.#nameOfLink(link), outcome);
      done?.(outcome);
    };
    link.send(new StoreCall(CLUSTER_SLOTS, timeoutMs, take));
  }

  #take(askedName: string, outcome: Parameters<Answer>[0]): void {
    if (this.#isClosed) return;
    const ranges = outcome instanceof Error ? undefined : readSlots(outcome as Reply);
    if (ranges === undefined || ranges.length === 0) {
      const reason =
        outcome instanceof Error ? messageOf(outcome) : `${askedName} knows no slots of the cluster`;
      this.#reason = reason;
      this.#tellAway(reason, false);
      this.#planned ??= setTimeout(() => this.#refresh(), CALL_TIMEOUT_MS);
      return;
    }
    this.#isMapped = true;
    this.#apply(ranges, askedName);
    this.#tellIfWhole(askedName);
  }

  #tellAway(reason: string, isConfiguration: boolean): void {
    this.#isWhole = false;
    this.#options.watcher.away(reason, isConfiguration);
  }

  /** A cluster answers when no server that has keys is away. */
  #tellIfWhole(server: string): void {
    if (this.#isWhole) return;
    for (const name of new Set(this.#slots))
      if (name !== undefined && this.#links.get(name)?.failure !== undefined) return;
    this.#isWhole = true;
    this.#options.watcher.available(server);
  }

  #apply(ranges: readonly SlotRange[], askedName: string): void {
    const host = hostOf(askedName);
    const used = new Set<string>();
    this.#slots.fill(undefined);
    for (const { from, to, host: own, port } of ranges) {
      const node = { host: own === null || own === '' || own === '?' ? host : own, port };
      if (this.#linkTo(node) === undefined) continue;
      const name = showStoreNode(node);
      used.add(name);
      this.#slots.fill(name, from, to + 1);
    }
    const named = new Set(this.#options.address.nodes.map(showStoreNode));
    for (const [name, link] of this.#links) {
      if (used.has(name) || named.has(name)) continue;
      this.#links.delete(name);
      this.#channels.lost(link);
      link.close();
    }
    this.#channels.follow();
  }
}

/** Of `HOST:PORT`, as `showStoreNode` writes it. */
function hostOf(name: string): string {
  return name.slice(0, name.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}
