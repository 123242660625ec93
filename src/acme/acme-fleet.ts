/**
 * The other machines, as the keeper of one sees them: who asks the authority, which certificates they have, who answers its challenges. What counts stands in entries of the
 * store; notices only say that it is worth a look, which each machine takes now and then anyway.
 */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';
import type { CertificateShare } from '../fleet/fleet.ts';
import type { Lease, LeaseRefusal } from '../fleet/leases.ts';
import type { ChallengeHost } from './challenges.ts';
import { SharedChallenges } from './shared-challenges.ts';
import { SharedRecords } from './shared-records.ts';

/** One for all certificates of all authorities: the answers to challenges stand in one entry. */
const LEASE = 'acme';
/** The store is looked at so often without a notice. */
const LOOK_EVERY_MS = 5000;
/** However many notices come: between two looks. */
const LOOK_PAUSE_MS = 50;
/** Version, kind, process, number. */
const NOTICE = /^1 (news|answers|taken) ([0-9a-f]{16}) ([0-9a-f]{16})$/;
const NO_NUMBER = '0'.repeat(16);

/** While it is there, nobody else asks the authority. */
export interface Leadership {
  /** Aborted when another may ask: this machine stood still, or the store was away. */
  readonly signal: AbortSignal;
  end(): void;
}

export class AcmeFleet {
  readonly records: SharedRecords;
  readonly challenges: SharedChallenges;
  readonly #share: CertificateShare;
  readonly #logger: Logger;
  #look: () => Promise<void> = async () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isStopped = false;
  #notice = new MinuteNotice();

  constructor(share: CertificateShare, directory: string, owner: ChallengeHost, logger: Logger) {
    const { entries, channel, id } = share;
    this.#share = share;
    this.#logger = logger;
    this.records = new SharedRecords(entries, directory);
    this.challenges = new SharedChallenges({
      entries,
      id,
      tell: (what, number) => channel.publish(`1 ${what} ${id} ${number}`),
      owner,
      logger,
    });
  }

  /** `look` runs when something may be new, one run at a time. */
  start(look: () => Promise<void>): void {
    this.#look = look;
    const wake = (): void => this.#wake();
    this.#share.channel.read({ noticed: (text) => this.#noticed(text), connected: wake });
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Tells the others that there is a certificate. */
  tellNews(): void {
    const { channel, id } = this.#share;
    // they look anyway
    channel.publish(`1 news ${id} ${NO_NUMBER}`).catch(() => undefined);
  }

  /** Resolves to why not where this machine may not ask the authority. */
  async lead(): Promise<Leadership | LeaseRefusal> {
    const lost = new AbortController();
    const lease = await new Promise<Lease | LeaseRefusal>((resolve) =>
      this.#share.leases.take(LEASE, 0, resolve, () =>
        lost.abort(new GatewayError('LGW_ACME', 'Another machine may ask the authority now')),
      ),
    );
    if (typeof lease === 'string' || lease instanceof GatewayError) return lease;
    this.challenges.lead(lease);
    return {
      signal: lost.signal,
      end: () => {
        this.challenges.lead(undefined);
        lease.release(true);
      },
    };
  }

  /** The store or an entry of it is no help now. */
  note(error: unknown): void {
    if (this.#isStopped || this.#notice.note() === undefined) return;
    this.#logger.warn(`Certificates are not shared with the other machines now: ${messageOf(error)}`);
  }

  #noticed(text: string): void {
    const [, kind, id = '', number = ''] = NOTICE.exec(text) ?? [];
    if (kind === undefined || id === this.#share.id) return;
    if (kind === 'taken') this.challenges.confirmed(number, id);
    else this.#wake();
  }

  /** A look that runs may have missed what this one is for. */
  #wake(): void {
    if (this.#isStopped) return;
    this.#isWanted = true;
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#running = this.#lookOnce().finally(() => {
      this.#running = undefined;
      if (this.#isStopped) return;
      this.#timer = setTimeout(() => this.#wake(), this.#isWanted ? LOOK_PAUSE_MS : LOOK_EVERY_MS);
      this.#timer.unref();
    });
  }

  async #lookOnce(): Promise<void> {
    this.#isWanted = false;
    try {
      await this.challenges.refresh();
    } catch (error) {
      this.note(error);
    }
    await this.#look();
  }
}
