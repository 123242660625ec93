/** What one gateway has and its successor gets: at the one side it is held and handed over, at the other it is taken over. */
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { unavailableReason } from '../native/posix.ts';
import type { HandedAdmin } from './admin-socket.ts';
import { followPredecessor } from './follow-predecessor.ts';
import type { Handover } from './handover.ts';
import type { OnceRecord, OnceRegistry } from './once-registry.ts';
import { PidKeeper } from './pid-keeper.ts';
import type { Predecessor } from './predecessor.ts';

/** What an upgrade needs of the gateway that serves. */
export interface UpgradeHold {
  /** Of the sockets of the handover, in their order. */
  readonly descriptors: readonly number[];
  readonly handover: Handover;
  /** Of the admin listener, where the handover has its place. */
  readonly adminDescriptor?: number | undefined;
}

export interface SuccessionParts {
  /** Whose place this gateway takes; undefined: nobody's. */
  readonly predecessor: Predecessor | undefined;
  readonly pidFile: string | undefined;
  readonly once: OnceRegistry;
  readonly logger: Logger;
  /** Resolves when no reload runs. */
  readonly reloaded: () => Promise<unknown>;
  /** Why the gateway has nothing to hand over now; undefined: it serves. */
  readonly whyNotServing: () => string | undefined;
  /** Undefined where descriptors are not duplicated. */
  readonly handed: () => (Pick<Handover, 'sockets'> & Pick<UpgradeHold, 'descriptors'>) | undefined;
  readonly handedAdmin: () => HandedAdmin | undefined;
  readonly tls: () => Pick<Handover, 'ticketKeys' | 'tls'>;
  readonly openAdmin: () => Promise<void>;
  /** True when there is an admin listener, which has been closed for the successor to have its address. */
  readonly leaveAdmin: () => boolean;
  /** The successor has put its admin listener in the place of this one. */
  readonly hasLostAdmin: () => boolean;
}

export class Succession {
  readonly pid: PidKeeper;
  readonly #parts: SuccessionParts;
  /** An upgrade is under way. */
  #isHeld = false;
  #hasLeftAdmin = false;

  constructor(parts: SuccessionParts) {
    const { predecessor, pidFile, once, logger } = parts;
    this.#parts = parts;
    this.pid = new PidKeeper(pidFile, predecessor?.pid, logger);
    if (predecessor !== undefined) once.awaitPredecessor();
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  // ---- the predecessor's side ----

  /**
   * What a successor starts with, once a reload that runs has ended; reloads are refused until `release`. Errors: LGW_UPGRADE
   * where nothing can be handed over.
   */
  async hold(): Promise<UpgradeHold> {
    if (this.#isHeld) throw new GatewayError('LGW_UPGRADE', 'An upgrade is under way');
    this.#isHeld = true;
    await this.#parts.reloaded();
    const reason = this.#parts.whyNotServing();
    const handed = reason === undefined ? this.#parts.handed() : undefined;
    if (handed !== undefined) {
      const { sockets, descriptors } = handed;
      const { place: admin, descriptor: adminDescriptor } = this.#parts.handedAdmin() ?? {};
      return { descriptors, handover: { sockets, ...this.#parts.tls(), admin }, adminDescriptor };
    }
    this.#isHeld = false;
    const why = unavailableReason() ?? 'descriptors are not duplicated';
    throw new GatewayError('LGW_UPGRADE', reason ?? `Listening sockets cannot be handed over: ${why}`);
  }

  /** Lets the successor have the address of the admin listener, where two cannot have it; requests that run there are answered. */
  leaveAdmin(): void {
    this.#hasLeftAdmin = this.#parts.leaveAdmin();
  }

  /** Lets the successor decide where once-timers run; `ended` hears of runs that are under way here. */
  handOverOnce(ended: (name: string, completed: boolean) => void): readonly OnceRecord[] {
    return this.#parts.once.handOver(performance.now(), ended);
  }

  /** The upgrade has failed: reloads are possible again, and the admin listener is back. */
  async release(): Promise<void> {
    this.#isHeld = false;
    if (this.#hasLeftAdmin || this.#parts.hasLostAdmin()) await this.#openAdmin();
    this.#hasLeftAdmin = false;
  }

  // ---- the successor's side ----

  /** Takes the place of the predecessor: its pid file, its admin listener, and its timers that run in one worker only. */
  async takeOver(): Promise<void> {
    const { predecessor, once } = this.#parts;
    assert(predecessor !== undefined, 'a successor takes over');
    this.pid.takeOver();
    followPredecessor(predecessor, once);
    await this.#openAdmin();
  }

  /** Somebody has to serve, with an admin listener or without. */
  async #openAdmin(): Promise<void> {
    await this.#parts.openAdmin().catch((error: unknown) => this.#parts.logger.error(messageOf(error)));
  }
}
