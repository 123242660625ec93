/** Answers of handlers that are kept: the cache asks the handler where it has none, by an exchange of its own. */
import { GatewayError } from '../base/errors.ts';
import type { AnswerFront, AnswerSource } from '../http/exchange/answer-source.ts';
import { CallExchange } from '../http/exchange/call-exchange.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { PROXY_VALUES } from '../mapping/proxy-values.ts';
import { describe } from './describe.ts';
import { type ProgressWatch, takeAnswer } from './handler-proxy.ts';

export interface CachedOptions {
  /** Tells answers to the same URL apart, such as those of two parts of a program; at most 1 KiB. Default: empty. */
  readonly key?: string;
  /** By which the answer can be purged, beside those of its `cache-tag`: up to 64 of at most 256 bytes, without blanks and commas. */
  readonly tags?: readonly string[];
}

/** A handler, whatever its context has. */
type HandlerOf<Context> = (request: Request, context: Context) => Response | Promise<Response>;

/** What all answers of one mapping that are kept have in common. */
export interface CacheSurroundings<Context> {
  readonly front: AnswerFront;
  /** Has the handler answer the exchange. */
  call(exchange: Exchange, handler: HandlerOf<Context>): void;
  /** Hears of a handler that has failed where nobody waits for it. */
  failed(error: unknown, exchange: Exchange): void;
}

/** Bytes of a key. */
const KEY_BYTES_MAX = 1024;

/** The keys of the answers that an exchange of the cache is made for, from the outermost inwards. */
const keysOf = new WeakMap<Exchange, ReadonlySet<string>>();

/** Resolves with the answer, kept or new; rejects with what the handler throws, RangeError for an option that cannot be. */
export async function answerCached<Context>(
  exchange: Exchange,
  handler: HandlerOf<Context>,
  { key = '', tags = [] }: CachedOptions,
  surroundings: CacheSurroundings<Context>,
  watch: ProgressWatch,
): Promise<Response> {
  if (typeof handler !== 'function')
    throw new TypeError(`A cached answer has ${describe(handler)} in the place of a handler`);
  if (typeof key !== 'string' || Buffer.byteLength(key) > KEY_BYTES_MAX)
    throw new RangeError(`Option key of a cached answer has to be a text of at most ${KEY_BYTES_MAX} bytes`);
  if (!PROXY_VALUES.tags.accepts(tags))
    throw new RangeError(`Option tags of a cached answer has to be ${PROXY_VALUES.tags.wants}`);
  // it would wait for itself
  if (keysOf.get(exchange)?.has(key) === true)
    throw new TypeError('A cached answer is made of itself: one of the two needs another key');
  return await takeAnswer(exchange, watch, (passed, fail) => {
    const answer = new CachedAnswer(passed, {
      handler,
      key,
      tags,
      surroundings,
      fail,
      around: keysOf.get(exchange),
    });
    answer.start();
    return answer;
  });
}

interface AnswerParts<Context> extends Required<CachedOptions> {
  readonly handler: HandlerOf<Context>;
  readonly surroundings: CacheSurroundings<Context>;
  readonly fail: (error: unknown) => void;
  /** Of the answers that this one is a part of. */
  readonly around: ReadonlySet<string> | undefined;
}

class CachedAnswer<Context> implements AnswerSource {
  readonly part: string;
  readonly tags: readonly string[];
  readonly #parts: AnswerParts<Context>;
  readonly #client: CallExchange;
  #failure: { readonly error: unknown } | undefined;

  constructor(exchange: Exchange, parts: AnswerParts<Context>) {
    // keys of the cache are byte strings
    this.part = parts.key === '' ? '' : Buffer.from(parts.key).toString('latin1');
    this.tags = parts.tags;
    this.#parts = parts;
    this.#client = new CallExchange(exchange, (isWhole) => {
      // an answer that has begun breaks off by itself
      if (!isWhole && !exchange.headGiven) process.nextTick(() => this.#fail());
    });
  }

  start(): void {
    this.#parts.surroundings.front.answer(this.#client, this);
  }

  get moved(): number {
    return this.#client.moved;
  }

  cancel(): void {
    this.#client.cancel();
  }

  ask(exchange: Exchange): void {
    const { answeredBy } = exchange;
    const { around = [], key } = this.#parts;
    keysOf.set(exchange, new Set([...around, key]));
    this.#parts.surroundings.call(exchange, async (request, context) => {
      try {
        return await this.#parts.handler(request, context);
      } catch (error) {
        this.#failure = { error };
        exchange.reset(error instanceof GatewayError ? error.status : 500);
        if (!this.#client.isHeard) this.#parts.surroundings.failed(error, exchange);
        // nobody gets it
        return new Response(null);
      }
    });
    // pages and log lines name the call that the client waits for
    if (answeredBy !== undefined) exchange.answeredBy = answeredBy;
  }

  #fail(): void {
    const { fail } = this.#parts;
    fail(
      this.#failure === undefined
        ? new Error('The handler of a cached answer has failed')
        : this.#failure.error,
    );
  }
}
