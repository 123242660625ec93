/**
 * Answers that machines have in common, in a store: what one has fetched another one need not ask for. They are kept for the time that they are
 * fresh, and are judged again by whoever reads them. The store is never waited for long, and nothing waits until it has an answer.
 */
import { createHash } from 'node:crypto';
import type { Loans } from '../base/lent-content.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { AnswerRules, readVary } from './answer-rules.ts';
import { variantOf } from './answer-store.ts';
import { cacheClock } from './cache-clock.ts';
import {
  COMMON_ENTRY_BYTES_MAX,
  COMMON_READ_MS_MAX,
  COMMON_TTL_MS_MIN,
  COMMON_WRITE_BYTES_MAX,
  COMMON_WRITE_MS_MAX,
  COMMON_WRITES_MAX,
} from './cache-limits.ts';
import type { CommonEntries, FoundEntry } from './common-entries.ts';
import { EntrySeal } from './entry-seal.ts';
import { decodeEntry, type EntryAnswer, type EntryVary, encodeAnswer, encodeVary } from './entry-words.ts';
import type { PurgeMarks } from './purge-marks.ts';
import type { RequestFacts } from './request-facts.ts';
import { StoredAnswer, storedBody } from './stored-answer.ts';

/** What names an answer to Vary's fields is kept longer than the answers: they may be younger. */
const VARY_TTL_MS = 3_600_000;

/** What is asked for. */
export interface CommonQuestion {
  /** Mapping and handler: answers of others are none. */
  readonly space: string;
  /** Source, scheme, host and target. */
  readonly key: string;
  readonly facts: RequestFacts;
  readonly fields: Fields;
  /** Names of fields that answers differ by, where this machine knows them. */
  readonly vary: readonly string[] | undefined;
}

interface CommonAnswersOptions {
  readonly entries: CommonEntries;
  readonly marks: PurgeMarks;
  readonly counters: Counters;
  readonly loans: Loans;
  /** Of all machines, which nobody else has; undefined: entries are checked for damage only. */
  readonly key: Uint8Array | undefined;
  /** How long a request waits for the store. */
  readonly readMs?: number | undefined;
}

export class CommonAnswers {
  readonly #entries: CommonEntries;
  readonly #options: CommonAnswersOptions;
  readonly #seal: EntrySeal;
  #writes = 0;
  #bytes = 0;

  constructor(options: CommonAnswersOptions) {
    this.#options = options;
    this.#entries = options.entries;
    this.#seal = new EntrySeal(options.key);
  }

  /** The store answers, as far as is known. */
  get isThere(): boolean {
    return this.#entries.isThere;
  }

  /** Bytes on their way to the store. */
  get bytesOnTheWay(): number {
    return this.#bytes;
  }

