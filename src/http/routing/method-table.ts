/** The handlers of one path by method, and the gateway's own answers to the methods that none of them takes. */

import type { MethodStatus } from '../exchange/answer-method.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Handler, Route } from '../exchange/handler.ts';

/** A handler (of exchanges, or of what else has methods), and the name it was registered under. */
export interface NamedHandler<Target = Handler> {
  readonly name: string;
  /** Names of its parameters, from the left. */
  readonly parameters: readonly string[];
  readonly handler: Target;
}

/** Makes the handler that answers a method which no other takes. */
export type AutomaticAnswer<Target = Handler> = (status: MethodStatus, allow: string) => Target;

export class MethodTable<Target = Handler> {
  readonly #automatic: AutomaticAnswer<Target>;
  readonly #byMethod = new Map<string, NamedHandler<Target>>();
  /** Takes the methods that no other takes. */
  #any: NamedHandler<Target> | undefined;
  #unsupported: NamedHandler<Target> | undefined;
  #options: NamedHandler<Target> | undefined;

  constructor(automatic: AutomaticAnswer<Target>) {
    this.#automatic = automatic;
  }

  /** True when a handler has the method, or all that are left: undefined. */
  has(method: string | undefined): boolean {
    return method === undefined ? this.#any !== undefined : this.#byMethod.has(method);
  }

  /** Those that have a handler of their own; `*` stands for all others, where one takes them. */
  get methods(): string[] {
    return [...this.#byMethod.keys(), ...(this.#any === undefined ? [] : ['*'])];
  }

  /** Gives the methods to the handler; undefined: all that no other takes. */
  set(methods: readonly string[] | undefined, named: NamedHandler<Target>): void {
    if (methods === undefined) this.#any = named;
    else for (const method of methods) this.#byMethod.set(method, named);
    const allow = this.#allow();
    this.#unsupported ??= named;
    this.#unsupported = { ...this.#unsupported, handler: this.#automatic(405, allow) };
    this.#options = { ...this.#unsupported, handler: this.#automatic(204, allow) };
  }

  /** The handler of a method: that of GET takes HEAD, too. There always is one. */
  pick(method: string): NamedHandler<Target> {
    const own =
      this.#byMethod.get(method) ??
      this.#any ??
      (method === 'HEAD' ? this.#byMethod.get('GET') : undefined) ??
      (method === 'OPTIONS' ? this.#options : this.#unsupported);
    return own as NamedHandler<Target>;
  }

  /** For names without parameters: a table of handlers is one. */
  handle(this: MethodTable, exchange: Exchange, route: Route): void {
    this.pick(exchange.method).handler.handle(exchange, route);
  }

  #allow(): string {
    const methods = new Set(this.#byMethod.keys());
    if (methods.has('GET')) methods.add('HEAD');
    methods.add('OPTIONS');
    return [...methods].sort().join(', ');
  }
}
