/** The handlers of one script: what `register_handler` was told, or the one function that answers every path. */
import { GatewayError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Handler, PatternMatch } from '../../http/exchange/handler.ts';
import { type AutomaticAnswer, MethodTable } from '../../http/routing/method-table.ts';
import { isPattern, type Pattern, PatternTree, readPattern } from '../../http/routing/pattern-tree.ts';
import { LuaError } from '../../lua/lua-error.ts';

/** Handlers of one script: some 3 MiB with names of ordinary length; whoever has more paths has a router. */
const HANDLERS_MAX = 10_000;
/** Patterns of one script: some 16 MiB where each has 32 segments that no other has. */
const PATTERNS_MAX = 2000;
/** Bytes of a handler's name: longer paths are no names any more. */
const HANDLER_NAME_BYTES_MAX = 1024;

/** A name or pattern that a script has registered. */
export interface RegisteredHandler {
  /** A byte string. */
  readonly name: string;
  /** `*`: all that no other handler of the name takes. */
  readonly methods: readonly string[];
}

export class HandlerTable {
  readonly #handlers = new Map<string, Handler>();
  readonly #patterns = new PatternTree<MethodTable>();
  readonly #byPattern = new Map<string, MethodTable>();
  readonly #logger: Logger;
  readonly #mapping: string;
  /** Makes the answers to methods that no handler of a name takes. */
  readonly #automatic: AutomaticAnswer;
  /** Handlers with names. */
  #size = 0;
  #patternCount = 0;
  /** Instead of all others. */
  #ofAll: Handler | undefined;

  constructor(logger: Logger, mapping: string, automatic: AutomaticAnswer) {
    this.#automatic = automatic;
    this.#logger = logger;
    this.#mapping = mapping;
  }

  /** Handlers with names. */
  get size(): number {
    return this.#size;
  }

  /** All names and patterns, in the order in which they were registered first, names before patterns. */
  get registered(): RegisteredHandler[] {
    return [...this.#handlers, ...this.#byPattern].map(([name, handler]) => ({
      name,
      methods: handler instanceof MethodTable ? handler.methods : ['*'],
    }));
  }

  /** One handler answers every path. */
  get answersAll(): boolean {
    return this.#ofAll !== undefined;
  }

  /** Makes `handler` that of every path. */
  answerAll(handler: Handler): void {
    this.#ofAll = handler;
  }

  /** The handler registered under exactly `name`, which is no pattern. */
  find(name: string): Handler | undefined {
    return this.#ofAll ?? this.#handlers.get(name);
  }

  /** The pattern that `name` fits. */
  findPattern(name: string, method: string): PatternMatch | undefined {
    if (this.#patternCount === 0) return undefined;
    const match = this.#patterns.match(name);
    if (match === undefined) return undefined;
    const { name: pattern, parameters, handler } = match.leaf.pick(method);
    const params: string[] = [];
    for (let i = 0; i < parameters.length; i++)
      params.push(parameters[i] as string, match.values[i] as string);
    return { handler, pattern, params };
  }

  /** The handler registered for the name or pattern `name`: what a route calls `handlerName`. */
  findRegistered(name: string, method: string): Handler | undefined {
    return this.#ofAll ?? this.#handlers.get(name) ?? this.#byPattern.get(name)?.pick(method).handler;
  }

  /**
   * The methods that `name` may be registered for, of those asked for (undefined: all that no other handler of the name
   * takes); false when others have them all, which stay. An error says what is too much.
   */
  admit(name: string, methods: readonly string[] | undefined): AdmittedMethods | false | GatewayError {
    if (name.length > HANDLER_NAME_BYTES_MAX)
      return tooMuch(`its name has ${name.length} bytes and the limit is ${HANDLER_NAME_BYTES_MAX}`);
    const pattern = patternOf(name);
    const known = pattern === undefined ? this.#handlers.get(name) : this.#patterns.get(pattern);
    const free = freeMethods(known, methods);
    if (free.isTaken) {
      this.#logger.warn('Handler registered twice; the first one stays', { mapping: this.#mapping, name });
      if (methods === undefined || free.methods?.length === 0) return false;
    }
    if (this.#size >= HANDLERS_MAX)
      return tooMuch(`${this.#size} are registered and the limit is ${HANDLERS_MAX}`);
    if (pattern === undefined) return free;
    if (this.#patternCount >= PATTERNS_MAX)
      return tooMuch(`${this.#patternCount} have patterns and the limit is ${PATTERNS_MAX}`);
    const excess = this.#patterns.excess(pattern);
    return excess === undefined ? free : tooMuch(excess);
  }

  /** `admit` has given the methods. */
  register(name: string, { methods }: AdmittedMethods, handler: Handler): void {
    const pattern = patternOf(name);
    this.#size += 1;
    if (pattern !== undefined) {
      this.#patternCount += 1;
      const table = this.#patterns.get(pattern) ?? new MethodTable(this.#automatic);
      table.set(methods, { name, parameters: pattern.names, handler });
      this.#patterns.set(pattern, table);
      this.#byPattern.set(name, table);
      return;
    }
    const known = this.#handlers.get(name);
    if (known === undefined && methods === undefined) {
      this.#handlers.set(name, handler);
      return;
    }
    const table = known instanceof MethodTable ? known : new MethodTable(this.#automatic);
    if (known !== undefined && known !== table)
      table.set(undefined, { name, parameters: [], handler: known });
    table.set(methods, { name, parameters: [], handler });
    this.#handlers.set(name, table);
  }
}

/** Methods of a handler that no other handler of its name has; undefined: all that are left. */
export interface AdmittedMethods {
  readonly methods: readonly string[] | undefined;
}

function freeMethods(
  known: Handler | undefined,
  methods: readonly string[] | undefined,
): AdmittedMethods & { readonly isTaken: boolean } {
  if (known === undefined) return { methods, isTaken: false };
  const has = (method: string | undefined): boolean =>
    known instanceof MethodTable ? known.has(method) : method === undefined;
  if (methods === undefined) return { methods, isTaken: has(undefined) };
  const free = methods.filter((method) => !has(method));
  return { methods: free, isTaken: free.length < methods.length };
}

function patternOf(name: string): Pattern | undefined {
  if (!isPattern(name)) return undefined;
  const pattern = readPattern(name);
  if (typeof pattern === 'string') throw new LuaError(`bad pattern ${JSON.stringify(name)}: ${pattern}`);
  return pattern;
}

function tooMuch(text: string): GatewayError {
  return new GatewayError('LGW_HANDLER_LIMIT', `Cannot register the handler: ${text}`, { luaCode: 'limit' });
}
