/**
 * A block of memory that one thread fills and another reads: the first fills it again only when the second has given it back. Memory that is new for each
 * message costs more than what is written into it, as the system clears each page.
 */

/** The state stands before the bytes (bytes). */
const HEAD_BYTES = 8;
const FREE = 0;
const LENT = 1;

/** Of the thread that fills. */
export class LentBlock {
  readonly #state: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;

  constructor(size: number) {
    const memory = new SharedArrayBuffer(HEAD_BYTES + size);
    this.#state = new Int32Array(memory, 0, 1);
    this.#bytes = new Uint8Array(memory, HEAD_BYTES);
  }

  get isFree(): boolean {
    return Atomics.load(this.#state, 0) === FREE;
  }

  /** Copies at most its size; whoever gets the bytes has to give them back. */
  lend(source: Uint8Array): Uint8Array<SharedArrayBuffer> {
    Atomics.store(this.#state, 0, LENT);
    this.#bytes.set(source);
    return this.#bytes.subarray(0, source.length);
  }
}

/** Gives back bytes that a block has lent; others are their own. Nobody may read them from then on. */
export function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof SharedArrayBuffer) Atomics.store(new Int32Array(buffer, 0, 1), 0, FREE);
}
