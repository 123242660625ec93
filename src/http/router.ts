/**
 * Finds the mapping and handler of a path: a handler of its name in the mapping with the longest prefix, and where no
 * mapping has one, the `/notfound` of the longest prefix. lhttpd's one exception stands before: `/foo` is a name of the
 * mapping `/` first.
 */
import type { Handler, Mapping, Route } from './handler.ts';

const NOT_FOUND = '/notfound';

export class Router {
  /** First mapping of each prefix; later ones with the same prefix are never asked. */
  #byPrefix: ReadonlyMap<string, Mapping> = new Map();
  /** Prefixes of two or more segments, longest first. */
  #deep: readonly Mapping[] = [];

  constructor(mappings: readonly Mapping[] = []) {
    this.replace(mappings);
  }

  /** Takes another list of mappings, all at once. */
  replace(mappings: readonly Mapping[]): void {
    const byPrefix = new Map<string, Mapping>();
    for (const mapping of mappings) if (!byPrefix.has(mapping.prefix)) byPrefix.set(mapping.prefix, mapping);
    this.#byPrefix = byPrefix;
    this.#deep = [...byPrefix.values()]
      .filter((mapping) => mapping.prefix.indexOf('/', 1) !== -1)
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** The route of a decoded, normalised path; undefined where the answer is the built-in 404 page. */
  match(path: string, query: string | undefined): Route | undefined {
    if (path.charCodeAt(0) !== SLASH) return undefined;
    const second = path.indexOf('/', 1);
    const root = this.#byPrefix.get('/');
    if (second === -1 && root?.answersAll === false) {
      const handler = root.find(path);
      if (handler !== undefined) return toRoute(root, handler, path, path, query);
    }
    const segment = this.#byPrefix.get(second === -1 ? path : path.slice(0, second));
    const deep = this.#deep;
    let notFound: Mapping | undefined;
    let lastHandler: Handler | undefined;
    for (let i = 0; i < deep.length + 2; i++) {
      const mapping = i < deep.length ? deep[i] : i === deep.length ? segment : root;
      const name = mapping === undefined ? undefined : nameBelow(mapping.prefix, path);
      if (mapping === undefined || name === undefined) continue;
      // one that answers every path is the /notfound of its mapping, too: that of a longer prefix comes before it
      if (mapping.answersAll && notFound !== undefined) break;
      const handler = mapping.find(name);
      if (handler !== undefined) return toRoute(mapping, handler, name, path, query);
      if (notFound !== undefined) continue;
      lastHandler = mapping.find(NOT_FOUND);
      if (lastHandler !== undefined) notFound = mapping;
    }
    if (notFound === undefined || lastHandler === undefined) return undefined;
    return toRoute(notFound, lastHandler, NOT_FOUND, path, query);
  }
}

/** What the mapping of `prefix` calls the path; undefined where the prefix does not fit. */
function nameBelow(prefix: string, path: string): string | undefined {
  if (prefix === '/') return path;
  if (!path.startsWith(prefix)) return undefined;
  if (path.length === prefix.length) return '/';
  return path.charCodeAt(prefix.length) === SLASH ? path.slice(prefix.length) : undefined;
}

const SLASH = 47;

function toRoute(
  mapping: Mapping,
  handler: Handler,
  handlerName: string,
  path: string,
  query: string | undefined,
): Route {
  return { mapping, handler, prefix: mapping.prefix, handlerName, path, query };
}
