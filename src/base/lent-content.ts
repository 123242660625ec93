/** Larger files in memory, and how much of it answers hold that nobody else needs any more: clients may take their time with them. */

/** What answers and loads may hold beside what is kept, for all mappings of a worker; beyond it files are read as they are sent. */
const LOAN_BYTES_MAX: number = 32 * 1024 * 1024;

export class Loans {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number = LOAN_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Held beside what is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes room for a load; false: there is none. */
  reserve(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }
}

export class LentContent {
  readonly bytes: Buffer;
  readonly #loans: Loans;
  #answers = 0;
  #isKept = true;

  /** It is kept until `drop`. */
  constructor(bytes: Buffer, loans: Loans) {
    this.bytes = bytes;
    this.#loans = loans;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** An answer begins to send it. */
  lend(): void {
    if (this.#answers === 0 && !this.#isKept) this.#loans.add(this.length);
    this.#answers += 1;
  }

  /** The answer holds nothing of it any more. */
  giveBack(): void {
    this.#answers -= 1;
    if (this.#answers === 0 && !this.#isKept) this.#loans.add(-this.length);
  }

  /** It is not kept any more; what is lent stays until it is given back. */
  drop(): void {
    if (this.#answers > 0 && this.#isKept) this.#loans.add(this.length);
    this.#isKept = false;
  }
}
