/** Reads Cache-Control (RFC 9111 §5.2) strictly, and writes of it what the package that judges answers takes. */
import { DELTA_SECONDS_MAX, DIRECTIVES_BYTES_MAX } from './cache-limits.ts';

/** By name in lower case; true: without a value. */
export type Directives = ReadonlyMap<string, string | true>;

const BLANKS = /[ \t,]*/y;
const MEMBER =
  /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]*)))?[ \t]*(?=,|$)/y;
/** Directives whose value is a number of seconds. */
const SECONDS: ReadonlySet<string> = new Set([
  'max-age',
  's-maxage',
  'max-stale',
  'min-fresh',
  'stale-while-revalidate',
  'stale-if-error',
]);
/** What is told to the package: without values that are lists of fields, whose directives then count for the whole answer. */
const WITHOUT_VALUE: ReadonlySet<string> = new Set(['no-store', 'no-cache', 'private', 'public']);

/** Undefined: it is not well-formed, and might mean anything. */
export function readDirectives(text: string): Directives | undefined {
  if (text.length > DIRECTIVES_BYTES_MAX) return undefined;
  const directives = new Map<string, string | true>();
  for (let at = 0; ; ) {
    BLANKS.lastIndex = at;
    BLANKS.test(text);
    at = BLANKS.lastIndex;
    if (at >= text.length) return directives;
    MEMBER.lastIndex = at;
    const match = MEMBER.exec(text);
    if (match === null) return undefined;
    at = MEMBER.lastIndex;
    const name = (match[1] as string).toLowerCase();
    const value = readValue(name, match[2] ?? match[3]);
    // two values that differ say nothing: none of the time is left (§4.2.1)
    const before = directives.get(name);
    directives.set(name, before !== undefined && before !== value && SECONDS.has(name) ? '0' : value);
  }
}

/** The directives that the package knows and that `wants` does not leave out. */
export function policyText(directives: Directives, without: ReadonlySet<string> = NOTHING): string {
  const parts: string[] = [];
  for (const [name, value] of directives) {
    if (without.has(name)) continue;
    if (WITHOUT_VALUE.has(name) || (name === 'max-stale' && value === true)) parts.push(name);
    else if (SECONDS.has(name)) parts.push(`${name}=${value}`);
  }
  return parts.join(', ');
}

/** What is no number of seconds counts as none. */
function readValue(name: string, text: string | undefined): string | true {
  if (!SECONDS.has(name)) return text ?? true;
  if (text === undefined) return name === 'max-stale' ? true : '0';
  return /^\d{1,20}$/.test(text) ? String(Math.min(Number(text), DELTA_SECONDS_MAX)) : '0';
}

const NOTHING: ReadonlySet<string> = new Set();
