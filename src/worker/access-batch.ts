/**
 * Collects a worker's lines of the access log: a message to the supervisor carries those of some milliseconds as one text. Lines
 * that the supervisor has not taken yet are bounded: when it is slow, further ones are dropped and counted.
 */

/** A batch is sent when the first of its lines has waited this long: a message costs as much as formatting ten lines (ms). */
const WAIT_MS = 20;
/** A batch of this many characters is sent at once. */
const BATCH_LENGTH_MAX = 64 * 1024;
/** Characters of lines that wait here and on the way to the supervisor. */
const WAITING_MAX = 4 * 1024 * 1024;
/** Dropped lines are told of once in so many milliseconds. */
const NOTICE_MS = 5000;

export class AccessBatch {
  readonly #send: (text: string, count: number) => void;
  readonly #onTheWay: Int32Array;
  readonly #tell: (dropped: number) => void;
  #text = '';
  #count = 0;
  #waiting = false;
  #dropped = 0;

  /**
   * `onTheWay`: the second of two Int32 counts the characters that were sent; the receiver takes off what it has taken. `tell` hears,
   * once in five seconds, how many lines were dropped.
   */
  constructor(
    onTheWay: SharedArrayBuffer,
    send: (text: string, count: number) => void,
    tell: (dropped: number) => void,
  ) {
    this.#onTheWay = new Int32Array(onTheWay);
    this.#send = send;
    this.#tell = tell;
  }

  /** Takes one formatted line. */
  readonly write = (line: string): void => {
    if (this.#text.length > BATCH_LENGTH_MAX) this.flush();
    if (this.#text === '' && Atomics.load(this.#onTheWay, 1) > WAITING_MAX - 2 * BATCH_LENGTH_MAX) {
      this.#drop();
      return;
    }
    this.#text += `${line}\n`;
    this.#count += 1;
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(this.flush, WAIT_MS);
  };

  /** Sends all waiting lines; the thread also calls this before it ends. */
  readonly flush = (): void => {
    this.#waiting = false;
    if (this.#count === 0) return;
    const [text, count] = [this.#text, this.#count];
    this.#text = '';
    this.#count = 0;
    Atomics.add(this.#onTheWay, 1, text.length);
    this.#send(text, count);
  };

  #drop(): void {
    if (this.#dropped === 0) {
      setTimeout(() => {
        this.#tell(this.#dropped);
        this.#dropped = 0;
      }, NOTICE_MS).unref();
    }
    this.#dropped += 1;
  }
}