  /** `done` gets a fresh answer that this request may have, or none; it is called once, in this turn or later. */
  find(question: CommonQuestion, done: (answer: StoredAnswer | undefined) => void): void {
    const { space, key, fields, vary } = question;
    const until = performance.now() + (this.#options.readMs ?? COMMON_READ_MS_MAX);
    const base = baseName(space, key);
    const counted = (answer: StoredAnswer | undefined): void => {
      this.#options.counters.add(
        answer === undefined ? COUNT.cacheStoreMissesTotal : COUNT.cacheStoreHitsTotal,
        1,
      );
      done(answer);
    };
    const read = (name: string, then: (found: FoundEntry | undefined) => void): void => {
      const leftMs = until - performance.now();
      if (leftMs <= 0) then(undefined);
      else this.#entries.read(keyOf(name), COMMON_ENTRY_BYTES_MAX, leftMs, then);
    };
    const readVariant = (names: readonly string[]): void => {
      const variant = variantOf(names, fields);
      if (variant === undefined) {
        counted(undefined);
        return;
      }
      const name = variantName(base, names, variant);
      read(name, (found) => {
        const entry = found && this.#open(name, found.bytes);
        const isAnswer = entry !== undefined && !('vary' in entry);
        counted(isAnswer ? this.#accept(entry, found?.ttlMs ?? 0, question) : undefined);
      });
    };
    if (vary !== undefined && vary.length > 0) {
      readVariant(vary);
      return;
    }
    read(base, (found) => {
      const entry = found && this.#open(base, found.bytes);
      if (entry === undefined || found === undefined) counted(undefined);
      else if ('vary' in entry) readVariant(entry.vary);
      else counted(this.#accept(entry, found.ttlMs, question));
    });
  }

  /** Writes the answer, which has been kept here just now, unless the store is away or has much to take. Nobody waits. */
  write(space: string, key: string, fields: Fields, answer: StoredAnswer): void {
    const now = cacheClock.now();
    const ttlMs = Math.floor(answer.rules.freshUntil - now);
    if (ttlMs < COMMON_TTL_MS_MIN || !this.isThere) return;
    const stamp = this.#options.marks.stamp(answer.marked);
    const vary = readVary(answer.fields) ?? [];
    const variant = variantOf(vary, fields);
    if (stamp === undefined || variant === undefined) return;
    const base = baseName(space, key);
    const name = vary.length === 0 ? base : variantName(base, vary, variant);
    const words = encodeAnswer({
      ...stamp,
      marks: answer.marked.marks,
      status: answer.status,
      fields: answer.fields,
      ageMs: Math.max(0, Math.ceil(now - answer.rules.bornAt)),
      ttlMs,
      compression: answer.compression,
      body: typeof answer.body === 'string' ? Buffer.from(answer.body, 'latin1') : answer.body.bytes,
    });
    this.#write(name, words, ttlMs);
    if (vary.length > 0) this.#write(base, encodeVary(vary), Math.max(ttlMs, VARY_TTL_MS));
  }

  #write(name: string, words: readonly Uint8Array[], ttlMs: number): void {
    const { counters } = this.#options;
    const length = words.reduce((sum, word) => sum + word.length, EntrySeal.bytes);
    if (length > COMMON_ENTRY_BYTES_MAX) return;
    if (this.#writes >= COMMON_WRITES_MAX || this.#bytes + length > COMMON_WRITE_BYTES_MAX) {
      counters.add(COUNT.cacheStoreLostTotal, 1);
      return;
    }
    this.#writes += 1;
    this.#bytes += length;
    this.#entries.write(
      keyOf(name),
      this.#seal.close(name, words),
      ttlMs,
      COMMON_WRITE_MS_MAX,
      (isWritten) => {
        this.#writes -= 1;
        this.#bytes -= length;
        counters.add(isWritten ? COUNT.cacheStoreWritesTotal : COUNT.cacheStoreLostTotal, 1);
      },
    );
  }

  /** Undefined: it is damaged. */
  #open(name: string, bytes: Buffer): EntryAnswer | EntryVary | undefined {
    const opened = this.#seal.open(name, bytes);
    return opened && decodeEntry(opened);
  }

  /** Undefined: it was purged, or is none that this request may have. `ttlMs`: what is left of its time. */
  #accept(entry: EntryAnswer, ttlMs: number, { facts, key }: CommonQuestion): StoredAnswer | undefined {
    const { marks, loans } = this.#options;
    const now = cacheClock.now();
    const marked = marks.accept(entry.epoch, entry.known, entry.marks, now);
    if (marked === undefined) return undefined;
    // by the clock of the store: what it has left tells how old it is
    const ageMs = entry.ageMs + Math.max(0, entry.ttlMs - ttlMs);
    const fields = [...entry.fields, 'age', String(Math.ceil(ageMs / 1000))];
    const rules = AnswerRules.judge(facts, { status: entry.status, fields }, now);
    if (typeof rules === 'string' || rules.use(facts, now) !== 'fresh') return undefined;
    const { status, compression } = entry;
    const body = storedBody([entry.body], entry.body.length, loans);
    return new StoredAnswer({ status, fields, body, rules, marked, compression }, key);
  }
}

/** No space and no key has a zero byte. */
function baseName(space: string, key: string): string {
  return `${space}\0${key}`;
}

function variantName(base: string, vary: readonly string[], variant: string): string {
  return `${base}\0${vary.join()}\0${variant}`;
}

/** No dictionary has an empty name. */
function keyOf(name: string): string {
  return `lg::answer:${createHash('sha256').update(name, 'latin1').digest('base64url')}`;
}
