/**
 * Short answers of upstreams that one round of the event loop has brought, given to their clients by connection: what a connection
 * gets in one round leaves in one piece, whatever order it came in.
 */
import type { ExchangeConnection } from '../http/exchange/exchange.ts';

export interface BatchedAnswer {
  readonly connection: ExchangeConnection;
  /** Gives the answer to the client. */
  deliver(): void;
}

export class AnswerBatch {
  #byConnection = new Map<ExchangeConnection, BatchedAnswer[]>();
  #isDue = false;

  /** No more wait than calls are under way. */
  add(answer: BatchedAnswer): void {
    const { connection } = answer;
    const answers = this.#byConnection.get(connection);
    if (answers === undefined) this.#byConnection.set(connection, [answer]);
    else answers.push(answer);
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(deliver, this);
  }

  deliver(): void {
    const all = this.#byConnection;
    this.#byConnection = new Map();
    this.#isDue = false;
    for (const answers of all.values()) for (const answer of answers) answer.deliver();
  }
}

function deliver(batch: AnswerBatch): void {
  batch.deliver();
}
