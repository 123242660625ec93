/** The gateway's own answers to methods that a path does not have, and to OPTIONS. */
import { respondWithError } from './error-response.ts';
import type { Exchange } from './exchange.ts';

/** 204 to OPTIONS, 405 to what a path does not have. */
export type MethodStatus = 204 | 405;

export interface MethodAnswer {
  readonly status: MethodStatus;
  /** Value of Allow. */
  readonly allow: string;
}

/** Answers in the place of a handler: 405, or 204 to OPTIONS, with the methods that the path has (RFC 9110 §9.3.7, §15.5.6). */
export function answerMethod(exchange: Exchange, status: MethodStatus, allow: string): void {
  if (status === 405) {
    respondWithError(exchange, 405, ['allow', allow]);
    return;
  }
  exchange.head(204, ['allow', allow]);
  exchange.end();
}
