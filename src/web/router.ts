/** Finds the handler of a request by its path and method, and calls it within the middleware around it. */
import { MethodTable } from '../http/routing/method-table.ts';
import { PatternTree } from '../http/routing/pattern-tree.ts';
import { describe } from './describe.ts';
import { type Core, Onion } from './onion.ts';
import { pageResponse } from './page-response.ts';
import {
  comparablePath,
  joinPaths,
  makeParams,
  pathOf,
  readRoute,
  routeError,
  withoutSlash,
} from './route-path.ts';
import type { Answer, ErrorHandler, FallbackHandler, Middleware, RouteHandler } from './route-types.ts';
import { type MatchedLayer, RouterScope } from './router-scope.ts';
import { testContext } from './test-context.ts';
import type { HandlerContext, RequestState, WebService } from './web-handler.ts';

/** What answers a route, whatever its parameters are called. */
type AnyHandler = (request: Request, params: never, context: HandlerContext<never>) => Answer;

interface Route {
  /** Undefined: any. */
  readonly method: string | undefined;
  readonly pattern: string;
  readonly run: AnyHandler;
  readonly scope: RouterScope;
}

/** Where the handler of a route is found. */
type Target = Pick<Route, 'run' | 'scope'>;

export interface RouterOptions {
  /** All patterns, and paths of `use` and `mount`, stand below it: `/api`. Default: `/`, that is none. */
  readonly base?: string;
}

/**
 * ```ts
 * export default new Router()
 *   .get('/users/{id}', (request, { id }) => new Response(`user ${id}\n`))
 *   .post('/users', async (request) => new Response(await request.text(), { status: 201 }));
 * ```
 *
 * Patterns are matched against the whole path of the request, the mapping's prefix included, without its query and one
 * trailing `/`. An exact segment goes before `{name}`, and this before `{name...}`, which takes all that is left. Adding a
 * route that is no pattern, or that is there, throws GatewayError `LGW_ROUTE`. `State` is what `context.state` holds.
 */
export class Router<State extends object = RequestState> implements WebService {
  readonly #tree = new PatternTree<MethodTable<Target>>();
  readonly #routes: Route[] = [];
  readonly #scope: RouterScope;
  /** Of the routers mounted here, at any depth. */
  readonly #mounted: RouterScope[] = [];
  #isMounted = false;

  constructor(options: RouterOptions = {}) {
    this.#scope = new RouterScope(options.base ?? '/', undefined);
  }

