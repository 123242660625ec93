/** Sees to it that a worker without a descriptor for the next connection refuses it, goes on with all else, and says so in the log. */
import type { Logger } from '../../base/logger.ts';
import { MinuteNotice } from '../../base/minute-notice.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import { areDescriptorsUsedUp, DescriptorReserve } from './descriptor-reserve.ts';

/** So soon after a connection was accepted it is looked whether a descriptor is left for the next. */
const LOOK_MS = 100;

/** Descriptors are the process's: all front ends of a thread tell together. */
const noDescriptor = new MinuteNotice();

export class DescriptorWatch {
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #reserve = new DescriptorReserve();
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger, counters: Counters) {
    [this.#logger, this.#counters] = [logger, counters];
  }

  /** Connections are accepted from now on. */
  start(): void {
    this.#reserve.fill();
  }

  /** For good. */
  end(): void {
    clearTimeout(this.#timer);
    this.#reserve.end();
  }

  /** A connection was accepted: true where its descriptor is one of the reserve, because no other is left. Whoever closes it calls `takeBack`. */
  isLent(): boolean {
    if (!this.#reserve.isOwed) return false;
    this.#reserve.fill();
    if (!this.#reserve.isOwed) return false;
    this.#counters.add(COUNT.connectionsRefusedTotal, 1);
    return true;
  }

  takeBack(): void {
    this.#reserve.take();
  }

  /** A connection could not be accepted. False: nothing is left to lend, and a connection has to be closed. */
  lend(): boolean {
    this.#note();
    return this.#reserve.lend();
  }

  /** After the last of a burst, too: it is the one that takes the last descriptor. */
  lookSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.look();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** libuv closes connections that it has no descriptor for without a word. */
  look(): void {
    if (this.#reserve.isOwed) this.#reserve.fill();
    if (areDescriptorsUsedUp()) this.#note();
  }

  #note(): void {
    this.#counters.add(COUNT.descriptorsUsedUpTotal, 1);
    const times = noDescriptor.note();
    if (times === undefined) return;
    this.#logger.error(
      'Descriptors are used up: connections are refused and files cannot be opened (ulimit -n)',
      { connections: this.#counters.get('connections'), times },
    );
  }
}
