/** An exchange that waits for its client: for how long the client may be silent, and how slowly its body may come. */
import { GatewayError } from '../../base/errors.ts';
import { type BodyRate, isTooSlow } from './body-rate.ts';
import type { Stallable, StallWatch } from './stall-watch.ts';

/** How long exchanges wait for their clients. */
export interface ClientPatience {
  /** Ends those whose client neither sends nor takes anything. */
  readonly stalls: StallWatch;
  /** Ends those whose client sends too little. */
  readonly bodyRate: BodyRate;
}

/** What is asked of the exchange. */
interface WaitingExchange {
  /** The gateway itself keeps the client from sending the body that a reader waits for. */
  readonly holdsBackBody: boolean;
  readonly body: { readonly bytesReceived: number };
  fail(reason: GatewayError): void;
}

export class ClientWatch implements Stallable {
  readonly #exchange: WaitingExchange;
  readonly #patience: ClientPatience;
  /** A reader waits for the body. */
  awaitsBody = false;
  /** How long readers have waited for the client in all, and since when one waits now; 0 = none does. */
  #awaitedMs = 0;
  #awaitedSince = 0;
  waitingSince = 0;
  place = 0;

  constructor(exchange: WaitingExchange, patience: ClientPatience) {
    this.#exchange = exchange;
    this.#patience = patience;
  }

  /** The client is waited for from now on, or has just made progress. */
  start(): void {
    this.#patience.stalls.start(this);
  }

  stop(): void {
    this.#patience.stalls.stop(this);
  }

  /** A reader has begun (true) or stopped (false) waiting for the body. `isTimed`: the client may not be silent meanwhile. */
  bodyAwaited(awaited: boolean, isTimed = true): void {
    this.awaitsBody = awaited;
    if (!isTimed) this.#awaitedSince = 0;
    else if (awaited) this.#awaitedSince ||= performance.now();
    else if (this.#awaitedSince !== 0) {
      this.#awaitedMs += performance.now() - this.#awaitedSince;
      this.#awaitedSince = 0;
    }
  }

  stalled(limitMs: number): void {
    if (this.#exchange.holdsBackBody) {
      this.start();
      return;
    }
    this.#exchange.fail(
      new GatewayError('LGW_CLIENT_STALLED', `Client kept the exchange waiting for ${limitMs} ms`, {
        status: 408,
        luaCode: 'timeout',
      }),
    );
  }

  /** The client sends, and perhaps too slowly. */
  waits(now: number): void {
    if (this.#awaitedSince === 0) return;
    if (this.#exchange.holdsBackBody) {
      this.#awaitedSince = now;
      return;
    }
    const { bodyRate } = this.#patience;
    const { bytesReceived } = this.#exchange.body;
    const waitedMs = this.#awaitedMs + now - this.#awaitedSince;
    if (!isTooSlow(waitedMs, bytesReceived, bodyRate)) return;
    const seconds = Math.round(waitedMs / 1000);
    this.#exchange.fail(
      new GatewayError(
        'LGW_BODY_TOO_SLOW',
        `Request body came too slowly: ${bytesReceived} bytes in ${seconds} s of waiting, and the least rate is ${bodyRate.bytesPerSecondMin} bytes a second (--min-body-rate)`,
        { status: 408, luaCode: 'timeout' },
      ),
    );
  }
}
