/** The certificates of one machine beside those that the store has: the one that ends later serves on all machines. */
import { X509Certificate } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import { outOfTime } from '../tls/certificate-warnings.ts';
import type { ObtainedCertificate } from './acme-client.ts';
import type { AcmeFleet } from './acme-fleet.ts';
import { type Order, type OrderOwner, takeCertificate } from './acme-order.ts';
import { endsLater, lifeOf } from './kept-certificate.ts';
import type { SharedAccount } from './shared-records.ts';

/** So long without the store a machine lets others go first; up to twice as long, so that not all of them ask at once. */
const ALONE_AFTER_MS = 3_600_000;
/** Of its life a certificate has left when a machine asks for itself. */
const ALONE_BELOW = 1 / 6;

export interface SharedOrdersOptions extends OrderOwner {
  readonly fleet: AcmeFleet;
  readonly orders: readonly Order[];
  /** Milliseconds; default: from `ALONE_AFTER_MS` to twice as long. */
  readonly aloneAfterMs: number | undefined;
}

export class SharedOrders {
  readonly #options: SharedOrdersOptions;
  readonly #aloneAfterMs: number;
  /** Since when the store gives no lease and does not say that another has it. */
  #unledSince: number | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SharedOrdersOptions) {
    this.#options = options;
    this.#aloneAfterMs = options.aloneAfterMs ?? ALONE_AFTER_MS * (1 + Math.random());
  }

  /** Takes what ends later from the store, and puts there what ends later here. Never rejects: `unsharedSince` of an order tells. */
  exchange(orders: readonly Order[] = this.#options.orders): Promise<void> {
    // one after the other, so that nothing is installed twice
    const run = this.#last.then(async () => {
      await Promise.all(orders.map((order) => this.#exchangeOne(order)));
    });
    this.#last = run;
    return run;
  }

  /**
   * Puts a fresh certificate of this machine into the store, and tells the others. Resolves to false where the store has a later one, which serves now: this
   * machine stood still, and another was faster.
   */
  async publish(order: Order, certificate: ObtainedCertificate): Promise<boolean> {
    const { fleet } = this.#options;
    // the next look puts it there where this fails
    order.stamp = undefined;
    if (await this.#hasLater(order.names, certificate)) {
      await this.exchange([order]);
      if (order.certificate !== undefined && endsLater(order.certificate, certificate)) return false;
    }
    try {
      order.stamp = await fleet.records.putCertificate(order.names, certificate);
      fleet.tellNews();
    } catch (error) {
      fleet.note(error);
    }
    return true;
  }

  async #hasLater(names: readonly string[], certificate: ObtainedCertificate): Promise<boolean> {
    try {
      const found = await this.#options.fleet.records.certificate(names);
      return found.certificate !== undefined && endsLater(found.certificate, certificate);
    } catch {
      // a damaged entry is to be replaced
      return false;
    }
  }

  /** The account of all machines, which the folder has then, too; that of the folder where the store does not help. Throws as AcmeFolder does. */
  async account(): Promise<SharedAccount> {
    const { fleet, folder } = this.#options;
    try {
      const stored = await fleet.records.account();
      const account =
        stored ?? (await fleet.records.agreeAccount({ key: folder.accountKey(), url: undefined }));
      folder.keepAccountKey(account.key);
      return account;
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'LGW_STORE')) throw error;
      fleet.note(error);
      return { key: folder.accountKey(), url: undefined };
    }
  }

  /** The authority has given the account its URL. */
  async keepAccount(account: SharedAccount): Promise<void> {
    const { fleet } = this.#options;
    await fleet.records.putAccount(account).catch((error: unknown) => fleet.note(error));
  }

  /** The store has said whether this machine leads, or has not. */
  led(reason: GatewayError | undefined): void {
    if (reason === undefined) this.#unledSince = undefined;
    else {
      this.#unledSince ??= performance.now();
      this.#options.fleet.note(reason);
    }
  }

  /** Whether the authority may be asked now; a pause after failures of other machines moves what is due. */
  async mayRenew(order: Order): Promise<boolean> {
    if (order.unsharedSince !== undefined || this.#unledSince !== undefined) return this.#mayGoAlone(order);
    const { fleet, logger } = this.#options;
    try {
      const pause = await fleet.records.pause(order.names);
      if (pause === undefined) return true;
      order.failures = Math.max(order.failures, pause.failures);
      if (pause.until <= Date.now()) return true;
      order.dueAt = pause.until;
      logger.info(
        `Another machine has got no certificate for ${order.names.join(', ')}; the authority is asked again at ${new Date(pause.until).toISOString()}`,
      );
      return false;
    } catch (error) {
      fleet.note(error);
      return true;
    }
  }

  /** No machine asks before the order is due again. */
  async pause({ names, failures, dueAt: until }: Order): Promise<void> {
    const { fleet } = this.#options;
    await fleet.records.putPause(names, { failures, until }).catch((error: unknown) => fleet.note(error));
  }

  #mayGoAlone({ certificate, unsharedSince = Infinity }: Order): boolean {
    const since = Math.min(unsharedSince, this.#unledSince ?? Infinity);
    if (performance.now() - since < this.#aloneAfterMs) return false;
    if (certificate === undefined) return true;
    const { from, to } = lifeOf(certificate);
    return to - Date.now() <= (to - from) * ALONE_BELOW;
  }

  async #exchangeOne(order: Order): Promise<void> {
    try {
      await this.#compare(order);
      order.unsharedSince = undefined;
    } catch (error) {
      order.unsharedSince ??= performance.now();
      this.#options.fleet.note(error);
    }
  }

  async #compare(order: Order): Promise<void> {
    const { records } = this.#options.fleet;
    const stamp = await records.stamp(order.names);
    if (stamp !== '' && stamp === order.stamp) return;
    const found = await records.certificate(order.names);
    const own = order.certificate;
    const ownEnd = own === undefined ? 0 : lifeOf(own).to;
    const foundEnd = found.certificate === undefined ? 0 : lifeOf(found.certificate).to;
    let seen = found.stamp;
    if (found.certificate !== undefined && foundEnd > ownEnd) await this.#take(order, found.certificate);
    else if (own !== undefined && ownEnd > foundEnd && ownEnd > Date.now())
      seen = await records.putCertificate(order.names, own);
    order.stamp = seen;
  }

  async #take(order: Order, certificate: ObtainedCertificate): Promise<void> {
    const { logger } = this.#options;
    const names = order.names.join(', ');
    const fault = outOfTime(new X509Certificate(certificate.certificate), Date.now());
    if (fault !== undefined)
      throw new GatewayError('LGW_ACME', `The certificate for ${names} in the store ${fault}`);
    await takeCertificate(order, certificate, this.#options);
    order.askedAt = 0;
    logger.info(
      `A certificate for ${names} has come from another machine and serves; it is renewed on ${new Date(order.dueAt).toISOString()}`,
    );
  }
}
