/** What one worker keeps: the answers of each mapping by target and by what they differ in, bounded for all of them together. */
import { Loans } from '../base/lent-content.ts';
import { type Fields, fieldValue } from '../http/semantics/fields.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { CACHE_ENTRIES_MAX, VARIANTS_MAX, VARY_VALUES_BYTES_MAX } from './cache-limits.ts';
import type { StoredAnswer } from './stored-answer.ts';

/** The answers for one target of one mapping. */
export interface Target {
  /** Fields of requests that its answers differ by. */
  readonly vary: readonly string[];
  /** By the values of these. */
  readonly variants: Map<string, StoredAnswer>;
}

export type Targets = Map<string, Target>;

interface Place {
  readonly targets: Targets;
  readonly key: string;
  readonly variant: string;
}

export class AnswerStore {
  readonly #counters: Counters;
  #bytesMax: number;
  /** What was not asked for longest comes first. */
  readonly #order = new Map<StoredAnswer, Place>();
  readonly loans: Loans = new Loans();
  #bytes = 0;

  /** `bytesMax`: of all answers, with their heads and keys; what was not asked for longest goes first. */
  constructor(counters: Counters, bytesMax: number) {
    this.#counters = counters;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#order.size;
  }

  /** Keeps it in the place of the one that was there; others may have to go. */
  keep(targets: Targets, key: string, vary: readonly string[], variant: string, answer: StoredAnswer): void {
    if (answer.bytes > this.#bytesMax) return;
    let target = targets.get(key);
    // with other names the old variants cannot be told apart any more
    if (target !== undefined && target.vary.join() !== vary.join()) {
      for (const old of [...target.variants.values()]) this.drop(old);
      target = undefined;
    }
    if (target === undefined) {
      target = { vary, variants: new Map() };
      targets.set(key, target);
    }
    const before = target.variants.get(variant);
    if (before !== undefined) this.#remove(before, false);
    else if (target.variants.size === VARIANTS_MAX) {
      const [oldest] = target.variants.values();
      if (oldest !== undefined) this.#remove(oldest, false);
    }
    target.variants.set(variant, answer);
    this.#order.set(answer, { targets, key, variant });
    this.#add(answer.bytes, 1);
    this.#makeRoom();
  }

  /** What has no room any more goes at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom();
  }

  #makeRoom(): void {
    for (const next of this.#order.keys()) {
      if (this.#bytes <= this.#bytesMax && this.#order.size <= CACHE_ENTRIES_MAX) return;
      this.#counters.add(COUNT.cacheEvictionsTotal, 1);
      this.drop(next);
    }
  }

  /** It was asked for: others go first. */
  used(answer: StoredAnswer): void {
    const place = this.#order.get(answer);
    if (place === undefined) return;
    this.#order.delete(answer);
    this.#order.set(answer, place);
  }

  drop(answer: StoredAnswer): void {
    this.#remove(answer, true);
  }

  /** The mapping has gone. */
  dropAll(targets: Targets): void {
    for (const { variants } of [...targets.values()])
      for (const answer of [...variants.values()]) this.drop(answer);
  }

  /** With the last variant goes the target, unless another one is on its way into it. */
  #remove(answer: StoredAnswer, isLast: boolean): void {
    const place = this.#order.get(answer);
    if (place === undefined) return;
    this.#order.delete(answer);
    this.#add(-answer.bytes, -1);
    if (typeof answer.body !== 'string') answer.body.drop();
    const { targets, key, variant } = place;
    const target = targets.get(key);
    target?.variants.delete(variant);
    if (isLast && target?.variants.size === 0) targets.delete(key);
  }

  #add(bytes: number, entries: number): void {
    this.#bytes += bytes;
    this.#counters.add(COUNT.cacheBytes, bytes);
    this.#counters.add(COUNT.cacheAnswers, entries);
  }
}

/** Names in which blanks and case mean nothing. */
const LOOSE: ReadonlySet<string> = new Set([
  'accept-encoding',
  'accept-language',
  'accept-charset',
  'accept',
]);

/** The values of these fields in a request, as they are compared; undefined: they are too long. */
export function variantOf(vary: readonly string[], fields: Fields): string | undefined {
  if (vary.length === 0) return '';
  let text = '';
  for (const name of vary) {
    const value = fieldValue(fields, name);
    // no value has a line end
    text +=
      value === undefined
        ? '\n'
        : `=${LOOSE.has(name) ? value.replace(/[ \t]+/g, '').toLowerCase() : value}\n`;
  }
  return text.length > VARY_VALUES_BYTES_MAX ? undefined : text;
}
