/**
 * What is known of lists of fields that come again and again: handlers answer with the same frozen list many times, and then
 * its identity stands for what it holds. Each layer has one of these for what it makes of a list.
 */
import type { Fields } from './fields.ts';

export class FixedFields<T> {
  readonly #known = new WeakMap<Fields, T>();

  get(fields: Fields): T | undefined {
    return this.#known.get(fields);
  }

  /** Remembers it, if the list can never change. */
  set(fields: Fields, value: T): void {
    if (isFixed(fields)) this.#known.set(fields, value);
  }
}

/** The list can never change. */
export function isFixed(fields: Fields): boolean {
  return Object.isFrozen(fields);
}
