/** Starts the fetches of one worker, counts them, and keeps the connections that those of one mapping share. */

import type { ConnectRules } from '../base/connect-rules.ts';
import { GatewayError } from '../base/errors.ts';
import type { Share } from '../mapping/shares.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { Agents } from './agents.ts';
import { ConnectPolicy } from './connect-policy.ts';
import { Connector } from './connector.ts';
import { Fetch, type FetchResponse } from './fetch.ts';
import type { FetchRequest } from './fetch-request.ts';
import { FETCHES_PER_INVOCATION_MAX, STRING_BODY_BYTES_MAX } from './outbound-limits.ts';

/** Gets the result of a fetch. */
export type Answered = (result: FetchResponse | GatewayError) => void;

const EVERYTHING: ConnectRules = { all: true, public: false, targets: [], sockets: [] };

/** The fetches of one invocation. */
export interface FetchOwner {
  /** The mapping that the fetches count for. */
  readonly share: Share;
  fetches: number;
}

export class Fetcher {
  /** Connections by mapping: a mapping that uses all its connections to an upstream does not delay the fetches of another. */
  readonly #agents = new Map<Share, Agents>();
  readonly #policy: ConnectPolicy;
  /** Connections that speak something else than HTTP: the same policy holds for them. */
  readonly connector: Connector;
  readonly #counters: Counters;
  #stopped = false;
  /** Bytes of string bodies that have not been sent to their end. */
  #bodyBytes = 0;

  /** `policy`: where fetches may connect to; default: everywhere. */
  constructor(counters: Counters, policy: ConnectPolicy = new ConnectPolicy(EVERYTHING)) {
    this.#counters = counters;
    this.#policy = policy;
    this.connector = new Connector(policy, counters);
  }

  /**
   * Starts a fetch. Calls `answered` once, never before this method returns, unless the fetch is cancelled. Calls `released` when
   * the fetch holds nothing any more. Throws a GatewayError when too many fetches run.
   */
  start(request: FetchRequest, owner: FetchOwner, answered: Answered, released: () => void): Fetch {
    const { share, fetches } = owner;
    const bodyBytes = request.body instanceof Uint8Array ? request.body.length : 0;
    checkBody(this.#bodyBytes + bodyBytes);
    const refusal =
      fetches < FETCHES_PER_INVOCATION_MAX
        ? share.take('fetches')
        : `${fetches} fetches are under way by this request and the limit is ${FETCHES_PER_INVOCATION_MAX}`;
    if (refusal !== undefined)
      throw new GatewayError('LGW_FETCH_LIMIT', `Cannot fetch: ${refusal}`, { luaCode: 'limit' });
    const startedAt = performance.now();
    const fetch = new Fetch(this.#agentsOf(share), request, {
      answered: (answer) => {
        if (!(answer instanceof GatewayError))
          this.#counters.observe(COUNT.answers, performance.now() - startedAt);
        answered(answer);
      },
      released: () => {
        this.#count(owner, -1);
        this.#bodyBytes -= bodyBytes;
        share.give('fetches');
        released();
      },
    });
    this.#count(owner, 1);
    this.#bodyBytes += bodyBytes;
    fetch.start();
    return fetch;
  }

  /** Closes all connections. */
  stop(): void {
    this.#stopped = true;
    for (const agents of this.#agents.values()) agents.stop();
    this.connector.stop();
  }

  #agentsOf(share: Share): Agents {
    let agents = this.#agents.get(share);
    if (agents === undefined) {
      agents = new Agents(this.#policy);
      if (this.#stopped) agents.stop();
      this.#agents.set(share, agents);
    }
    return agents;
  }

  #count(owner: FetchOwner, amount: number): void {
    owner.fetches += amount;
    this.#counters.add(COUNT.fetches, amount);
  }
}

function checkBody(bytes: number): void {
  if (bytes <= STRING_BODY_BYTES_MAX) return;
  throw new GatewayError(
    'LGW_FETCH_LIMIT',
    `Cannot fetch: the strings that fetches of this worker send would have ${bytes} bytes and the limit is ${STRING_BODY_BYTES_MAX}: give a file or a stream`,
    { luaCode: 'limit' },
  );
}
