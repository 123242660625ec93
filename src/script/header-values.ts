/** What `header` holds for a request, by name: its fields and the parts of the request itself, on both protocols. */
import { type Fields, fieldValue } from '../http/semantics/fields.ts';
import type { RequestFacts } from './request-facts.ts';

/** Pseudo entries and their other names: what `header[…]` finds on both protocols. */
export const HEADER_ALIASES: ReadonlyMap<string, string> = new Map([
  [':method', 'method'],
  [':path', 'path'],
  [':authority', 'host'],
  [':scheme', 'scheme'],
  ['method', ':method'],
  ['path', ':path'],
  ['host', ':authority'],
  ['scheme', ':scheme'],
]);

/** What the filled header table gives for a lower-case name: its own entry, else that of its other name. */
export function headerValue(name: string, facts: RequestFacts): string | undefined {
  switch (name) {
    case 'method':
    case ':method':
      return facts.method;
    case 'path':
    case ':path':
      return pathOf(facts);
    case 'scheme':
    case ':scheme':
      return facts.scheme;
    case ':authority':
      return facts.protocol === 'HTTP/2' ? facts.authority : fieldValue(facts.fields, 'host');
    case 'host':
      return fieldValue(facts.fields, name) ?? (facts.protocol === 'HTTP/2' ? facts.authority : undefined);
    default:
      return fieldValue(facts.fields, name);
  }
}

/** HTTP/2 has the target as received, HTTP/1 the decoded path, as lhttpd. */
export function pathOf(facts: RequestFacts): string {
  if (facts.protocol === 'HTTP/2') return facts.target;
  return facts.query === undefined ? facts.path : `${facts.path}?${facts.query}`;
}

/** Names of fields worth keeping in the VM: those ordinary clients send. */
const KNOWN_NAMES: ReadonlySet<string> = new Set(
  (
    'method path :method :path ' +
    ':scheme :authority host Host user-agent User-Agent accept Accept accept-encoding Accept-Encoding accept-language ' +
    'Accept-Language connection Connection content-length Content-Length content-type Content-Type cookie Cookie ' +
    'referer Referer origin Origin authorization Authorization cache-control Cache-Control range Range te TE ' +
    'if-none-match If-None-Match if-modified-since If-Modified-Since upgrade-insecure-requests sec-fetch-dest ' +
    'sec-fetch-mode sec-fetch-site sec-fetch-user sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform priority'
  ).split(' '),
);
const KNOWN_NAME_LENGTH_MAX = 32;

export function isKnownName(name: string): boolean {
  return name.length <= KNOWN_NAME_LENGTH_MAX && KNOWN_NAMES.has(name);
}

/** Names that `header` has for parts of the request itself; a field of that name would pass for them. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['method', 'path', 'scheme']);

/** Repeated fields become one value (RFC 9110 §5.3; cookies RFC 9113 §8.2.3). */
export function joinLowerCase(fields: Fields): Map<string, string> {
  const joined = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (RESERVED_NAMES.has(name)) continue;
    joined.set(name, joinValue(name, joined.get(name), fields[i + 1] as string));
  }
  return joined;
}

/** The same where names keep the client's case: the first spelling stays. */
export function joinAnyCase(fields: Fields): Map<string, string> {
  const spelling = new Map<string, string>();
  const joined = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const lower = name.toLowerCase();
    if (RESERVED_NAMES.has(lower)) continue;
    const first = spelling.get(lower) ?? name;
    spelling.set(lower, first);
    joined.set(first, joinValue(lower, joined.get(first), fields[i + 1] as string));
  }
  return joined;
}

function joinValue(name: string, before: string | undefined, value: string): string {
  if (before === undefined) return value;
  return before + (name === 'cookie' ? '; ' : ', ') + value;
}
