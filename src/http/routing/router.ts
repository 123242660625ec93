/**
 * Finds the mapping and handler of a path of one host: a handler of its name, or of a pattern that it fits, in the mapping with the
 * longest prefix, and where no mapping has one, the `/notfound` of the longest prefix. lhttpd's one exception stands
 * before: `/foo` is a name of the mapping `/` first.
 */
import type { Handler, Mapping, Route } from '../exchange/handler.ts';

const NOT_FOUND = '/notfound';

/** Paths whose places are remembered, so that a path that comes again is not cut and hashed again (the scenario hello-h2-20: 0.1 µs). */
const PATHS_MAX = 1000;
/** Of a router among many: one of each host shares the number above, and each has at least so many. */
const PATHS_MIN = 32;
/** Longer paths are not remembered: they are rarely asked for twice, and would hold much. */
const PATH_BYTES_MAX = 200;

/** A mapping that may have the handler of a path, and what it calls the path. */
interface Place {
  readonly mapping: Mapping;
  readonly name: string;
  /** Only a handler of that very name counts here, and no `/notfound`. */
  readonly isExact: boolean;
}

/** Mappings that are asked before those of the next layer. */
interface Layer {
  /** First mapping of each prefix; later ones with the same prefix are never asked. */
  readonly byPrefix: ReadonlyMap<string, Mapping>;
  /** Prefixes of two or more segments, longest first. */
  readonly deep: readonly Mapping[];
}

export class Router {
  readonly #layers: readonly Layer[];
  readonly #pathsMax: number;
  /** Where to look for a path, in this order. */
  readonly #places = new Map<string, readonly Place[]>();

  /** `count`: routers of the worker. */
  constructor(layers: readonly (readonly Mapping[])[] = [], count = 1) {
    this.#layers = layers.filter((mappings) => mappings.length > 0).map(toLayer);
    this.#pathsMax = Math.max(PATHS_MIN, Math.floor(PATHS_MAX / count));
  }

  /** No mapping at all. */
  get isEmpty(): boolean {
    return this.#layers.length === 0;
  }

  /** The route of a decoded, normalised path; undefined where the answer is the built-in 404 page. */
  match(path: string, query: string | undefined, method: string): Route | undefined {
    let notFound: Mapping | undefined;
    let lastHandler: Handler | undefined;
    for (const { mapping, name, isExact } of this.#places.get(path) ?? this.#findPlaces(path)) {
      if (mapping.answersAll) {
        // it is the /notfound of its mapping, too: that of a longer prefix comes before it
        if (isExact) continue;
        if (notFound !== undefined) break;
      }
      const handler = mapping.find(name);
      if (handler !== undefined) return toRoute(mapping, handler, name, path, query, undefined);
      if (isExact) continue;
      const found = mapping.findPattern?.(name, method);
      if (found !== undefined)
        return toRoute(mapping, found.handler, found.pattern, path, query, found.params);
      if (notFound !== undefined) continue;
      lastHandler = mapping.find(NOT_FOUND);
      if (lastHandler !== undefined) notFound = mapping;
    }
    if (notFound === undefined || lastHandler === undefined) return undefined;
    return toRoute(notFound, lastHandler, NOT_FOUND, path, query, undefined);
  }

  #findPlaces(path: string): readonly Place[] {
    const places: Place[] = [];
    if (path.charCodeAt(0) === SLASH) for (const layer of this.#layers) addPlaces(places, layer, path);
    if (path.length <= PATH_BYTES_MAX) {
      if (this.#places.size >= this.#pathsMax) this.#places.clear();
      this.#places.set(path, places);
    }
    return places;
  }
}

function toLayer(mappings: readonly Mapping[]): Layer {
  const byPrefix = new Map<string, Mapping>();
  for (const mapping of mappings) if (!byPrefix.has(mapping.prefix)) byPrefix.set(mapping.prefix, mapping);
  const deep = [...byPrefix.values()]
    .filter((mapping) => mapping.prefix.indexOf('/', 1) !== -1)
    .sort((a, b) => b.prefix.length - a.prefix.length);
  return { byPrefix, deep };
}

function addPlaces(places: Place[], { byPrefix, deep }: Layer, path: string): void {
  const second = path.indexOf('/', 1);
  const root = byPrefix.get('/');
  if (second === -1 && root !== undefined) places.push({ mapping: root, name: path, isExact: true });
  const segment = byPrefix.get(second === -1 ? path : path.slice(0, second));
  for (const mapping of [...deep, segment, root]) {
    const name = mapping === undefined ? undefined : nameBelow(mapping.prefix, path);
    if (mapping !== undefined && name !== undefined) places.push({ mapping, name, isExact: false });
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
  params: readonly string[] | undefined,
): Route {
  return { mapping, handler, prefix: mapping.prefix, handlerName, path, query, params };
}
