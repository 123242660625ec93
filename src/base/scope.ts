/** A list of closings that run once, in reverse order of their registration. */

type Closing = () => void;

export class Scope {
  #closings: Closing[] | undefined;
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /** Registers a closing. On a closed scope it runs at once. */
  add(closing: Closing): void {
    if (this.#closed) {
      closing();
      return;
    }
    this.#closings ??= [];
    this.#closings.push(closing);
  }

  /** Takes a closing back, when what it guards was closed early. */
  remove(closing: Closing): void {
    const at = this.#closings?.lastIndexOf(closing) ?? -1;
    if (at !== -1) this.#closings?.splice(at, 1);
  }

  /** Runs the closings, last first; every one runs, and the first error is thrown at the end. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const closings = this.#closings;
    this.#closings = undefined;
    if (closings === undefined) return;
    let failed = false;
    let failure: unknown;
    for (let i = closings.length - 1; i >= 0; i--) {
      try {
        (closings[i] as Closing)();
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
    if (failed) throw failure;
  }
}
