/** Starts the fetches of one worker, counts them, and keeps the connections they share. */
import type { Counters } from '../base/counters.ts';
import { GatewayError } from '../base/errors.ts';
import { Agents } from './agents.ts';
import { Fetch, type FetchResponse } from './fetch.ts';
import type { FetchRequest } from './fetch-request.ts';
import { FETCHES_MAX, FETCHES_PER_INVOCATION_MAX } from './outbound-limits.ts';

/** Told what comes of a fetch. */
export type Answered = (result: FetchResponse | GatewayError) => void;

/** The fetches of one invocation. */
export interface FetchOwner {
  fetches: number;
}

export class Fetcher {
  readonly #agents = new Agents();
  readonly #counters: Counters;
  #open = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /**
   * Starts a fetch; `answered` is called once, never before this returns, unless it is cancelled. `released` is called
   * when it holds nothing any more. Throws a GatewayError when too many are under way.
   */
  start(request: FetchRequest, owner: FetchOwner, answered: Answered, released: () => void): Fetch {
    check(owner.fetches, FETCHES_PER_INVOCATION_MAX, 'by this request');
    check(this.#open, FETCHES_MAX, 'by this worker');
    const fetch = new Fetch(this.#agents, request, {
      answered,
      released: () => {
        this.#count(owner, -1);
        released();
      },
    });
    this.#count(owner, 1);
    fetch.start();
    return fetch;
  }

  /** Closes all connections. */
  stop(): void {
    this.#agents.stop();
  }

  #count(owner: FetchOwner, amount: number): void {
    owner.fetches += amount;
    this.#open += amount;
    this.#counters.add('fetches', amount);
  }
}

function check(open: number, limit: number, whose: string): void {
  if (open < limit) return;
  throw new GatewayError(
    'LGW_FETCH_LIMIT',
    `Cannot fetch: ${open} fetches are under way ${whose} and the limit is ${limit}`,
    { luaCode: 'limit' },
  );
}
