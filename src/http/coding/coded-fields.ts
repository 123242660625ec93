/** What the fields of an answer say about coding its body, and the fields that a coded answer has (RFC 9110 §8.4, §8.8.3, §12.5.5). */
import { type Fields, fieldValue, hasListMember, isNamed } from '../semantics/fields.ts';
import { FixedFields, isFixed } from '../semantics/fixed-fields.ts';
import type { Coding } from './codings.ts';

export interface CodingFacts {
  readonly contentType: string | undefined;
  /** The body may not be coded: it is already, is a part, or the fields say so, or tell its digest. */
  readonly isFinal: boolean;
}

const known = new FixedFields<CodingFacts>();
const varied = new FixedFields<Fields>();

/** These describe the bytes as they are (RFC 9530, RFC 1864). */
const DIGESTS: ReadonlySet<string> = new Set(['content-digest', 'repr-digest', 'digest', 'content-md5']);
const FIELD = 'accept-encoding';

export function readFacts(fields: Fields): CodingFacts {
  const before = known.get(fields);
  if (before !== undefined) return before;
  let contentType: string | undefined;
  let isFinal = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const value = fields[i + 1] as string;
    if (name === 'content-type') contentType = value;
    else if (name === 'content-encoding' || name === 'content-range' || DIGESTS.has(name)) isFinal = true;
    else if (name === 'cache-control') isFinal ||= hasListMember(value, 'no-transform');
  }
  const facts = { contentType, isFinal };
  known.set(fields, facts);
  return facts;
}

/** With `Vary`, so that caches keep the forms of an answer apart. */
export function variedFields(fields: Fields): Fields {
  const before = varied.get(fields);
  if (before !== undefined) return before;
  const made = vary(fields);
  // a list that comes once stays one that comes once: the layers below would remember what they make of a frozen one
  if (isFixed(fields)) varied.set(fields, Object.freeze(made));
  return made;
}

function vary(fields: Fields): Fields {
  const value = fieldValue(fields, 'vary');
  if (value === undefined) return [...fields, 'vary', FIELD];
  if (hasListMember(value, FIELD) || hasListMember(value, '*')) return fields;
  const merged: string[] = [];
  let last = -1;
  for (let i = 0; i < fields.length; i += 2) {
    if (isNamed(fields[i] as string, 'vary')) last = i + 1;
    merged.push(fields[i] as string, fields[i + 1] as string);
  }
  merged[last] = merged[last] === '' ? FIELD : `${merged[last]}, ${FIELD}`;
  return merged;
}

/** The fields of an answer whose body is coded. */
export function codedFields(fields: Fields, coding: Coding): Fields {
  const coded: string[] = [];
  for (const [name, value] of pairsOf(variedFields(fields))) {
    const lower = name.toLowerCase();
    // parts of what is stored are none of what is sent, and its length another
    if (lower === 'content-length' || lower === 'accept-ranges') continue;
    coded.push(name, lower === 'etag' ? weakened(value) : value);
  }
  coded.push('content-encoding', coding);
  return coded;
}

/**
 * Fields of a 304 for a client that has the coded form: it is known by the weak tag, and a cache finds what it has stored only when
 * the 304 has the same (RFC 9111 §4.3.4).
 */
export function fieldsOfUnchanged(fields: Fields, ifNoneMatch: string | undefined): Fields {
  const tag = fieldValue(fields, 'etag');
  if (tag === undefined || ifNoneMatch === undefined || tag.startsWith('W/')) return fields;
  if (!ifNoneMatch.includes(weakened(tag))) return fields;
  const weak: string[] = [];
  for (const [name, value] of pairsOf(variedFields(fields)))
    weak.push(name, isNamed(name, 'etag') ? weakened(value) : value);
  return weak;
}

/** Both forms mean the same, and their bytes differ. */
function weakened(tag: string): string {
  return tag.startsWith('"') ? `W/${tag}` : tag;
}

function* pairsOf(fields: Fields): Generator<[name: string, value: string]> {
  for (let i = 0; i < fields.length; i += 2) yield [fields[i] as string, fields[i + 1] as string];
}
