/** Sorts strings in slices, by merging runs that become twice as long each time. */

/** Characters whose comparison takes as long as a step of a merge. */
const UNIT_CHARACTERS = 64;

export class SlicedSort {
  #from: string[];
  #to: string[];
  /** Length of the runs of `#from` that are sorted. */
  #width = 1;
  /** The two runs being merged begin here; the next of the first, and of the second. */
  #start = 0;
  #left = 0;
  #right = 1;

  /** Takes the list: it changes. */
  constructor(strings: string[]) {
    this.#from = strings;
    this.#to = strings.slice();
  }

  /** The strings, in the order of their characters when all is done. */
  get sorted(): readonly string[] {
    return this.#from;
  }

  /** Goes on for about `units` steps; how many are left: more than none when all is done. */
  step(units: number): number {
    const count = this.#from.length;
    let rest = units;
    while (rest > 0 && this.#width < count) rest = this.#merge(count, rest);
    return rest;
  }

  #merge(count: number, units: number): number {
    const from = this.#from;
    const to = this.#to;
    const middle = Math.min(this.#start + this.#width, count);
    const end = Math.min(middle + this.#width, count);
    let left = this.#left;
    let right = this.#right;
    let rest = units;
    for (let at = left + right - middle; at < end && rest > 0; at++, rest--) {
      if (left === middle) to[at] = from[right++] as string;
      else if (right === end) to[at] = from[left++] as string;
      else {
        const a = from[left] as string;
        const b = from[right] as string;
        rest -= (Math.min(a.length, b.length) / UNIT_CHARACTERS) | 0;
        if (a <= b) {
          to[at] = a;
          left += 1;
        } else {
          to[at] = b;
          right += 1;
        }
      }
    }
    if (left === middle && right === end) this.#begin(end, count);
    else {
      this.#left = left;
      this.#right = right;
    }
    return rest;
  }

  /** The runs that begin at `start` come next, or the first ones of the next round. */
  #begin(start: number, count: number): void {
    if (start < count) this.#start = start;
    else {
      const from = this.#from;
      this.#from = this.#to;
      this.#to = from;
      this.#width *= 2;
      this.#start = 0;
    }
    this.#left = this.#start;
    this.#right = Math.min(this.#start + this.#width, count);
  }
}
