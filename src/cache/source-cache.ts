/** The cache before sources of answers: answers what is kept, asks a source for the rest, and lets requests for the same wait for one answer. */
import type { Loans } from '../base/lent-content.ts';
import type { AnswerFront, AnswerSource } from '../http/exchange/answer-source.ts';
import { respondWithError } from '../http/exchange/error-response.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { COUNT } from '../metrics/worker-metrics.ts';
import { readTags, readVary } from './answer-rules.ts';
import { type Target, type Targets, variantOf } from './answer-store.ts';
import { cacheClock } from './cache-clock.ts';
import { BACKGROUND_MAX, LENT_BYTES_MAX, UNKEPT_MAX, UNKEPT_MS } from './cache-limits.ts';
import type { CommonAnswers } from './common-answers.ts';
import { Fill, type FillOwner, type FillRequest, type Recording } from './fill.ts';
import { FillWaiters, type WaitingRequest } from './fill-waiters.ts';
import { isUnsafe, type RequestFacts, requestFacts } from './request-facts.ts';
import type { ResponseCache } from './response-cache.ts';
import { sendStored } from './send-stored.ts';
import type { StoredAnswer } from './stored-answer.ts';

/** An answer that a request cannot get without its server (RFC 9111 §5.2.1.7). */
const NOT_CACHED = 504;
/** A request waits for another one's answer, and once more when that was one for others. */
const WAITS_MAX = 2;

/** What is kept for a request. */
interface Lookup {
  readonly target: Target | undefined;
  /** Undefined: the fields that the answers differ by are too long. */
  readonly variant: string | undefined;
  readonly answer: StoredAnswer | undefined;
}

export class SourceCache implements AnswerFront, FillOwner {
  /** Of what it keeps in a store. */
  readonly #space: string;
  /** Those that wait for the store. */
  readonly #asking = new Set<Fill>();
  #isRetired = false;
  readonly #cache: ResponseCache;
  readonly #targets: Targets = new Map();
  /** By target and variant. */
  readonly #fills = new Map<string, Fill>();
  /** Targets whose answers could not be kept, and until when nobody waits for them; in the order in which they came. */
  readonly #unkept = new Map<string, number>();
  #isClosed = false;
  readonly recording: Recording;
  readonly loans: Loans;

  /** `space`: names the mapping, and what of it this is for, on all machines. */
  constructor(cache: ResponseCache, space: string) {
    this.#space = space;
    this.#cache = cache;
    this.recording = cache.recording;
    this.loans = cache.store.loans;
  }

  answer(exchange: Exchange, source: AnswerSource): void {
    const facts = requestFacts(exchange);
    const request = { exchange, source, facts, key: placeOf(facts, source), waits: 0 };
    if (facts.isRead && facts.key !== undefined && !facts.isPrivate) this.#answer(request);
    else this.#pass(request);
  }

