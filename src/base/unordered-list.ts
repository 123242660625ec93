/** A list of things that come and go often, in no order. */

export interface Placed {
  /** Belongs to the list that the thing is in: where it stands. */
  place: number;
}

/**
 * Whoever goes leaves its place to the last one. A Set makes a new table for each few that come and go. Where an old table outlives
 * a collection, V8 keeps all tables behind it until the next full one, and moves them about: that was 14 MiB for an upload of
 * 1 GiB, and most of the time of a request that is passed on (scenarios proxy-1g and proxy-1k).
 */
export class UnorderedList<T extends Placed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#items[item.place] === item;
  }

  /** `item` is in no list. */
  add(item: T): void {
    item.place = this.#items.push(item) - 1;
  }

  remove(item: T): void {
    const items = this.#items;
    const { place } = item;
    if (items[place] !== item) return;
    const last = items.pop() as T;
    if (last === item) return;
    items[place] = last;
    last.place = place;
  }

  /** Calls `look` with each; it may add and remove any. What is added meanwhile may be left out, and nothing else is. */
  forEach(look: (item: T) => void): void {
    // from the end: what takes the place of one that goes has been looked at
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const item = this.#items[i];
      if (item !== undefined) look(item);
    }
  }
}
