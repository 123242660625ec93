/**
 * Keeps certificates of an ACME server: takes those of the folder, obtains what is missing, renews in time, asks again after a
 * failure. One certificate after the other; the one before stays until another has come.
 */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { ChallengeType } from '../settings/acme-settings.ts';
import { type AcmeAuthority, AcmeClient, type ObtainedCertificate } from './acme-client.ts';
import { AcmeProblem } from './acme-connection.ts';
import type { AcmeFleet, Leadership } from './acme-fleet.ts';
import type { AcmeFolder } from './acme-folder.ts';
import { type Order, type OrderOwner, readKeptOrder, takeCertificate } from './acme-order.ts';
import type { ChallengeHost } from './challenges.ts';
import { endsLater } from './kept-certificate.ts';
import { renewalIdentifier, suggestedTime } from './renewal-time.ts';
import { SharedOrders } from './shared-orders.ts';

export interface KeeperSettings {
  readonly authority: AcmeAuthority;
  /** Host names of each certificate. */
  readonly orders: readonly (readonly string[])[];
  readonly challengeTypes: readonly ChallengeType[];
  /** Milliseconds from a first failure to the next attempt; default `RETRY_FIRST_MS`. */
  readonly retryMs?: number;
  /** Milliseconds until a machine that may not ask looks again; default `UNLED_AGAIN_MS`. */
  readonly unledAgainMs?: number;
  /** As in SharedOrdersOptions. */
  readonly aloneAfterMs?: number;
}

export interface KeeperOwner extends ChallengeHost {
  /** Resolves when the workers serve with it. */
  install(names: readonly string[], certificate: ObtainedCertificate): Promise<void>;
}

const HOUR_MS = 3_600_000;
/** The clock is looked at so often: a timer knows nothing of a machine that slept or of a clock that was set. */
const LOOK_EVERY_MS = HOUR_MS;
/** What authorities count is failures of an hour: four attempts fall into the first one. */
const RETRY_FIRST_MS = 2 * 60_000;
const RETRY_FACTOR = 3;
const RETRY_MAX_MS = 12 * HOUR_MS;
const RETRY_JITTER = 0.2;
/** An authority that revokes a certificate says early that another is to be obtained: it is asked so often (RFC 9773 §4.2). */
const SUGGESTION_EVERY_MS = 6 * HOUR_MS;
/** Another process asks this server: it is asked again when that one may be done. */
const LOCKED_AGAIN_MS = 60_000;
/** Another machine asks it, or the store does not say: machines that have gone are known of as soon. */
const UNLED_AGAIN_MS = 5000;

export class AcmeKeeper {
  readonly #settings: KeeperSettings;
  readonly #folder: AcmeFolder;
  readonly #owner: KeeperOwner;
  readonly #logger: Logger;
  readonly #stopped: AbortController = new AbortController();
  readonly #orders: Order[];
  readonly #taker: OrderOwner;
  readonly #fleet: AcmeFleet | undefined;
  readonly #shared: SharedOrders | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** `fleet`: certificates are those of all its machines. */
  constructor(
    settings: KeeperSettings,
    folder: AcmeFolder,
    owner: KeeperOwner,
    logger: Logger,
    fleet?: AcmeFleet,
  ) {
    this.#settings = settings;
    this.#folder = folder;
    this.#owner = owner;
    this.#logger = logger;
    this.#orders = settings.orders.map((names) => readKeptOrder(folder, names));
    this.#fleet = fleet;
    this.#taker = { folder, install: (names, certificate) => owner.install(names, certificate), logger };
    const { aloneAfterMs } = settings;
    this.#shared = fleet && new SharedOrders({ ...this.#taker, fleet, orders: this.#orders, aloneAfterMs });
  }

  /** The certificates that the folder has; undefined in the place of those that are missing. Read at the construction. */
  kept(): { names: readonly string[]; certificate: ObtainedCertificate | undefined }[] {
    return this.#orders.map(({ names, certificate }) => ({ names, certificate }));
  }

  /** Installs what other machines have obtained; resolves in a few seconds also where the store does not answer. */
  async takeShared(): Promise<void> {
    await this.#shared?.exchange();
  }

  /** From now on certificates are obtained and renewed. The workers must serve. */
  start(): void {
    this.#fleet?.start(() => this.takeShared());
    this.#look();
  }

