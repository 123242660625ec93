/** Joins the body of an exchange with the wire it comes from, and with the budget of unread bodies. */
import type { GatewayError } from '../../base/errors.ts';
import type { ExchangeWire } from './exchange-wire.ts';
import type { BodyFlow } from './request-body.ts';
import { CONNECTION_BYTES_MIN, type UnreadBodies } from './unread-bodies.ts';

/** What is asked of the exchange. */
interface OpenExchange {
  /** Nothing more is done on the wire. */
  readonly isDone: boolean;
  readonly finished: boolean;
  readonly headSent: boolean;
  fail(reason: GatewayError): void;
  bodyAwaited(awaited: boolean): void;
}

export class BodyLink implements BodyFlow {
  readonly #exchange: OpenExchange;
  readonly #wire: ExchangeWire;
  readonly #unreadBodies: UnreadBodies;

  constructor(exchange: OpenExchange, wire: ExchangeWire, unreadBodies: UnreadBodies) {
    this.#exchange = exchange;
    this.#wire = wire;
    this.#unreadBodies = unreadBodies;
  }

  get readAheadBytes(): number {
    return this.#unreadBodies.readAheadBytes;
  }
  get isOverBudget(): boolean {
    return this.#unreadBodies.isFull && this.#wire.bodyHolder.unreadBytes > CONNECTION_BYTES_MIN;
  }
  bodyHolds(bytes: number): void {
    this.#unreadBodies.change(this.#wire.bodyHolder, bytes);
  }
  startBody(): void {
    if (!this.#exchange.isDone) this.#wire.startBody();
  }
  pauseBody(): void {
    if (!this.#exchange.isDone) this.#wire.pauseBody();
  }
  resumeBody(): void {
    if (!this.#exchange.isDone) this.#wire.resumeBody();
  }
  bodyAwaited(awaited: boolean): void {
    this.#exchange.bodyAwaited(awaited);
  }
  refuseBody(reason: GatewayError): boolean {
    if (this.#exchange.headSent || this.#exchange.finished) return false;
    this.#exchange.fail(reason);
    return true;
  }
}
