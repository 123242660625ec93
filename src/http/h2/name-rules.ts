/** What the HPACK encoder knows of field names: which have secret values, which have varying ones, and where the static table has them. */
import { STATIC_INDEX_OF_NAME, STATIC_NAMES } from './static-table.ts';

/** The first bits of a literal (RFC 7541 §6.2). */
export const INDEXING = 0x40;
export const WITHOUT_INDEXING = 0x00;
export const NEVER_INDEXED = 0x10;
export type LiteralPattern = typeof INDEXING | typeof WITHOUT_INDEXING | typeof NEVER_INDEXED;

export interface NameRule {
  /** The form of a field that no table holds. */
  readonly literal: LiteralPattern;
  /** The first and the last index of the static table with this name; `first` is 0 when the table does not have the name. */
  readonly first: number;
  readonly last: number;
}

/** Returns the rule for a lower-case name. */
export function nameRule(name: string): NameRule {
  return RULES.get(name) ?? UNKNOWN_NAME;
}

/** Names of secrets: the size of encoded sections must not tell their values, and no hop may index them (RFC 7541 §7.1.3). */
const SECRET: readonly string[] = [
  'authorization',
  'authentication-info',
  'proxy-authorization',
  'proxy-authentication-info',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
  'x-xsrf-token',
];

/** Names whose values differ from one response to the next: entries of them would only evict others. */
const VARYING: readonly string[] = [
  ':path',
  'age',
  'content-digest',
  'content-disposition',
  'content-length',
  'content-range',
  'etag',
  'expires',
  'last-modified',
  'location',
  'repr-digest',
  'server-timing',
  'x-request-id',
];

const RULES: ReadonlyMap<string, NameRule> = new Map(
  [...STATIC_INDEX_OF_NAME.keys(), ...SECRET, ...VARYING].map((name): [string, NameRule] => {
    const first = STATIC_INDEX_OF_NAME.get(name) ?? 0;
    let literal: LiteralPattern = VARYING.includes(name) ? WITHOUT_INDEXING : INDEXING;
    if (SECRET.includes(name)) literal = NEVER_INDEXED;
    return [name, { literal, first, last: STATIC_NAMES.lastIndexOf(name) }];
  }),
);
const UNKNOWN_NAME: NameRule = { literal: INDEXING, first: 0, last: -1 };
