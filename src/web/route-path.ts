/**
 * Paths as the router compares them: segments are decoded, and what a segment cannot hold as itself (`/`, `%` and braces) is
 * encoded again. So the tree of patterns, which Lua's handlers have too, can cut both at each `/`.
 */
import { GatewayError } from '../base/errors.ts';
import { isPattern, type Pattern, readPattern } from '../http/routing/pattern-tree.ts';

const PATH = /^(?:\/[^/?#]*)+$/;
const RESERVED = /[%/{}]/g;
const ENCODED = /%(?:25|2F|7B|7D)/g;

/** The path of an absolute URL, as it stands there. */
export function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const mark = url.indexOf('?', start);
  return mark === -1 ? url.slice(start) : url.slice(start, mark);
}

/** One slash at the end does not count. */
export function withoutSlash(path: string): string {
  return path.length > 1 && path.charCodeAt(path.length - 1) === SLASH ? path.slice(0, -1) : path;
}

const SLASH = 47;

/** The form in which paths are compared. */
export function comparablePath(path: string): string {
  return path.includes('%') ? path.split('/').map(comparableSegment).join('/') : path;
}

/** What a segment, or several, of a comparable path stands for. */
export function decodedValue(value: string): string {
  return value.includes('%') ? value.replace(ENCODED, decodeURIComponent) : value;
}

function comparableSegment(segment: string): string {
  return decode(segment).replace(RESERVED, encodeURIComponent);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    // no UTF-8: as it was sent
    return segment;
  }
}

/** Reads the pattern of a route, or the prefix of a router or middleware. Throws GatewayError LGW_ROUTE. */
export function readRoute(text: string): Pattern {
  if (typeof text !== 'string' || !PATH.test(text))
    throw routeError(`Route ${JSON.stringify(text)} is not a path that starts with "/", without "?" and "#"`);
  const comparable = withoutSlash(text)
    .split('/')
    .map((segment) => (isPattern(segment) ? segment : comparableSegment(segment)))
    .join('/');
  const pattern = readPattern(comparable);
  if (typeof pattern === 'string')
    throw routeError(`Route ${JSON.stringify(text)} is no pattern: ${pattern}`);
  return pattern;
}

export function routeError(message: string): GatewayError {
  return new GatewayError('LGW_ROUTE', message);
}

/** Joins what stands below a prefix to it; the prefix `/` is none. */
export function joinPaths(prefix: string, path: string): string {
  const front = prefix === '/' ? '' : withoutSlash(prefix);
  return path === '/' && front !== '' ? front : front + path;
}

/** Finds comparable paths at or below a prefix. */
export class PrefixMatcher {
  readonly prefix: string;
  /** Segments of the prefix: of two that fit, the one with more is nearer. */
  readonly depth: number;
  readonly #names: readonly string[];
  readonly #expression: RegExp | undefined;

  /** Throws GatewayError LGW_ROUTE. */
  constructor(prefix: string) {
    const { segments, names } = readRoute(prefix);
    if (segments.at(-1)?.kind === 'rest')
      throw routeError(`Prefix ${JSON.stringify(prefix)} takes no {name...}: all that is below it counts`);
    const isRoot = prefix === '/';
    this.prefix = prefix;
    this.depth = isRoot ? 0 : segments.length;
    this.#names = names;
    const parts = segments.map(({ kind, text }) => (kind === 'parameter' ? '([^/]+)' : escaped(text)));
    this.#expression = isRoot ? undefined : new RegExp(`^/${parts.join('/')}(?![^/])`);
  }

  /** Its parameters; undefined where the path is another one. */
  match(path: string): Readonly<Record<string, string>> | undefined {
    if (this.#expression === undefined) return NO_PARAMS;
    const found = this.#expression.exec(path);
    return found === null ? undefined : makeParams(this.#names, found, 1, '');
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

export const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** `values` are of a comparable path, and begin at `from`; `end` belongs to the last of them. */
export function makeParams(
  names: readonly string[],
  values: readonly string[],
  from: number,
  end: string,
): Readonly<Record<string, string>> {
  if (names.length === 0) return NO_PARAMS;
  // a name such as __proto__ must be a name like others
  const params = Object.create(null) as Record<string, string>;
  for (let i = 0; i < names.length; i++)
    params[names[i] as string] = decodedValue(values[from + i] as string);
  if (end !== '') params[names.at(-1) as string] += end;
  return params;
}
