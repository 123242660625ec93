/** Turns push promises that a client cannot take into one 103 Early Hints head with a preload link for each. */
import type { Exchange } from '../../http/exchange/exchange.ts';

/** Links of one response; browsers start a handful of requests at once. */
const LINKS_MAX = 32;

export class PreloadLinks {
  readonly #exchange: Exchange;
  readonly #targets: string[] = [];
  #sent = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Notes a promised target of the same origin; nothing on HTTP/1.0, pushed streams, or after the head. */
  add(target: string): void {
    const possible =
      this.#exchange.protocol !== 'HTTP/1.0' && !this.#exchange.pushed && !this.#exchange.headGiven;
    if (possible && !this.#sent && this.#targets.length < LINKS_MAX) this.#targets.push(target);
  }

  /** Sends what was noted, once. Called before the final head and whenever the handler is about to wait. */
  send(): void {
    if (this.#sent || this.#targets.length === 0 || this.#exchange.headGiven || this.#exchange.finished)
      return;
    this.#sent = true;
    const links = this.#targets.map((target) => `<${target}>; rel=preload`);
    this.#exchange.inform(103, ['link', links.join(', ')]);
  }
}
