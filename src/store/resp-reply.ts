/** Replies of Redis, as far as they are used: RESP2 and RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/). */

/** A refusal: a value among others, as one of many replies may be one. */
export class ReplyError {
  /** The first word: `ERR`, `MOVED`, `LOADING`. */
  readonly code: string;
  /** All of it. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
    this.code = /^\S{1,64}/.exec(message)?.[0] ?? '';
  }
}

/** Integers beyond 2^53 are a BigInt, status lines a text, and strings of bytes are the receiver's own. */
export type Reply = null | boolean | number | bigint | string | Buffer | ReplyError | readonly Reply[];