  /** A route for one method; those of GET answer HEAD as well, unless a route of its own fits. */
  add<const Pattern extends string>(
    method: string,
    pattern: Pattern,
    handler: RouteHandler<Pattern, State>,
  ): this {
    return this.#add(method, pattern, handler);
  }
  get<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('GET', pattern, handler);
  }
  head<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('HEAD', pattern, handler);
  }
  post<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('POST', pattern, handler);
  }
  put<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('PUT', pattern, handler);
  }
  patch<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('PATCH', pattern, handler);
  }
  delete<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('DELETE', pattern, handler);
  }
  options<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add('OPTIONS', pattern, handler);
  }
  /** A route for every method that no other route of the pattern takes. */
  any<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern, State>): this {
    return this.#add(undefined, pattern, handler);
  }

  /**
   * Calls the middleware for all requests of this router, or for those at or below a path, also where no route fits. The first
   * added is the outermost, wherever routes were added.
   */
  use(middleware: Middleware<string, State>): this;
  use<const Path extends string>(path: Path, middleware: Middleware<Path, State>): this;
  use(first: unknown, second?: unknown): this {
    this.#assertOpen();
    const [path, middleware] = typeof first === 'function' ? ['/', first] : [first, second];
    if (typeof middleware !== 'function')
      throw routeError(
        `The middleware of ${JSON.stringify(path)} is ${describe(middleware)} and no function`,
      );
    this.#scope.use(path as string, middleware as Middleware);
    return this;
  }

  /**
   * Lets another router, an object with `fetch`, or a function answer all requests at or below `prefix`. A function gets what
   * is below it as `path`. Routes of a router are taken over, so that it takes no more of them afterwards.
   */
  mount<const Prefix extends string>(
    prefix: Prefix,
    // a router says for itself what its state is: that is set by the middleware of this one
    target: Router<never> | WebService | RouteHandler<`${Prefix}/{path...}`, State>,
  ): this {
    this.#assertOpen();
    if (target instanceof Router) this.#mountRouter(prefix, target);
    else {
      const run = (typeof target === 'function' ? target : serviceHandler(target)) as RouteHandler;
      const withPath: RouteHandler<string, State> = (request, params, context) =>
        run(
          request,
          params['path'] === undefined ? { ...params, path: '' } : params,
          context as HandlerContext,
        );
      this.#add(undefined, prefix, withPath).#add(undefined, joinPaths(prefix, '/{path...}'), withPath);
    }
    return this;
  }

  /** Answers what no route fits; default: that of the router this one is mounted in, or the gateway's own page of 404. */
  notFound(handler: FallbackHandler<State>): this {
    this.#assertOpen();
    this.#scope.notFound = handler as FallbackHandler;
    return this;
  }

  /**
   * Answers when a handler or middleware of this router throws or rejects, or returns no Response. Middleware further out gets
   * this answer from `next()`. Without it `next()` rejects, and the client gets 500.
   */
  onError(handler: ErrorHandler<State>): this {
    this.#assertOpen();
    this.#scope.onError = handler as ErrorHandler;
    return this;
  }

  /** Answers a request. Tests may leave the context out: `testContext()` says what they get. */
  fetch(request: Request, context: HandlerContext<object> = testContext()): Answer {
    const given = pathOf(request.url);
    const path = comparablePath(withoutSlash(given));
    const match = this.#tree.match(path);
    // the state is what its middleware makes of it
    if (match === undefined) return this.#answerWithout(path, request, context as HandlerContext);
    const { name, parameters, handler } = match.leaf.pick(request.method);
    const params = makeParams(parameters, match.values, 0, isOpen(name) && given.endsWith('/') ? '/' : '');
    const { scope } = handler;
    const run = handler.run as RouteHandler;
    const layers = scope.layersFor(path);
    if (layers.length === 0 && !scope.answersErrors()) return run(request, params, context as HandlerContext);
    return this.#throughLayers(layers, request, context as HandlerContext, {
      title: `The handler of ${JSON.stringify(name)}`,
      scope,
      answer: (inner) => run(inner, params, context as HandlerContext),
    });
  }

  #answerWithout(path: string, request: Request, context: HandlerContext): Answer {
    let scope = this.#scope;
    for (const mounted of this.#mounted)
      if (mounted.matcher.depth > scope.matcher.depth && mounted.matcher.match(path) !== undefined)
        scope = mounted;
    const notFound = scope.findNotFound() ?? answerNotFound;
    const answer = (inner: Request): Answer => notFound(inner, context);
    const layers = scope.layersFor(path);
    if (layers.length === 0 && !scope.answersErrors()) return answer(request);
    return this.#throughLayers(layers, request, context, { title: 'notFound', scope, answer });
  }

  #throughLayers(
    layers: readonly MatchedLayer[],
    request: Request,
    context: HandlerContext,
    core: Core,
  ): Promise<Response> {
    return new Onion(layers, core, context).run(request);
  }

  #add<Pattern extends string>(
    method: string | undefined,
    pattern: string,
    handler: RouteHandler<Pattern, State>,
  ): this {
    this.#assertOpen();
    if (typeof handler !== 'function')
      throw routeError(`The handler of route ${JSON.stringify(pattern)} is not a function`);
    const whole = typeof pattern === 'string' ? joinPaths(this.#scope.prefix, pattern) : pattern;
    this.#insert({ method, pattern: whole, run: handler as AnyHandler, scope: this.#scope });
    return this;
  }

  #insert(route: Route): void {
    const { method, pattern: text, run, scope } = route;
    const pattern = readRoute(text);
    const known = this.#tree.get(pattern);
    if (known?.has(method) === true)
      throw routeError(
        `Route ${JSON.stringify(`${method ?? 'any'} ${text}`)} is there already: names of parameters make no difference`,
      );
    const excess = this.#tree.excess(pattern);
    if (excess !== undefined) throw routeError(`Cannot add route ${JSON.stringify(text)}: ${excess}`);
    const table =
      known ?? new MethodTable<Target>((status, allow) => ({ run: answerMethod(status, allow), scope }));
    table.set(method === undefined ? undefined : [method], {
      name: text,
      parameters: pattern.names,
      handler: { run, scope },
    });
    this.#tree.set(pattern, table);
    this.#routes.push(route);
  }

  #mountRouter(prefix: string, router: Router<never>): void {
    if ((router as unknown) === this) throw routeError('A router cannot be mounted into itself');
    router.#isMounted = true;
    const place = joinPaths(this.#scope.prefix, prefix);
    const moved = new Map([[router.#scope, router.#scope.moved(place, this.#scope)]]);
    for (const scope of router.#mounted)
      moved.set(scope, scope.moved(place, moved.get(scope.parent as RouterScope) as RouterScope));
    for (const { method, pattern, run, scope } of router.#routes)
      this.#insert({
        method,
        pattern: joinPaths(place, pattern),
        run,
        scope: moved.get(scope) as RouterScope,
      });
    this.#mounted.push(...moved.values());
  }

  #assertOpen(): void {
    if (this.#isMounted)
      throw routeError('The router is mounted into another: give it all it has to have before that');
  }
}

function serviceHandler(service: WebService): RouteHandler {
  if (typeof service !== 'object' || service === null || typeof service.fetch !== 'function')
    throw routeError(
      `What is mounted is ${describe(service)}: a router, a function or an object with "fetch" was expected`,
    );
  return (request, _params, context) => service.fetch(request, context);
}

/** Of patterns that end with `{name...}`: the slash at the end of a path belongs to what is left of it. */
function isOpen(pattern: string): boolean {
  return pattern.endsWith('...}');
}

function answerNotFound(request: Request): Response {
  return pageResponse(404, request);
}

/** The answer of a path to a method that no route of it has: 405, or 204 to OPTIONS. */
function answerMethod(status: 204 | 405, allow: string): AnyHandler {
  if (status === 204) return () => new Response(null, { status, headers: { allow } });
  return (request) => pageResponse(status, request, ['allow', allow]);
}
