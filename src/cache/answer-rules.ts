/**
 * Decides whether an answer may be kept by a cache that many share, and when it may be used (RFC 9111 §3, §4; RFC 5861). The package
 * `http-cache-semantics` judges; it gets directives that were read strictly, without what it takes for something else.
 */
import CachePolicy from 'http-cache-semantics';
import { TAG_BYTES_MAX, TAGS_MAX } from '../base/answer-tags.ts';
import { type Fields, fieldValue, trimBlanks } from '../http/semantics/fields.ts';
import { formatHttpDate, parseHttpDate } from '../http/semantics/http-date.ts';
import { cacheClock } from './cache-clock.ts';
import { VARY_FIELDS_MAX } from './cache-limits.ts';
import { type Directives, policyText, readDirectives } from './directives.ts';
import type { RequestFacts } from './request-facts.ts';

/** Heuristics are off: what a server says nothing of is not kept for longer than it takes to ask again. */
const OPTIONS = { shared: true, cacheHeuristic: 0, immutableMinTimeToLive: 0 } as const;
/** The package would ask again even while the answer is fresh. */
const VALIDATES: ReadonlySet<string> = new Set(['must-revalidate', 'proxy-revalidate']);
/** Of an answer that must not be used stale. */
const OF_STALE: ReadonlySet<string> = new Set(['stale-while-revalidate', 'stale-if-error']);
const TAG_FIELDS = ['cache-tag', 'surrogate-key'] as const;
/** Stands for a failure of any kind. */
const FAILURE = { status: 503, headers: {} } as const;

class Policy extends CachePolicy {
  override now(): number {
    return cacheClock.now();
  }
}

/** `fresh`: it may be used; `stale`: it may be used while it is fetched again; `invalid`: the server has to be asked. */
export type Use = 'fresh' | 'stale' | 'invalid';

export class AnswerRules {
  readonly #policy: Policy;
  /** Until when it is fresh, by the clock of the cache (ms). */
  readonly freshUntil: number;
  /** When it was made, as far as can be told: its age counts from there. */
  readonly bornAt: number;
  /** It must not be used stale, whatever clients ask for. */
  readonly #isStrict: boolean;
  readonly #staleUntil: number;
  /** It may answer those who say who they are. */
  readonly isForAll: boolean;
  /** It is fresh for some time: others may wait for it. */
  readonly isReusable: boolean;

  private constructor(policy: Policy, directives: Directives, isStrict: boolean, now: number) {
    this.#policy = policy;
    this.#isStrict = isStrict;
    const lifetimeMs = policy.maxAge() * 1000;
    this.bornAt = now - policy.age() * 1000;
    this.freshUntil = this.bornAt + lifetimeMs;
    const staleMs = isStrict ? 0 : Number(directives.get('stale-while-revalidate') ?? 0) * 1000;
    this.#staleUntil = this.freshUntil + staleMs;
    this.isForAll = isForAll(directives);
    this.isReusable = this.freshUntil > now;
  }

  /** A text: why the answer is not kept. `requestedAt`: when the server was asked. */
  static judge(
    facts: RequestFacts,
    { status, fields }: { readonly status: number; readonly fields: Fields },
    requestedAt: number,
  ): AnswerRules | string {
    const now = cacheClock.now();
    const directives = readDirectives(fieldValue(fields, 'cache-control') ?? pragmaOf(fields));
    if (directives === undefined) return 'its Cache-Control is not well-formed';
    if (facts.isPrivate) return 'the request says no-store';
    // a session or a consent belongs to one user, whatever else the answer says
    if (fieldValue(fields, 'set-cookie') !== undefined) return 'it has Set-Cookie';
    if (facts.isPersonal && !isForAll(directives)) return 'the request says who asks';
    if (readVary(fields) === undefined) return 'its Vary names too much';
    if (readTags(fields) === undefined) return 'it has too many tags';
    const isStrict = ['must-revalidate', 'proxy-revalidate', 'no-cache'].some((name) => directives.has(name));
    const without = isStrict ? new Set([...VALIDATES, ...OF_STALE]) : VALIDATES;
    const headers: Record<string, string> = {
      'cache-control': policyText(directives, without),
      date: formatHttpDate(dateOf(fields) ?? cacheClock.wall()),
      age: String(Math.floor(initialAgeMs(fields, requestedAt, now) / 1000)),
    };
    const expires = fieldValue(fields, 'expires');
    if (expires !== undefined) headers['expires'] = expiryText(expires);
    const policy = new Policy(
      { method: 'GET', headers: requestHeaders(facts) },
      { status, headers },
      OPTIONS,
    );
    if (!policy.storable()) return 'its status or its Cache-Control forbids it';
    const rules = new AnswerRules(policy, directives, isStrict, now);
    const canBeChecked = validatorsOf(fields).length > 0;
    return rules.#staleUntil > now || canBeChecked ? rules : 'it is not fresh, and cannot be validated';
  }

