/** Finds the mapping and handler of a path: lhttpd's rules first, extensions only where lhttpd answers 404 itself. */
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
    const prefix = second === -1 ? '/' : path.slice(0, second);
    const name = second === -1 ? path : path.slice(second);
    const mapping = this.#byPrefix.get(prefix);
    if (mapping !== undefined) {
      const handler = mapping.find(name);
      if (handler !== undefined) return toRoute(mapping, handler, name, path, query);
      const notFound = mapping.find(NOT_FOUND);
      if (notFound !== undefined) return toRoute(mapping, notFound, NOT_FOUND, path, query);
    }
    return this.#matchExtended(path, query, second);
  }

  /** What lhttpd has no rule for: deep prefixes, `/foo` as `/foo/`, and deep handler names of the mapping `/`. */
  #matchExtended(path: string, query: string | undefined, second: number): Route | undefined {
    for (const mapping of this.#deep) {
      const { prefix } = mapping;
      if (!path.startsWith(prefix)) continue;
      if (path.length > prefix.length && path.charCodeAt(prefix.length) !== SLASH) continue;
      const name = path.length === prefix.length ? '/' : path.slice(prefix.length);
      const handler = mapping.find(name);
      if (handler !== undefined) return toRoute(mapping, handler, name, path, query);
      const notFound = mapping.find(NOT_FOUND);
      if (notFound !== undefined) return toRoute(mapping, notFound, NOT_FOUND, path, query);
    }
    const mapping = this.#byPrefix.get(second === -1 ? path : '/');
    const name = second === -1 ? '/' : path;
    const handler = mapping?.find(name);
    if (mapping === undefined || handler === undefined) return undefined;
    return toRoute(mapping, handler, name, path, query);
  }
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
