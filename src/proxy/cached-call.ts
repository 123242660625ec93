/** A request that its handler passes on to servers which it names, where the cache may answer in their place. */
import { createHash } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import type { AnswerFront, AnswerSource } from '../http/exchange/answer-source.ts';
import { CallExchange } from '../http/exchange/call-exchange.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { CallCache, ProxyRules, WeightedTarget } from '../mapping/proxy-settings.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyDone, ProxyRoute } from './proxy-run.ts';

/** What the answers to a call depend on, beside the request of its client. */
export interface CallPlan {
  readonly targets: readonly WeightedTarget[];
  readonly rules: Omit<ProxyRules, 'timeouts' | 'retries'>;
  readonly path: string | undefined;
}

export interface CachedCallOptions {
  readonly front: AnswerFront;
  readonly proxies: Proxies;
  readonly route: ProxyRoute;
  readonly part: string;
  readonly cache: CallCache;
  /** Hears of failures that the caller does not: a stale answer has stood in, or the caller has its answer already. */
  readonly unheard: (error: GatewayError) => void;
}

/** A text for all calls that may have each other's answers: of the same servers, asked in the same way. */
export function callPart({ targets, rules, path }: CallPlan, { tags }: CallCache): string {
  const { setFields, removedFields, host, forwarded, trusted, tls } = rules;
  const urls = targets.map(({ url }) => url);
  const plan = [urls, path, setFields, removedFields, host, forwarded, trusted, tls, tags];
  return createHash('sha256').update(JSON.stringify(plan)).digest('base64url');
}

export class CachedCall implements AnswerSource {
  readonly part: string;
  readonly tags: readonly string[];
  readonly #options: CachedCallOptions;
  readonly #client: CallExchange;
  #failure: GatewayError | undefined;
  #isCancelled = false;

  /** `done` as that of Proxies.pass: called once, unless the call is cancelled. */
  constructor(exchange: Exchange, options: CachedCallOptions, done: ProxyDone) {
    this.part = options.part;
    this.tags = options.cache.tags;
    this.#options = options;
    this.#client = new CallExchange(exchange, (isWhole) => {
      if (isWhole) done({ status: exchange.status, bytes: exchange.bytesWritten });
      // whoever breaks the answer off says why behind that
      else
        process.nextTick(() => {
          if (!this.#isCancelled) done(this.#failure ?? broken());
        });
    });
  }

  start(): void {
    this.#options.front.answer(this.#client, this);
  }

  get moved(): number {
    return this.#client.moved;
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#client.cancel();
  }

  ask(exchange: Exchange): void {
    const { proxies, route, unheard } = this.#options;
    let hasEnded = false;
    const run = proxies.pass(exchange, route, (result) => {
      hasEnded = true;
      exchange.onAbort = undefined;
      if (!(result instanceof GatewayError)) return;
      this.#failure = result;
      if (!exchange.headGiven) exchange.reset(result.status);
      if (!this.#client.isHeard) unheard(result);
    });
    if (!hasEnded) exchange.onAbort = () => run.cancel();
  }
}

/** The mapping has ended while its store was asked. */
function broken(): GatewayError {
  return new GatewayError('LGW_PROXY_CLOSED', 'Cannot pass the request on: its mapping has ended', {
    luaCode: 'closed',
    status: 503,
  });
}
