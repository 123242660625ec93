/** Tells what a field of a request is and whether it is well-formed (RFC 9113 §8.2 and §8.3), once for each entry of a table. */

import { isAuthority } from '../../base/authority.ts';

/** Kinds of fields. The kinds of pseudo-header fields are above all others but `malformed`. */
export const KIND = {
  plain: 0,
  host: 1,
  contentLength: 2,
  expect: 3,
  priority: 4,
  method: 5,
  scheme: 6,
  authority: 7,
  path: 8,
  protocol: 9,
  /** A field that a request must not have: `fieldFault` says why. */
  malformed: 10,
} as const;

/** Returns the kind of a field by its name, and by its value where a rule concerns the value. */
export function fieldKind(name: string, value: string): number {
  return fieldFault(name, value) === undefined ? (KIND_OF_NAME.get(name) ?? KIND.plain) : KIND.malformed;
}

/** Says what is wrong with a field, wherever it stands in a request; undefined: nothing. */
export function fieldFault(name: string, value: string): string | undefined {
  switch (name) {
    case ':method':
      return METHOD.test(value) ? undefined : ':method is not a token';
    case ':scheme':
      return SCHEME.test(value) ? undefined : ':scheme is not a scheme';
    case ':authority':
      return isAuthority(value) ? undefined : ':authority is not a host with an optional port';
    case ':path':
      return PATH.test(value) ? undefined : ':path is not a path';
    case ':protocol':
      return METHOD.test(value) ? undefined : ':protocol is not a token';
  }
  if (name.charCodeAt(0) === COLON) return 'a pseudo-header field is unknown';
  if (!NAME.test(name)) return 'a field name is not a lower-case token';
  if (!VALUE.test(value)) return `the value of ${name} has a character that is not allowed`;
  switch (name) {
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'transfer-encoding':
    case 'upgrade':
      return `${name} speaks about one connection`;
    case 'te':
      return value === 'trailers' ? undefined : 'te is not trailers';
  }
  return undefined;
}

const KIND_OF_NAME: ReadonlyMap<string, number> = new Map<string, number>([
  ['host', KIND.host],
  ['content-length', KIND.contentLength],
  ['expect', KIND.expect],
  ['priority', KIND.priority],
  [':method', KIND.method],
  [':scheme', KIND.scheme],
  [':authority', KIND.authority],
  [':path', KIND.path],
  [':protocol', KIND.protocol],
]);

const COLON = 58;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
// `*` is for OPTIONS only: parse-request-head.ts, which knows `:method`, looks at that
const PATH = /^(?:\/[\x21-\x7e\x80-\xff]*|\*)$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// visible characters; blanks only between them (RFC 9110 §5.5)
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
