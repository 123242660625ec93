/** The types of what a router of TypeScript handlers is given: patterns with their parameters, handlers, middleware. */
import type { HandlerContext, RequestState } from './web-handler.ts';

/** The names in a pattern: `'id' | 'path'` for `/users/{id}/{path...}`. */
export type ParamNames<Pattern extends string> = string extends Pattern
  ? string
  : Pattern extends `${string}{${infer Name}}${infer Rest}`
    ? (Name extends `${infer Open}...` ? Open : Name) | ParamNames<Rest>
    : never;

/** What stood in the place of each `{name}` and `{name...}`, decoded. */
export type Params<Pattern extends string = string> = Readonly<Record<ParamNames<Pattern>, string>>;

/** What a handler may return. */
export type Answer = Response | Promise<Response>;

/** Answers the requests of one route. */
export type RouteHandler<Pattern extends string = string, State extends object = RequestState> = (
  request: Request,
  params: Params<Pattern>,
  context: HandlerContext<State>,
) => Answer;

/** Gives the answer of what stands inside a middleware, to another request where one is given. May be called once. */
export type Next = (request?: Request) => Promise<Response>;

/** Stands around routes: it answers by itself, or returns what `next()` gives, changed or not. */
export type Middleware<Path extends string = string, State extends object = RequestState> = (
  request: Request,
  next: Next,
  context: HandlerContext<State>,
  params: Params<Path>,
) => Answer;

/** Answers a request for which no route was found. */
export type FallbackHandler<State extends object = RequestState> = (
  request: Request,
  context: HandlerContext<State>,
) => Answer;

/** Answers a request whose handler or middleware threw, or rejected with, `error`. */
export type ErrorHandler<State extends object = RequestState> = (
  error: unknown,
  request: Request,
  context: HandlerContext<State>,
) => Answer;
