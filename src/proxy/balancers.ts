/** Chooses among the servers of a proxy: which of them may get a request now, and which of these does. */
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { BalanceSettings, HashKey } from '../mapping/proxy-settings.ts';
import type { Candidate, Candidates } from './candidates.ts';
import type { Balancer, CallOutcome, Upstream } from './upstream.ts';
import { FAILURES_WINDOW_MS, healthNow } from './upstreams/health-row.ts';
import { hashOf, scoreOf } from './upstreams/rendezvous.ts';

/** Says which of several it is to be; undefined: it does not know. */
export type Choice = (exchange: Exchange, open: readonly Candidate[]) => Candidate | undefined;

export type Balancing = BalanceSettings | { readonly kind: 'choice'; readonly choose: Choice };

/** Two at random, and the one of them for which fewer requests wait (the power of two choices). */
export function chooseRandom2(open: readonly Candidate[]): Candidate {
  const count = open.length;
  const first = Math.floor(Math.random() * count);
  if (count === 1) return open[first] as Candidate;
  const step = 1 + Math.floor(Math.random() * (count - 1));
  const [one, other] = [open[first] as Candidate, open[(first + step) % count] as Candidate];
  return other.waiting < one.waiting ? other : one;
}

/** The one for which the fewest requests wait; of several, one at random. */
export function chooseLeast(open: readonly Candidate[]): Candidate {
  const count = open.length;
  const first = Math.floor(Math.random() * count);
  let least = open[first] as Candidate;
  for (let i = 1; i < count; i++) {
    const other = open[(first + i) % count] as Candidate;
    if (other.waiting < least.waiting) least = other;
  }
  return least;
}

/** The one with the highest score for a key. */
export function chooseByHash(open: readonly Candidate[], text: string): Candidate {
  const key = hashOf(text);
  let best = open[0] as Candidate;
  let bestScore = -1;
  for (const candidate of open) {
    const score = scoreOf(key, candidate.hash);
    if (score <= bestScore) continue;
    best = candidate;
    bestScore = score;
  }
  return best;
}

/** The key of a request; a request without the field goes where the address of its client does. */
export function hashKeyOf(exchange: Exchange, key: HashKey): string {
  switch (key.by) {
    case 'address':
      return exchange.connection.peerAddress;
    case 'path':
      return exchange.target.split('?', 1)[0] as string;
    case 'field':
      return fieldValue(exchange.fields, key.name) ?? exchange.connection.peerAddress;
    case 'value':
      return key.value;
  }
}

export class HealthyBalancer implements Balancer {
  readonly #all: readonly Candidate[];
  readonly #candidates: Candidates;
  readonly #balancing: Balancing;

  constructor(upstreams: readonly Upstream[], candidates: Candidates, balancing: Balancing) {
    this.#candidates = candidates;
    this.#all = upstreams.map((upstream) => candidates.of(upstream));
    this.#balancing = balancing;
  }

  choose(exchange: Exchange, tried: readonly Upstream[]): Upstream | undefined {
    const all = this.#all;
    const now = healthNow();
    const only = all.length === 1 ? all[0] : undefined;
    if (only !== undefined)
      return tried.length > 0 || only.health.state(now) === 'down' ? undefined : only.upstream;
    open.length = 0;
    resting.length = 0;
    for (const candidate of all) {
      if (tried.includes(candidate.upstream)) continue;
      switch (candidate.health.state(now)) {
        case 'up':
          open.push(candidate);
          break;
        case 'due':
          // the one request that finds out whether it works again: one without a body can be sent to another then
          if (candidate.health.claim(now, exchange.identity.hasBody ? FAILURES_WINDOW_MS : 0))
            return candidate.upstream;
          resting.push(candidate);
          break;
        case 'rests':
          resting.push(candidate);
          break;
        case 'down':
          break;
      }
    }
    // failures of requests take no last one out
    const from = open.length > 0 ? open : resting;
    return from.length === 0 ? undefined : this.#pick(exchange, from).upstream;
  }

  began(upstream: Upstream): void {
    this.#candidates.of(upstream).waiting += 1;
  }

  ended(upstream: Upstream, outcome: CallOutcome): void {
    const candidate = this.#candidates.of(upstream);
    candidate.waiting -= 1;
    if (outcome === 'given up') return;
    if (outcome !== 'failed') {
      if (candidate.health.succeeded()) this.#candidates.changed(candidate, 'up', 'a request was answered');
    } else if (candidate.health.failed(healthNow()))
      this.#candidates.changed(candidate, 'down', 'requests have failed');
  }

  #pick(exchange: Exchange, from: readonly Candidate[]): Candidate {
    const balancing = this.#balancing;
    switch (balancing.kind) {
      case 'random2':
        return chooseRandom2(from);
      case 'least':
        return chooseLeast(from);
      case 'hash':
        return chooseByHash(from, hashKeyOf(exchange, balancing.key));
      case 'choice':
        // the function may answer another request meanwhile
        return balancing.choose(exchange, [...from]) ?? chooseRandom2(from);
    }
  }
}

/** Lent to one `choose` at a time. */
const open: Candidate[] = [];
const resting: Candidate[] = [];
