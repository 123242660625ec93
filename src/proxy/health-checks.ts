/** Asks the servers of proxies at intervals whether they are well: one worker of all for each server, as whoever is first says. */
import type { GatewayError } from '../base/errors.ts';
import { packageVersion } from '../base/package-info.ts';
import type { HealthSettings } from '../mapping/proxy-settings.ts';
import type { Candidate, Candidates } from './candidates.ts';
import { CHECK_KEPT_MS, CHECKS_MAX } from './proxy-limits.ts';
import type { CallListener, UpstreamAnswer, UpstreamCall, UpstreamRequest } from './upstream.ts';
import { healthNow } from './upstreams/health-memory.ts';

/** The clocks of workers and of machines drift apart: each wait is up to this part longer or shorter. */
const JITTER = 0.1;
/** The first check of a server comes within this time. */
const FIRST_MS_MAX = 1000;
/** A check that comes by this part too early is not left out: the next one would be a whole interval later. */
const EARLY = 0.25;

interface Check {
  readonly candidate: Candidate;
  settings: HealthSettings;
  wantedAt: number;
  /** Configurations that name the server: it is checked until the last one is gone. */
  holders: number;
  timer: NodeJS.Timeout | undefined;
  running: RunningCheck | undefined;
}

export class HealthChecks {
  readonly #candidates: Candidates;
  readonly #keptMs: number;
  readonly #checks = new Map<Candidate, Check>();

  constructor(candidates: Candidates, keptMs: number = CHECK_KEPT_MS) {
    this.#candidates = candidates;
    this.#keptMs = keptMs;
  }

  get size(): number {
    return this.#checks.size;
  }

  /** Checks a server from now on, as long as it is asked to again at least once in a while. */
  want(candidate: Candidate, settings: HealthSettings): void {
    this.#checkOf(candidate, settings);
  }

  /** Checks a server until `release`. */
  hold(candidate: Candidate, settings: HealthSettings): void {
    const check = this.#checkOf(candidate, settings);
    if (check !== undefined) check.holders += 1;
  }

  release(candidate: Candidate): void {
    const check = this.#checks.get(candidate);
    if (check === undefined || check.holders === 0) return;
    check.holders -= 1;
    if (check.holders === 0) this.#end(check);
  }

  stop(): void {
    for (const check of [...this.#checks.values()]) this.#forget(check);
  }

  /** Undefined: there are as many checks as may be. */
  #checkOf(candidate: Candidate, settings: HealthSettings): Check | undefined {
    const known = this.#checks.get(candidate);
    if (known !== undefined) {
      known.settings = settings;
      known.wantedAt = performance.now();
      return known;
    }
    if (this.#checks.size >= CHECKS_MAX) return undefined;
    const check: Check = {
      candidate,
      settings,
      wantedAt: performance.now(),
      holders: 0,
      timer: undefined,
      running: undefined,
    };
    this.#checks.set(candidate, check);
    candidate.health.hold();
    // the first one soon, and not all servers at once
    this.#arm(check, Math.random() * Math.min(settings.intervalMs, FIRST_MS_MAX));
    return check;
  }

  #arm(check: Check, ms: number): void {
    check.timer = setTimeout(() => this.#due(check), ms);
    check.timer.unref();
  }

  #due(check: Check): void {
    const { candidate, settings, wantedAt, holders } = check;
    const keptMs = Math.max(this.#keptMs, 2 * settings.intervalMs);
    if (holders === 0 && performance.now() - wantedAt > keptMs) {
      this.#end(check);
      return;
    }
    this.#arm(check, settings.intervalMs * (1 - JITTER + Math.random() * 2 * JITTER));
    const isOurs = candidate.health.claimCheck(healthNow(), settings.intervalMs * (1 - EARLY));
    if (isOurs && check.running === undefined) this.#begin(check);
  }

  #begin(check: Check): void {
    const { candidate, settings } = check;
    check.running = new RunningCheck(candidate, settings, (failure) => {
      check.running = undefined;
      const changed = candidate.health.checked(failure === undefined, settings.rise, settings.fall);
      if (changed !== undefined) this.#candidates.changed(candidate, changed, failure ?? 'checks pass');
    });
  }

  /** What checks have found does not count any more. */
  #end(check: Check): void {
    check.candidate.health.uncheck();
    this.#forget(check);
  }

  #forget(check: Check): void {
    clearTimeout(check.timer);
    check.running?.cancel();
    this.#checks.delete(check.candidate);
    check.candidate.health.release();
  }
}

/** One check on a connection of its own, which ends with it: whether the server takes new ones belongs to what is asked. */
class RunningCheck implements CallListener {
  readonly #settings: HealthSettings;
  readonly #done: (failure: string | undefined) => void;
  readonly #timer: NodeJS.Timeout;
  #call: UpstreamCall | undefined;

  constructor(
    { upstream }: Candidate,
    settings: HealthSettings,
    done: (failure: string | undefined) => void,
  ) {
    this.#settings = settings;
    this.#done = done;
    const { timeoutMs } = settings;
    this.#timer = setTimeout(() => {
      this.#call?.cancel();
      this.#finish(`no answer within ${timeoutMs} ms`);
    }, timeoutMs);
    this.#timer.unref();
    const { authority, basePath = '' } = upstream.target;
    this.#call = upstream.call(requestOf(authority, basePath + settings.path), this, 'own');
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#call?.cancel();
  }

  connected(): void {}
  informed(): void {}
  drained(): void {}

  answeredWhole({ status }: UpstreamAnswer): void {
    this.#judge(status);
  }

  answered({ status }: UpstreamAnswer): void {
    this.#call?.cancel();
    this.#judge(status);
  }

  received(): boolean {
    return true;
  }

  ended(): void {
    this.#finish('it ended without an answer');
  }

  switched(): void {
    this.#call?.cancel();
    this.#finish('it changes over to another protocol');
  }

  failed(error: GatewayError): void {
    this.#finish(error.message);
  }

  #judge(status: number): void {
    const { status: expected } = this.#settings;
    const passes = expected === undefined ? status >= 200 && status < 400 : status === expected;
    this.#finish(passes ? undefined : `status ${status}`);
  }

  #finish(failure: string | undefined): void {
    clearTimeout(this.#timer);
    this.#done(failure);
  }
}

function requestOf(authority: string, path: string): UpstreamRequest {
  return {
    method: 'GET',
    target: path,
    authority,
    fields: ['User-Agent', `lgateway/${packageVersion()}`],
    hasBody: false,
    declaredLength: undefined,
    announcesTrailers: false,
    takesTrailers: false,
    upgrade: undefined,
    isIdempotent: true,
    memo: undefined,
  };
}
