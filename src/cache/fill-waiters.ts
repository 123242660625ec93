/** The requests that wait for the answer to another one, and for how long. */
import type { AnswerSource } from '../http/exchange/answer-source.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { WAIT_MS_MAX, WAITING_MAX } from './cache-limits.ts';
import type { RequestFacts } from './request-facts.ts';

export interface WaitingRequest {
  readonly exchange: Exchange;
  readonly source: AnswerSource;
  readonly facts: RequestFacts;
  /** By which its answer is found: source, scheme, host and target. */
  readonly key: string;
  /** How often it has waited. */
  readonly waits: number;
}

/** How many wait, for all fills of a worker. */
export interface WaitingCount {
  count: number;
}

export class FillWaiters {
  readonly #all: WaitingCount;
  readonly #waitMs: number;
  readonly #waiting = new Set<WaitingRequest>();
  #timer: NodeJS.Timeout | undefined;
  #isLate = false;

  constructor(all: WaitingCount, waitMs: number = WAIT_MS_MAX) {
    this.#all = all;
    this.#waitMs = waitMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** False: it cannot wait. `late` gets all of them when they have waited for too long. */
  add(request: WaitingRequest, late: (requests: readonly WaitingRequest[]) => void): boolean {
    if (this.#isLate || this.#all.count >= WAITING_MAX) return false;
    this.#waiting.add(request);
    this.#all.count += 1;
    request.exchange.onAbort = () => this.#remove(request);
    // those who come later wait for less
    this.#timer ??= setTimeout(() => {
      this.#isLate = true;
      late(this.takeAll());
    }, this.#waitMs);
    return true;
  }

  /** Those who wait, in the order in which they came; they do not any more. */
  takeAll(): readonly WaitingRequest[] {
    clearTimeout(this.#timer);
    const all = [...this.#waiting];
    this.#waiting.clear();
    this.#all.count -= all.length;
    for (const { exchange } of all) exchange.onAbort = undefined;
    return all;
  }

  #remove(request: WaitingRequest): void {
    if (!this.#waiting.delete(request)) return;
    this.#all.count -= 1;
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
