/** What the router finds and the dispatcher calls: a handler, and the mapping (prefix and script) it belongs to. */
import type { MethodAnswer } from './answer-method.ts';
import type { Exchange } from './exchange.ts';

/** The result of resolving a request target: what a handler is told beside the exchange. */
export interface Route {
  readonly mapping: Mapping;
  readonly handler: Handler;
  /** The prefix that matched, as configured and normalised (`/`, `/app`). */
  readonly prefix: string;
  /** The name the handler was registered under (`/bar`, `/notfound`). */
  readonly handlerName: string;
  /** The decoded, normalised path. A byte string. */
  readonly path: string;
  /** The undecoded text after the first `?`; undefined when there is none. */
  readonly query: string | undefined;
  /** Names and decoded values of the parameters of a pattern, in turns; undefined where the name is no pattern. */
  readonly params: readonly string[] | undefined;
  /** What the gateway answers behind the hooks of the mapping, where no handler has the method. */
  readonly automatic?: MethodAnswer;
}

/** Answers exchanges. Owns the exchange from the call on: it must end or reset it, now or later. */
export interface Handler {
  handle(exchange: Exchange, route: Route): void;
}

/** A prefix and whatever stands behind it. */
export interface Mapping {
  /** The host whose requests it gets, as `comparableHost` writes it, perhaps `*.name`: all below the name. Default: any. */
  readonly host?: string | undefined;
  readonly prefix: string;
  /** One handler for every path, whatever its name: `find` always gives it. */
  readonly answersAll: boolean;
  /** The handler registered under exactly `name`; names start with `/`. Handlers may come later, at run time. */
  find(name: string): Handler | undefined;
  /** The pattern that `name` fits; absent where a mapping has none. Asked when `find` has found nothing. */
  findPattern?(name: string, method: string): PatternMatch | undefined;
}

/** A pattern that fits, and what it says of the name. */
export interface PatternMatch {
  readonly handler: Handler;
  readonly pattern: string;
  readonly params: readonly string[];
}
