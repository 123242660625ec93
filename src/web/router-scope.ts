/** One router at its place below others: its middleware, and its answers to errors and to what has no route. */
import { joinPaths, PrefixMatcher } from './route-path.ts';
import type { ErrorHandler, FallbackHandler, Middleware } from './route-types.ts';

/** A middleware at its place. */
export interface Layer {
  /** Relative to the router it was given to. */
  readonly path: string;
  readonly run: Middleware;
  readonly matcher: PrefixMatcher;
  /** Errors of the middleware are those of this router. */
  readonly scope: RouterScope;
}

/** A middleware that a request goes through. */
export interface MatchedLayer {
  readonly layer: Layer;
  readonly params: Readonly<Record<string, string>>;
}

/** What `RouterScope.layersFor` gives where there is no middleware. */
const NO_LAYERS: readonly MatchedLayer[] = Object.freeze([]);

export class RouterScope {
  readonly parent: RouterScope | undefined;
  /** Of the whole path; `/` for none. */
  readonly prefix: string;
  readonly matcher: PrefixMatcher;
  #layers: Layer[] = [];
  onError: ErrorHandler | undefined;
  notFound: FallbackHandler | undefined;

  /** Throws GatewayError LGW_ROUTE for a prefix that is no path. */
  constructor(prefix: string, parent: RouterScope | undefined) {
    this.parent = parent;
    this.prefix = prefix;
    this.matcher = new PrefixMatcher(prefix);
  }

  /** The same router below `prefix` of another one. */
  moved(prefix: string, parent: RouterScope): RouterScope {
    const copy = new RouterScope(joinPaths(prefix, this.prefix), parent);
    for (const { path, run } of this.#layers) copy.use(path, run);
    copy.onError = this.onError;
    copy.notFound = this.notFound;
    return copy;
  }

  /** Throws GatewayError LGW_ROUTE for a path that is none. */
  use(path: string, run: Middleware): void {
    const matcher = new PrefixMatcher(joinPaths(this.prefix, path));
    this.#layers.push({ path, run, matcher, scope: this });
  }

  /** The middleware around a request for a comparable path, the outermost first. */
  layersFor(path: string): readonly MatchedLayer[] {
    const outer = this.parent?.layersFor(path) ?? NO_LAYERS;
    if (this.#layers.length === 0) return outer;
    const all = [...outer];
    for (const layer of this.#layers) {
      const params = layer.matcher.match(path);
      if (params !== undefined) all.push({ layer, params });
    }
    return all;
  }

  /** The nearest answer to what has no route. */
  findNotFound(): FallbackHandler | undefined {
    return this.notFound ?? this.parent?.findNotFound();
  }

  /** True when an error is answered here, or further out. */
  answersErrors(): boolean {
    return this.onError !== undefined || this.parent?.answersErrors() === true;
  }
}
