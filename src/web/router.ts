/** Finds the handler of a request by its method and path: patterns with `{param}`, the first that fits wins. */
import { GatewayError } from '../base/errors.ts';
import { ResponseBuilder } from './response-builder.ts';
import type { HandlerContext, WebService } from './web-handler.ts';

/** The names in a pattern: `'id' | 'part'` for `/users/{id}/{part}`. */
export type ParamNames<Pattern extends string> = string extends Pattern
  ? string
  : Pattern extends `${string}{${infer Name}}${infer Rest}`
    ? Name | ParamNames<Rest>
    : never;

/** The decoded segments that stood in the place of each `{name}`. */
export type Params<Pattern extends string = string> = Readonly<Record<ParamNames<Pattern>, string>>;

/** Answers the requests of one route. */
export type RouteHandler<Pattern extends string = string> = (
  request: Request,
  params: Params<Pattern>,
  context: HandlerContext,
) => Response | Promise<Response>;

interface Segment {
  readonly text: string;
  readonly isParam: boolean;
}

interface Entry {
  /** Undefined: any. */
  readonly method: string | undefined;
  readonly segments: readonly Segment[];
  readonly handler: RouteHandler<never>;
}

interface Found {
  readonly handler: RouteHandler<never>;
  readonly params: Params;
}

const PATTERN = /^(?:\/[^/?#]*)+$/;
const PARAM = /^\{(\w+)\}$/;
const NO_PARAMS: Params = Object.freeze({});

/**
 * ```ts
 * export default new Router()
 *   .get('/users/{id}', (request, { id }) => new Response(`user ${id}\n`))
 *   .post('/users', async (request) => new Response(await request.text(), { status: 201 }));
 * ```
 *
 * Patterns are matched against the whole path of the request, the mapping's prefix included, without its query and one
 * trailing `/`. Adding a route with a bad pattern throws GatewayError `LGW_ROUTE`.
 */
export class Router implements WebService {
  readonly #entries: Entry[] = [];
  #notFound: RouteHandler = () => ResponseBuilder.empty404().build();

  /** A route for one method; those of GET answer HEAD as well, unless a route of its own fits. */
  add<const Pattern extends string>(method: string, pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add(method, pattern, handler);
  }
  get<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('GET', pattern, handler);
  }
  head<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('HEAD', pattern, handler);
  }
  post<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('POST', pattern, handler);
  }
  put<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('PUT', pattern, handler);
  }
  patch<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('PATCH', pattern, handler);
  }
  delete<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add('DELETE', pattern, handler);
  }
  /** A route for every method. */
  any<const Pattern extends string>(pattern: Pattern, handler: RouteHandler<Pattern>): this {
    return this.#add(undefined, pattern, handler);
  }

  /** Answers what no route fits; default: 404 without a body. */
  notFound(handler: (request: Request, context: HandlerContext) => Response | Promise<Response>): this {
    this.#notFound = (request, _params, context) => handler(request, context);
    return this;
  }

  /** Answers a request by the first route that fits. */
  fetch(request: Request, context: HandlerContext): Response | Promise<Response> {
    const segments = splitPath(pathOf(request.url));
    const { method } = request;
    const found =
      this.#find(method, segments) ?? (method === 'HEAD' ? this.#find('GET', segments) : undefined);
    if (found === undefined) return this.#notFound(request, NO_PARAMS, context);
    return found.handler(request, found.params as never, context);
  }

  #add<Pattern extends string>(
    method: string | undefined,
    pattern: Pattern,
    handler: RouteHandler<Pattern>,
  ): this {
    if (typeof handler !== 'function')
      throw new GatewayError('LGW_ROUTE', `The handler of route "${pattern}" is not a function`);
    this.#entries.push({ method, segments: readPattern(pattern), handler: handler as RouteHandler<never> });
    return this;
  }

  #find(method: string, given: readonly string[]): Found | undefined {
    for (const { method: wanted, segments, handler } of this.#entries) {
      if (wanted !== undefined && wanted !== method) continue;
      const params = matchSegments(segments, given);
      if (params !== undefined) return { handler, params };
    }
    return undefined;
  }
}

function readPattern(pattern: string): Segment[] {
  if (typeof pattern !== 'string' || !PATTERN.test(pattern))
    throw new GatewayError(
      'LGW_ROUTE',
      `Route ${JSON.stringify(pattern)} is not a path that starts with "/", without "?" and "#"`,
    );
  const names = new Set<string>();
  return splitPath(pattern).map((text) => {
    const name = PARAM.exec(text)?.[1];
    if (name === undefined) {
      if (/[{}]/.test(text))
        throw new GatewayError('LGW_ROUTE', `Route "${pattern}": "${text}" is not {name} and nothing else`);
      return { text: decode(text), isParam: false };
    }
    if (names.has(name)) throw new GatewayError('LGW_ROUTE', `Route "${pattern}" names {${name}} twice`);
    names.add(name);
    return { text: name, isParam: true };
  });
}

/** The path of an absolute URL. */
function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const mark = url.indexOf('?', start);
  return mark === -1 ? url.slice(start) : url.slice(start, mark);
}

/** Decoded segments without one trailing slash; none for `/`. */
function splitPath(path: string): string[] {
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  if (end === 0) return [];
  return path.slice(1, end).split('/').map(decode);
}

function decode(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    // no UTF-8: as it was sent
    return segment;
  }
}

function matchSegments(wanted: readonly Segment[], given: readonly string[]): Params | undefined {
  if (wanted.length !== given.length) return undefined;
  let params: Record<string, string> | undefined;
  for (let i = 0; i < wanted.length; i++) {
    const { text, isParam } = wanted[i] as Segment;
    const segment = given[i] as string;
    if (isParam) {
      // a name such as __proto__ must be a name like others
      params ??= Object.create(null) as Record<string, string>;
      params[text] = segment;
    } else if (text !== segment) return undefined;
  }
  return params ?? NO_PARAMS;
}
