/** Chooses among the servers of a proxy: which of them may get a request now, and which of these does. */
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { BalanceSettings, HashKey, HealthSettings } from '../mapping/proxy-settings.ts';
import type { Candidate, Candidates } from './candidates.ts';
import type { HealthChecks } from './health-checks.ts';
import type { Balancer, CallOutcome, Upstream } from './upstream.ts';
import { healthNow } from './upstreams/health-memory.ts';
import { FAILURES_WINDOW_MS } from './upstreams/health-row.ts';
import { hashOf, scoreOf } from './upstreams/rendezvous.ts';

/** Says which of several it is to be; undefined: it does not know. */
export type Choice = (exchange: Exchange, open: readonly Candidate[]) => Candidate | undefined;

/** Which part of the requests each server is to get. */
type Weights = ReadonlyMap<Candidate, number>;

export type Balancing = BalanceSettings | { readonly kind: 'choice'; readonly choose: Choice };

/** True for rules that a caller makes for one request, as the others are for many. */
export function isOfRequest(balancing: Balancing): boolean {
  return balancing.kind === 'choice' || (balancing.kind === 'hash' && balancing.key.by === 'value');
}

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

/** As `chooseRandom2`: each comes in question as often as its weight says, and the one with fewer requests for its weight gets it. */
function chooseRandom2Weighted(open: readonly Candidate[], weights: Weights): Candidate {
  const one = pickWeighted(open, weights, undefined) as Candidate;
  const other = pickWeighted(open, weights, one) ?? one;
  return loadOf(other, weights) < loadOf(one, weights) ? other : one;
}

/** As `chooseLeast`, by requests for the weight. */
function chooseLeastWeighted(open: readonly Candidate[], weights: Weights): Candidate {
  const least = Math.min(...open.map((candidate) => loadOf(candidate, weights)));
  const even = open.filter((candidate) => loadOf(candidate, weights) === least);
  return pickWeighted(even, weights, undefined) as Candidate;
}

/** As `chooseByHash`: a server gets as many keys as its weight says, and a changed weight moves no other keys. */
function chooseByHashWeighted(open: readonly Candidate[], text: string, weights: Weights): Candidate {
  const key = hashOf(text);
  let best = open[0] as Candidate;
  let bestScore = -1;
  for (const candidate of open) {
    const share = (scoreOf(key, candidate.hash) + 0.5) / 2 ** 32;
    const score = -weightOf(candidate, weights) / Math.log(share);
    if (score <= bestScore) continue;
    best = candidate;
    bestScore = score;
  }
  return best;
}

function pickWeighted(
  open: readonly Candidate[],
  weights: Weights,
  except: Candidate | undefined,
): Candidate | undefined {
  let total = 0;
  let picked: Candidate | undefined;
  for (const candidate of open) {
    if (candidate === except) continue;
    const weight = weightOf(candidate, weights);
    total += weight;
    if (Math.random() * total < weight) picked = candidate;
  }
  return picked;
}

function loadOf(candidate: Candidate, weights: Weights): number {
  return candidate.waiting / weightOf(candidate, weights);
}

function weightOf(candidate: Candidate, weights: Weights): number {
  return weights.get(candidate) ?? 1;
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

/** Who checks the servers, and how; `health` undefined: nobody does. */
export interface Checking {
  readonly checks: HealthChecks;
  readonly health: HealthSettings | undefined;
}

export class HealthyBalancer implements Balancer {
  readonly #all: readonly Candidate[];
  readonly #candidates: Candidates;
  readonly #balancing: Balancing;
  readonly #weights: Weights | undefined;
  readonly #checking: Checking;

  /** `weights`: of the upstreams; undefined = all alike. */
  constructor(
    upstreams: readonly Upstream[],
    candidates: Candidates,
    balancing: Balancing,
    weights: readonly number[] | undefined,
    checking: Checking,
  ) {
    this.#candidates = candidates;
    this.#checking = checking;
    this.#all = upstreams.map((upstream) => candidates.of(upstream));
    this.#balancing = balancing;
    this.#weights =
      weights === undefined
        ? undefined
        : new Map(this.#all.map((candidate, i) => [candidate, weights[i] as number]));
  }

  renew(): void {
    const { checks, health } = this.#checking;
    if (health === undefined) return;
    for (const candidate of this.#all) checks.want(candidate, health);
  }

  hold(): void {
    const { checks, health } = this.#checking;
    for (const candidate of this.#all) {
      candidate.health.hold();
      if (health !== undefined) checks.hold(candidate, health);
    }
  }

  release(): void {
    const { checks, health } = this.#checking;
    for (const candidate of this.#all) {
      if (health !== undefined) checks.release(candidate);
      candidate.health.release();
    }
  }

  choose(exchange: Exchange, tried: readonly Upstream[]): Upstream | undefined {
    const all = this.#all;
    const only = all.length === 1 ? all[0] : undefined;
    if (only?.health.isUp && tried.length === 0) return only.upstream;
    const now = healthNow();
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
    this.#candidates.of(upstream).waits(1);
  }

  ended(upstream: Upstream, outcome: CallOutcome): void {
    const candidate = this.#candidates.of(upstream);
    candidate.waits(-1);
    if (outcome === 'given up') return;
    if (outcome !== 'failed') {
      if (candidate.health.succeeded()) this.#candidates.changed(candidate, 'up', 'a request was answered');
    } else if (candidate.health.failed(healthNow()))
      this.#candidates.changed(candidate, 'down', 'requests have failed');
  }

  #pick(exchange: Exchange, from: readonly Candidate[]): Candidate {
    const balancing = this.#balancing;
    const weights = this.#weights;
    switch (balancing.kind) {
      case 'random2':
        return weights === undefined ? chooseRandom2(from) : chooseRandom2Weighted(from, weights);
      case 'least':
        return weights === undefined ? chooseLeast(from) : chooseLeastWeighted(from, weights);
      case 'hash': {
        const key = hashKeyOf(exchange, balancing.key);
        return weights === undefined ? chooseByHash(from, key) : chooseByHashWeighted(from, key, weights);
      }
      case 'choice':
        // the function may answer another request meanwhile
        return balancing.choose(exchange, [...from]) ?? chooseRandom2(from);
    }
  }
}

/** Lent to one `choose` at a time. */
const open: Candidate[] = [];
const resting: Candidate[] = [];
