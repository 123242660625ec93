/**
 * Lines that will be written together: the texts and times of those that differ by their ids alone once, and of each line the number in its id. A line is ten times and more
 * as long as that number, and lines that are written between two requests cost about twice as much (bench: observed-hello).
 */

/** What those parts of a line come from that are other ones with each line. One object is used for all lines. */
export interface LineValues {
  /** `performance.now()`. */
  startedAt: number;
  endedAt: number;
  /** When the head was handed over; that of the end, where both were handed over together. */
  headAt: number;
  /** Milliseconds since 1970, with a fraction. */
  time: number;
  /** The number in the id of the request. */
  requestNumber: number;
}

/** Lines that wait; 8 bytes each. */
const LINES_MAX = 4096;
/** Groups of lines that differ by their ids alone: one for each turn, where all requests have one head. */
const GROUPS_MAX = 2048;
/** Numbers of a group: where its lines begin, and its four times. */
const GROUP_NUMBERS = 5;

export class KeptLines {
  /** Bytes of texts, of all lines together. */
  bytes = 0;
  readonly #requestNumbers = new Float64Array(LINES_MAX);
  readonly #groups = new Float64Array(GROUPS_MAX * GROUP_NUMBERS);
  readonly #texts: (readonly Buffer[] | undefined)[] = new Array(GROUPS_MAX).fill(undefined);
  #lineCount = 0;
  #groupCount = 0;
  /** Of the last group; `NaN` is equal to no time. */
  #lastTexts: readonly Buffer[] | undefined;
  #startedAt = Number.NaN;
  #endedAt = Number.NaN;
  #headAt = Number.NaN;

  get isFull(): boolean {
    return this.#lineCount === LINES_MAX || this.#groupCount === GROUPS_MAX;
  }

  /** `texts` stand between the values, and are never changed; `size`: their bytes. There has to be room. */
  add(
    texts: readonly Buffer[],
    size: number,
    startedAt: number,
    endedAt: number,
    headAt: number,
    time: number,
    requestNumber: number,
  ): void {
    const isSame =
      this.#lastTexts === texts &&
      this.#endedAt === endedAt &&
      this.#startedAt === startedAt &&
      this.#headAt === headAt;
    if (!isSame) {
      const at = this.#groupCount * GROUP_NUMBERS;
      const groups = this.#groups;
      groups[at] = this.#lineCount;
      groups[at + 1] = this.#startedAt = startedAt;
      groups[at + 2] = this.#endedAt = endedAt;
      groups[at + 3] = this.#headAt = headAt;
      groups[at + 4] = time;
      this.#texts[this.#groupCount] = this.#lastTexts = texts;
      this.#groupCount += 1;
    }
    this.#requestNumbers[this.#lineCount] = requestNumber;
    this.#lineCount += 1;
    this.bytes += size;
  }

  /** Hands over all lines, in the order in which they were added, and keeps none; nobody adds one meanwhile. `isNew`: the first line of its group. */
  take(line: LineValues, write: (texts: readonly Buffer[], isNew: boolean) => void): void {
    const [groups, numbers] = [this.#groups, this.#requestNumbers];
    const [groupCount, lineCount] = [this.#groupCount, this.#lineCount];
    this.#groupCount = this.#lineCount = this.bytes = 0;
    this.#lastTexts = undefined;
    for (let group = 0; group < groupCount; group++) {
      const at = group * GROUP_NUMBERS;
      const first = groups[at] as number;
      line.startedAt = groups[at + 1] as number;
      line.endedAt = groups[at + 2] as number;
      line.headAt = groups[at + 3] as number;
      line.time = groups[at + 4] as number;
      const texts = this.#texts[group] as readonly Buffer[];
      const end = group + 1 < groupCount ? (groups[at + GROUP_NUMBERS] as number) : lineCount;
      for (let i = first; i < end; i++) {
        line.requestNumber = numbers[i] as number;
        write(texts, i === first);
      }
    }
    this.#texts.fill(undefined, 0, groupCount);
  }
}
