/** A queue: what came first leaves first, without moving the others. */

/** Places before the first item that may be empty before the array is cut. */
const GAP_MAX = 1024;

export class Fifo<T> {
  readonly #items: (T | undefined)[] = [];
  /** Where the first one stands. */
  #at = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first one out; undefined where there is none. */
  shift(): T | undefined {
    const items = this.#items;
    const at = this.#at;
    if (at === items.length) return undefined;
    const item = items[at];
    items[at] = undefined;
    this.#at = at + 1;
    if (this.#at === items.length) {
      items.length = 0;
      this.#at = 0;
    } else if (this.#at >= GAP_MAX && this.#at * 2 > items.length) {
      items.splice(0, this.#at);
      this.#at = 0;
    }
    return item;
  }
}