  /** It waits for no store any more: who does now goes on to the source. */
  retire(): void {
    this.#isRetired = true;
    for (const fill of [...this.#asking]) this.#askSource(fill);
  }

  /** What it keeps is not used any more; requests under way go on, but those that have not got to their source. */
  close(): void {
    this.#isClosed = true;
    this.#isRetired = true;
    for (const { exchange } of [...this.#asking]) exchange.reset(503);
    this.#asking.clear();
    this.#cache.store.dropAll(this.#targets);
  }

  // ---- FillOwner ----

  marksOf({ facts, source }: FillRequest, fields: Fields): readonly number[] {
    const { marks } = this.#cache;
    const tags = readTags(fields) ?? [];
    const all = source.tags.length === 0 ? tags : new Set([...tags, ...source.tags]);
    return [marks.ofTarget(facts.key as string), ...[...all].map((tag) => marks.ofTag(tag))];
  }

  keep({ exchange, key }: FillRequest, answer: StoredAnswer, isFound = false): boolean {
    if (this.#isClosed || this.#cache.marks.isPurged(answer.marked)) return false;
    const vary = readVary(answer.fields) ?? [];
    const variant = variantOf(vary, exchange.fields);
    if (variant === undefined) return false;
    this.#cache.store.keep(this.#targets, key, vary, variant, answer);
    if (!isFound) this.#cache.common?.write(this.#space, key, exchange.fields, answer);
    return true;
  }

  retry(fill: Fill): void {
    const { request, waiters } = fill;
    const client = fill.takeClient();
    if (request.stale !== undefined) this.#cache.store.drop(request.stale);
    if (client === undefined && waiters.size === 0) {
      this.settled(fill, undefined);
      return;
    }
    this.#start(
      {
        ...request,
        isBackground: client === undefined,
        stale: undefined,
        purgesBefore: this.#cache.marks.number,
        asksStore: false,
        countsAsMiss: false,
      },
      waiters,
    );
  }

  settled(fill: Fill, answer: StoredAnswer | undefined): void {
    const { request, exchange, waiters } = fill;
    if (request.waitKey !== undefined && this.#fills.get(request.waitKey) === fill)
      this.#fills.delete(request.waitKey);
    if (request.countsAsBackground) this.#cache.background.count -= 1;
    const { status } = exchange;
    if (answer === undefined && status !== 0 && status !== 304 && status < 500) this.#rememberUnkept(request);
    for (const waiting of waiters.takeAll()) {
      if (waiting.exchange.finished) continue;
      if (answer === undefined) this.#pass(waiting);
      else if (answer === request.stale) this.#answerStale(waiting, answer);
      else this.#answer({ ...waiting, waits: waiting.waits + 1 });
    }
  }

  // ---- inside ----

  #answer(request: WaitingRequest): void {
    const { exchange, facts, waits } = request;
    const found = this.#find(request);
    const { answer } = found;
    if (answer !== undefined && mayGet(facts, answer)) {
      const now = cacheClock.now();
      const use = answer.rules.use(facts, now);
      if (use !== 'invalid') {
        if (waits > 0) this.#cache.counters.add(COUNT.cacheCollapsedTotal, 1);
        this.#send(request, answer, now);
        if (use === 'stale') this.#fetchAgain(request, found);
        return;
      }
    }
    if (facts.onlyIfCached) respondWithError(exchange, NOT_CACHED);
    else this.#miss(request, found);
  }

  #find({ exchange, key }: WaitingRequest): Lookup {
    const target = this.#targets.get(key);
    if (target === undefined) return NOTHING;
    const variant = variantOf(target.vary, exchange.fields);
    const answer = variant === undefined ? undefined : target.variants.get(variant);
    const { marks, store } = this.#cache;
    if (answer === undefined || !marks.isPurged(answer.marked)) {
      // it may be good again when the others are heard of
      const isDoubtful = answer !== undefined && marks.isDoubtful(answer.marked, cacheClock.now());
      return { target, variant, answer: isDoubtful ? undefined : answer };
    }
    store.drop(answer);
    return { target: target.variants.size > 0 ? target : undefined, variant, answer: undefined };
  }

  #send(request: WaitingRequest, answer: StoredAnswer, now: number): void {
    const { counters, store } = this.#cache;
    // what slow clients hold beside what is kept has a bound, too
    if (typeof answer.body !== 'string' && store.loans.bytes > LENT_BYTES_MAX) {
      this.#pass(request);
      return;
    }
    counters.add(now < answer.rules.freshUntil ? COUNT.cacheHitsTotal : COUNT.cacheStaleTotal, 1);
    store.used(answer);
    sendStored(request.exchange, answer, request.facts.isConditional, now);
  }

  /** The server has failed for the one that was waited for. */
  #answerStale(request: WaitingRequest, answer: StoredAnswer): void {
    const isForIt = this.#find(request).answer === answer && mayGet(request.facts, answer);
    if (isForIt) this.#send(request, answer, cacheClock.now());
    else this.#pass(request);
  }

  #miss(request: WaitingRequest, { target, variant, answer }: Lookup): void {
    const { exchange, source, facts, key, waits } = request;
    // a part is no answer that could be kept, and what differs by too much cannot be told apart
    if (facts.wantsPart || variant === undefined) {
      this.#pass(request);
      return;
    }
    const isForMany = !facts.isPersonal || answer?.rules.isForAll === true;
    const isWaitedFor = isForMany && answer?.rules.isReusable !== false && !this.#isUnkept(key);
    const waitKey = isWaitedFor ? `${key}\n${variant}` : undefined;
    const fill = waitKey === undefined ? undefined : this.#fills.get(waitKey);
    if (fill !== undefined) {
      const canWait = waits < WAITS_MAX && fill.waiters.add(request, (late) => this.#passLate(late));
      if (!canWait) this.#pass(request);
      return;
    }
    this.#start(
      {
        exchange,
        source,
        facts,
        key,
        isBackground: false,
        countsAsBackground: false,
        stale: answer !== undefined && mayGet(facts, answer) ? answer : undefined,
        reason: answer !== undefined ? 'stale' : target !== undefined ? 'vary-miss' : 'uri-miss',
        waitKey,
        purgesBefore: this.#cache.marks.number,
        // what is a user's own is nothing to others, and they would look for it in vain
        asksStore: isForMany && !this.#isUnkept(key),
        countsAsMiss: true,
      },
      this.#newWaiters(),
    );
  }

