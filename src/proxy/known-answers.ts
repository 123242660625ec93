/** Heads of answers that an upstream has sent before: one that comes again byte for byte need not be read again. */
import { readLatin1 } from '../native/node-internals.ts';
import { type AnswerHead, parseAnswerHead } from './answer-head.ts';

/** Heads kept for one upstream: what it sends most within a second. */
const HEADS_KEPT_MAX = 4;
/** A longer head is read each time: its bytes would stay in memory. */
const HEAD_BYTES_KEPT_MAX = 2 * 1024;

interface KnownAnswer {
  readonly bytes: Buffer;
  readonly head: AnswerHead;
  isFrozen: boolean;
}

export class KnownAnswers {
  readonly #known: KnownAnswer[] = [];
  #next = 0;
  /** Size of the head that `find` has found last. */
  size = 0;

  /** The head that stands at `at`, where it is known. */
  find(bytes: Buffer, at: number): AnswerHead | undefined {
    for (const known of this.#known) {
      const size = known.bytes.length;
      if (bytes.length - at < size || known.bytes.compare(bytes, at, at + size) !== 0) continue;
      this.size = size;
      const { head } = known;
      // lists that never change stand for what was made of them
      if (!known.isFrozen) {
        known.isFrozen = true;
        Object.freeze(head.fields);
      }
      return head;
    }
    return undefined;
  }

  /** Reads the head between `at` and `end`. A text says what is wrong with it. */
  read(bytes: Buffer, at: number, end: number): AnswerHead | string {
    const head = parseAnswerHead(readLatin1(bytes, at, end));
    if (typeof head === 'string' || end - at > HEAD_BYTES_KEPT_MAX) return head;
    const copy = Buffer.allocUnsafeSlow(end - at);
    bytes.copy(copy, 0, at, end);
    this.#known[this.#next] = { bytes: copy, head, isFrozen: false };
    this.#next = (this.#next + 1) % HEADS_KEPT_MAX;
    return head;
  }
}
