/** The body of an answer between handler and wire: as it was written, or as a coder makes it; not what is sent when. */
import { PIECE_BYTES_MAX } from '../coding/compression.ts';
import type { AnswerCoder } from './answer-coder.ts';
import { CHUNK_BYTES_MAX } from './chunk-pool.ts';
import type { ExchangeWire } from './exchange-wire.ts';
import { ResponseBuffer } from './response-buffer.ts';

export class AnswerBody {
  /** What the handler has written, and neither coder nor wire has taken. */
  readonly written: ResponseBuffer = new ResponseBuffer();
  /** What the wire takes: the same, or what the coder makes of it. */
  output: ResponseBuffer = this.written;
  /** Undefined = the body goes as it is. */
  #coder: AnswerCoder | undefined;
  readonly #wire: Pick<ExchangeWire, 'bufferBytesMax'>;

  constructor(wire: Pick<ExchangeWire, 'bufferBytesMax'>) {
    this.#wire = wire;
  }

  /** Before anything is written. */
  codeBy(coder: AnswerCoder | undefined): void {
    this.#coder = coder;
  }

  /** A coder has the body, or may want it. */
  get mayBeCoded(): boolean {
    return this.#coder !== undefined;
  }

  /** The fields of the head say already how the body is coded. */
  get isDecided(): boolean {
    return this.#coder?.isDecided === true;
  }

  /** The head waits for what the coder makes. */
  get holdsHead(): boolean {
    return this.#coder?.holdsHead === true;
  }

  /** The second question costs a division, in each of many short writes. */
  get hasRoom(): boolean {
    const { length } = this.written;
    return length < CHUNK_BYTES_MAX || length < this.roomBytes;
  }

  /** What fits in one piece of a coder is compressed as a whole, when it has ended. */
  get roomBytes(): number {
    return this.#coder === undefined ? this.#wire.bufferBytesMax : PIECE_BYTES_MAX;
  }

  /** What was written so far does not wait for more. */
  flush(): void {
    if (this.written.length > 0) this.#coder?.flush();
  }

  /**
   * Lets the coder do what it can, when the head is about to be sent or has been; true when all of an ended body is in `output`.
   * `length`: of all that was written, where that has come to its end.
   */
  code(length: number | undefined): boolean {
    const coder = this.#coder;
    if (coder === undefined) return true;
    if (!coder.isDecided && !coder.decide(this.written, length)) {
      this.#coder = undefined;
      return true;
    }
    this.output = coder.output;
    coder.work(length !== undefined);
    return coder.isComplete;
  }

  /** Nothing of it is sent any more. */
  clear(): void {
    this.written.clear();
    this.#coder?.drop();
    this.#coder = undefined;
    this.output = this.written;
  }
}
