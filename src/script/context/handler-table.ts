/** The handlers of one script: what `register_handler` was told, or the one function that answers every path. */
import { GatewayError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Handler } from '../../http/exchange/handler.ts';

/** Handlers of one script: some 3 MiB with names of ordinary length; whoever has more paths has a router. */
const HANDLERS_MAX = 10_000;
/** Bytes of a handler's name: longer paths are no names any more. */
const HANDLER_NAME_BYTES_MAX = 1024;

export class HandlerTable {
  readonly #handlers = new Map<string, Handler>();
  readonly #logger: Logger;
  readonly #prefix: string;
  /** Instead of all others. */
  #ofAll: Handler | undefined;

  constructor(logger: Logger, prefix: string) {
    this.#logger = logger;
    this.#prefix = prefix;
  }

  /** Handlers with names. */
  get size(): number {
    return this.#handlers.size;
  }

  /** One handler answers every path. */
  get answersAll(): boolean {
    return this.#ofAll !== undefined;
  }

  /** Makes `handler` that of every path. */
  answerAll(handler: Handler): void {
    this.#ofAll = handler;
  }

  /** The handler registered under exactly `name`. */
  find(name: string): Handler | undefined {
    return this.#ofAll ?? this.#handlers.get(name);
  }

  /** True when `name` may be registered; false when it has a handler, which stays. An error says what is too much. */
  admit(name: string): boolean | GatewayError {
    if (name.length > HANDLER_NAME_BYTES_MAX)
      return tooMuch(`its name has ${name.length} bytes and the limit is ${HANDLER_NAME_BYTES_MAX}`);
    if (this.#handlers.has(name)) {
      this.#logger.warn('Handler registered twice; the first one stays', { mapping: this.#prefix, name });
      return false;
    }
    const { size } = this.#handlers;
    if (size >= HANDLERS_MAX) return tooMuch(`${size} are registered and the limit is ${HANDLERS_MAX}`);
    return true;
  }

  /** `admit` has said that it may be. */
  register(name: string, handler: Handler): void {
    this.#handlers.set(name, handler);
  }
}

function tooMuch(text: string): GatewayError {
  return new GatewayError('LGW_HANDLER_LIMIT', `Cannot register the handler: ${text}`, { luaCode: 'limit' });
}
