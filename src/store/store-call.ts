/** One command on its way to a store and back. It ends once: with the reply, or with what came in between. */
import type { GatewayError } from '../base/errors.ts';
import { bytesOf, type Command } from './resp-command.ts';
import type { Reply } from './resp-reply.ts';

export type Outcome = Reply | GatewayError;

/** Hears of the end of a call that it has taken. */
export interface CallOwner {
  settled(call: StoreCall): void;
}

export class StoreCall {
  readonly command: Command;
  readonly bytes: number;
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number;
  readonly timeoutMs: number;
  /** Goes right before it, and its reply counts for nothing. */
  readonly before: Command | undefined;
  isOver = false;
  /** When it was written; 0 = it waits for a connection. */
  sentAt = 0;
  owner: CallOwner | undefined;
  readonly #done: (outcome: Outcome) => void;

  constructor(
    command: Command,
    timeoutMs: number,
    done: (outcome: Outcome) => void,
    before?: Command,
    deadline: number = performance.now() + timeoutMs,
  ) {
    this.command = command;
    this.bytes = bytesOf(command);
    this.timeoutMs = timeoutMs;
    this.deadline = deadline;
    this.before = before;
    this.#done = done;
  }

  finish(outcome: Outcome): void {
    if (this.isOver) return;
    this.isOver = true;
    this.owner?.settled(this);
    this.#done(outcome);
  }
}