  /** What a request may do with it now. */
  use(facts: RequestFacts, now: number): Use {
    const isFresh = now < this.freshUntil;
    if (facts.directives === undefined)
      return isFresh ? 'fresh' : now < this.#staleUntil ? 'stale' : 'invalid';
    const { response, revalidation } = this.#policy.evaluateRequest({ headers: requestHeaders(facts) });
    if (response === undefined || (!isFresh && this.#isStrict)) return 'invalid';
    return revalidation === undefined ? 'fresh' : 'stale';
  }

  /** The server fails, and the answer takes the place of its failure (RFC 5861 §4). */
  get masksFailure(): boolean {
    return !this.#policy.revalidatedPolicy({ headers: {} }, FAILURE).modified;
  }
}

/** The conditions under which a server sends an answer again (RFC 9111 §4.3.1). */
export function validatorsOf(fields: Fields): string[] {
  const conditions: string[] = [];
  const tag = fieldValue(fields, 'etag');
  const time = fieldValue(fields, 'last-modified');
  if (tag !== undefined) conditions.push('if-none-match', tag);
  if (time !== undefined && parseHttpDate(time) !== undefined) conditions.push('if-modified-since', time);
  return conditions;
}

/** An answer of 304 is one to our question, and speaks of what is kept (RFC 9111 §4.3.4). */
export function speaksOf(fresh: Fields, kept: Fields): boolean {
  const tag = fieldValue(fresh, 'etag');
  const time = fieldValue(fresh, 'last-modified');
  // a server need not repeat what it was asked about
  if (tag !== undefined) return weakly(tag) === weakly(fieldValue(kept, 'etag') ?? '');
  return time === undefined || time === fieldValue(kept, 'last-modified');
}

/** The fields that Vary names, in lower case and in order; undefined: too many, or `*`, or what is no name. */
export function readVary(fields: Fields): readonly string[] | undefined {
  const text = fieldValue(fields, 'vary');
  if (text === undefined) return [];
  const names = new Set<string>();
  for (const member of text.toLowerCase().split(',')) {
    const name = trimBlanks(member);
    if (name === '') continue;
    if (!/^[!#$%&'+\-.^_`|~0-9a-z]+$/.test(name) || names.size === VARY_FIELDS_MAX) return undefined;
    names.add(name);
  }
  return [...names].sort();
}

/** What the answer can be purged by; undefined: too much. */
export function readTags(fields: Fields): readonly string[] | undefined {
  const tags = new Set<string>();
  for (const name of TAG_FIELDS) {
    for (const tag of (fieldValue(fields, name) ?? '').split(/[\s,]+/)) {
      if (tag === '') continue;
      // an answer with more is not kept, since it could not be purged by each of them
      if (tag.length > TAG_BYTES_MAX || tags.size === TAGS_MAX) return undefined;
      tags.add(tag);
    }
  }
  return [...tags];
}

export function isTagField(lowerName: string): boolean {
  return lowerName === TAG_FIELDS[0] || lowerName === TAG_FIELDS[1];
}

/** Answers that say so themselves may go to whoever asks (RFC 9111 §3.5). */
function isForAll(directives: Directives): boolean {
  return directives.has('public') || directives.has('s-maxage');
}

/** A server of HTTP/1.0 has no other way to say it. */
function pragmaOf(fields: Fields): string {
  return /no-cache/i.test(fieldValue(fields, 'pragma') ?? '') ? 'no-cache' : '';
}

/** The one request field that the package is asked about. */
function requestHeaders({ directives }: RequestFacts): Record<string, string> {
  return directives === undefined ? {} : { 'cache-control': policyText(directives) };
}

/** Age when the answer came, by its own words and by its date, with the time that the server has taken (RFC 9111 §4.2.3). */
function initialAgeMs(fields: Fields, requestedAt: number, now: number): number {
  const told = /^\d{1,10}$/.exec(fieldValue(fields, 'age') ?? '')?.[0];
  const date = dateOf(fields);
  const apparent = date === undefined ? 0 : cacheClock.wall() - date;
  return Math.max(0, apparent, Number(told ?? 0) * 1000 + (now - requestedAt));
}

function dateOf(fields: Fields): number | undefined {
  const seconds = parseHttpDate(fieldValue(fields, 'date') ?? '');
  return seconds === undefined ? undefined : seconds * 1000;
}

/** What is no date is one in the past (RFC 9111 §5.3). */
function expiryText(text: string): string {
  const seconds = parseHttpDate(text);
  return formatHttpDate((seconds ?? 0) * 1000);
}

function weakly(tag: string): string {
  return tag.replace(/^W\//, '');
}
