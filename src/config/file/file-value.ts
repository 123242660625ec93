/** Turns a value of TOML into the texts that the rule of its key reads: one rule for command line, environment and file. */
import type { ValueParser } from '../value-parsers.ts';

/** What a key wants, as an option is described. */
export interface ValueKey<T> {
  readonly kind: 'value';
  readonly name: string;
  readonly help: string;
  readonly value: ValueParser<T>;
  readonly bare?: T;
  readonly isFile?: boolean;
  readonly repeats?: true;
  /** A table without it is not complete. */
  readonly isRequired?: true;
}

export interface FlagKey {
  readonly kind: 'flag';
  readonly name: string;
  readonly help: string;
}

/** A longer value is cut in messages (characters). */
const SHOWN_LENGTH_MAX = 100;

/** The texts, one for each time that an option would be given; or what is wrong, as the rest of a sentence. */
export type ReadTexts = { readonly texts: readonly string[] } | { readonly fault: string };

export function textsOfFlag(value: unknown): ReadTexts {
  if (typeof value !== 'boolean') return { fault: `wants true or false, not ${showValue(value)}` };
  return { texts: value ? [''] : [] };
}

export function textsOf(key: ValueKey<unknown>, value: unknown): ReadTexts {
  const { types, empty } = key.value.inFile ?? { types: ['string'] };
  const wrong: ReadTexts = { fault: `wants ${key.value.wants}, not ${showValue(value)}` };
  if (typeof value === 'boolean' && key.bare !== undefined) return { texts: value ? [''] : [] };
  if (typeof value === 'number')
    return types.includes('number') || types.includes('integer') ? { texts: [String(value)] } : wrong;
  if (typeof value === 'string') {
    if (value === '') return { fault: `wants ${key.value.wants}, not an empty text` };
    return key.repeats === true || types.includes('string') ? { texts: [value] } : wrong;
  }
  if (!Array.isArray(value) || !(key.repeats === true || types.includes('list'))) return wrong;
  const entries = value.filter((entry) => typeof entry === 'string');
  const other = value.find((entry) => typeof entry !== 'string');
  if (other !== undefined) return { fault: `wants texts in its list, not ${showValue(other)}` };
  if (key.repeats === true) return { texts: entries };
  const joined = entries.find((entry) => entry.includes(','));
  if (joined !== undefined)
    return { fault: `wants one of them in each text of its list, not ${showValue(joined)}` };
  if (entries.length > 0) return { texts: [entries.join(',')] };
  return empty === undefined ? { fault: `wants ${key.value.wants}, not an empty list` } : { texts: [empty] };
}

/** A value as messages show it. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return cut(JSON.stringify(value));
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value))
    return value.every((entry) => typeof entry === 'string') ? cut(JSON.stringify(value)) : 'a list';
  return value instanceof Date ? 'a date' : 'a table';
}

function cut(text: string): string {
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}