  /** Ends what runs; nothing is asked any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopped.abort(new Error('the gateway ends'));
    await this.#running;
    await this.#fleet?.stop();
  }

  #look(): void {
    this.#running = this.#renewAllDue().finally(() => {
      if (this.#stopped.signal.aborted) return;
      const next = Math.min(...this.#orders.map(({ dueAt }) => dueAt)) - Date.now();
      this.#timer = setTimeout(() => this.#look(), Math.max(0, Math.min(next, LOOK_EVERY_MS)));
      this.#timer.unref();
    });
  }

  async #renewAllDue(): Promise<void> {
    const now = Date.now();
    const toAsk = this.#orders.filter(
      ({ certificate, askedAt }) => certificate !== undefined && askedAt + SUGGESTION_EVERY_MS <= now,
    );
    if (toAsk.length > 0) await this.#withClient((client) => this.#askForEach(client, toAsk), toAsk);
    const due = this.#orders.filter(({ dueAt }) => dueAt <= Date.now());
    if (due.length === 0) return;
    if (this.#fleet === undefined || this.#shared === undefined) await this.#renewAll(due);
    else await this.#renewForAll(due, this.#fleet, this.#shared);
  }

  /** One machine asks for all of them; without the store, each for itself when it is high time. */
  async #renewForAll(due: readonly Order[], fleet: AcmeFleet, shared: SharedOrders): Promise<void> {
    const outcome = await fleet.lead();
    const leadership = typeof outcome === 'object' && 'signal' in outcome ? outcome : undefined;
    try {
      if (typeof outcome !== 'string') {
        shared.led(outcome instanceof GatewayError ? outcome : undefined);
        // another machine may have renewed it a moment ago
        await shared.exchange(due);
        const mine: Order[] = [];
        for (const order of due)
          if (order.dueAt <= Date.now() && (await shared.mayRenew(order))) mine.push(order);
        if (mine.length > 0) await this.#renewAll(mine, leadership);
      }
    } finally {
      leadership?.end();
    }
    const { unledAgainMs = UNLED_AGAIN_MS } = this.#settings;
    for (const order of due) order.dueAt = Math.max(order.dueAt, Date.now() + unledAgainMs);
  }

  async #renewAll(due: readonly Order[], leadership?: Leadership): Promise<void> {
    await this.#withClient((client) => this.#renewLocked(client, due, leadership), due);
  }

  async #withClient(use: (client: AcmeClient) => Promise<void>, orders: readonly Order[]): Promise<void> {
    let client: AcmeClient | undefined;
    try {
      const shared = await this.#shared?.account();
      const key = shared?.key ?? this.#folder.accountKey();
      client = new AcmeClient(this.#settings.authority, key, shared?.url);
      await use(client);
      if (client.account !== undefined && client.account !== shared?.url)
        await this.#shared?.keepAccount({ key, url: client.account });
    } catch (error) {
      for (const order of orders) this.#postpone(order, error);
    } finally {
      client?.close();
    }
  }

  async #askForEach(client: AcmeClient, orders: readonly Order[]): Promise<void> {
    for (const order of orders) {
      const suggested = await this.#askForRenewalTime(client, order);
      if (suggested !== undefined) order.dueAt = suggested;
    }
  }

  async #renewLocked(
    client: AcmeClient,
    due: readonly Order[],
    leadership: Leadership | undefined,
  ): Promise<void> {
    if (!this.#folder.lock()) {
      for (const order of due) order.dueAt = Date.now() + LOCKED_AGAIN_MS;
      this.#logger.info('Another process obtains certificates with this folder; looking again in a minute');
      return;
    }
    const stopped = this.#stopped.signal;
    const signal = leadership === undefined ? stopped : AbortSignal.any([stopped, leadership.signal]);
    try {
      for (const order of due) {
        if (signal.aborted) return;
        await this.#renew(client, order, signal).catch((error: unknown) => this.#postpone(order, error));
      }
    } finally {
      this.#folder.unlock();
    }
  }

  async #renew(client: AcmeClient, order: Order, signal: AbortSignal): Promise<void> {
    // another process may have renewed it, or the authority may want another time
    const kept = this.#folder.read(order.names);
    const { certificate: before } = order;
    if (kept !== undefined && (before === undefined || endsLater(kept, before)))
      return await this.#take(client, order, kept);
    this.#logger.info(`Obtaining a certificate for ${order.names.join(', ')}`);
    const fresh = await this.#obtain(client, order, signal);
    if (fresh === undefined) return;
    const isLatest = (await this.#shared?.publish(order, fresh)) ?? true;
    if (isLatest) await this.#take(client, order, fresh);
  }

  /** Undefined: the authority has refused, or may no longer be asked. */
  async #obtain(
    client: AcmeClient,
    order: Order,
    signal: AbortSignal,
  ): Promise<ObtainedCertificate | undefined> {
    const host = this.#fleet?.challenges ?? this.#owner;
    try {
      return await client.obtain(order.names, this.#settings.challengeTypes, host, signal);
    } catch (error) {
      if (!signal.aborted) {
        this.#postpone(order, error);
        await this.#shared?.pause(order);
      } else if (!this.#stopped.signal.aborted)
        this.#logger.warn(`No certificate for ${order.names.join(', ')}: ${messageOf(error)}`);
      return undefined;
    }
  }

  async #take(client: AcmeClient, order: Order, certificate: ObtainedCertificate): Promise<void> {
    await takeCertificate(order, certificate, this.#taker);
    const suggested = await this.#askForRenewalTime(client, order);
    if (suggested !== undefined) order.dueAt = suggested;
    this.#logger.info(
      `The certificate for ${order.names.join(', ')} serves; it is renewed on ${new Date(order.dueAt).toISOString()}`,
    );
  }

  /** Undefined when the authority does not tell. */
  async #askForRenewalTime(client: AcmeClient, order: Order): Promise<number | undefined> {
    const { certificate, chance } = order;
    order.askedAt = Date.now();
    try {
      const url = await client.renewalInfoUrl();
      const identifier = certificate && renewalIdentifier(certificate.certificate);
      if (url === undefined || identifier === undefined) return undefined;
      return suggestedTime(await client.get(`${url.replace(/\/$/, '')}/${identifier}`), chance);
    } catch (error) {
      this.#logger.warn(`The authority told no time of renewal: ${messageOf(error)}`);
      return undefined;
    }
  }

  #postpone(order: Order, error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    const { retryMs = RETRY_FIRST_MS } = this.#settings;
    const pause = Math.min(retryMs * RETRY_FACTOR ** order.failures, RETRY_MAX_MS);
    const asked = error instanceof AcmeProblem ? (error.retryAfter ?? 0) * 1000 : 0;
    order.failures += 1;
    order.dueAt = Date.now() + Math.max(asked, pause * (1 + RETRY_JITTER * (2 * Math.random() - 1)));
    const rest = order.certificate === undefined ? '' : '; the one before stays';
    this.#logger.error(
      `No certificate for ${order.names.join(', ')}: ${messageOf(error)}${rest}; asking again at ${new Date(order.dueAt).toISOString()}`,
    );
  }
}
