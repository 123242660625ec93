/** Keeps a connection to one server of a store: connects again when it is lost, and lets calls wait meanwhile, but not for long. */
import type { GatewayError } from '../base/errors.ts';
import { type StoreAddress, type StoreNode, showStoreNode } from '../base/store-address.ts';
import type { Greeting } from './greeting.ts';
import type { Reply, ReplyError } from './resp-reply.ts';
import type { CallOwner, StoreCall } from './store-call.ts';
import { StoreConnection } from './store-connection.ts';
import { closedError, crowdedError, lostError, refusedError, timeoutError } from './store-failures.ts';
import {
  BROKEN_WAIT_MS,
  CALL_BYTES_MAX,
  CALLS_MAX,
  PING_MS,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
  SWEEP_MS,
} from './store-limits.ts';
import type { StoreTls } from './store-socket.ts';

export interface LinkOptions {
  readonly address: StoreAddress;
  readonly tls: StoreTls | undefined;
  /** As messages name the store. */
  readonly place: string;
  /** Where to connect to, asked for each attempt; a rejection is an attempt that has failed. */
  findNode(): StoreNode | Promise<StoreNode>;
  /** Calls can be sent. */
  connected(greeting: Greeting, node: StoreNode): void;
  /** They cannot any more, or an attempt has failed. `wasReady`: a connection that was used has ended. */
  lost(reason: string, isConfiguration: boolean, wasReady: boolean): void;
  invalidated(keys: readonly Reply[] | null): void;
  refused?(error: ReplyError): void;
  message?(channel: string, bytes: Buffer): void;
  unsubscribed?(channel: string): void;
}

export class StoreLink implements CallOwner {
  readonly #options: LinkOptions;
  #connection: StoreConnection | undefined;
  #isReady = false;
  /** Until the first attempt has come to an end nothing is known. */
  #reason: string | undefined;
  #failures = 0;
  #isClosed = false;
  /** Calls that wait for a connection. */
  #queue: StoreCall[] = [];
  /** All that wait, here or for their answer. */
  #count = 0;
  #bytes = 0;
  #sweep: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #pings: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    void this.#connect();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Why the last attempt to connect has failed, or the connection has ended; undefined while it is ready, and before the first attempt has ended. */
  get failure(): string | undefined {
    return this.#reason;
  }

  /** Ends the call by its deadline at the latest; `refused` when the store is away, `limit` when too much waits. */
  send(call: StoreCall): void {
    const { place } = this.#options;
    if (this.#isClosed) {
      call.finish(closedError(place));
      return;
    }
    const crowd = this.#crowd(call);
    if (crowd !== undefined) {
      call.finish(crowdedError(place, crowd));
      return;
    }
    call.owner = this;
    this.#count += 1;
    this.#bytes += call.bytes;
    if (this.#isReady) this.#connection?.send(call);
    else this.#queue.push(call);
    this.#sweep ??= setTimeout(() => this.#lookForOverdue(), SWEEP_MS);
  }

  /** For StoreCall. */
  settled(call: StoreCall): void {
    this.#count -= 1;
    this.#bytes -= call.bytes;
  }

  /** Begins anew: the server is not what it was. */
  reconnect(reason: string): void {
    this.#connection?.close(reason);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of [this.#sweep, this.#retry]) clearTimeout(timer);
    clearInterval(this.#pings);
    this.#connection?.close('the gateway ends');
    this.#end(this.#queue.splice(0), closedError(this.#options.place));
  }

  #crowd(call: StoreCall): string | undefined {
    const [count, bytes] = [this.#count, this.#bytes];
    if (count >= CALLS_MAX) return `${count} calls wait and the limit is ${CALLS_MAX}`;
    if (bytes + call.bytes > CALL_BYTES_MAX)
      return `commands of ${bytes} bytes wait and the limit is ${CALL_BYTES_MAX}`;
    return undefined;
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let node: StoreNode;
    try {
      node = await this.#options.findNode();
    } catch (error) {
      this.#failed((error as Error).message, false);
      return;
    }
    if (this.#isClosed) return;
    const { address, tls, invalidated } = this.#options;
    this.#connection = new StoreConnection({
      address,
      node,
      tls,
      ready: (greeting) => this.#ready(greeting, node),
      closed: (reason, isConfiguration) => this.#closed(reason, isConfiguration, node),
      invalidated,
      message: (channel, bytes) => this.#options.message?.(channel, bytes),
      unsubscribed: (channel) => this.#options.unsubscribed?.(channel),
      refused: (error) => this.#options.refused?.(error),
    });
  }

  #ready(greeting: Greeting, node: StoreNode): void {
    this.#isReady = true;
    this.#failures = 0;
    this.#reason = undefined;
    this.#options.connected(greeting, node);
    this.#pings = setInterval(() => this.#connection?.ping(), PING_MS);
    for (const call of this.#queue.splice(0)) if (!call.isOver) this.#connection?.send(call);
  }

  #closed(reason: string, isConfiguration: boolean, node: StoreNode): void {
    const connection = this.#connection;
    const wasReady = this.#isReady;
    this.#isReady = false;
    this.#connection = undefined;
    clearInterval(this.#pings);
    const { place } = this.#options;
    const calls = connection?.takeWaiting() ?? [];
    if (this.#isClosed) this.#end(calls, closedError(place));
    else {
      this.#failed(`${showStoreNode(node)}: ${reason}`, isConfiguration, wasReady);
      this.#end(calls, lostError(place, reason));
    }
  }

  #failed(reason: string, isConfiguration: boolean, wasReady = false): void {
    if (this.#isClosed) return;
    this.#reason = reason;
    const base = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#retry = setTimeout(() => void this.#connect(), base * (0.5 + Math.random()));
    this.#options.lost(reason, isConfiguration, wasReady);
  }

  #end(calls: readonly StoreCall[], error: GatewayError): void {
    for (const call of calls) call.finish(error);
  }

  /** Ends what waits for too long. An answer that has come and was not read yet is read first: the thread may have been busy. */
  #lookForOverdue(): void {
    this.#sweep = undefined;
    const connection = this.#connection;
    if (this.#count === 0 && (connection === undefined || connection.waiting === 0)) return;
    const now = performance.now();
    setImmediate(() => this.#endOverdue(now));
    this.#sweep = setTimeout(() => this.#lookForOverdue(), SWEEP_MS);
  }

  #endOverdue(now: number): void {
    const { place } = this.#options;
    const connection = this.#connection;
    connection?.endOverdue(now, ({ timeoutMs }) => timeoutError(place, timeoutMs));
    connection?.checkSilence(now);
    if (this.#queue.length === 0) return;
    for (const call of this.#queue) {
      const { deadline, timeoutMs } = call;
      const brokenAt = this.#reason === undefined ? deadline : deadline - timeoutMs + BROKEN_WAIT_MS;
      if (now >= Math.min(deadline, brokenAt))
        call.finish(refusedError(place, this.#reason ?? 'there is no connection yet'));
    }
    this.#queue = this.#queue.filter((call) => !call.isOver);
  }
}
