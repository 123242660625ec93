/** What a user got wrong on the command line, in the environment or in the configuration file; each message names the option and what it wants. */

/** A place in a configuration file. */
export interface Position {
  /** As it was given. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in units of UTF-16. */
  readonly column: number;
}

/** One thing that is wrong. */
export interface Fault {
  /** One line. */
  readonly message: string;
  /** Where it stands; undefined = not in a file. */
  readonly at?: Position | undefined;
}

/** More faults of one configuration are counted, not shown: by then somebody has given the wrong file. */
const FAULTS_SHOWN_MAX = 100;

export class UsageError extends Error {
  override readonly name = 'UsageError';
  /** At least one; those of a file in the order of the file, behind those of the command line and the environment. */
  readonly faults: readonly Fault[];

  /** `faults`: all of them, where there are several or where they have a place. */
  constructor(message: string, faults: readonly Fault[] = [{ message }]) {
    super(message);
    this.faults = faults;
  }
}

/** As a line of its own: `FILE:LINE:COLUMN: message`. */
export function showFault({ message, at }: Fault): string {
  return at === undefined ? message : `${showPosition(at)}: ${message}`;
}

export function showPosition({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`;
}

/** Gathers what is wrong, so that a user hears of all of it at once. */
export class Faults {
  readonly #faults: Fault[] = [];

  get count(): number {
    return this.#faults.length;
  }

  add(message: string, at?: Position): void {
    this.#faults.push({ message, at });
  }

  /** What `make` returns; `otherwise` where it throws a UsageError, whose faults are kept, with `at` for those that have no place. */
  attempt<T>(make: () => T, otherwise: T, at?: Position): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      for (const fault of error.faults) this.#faults.push({ message: fault.message, at: fault.at ?? at });
      return otherwise;
    }
  }

  /** Throws one UsageError for all that was added. */
  throwAny(): void {
    if (this.#faults.length === 0) return;
    const all = [...this.#faults].sort(
      ({ at: a }, { at: b }) => (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
    );
    const shown = all.slice(0, FAULTS_SHOWN_MAX);
    const more = all.length - shown.length;
    if (more > 0) shown.push({ message: `There are ${more} more faults` });
    throw new UsageError(shown.map(showFault).join('\n'), shown);
  }
}

/** A word of the command line between quotation marks, on one line whatever it holds. */
export function quote(word: string): string {
  return JSON.stringify(word);
}
