/** Passes the request of a handler on to another server: the answer is a Response, whose body goes to the client without streams of the web. */
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { HandlerProxyOptions, ProxyTargets } from '../mapping/proxy-options.ts';
import { PassedExchange } from './passed-exchange.ts';

/** A request that is being passed on. */
interface PassedRequest {
  /** Bytes that have gone either way. */
  readonly moved: number;
  cancel(): void;
}

/** What all requests of a mapping have in common that its handlers pass on. */
export interface ProxySurroundings {
  /** `done` is called once, perhaps before this returns, and never where it was cancelled. Throws a GatewayError for options that are none. */
  pass(
    exchange: Exchange,
    targets: ProxyTargets,
    options: HandlerProxyOptions,
    done: (result: unknown) => void,
  ): PassedRequest;
  /** Hears what has cut an answer whose head the handler had. */
  failed(error: GatewayError, exchange: Exchange): void;
  /** The mapping ends soon. */
  retire(): void;
  /** It has ended: what is kept for it is not used any more. */
  close(): void;
}

/** Whoever looks whether a handler makes progress. */
export interface ProgressWatch {
  /** As long as this number changes, the handler is not silent. */
  follow(moved: () => number): void;
}

/** Resolves with the answer when its head has come; rejects with a GatewayError (`status` 502, 503, 504) where there is none. */
export function passOn(
  exchange: Exchange,
  targets: ProxyTargets,
  options: HandlerProxyOptions,
  surroundings: ProxySurroundings,
  watch: ProgressWatch,
): Promise<Response> {
  return takeAnswer(exchange, watch, (passed, fail) =>
    surroundings.pass(passed, targets, options, (result) => {
      if (!(result instanceof GatewayError)) return;
      if (passed.headGiven) surroundings.failed(result, exchange);
      else fail(result);
    }),
  );
}

/** Begins what answers the exchange that it gets, or calls `fail`, perhaps at once. */
type BeginAnswer = (passed: PassedExchange, fail: (error: unknown) => void) => PassedRequest;

/** Resolves with what an exchange is answered by that stands for this one. */
export function takeAnswer(exchange: Exchange, watch: ProgressWatch, begin: BeginAnswer): Promise<Response> {
  const answer = new Promise<Response>((resolve, reject) => {
    if (exchange.headGiven) throw new TypeError('The request has got its answer already');
    if (exchange.identity.hasBody && exchange.body.queue.taken > 0)
      throw new TypeError('A part of the body has been read, and only a whole body is passed on');
    let request: PassedRequest | undefined;
    const cancel = (): void => request?.cancel();
    request = begin(new PassedExchange(exchange, resolve, cancel), reject);
    const { onClose } = exchange;
    exchange.onClose = () => {
      cancel();
      reject(exchange.error ?? new TypeError('The request has got another answer'));
      onClose?.();
    };
    watch.follow(() => request?.moved ?? 0);
  });
  // a handler that gives another answer meanwhile need not wait for this one
  answer.catch(() => undefined);
  return answer;
}