  /** The client has got a stale answer: it is fetched for those who come next. */
  #fetchAgain({ exchange, source, facts, key }: WaitingRequest, { variant, answer }: Lookup): void {
    const { background, marks } = this.#cache;
    const waitKey = `${key}\n${variant}`;
    if (this.#fills.has(waitKey) || background.count >= BACKGROUND_MAX) return;
    background.count += 1;
    this.#start(
      {
        exchange,
        source,
        facts,
        key,
        isBackground: true,
        countsAsBackground: true,
        stale: answer,
        reason: 'stale',
        waitKey,
        purgesBefore: marks.number,
        asksStore: true,
        countsAsMiss: false,
      },
      this.#newWaiters(),
    );
  }

  #start(request: FillRequest, waiters: FillWaiters): void {
    const fill = new Fill(request, this, waiters);
    if (request.waitKey !== undefined) this.#fills.set(request.waitKey, fill);
    const { common } = this.#cache;
    if (request.asksStore && !this.#isRetired && common?.isThere === true) this.#askStore(fill, common);
    else this.#askSource(fill);
  }

  #askStore(fill: Fill, common: CommonAnswers): void {
    const { facts, key, exchange } = fill.request;
    this.#asking.add(fill);
    const vary = this.#targets.get(key)?.vary;
    common.find({ space: this.#space, key, facts, fields: exchange.fields, vary }, (answer) => {
      if (!this.#asking.has(fill)) return;
      if (answer === undefined || fill.isOver) {
        this.#askSource(fill);
        return;
      }
      this.#asking.delete(fill);
      this.keep(fill.request, answer, true);
      if (!fill.request.isBackground) this.#cache.counters.add(COUNT.cacheHitsTotal, 1);
      fill.found(answer);
    });
  }

  #askSource(fill: Fill): void {
    this.#asking.delete(fill);
    const { request, exchange } = fill;
    // its client has gone while the store was asked
    if (fill.isOver) return;
    if (request.countsAsMiss) this.#cache.counters.add(COUNT.cacheMissesTotal, 1);
    request.source.ask(exchange);
  }

  #newWaiters(): FillWaiters {
    return new FillWaiters(this.#cache.waiting, this.#cache.waitMs);
  }

  #passLate(late: readonly WaitingRequest[]): void {
    for (const request of late) if (!request.exchange.finished) this.#pass(request);
  }

  /** The source answers as if there were no cache. */
  #pass({ exchange, source, facts }: WaitingRequest): void {
    exchange.cacheOutcome = 'bypass';
    const { key } = facts;
    if (key !== undefined && isUnsafe(exchange.method)) {
      const revise = exchange.reviseHead;
      // before the client knows that it has changed something (RFC 9111 §4.4)
      exchange.reviseHead = (status, fields) => {
        if (status < 400) this.#cache.marks.purgeTarget(key);
        return revise === undefined ? { status, fields } : revise(status, fields);
      };
    }
    source.ask(exchange);
  }

  #rememberUnkept({ key, facts }: FillRequest): void {
    // what a request says of itself is nothing to others
    if (facts.isPersonal) return;
    this.#unkept.delete(key);
    this.#unkept.set(key, cacheClock.now() + UNKEPT_MS);
    if (this.#unkept.size <= UNKEPT_MAX) return;
    const [oldest] = this.#unkept.keys();
    this.#unkept.delete(oldest as string);
  }

  #isUnkept(key: string): boolean {
    if (this.#unkept.size === 0) return false;
    const until = this.#unkept.get(key);
    if (until === undefined) return false;
    if (cacheClock.now() < until) return true;
    this.#unkept.delete(key);
    return false;
  }
}

/** Where the answers to a request are kept: scheme, host and target as the client has named them, for each source. */
function placeOf({ key = '' }: RequestFacts, { part }: AnswerSource): string {
  return part === '' ? key : `${part}\n${key}`;
}

/** Answers that are not said to be for all are none for those who say who they are. */
function mayGet(facts: RequestFacts, answer: StoredAnswer): boolean {
  return !facts.isPersonal || answer.rules.isForAll;
}

const NOTHING: Lookup = { target: undefined, variant: '', answer: undefined };
