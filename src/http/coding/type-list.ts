/** A list of media types with patterns, compared with the Content-Type of answers. */
import { trimBlanks } from '../semantics/fields.ts';

/** Content types that have been compared: scripts have a handful. */
const KNOWN_MAX = 64;
/** A longer one is compared each time (characters). */
const KNOWN_LENGTH_MAX = 100;

export class TypeList {
  readonly #types: ReadonlySet<string>;
  readonly #known = new Map<string, boolean>();

  /** `types`: `text/html`, `text/*`, or `+json` for all types with that suffix; in any case. */
  constructor(types: readonly string[]) {
    this.#types = new Set(types.map((type) => type.toLowerCase()));
  }

  has(contentType: string | undefined): boolean {
    if (contentType === undefined) return false;
    let listed = this.#known.get(contentType);
    if (listed === undefined) {
      listed = this.#lists(contentType);
      if (this.#known.size < KNOWN_MAX && contentType.length <= KNOWN_LENGTH_MAX)
        this.#known.set(contentType, listed);
    }
    return listed;
  }

  #lists(contentType: string): boolean {
    const type = trimBlanks(contentType.split(';', 1)[0] as string).toLowerCase();
    if (this.#types.has(type)) return true;
    const slash = type.indexOf('/');
    if (slash > 0 && this.#types.has(`${type.slice(0, slash)}/*`)) return true;
    const plus = type.lastIndexOf('+');
    return plus > slash && this.#types.has(type.slice(plus));
  }
}
