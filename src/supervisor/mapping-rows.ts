/**
 * Which row of counters each mapping has, by its name: as long as anything of it is left, and longer, until another mapping needs the row. So
 * the counters of a mapping that is removed and comes again go on where they were.
 */
import { GatewayError } from '../base/errors.ts';

/**
 * Rows beyond those of the mappings of the start. Pages of rows that nobody writes to take no memory; a row that is used takes less than a
 * kilobyte in each worker.
 */
export const MAPPING_ROWS_SPARE = 1000;

/** A generation before all others. */
const NEVER = -1;

/** A mapping and the row of its counters. */
export interface MappingRow {
  readonly name: string;
  readonly row: number;
}

interface Entry {
  readonly row: number;
  /** The last one that had the mapping and served; NEVER = none has. */
  generation: number;
}

export class MappingRows {
  readonly capacity: number;
  readonly #entries = new Map<string, Entry>();
  /** Of the setup that serves. */
  #current: readonly string[];
  #used = 0;

  /** `names`: of the mappings of the start. */
  constructor(names: readonly string[]) {
    this.capacity = names.length + MAPPING_ROWS_SPARE;
    this.#current = names;
    for (const name of names) this.#entries.set(name, { row: this.#used++, generation: 0 });
  }

  /** Rows from the first on that some mapping has or had. */
  get used(): number {
    return this.#used;
  }

  /** Undefined where no mapping has the row. */
  nameOf(row: number): string | undefined {
    for (const [name, entry] of this.#entries) if (entry.row === row) return name;
    return undefined;
  }

  /**
   * Of the mappings that serve, in their order, and then of those that do not any more, but may still have requests. `oldest`: the oldest
   * generation of which some worker has something.
   */
  shown(oldest: number): MappingRow[] {
    const gone = [...this.#entries].flatMap(([name, { generation }]) =>
      generation >= oldest && !this.#current.includes(name) ? [name] : [],
    );
    return [...this.#current, ...gone].flatMap((name) => {
      const row = this.#entries.get(name)?.row;
      return row === undefined ? [] : [{ name, row }];
    });
  }

  /**
   * The rows of the mappings of a setup that is to be prepared, in their order. One that is new may get the row of a mapping that has gone,
   * which `clear` empties. `oldest`: as for `shown`. Errors: LGW_RELOAD when all rows are taken.
   */
  assign(names: readonly string[], oldest: number, clear: (row: number) => void): number[] {
    const wanted = new Set([...names, ...this.#current]);
    return names.map((name) => {
      const known = this.#entries.get(name);
      if (known !== undefined) return known.row;
      const row = this.#used < this.capacity ? this.#used++ : this.#takeOldest(wanted, oldest);
      if (row === undefined)
        throw new GatewayError(
          'LGW_RELOAD',
          `There are counters for ${this.capacity} mappings, ${MAPPING_ROWS_SPARE} more than at the start, and requests of removed ones still run: an upgrade makes room`,
        );
      clear(row);
      this.#entries.set(name, { row, generation: NEVER });
      return row;
    });
  }

  /** The mappings of this generation serve. */
  commit(names: readonly string[], generation: number): void {
    this.#current = names;
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) entry.generation = generation;
    }
  }

  /** The row of the mapping that went first, of those of which nothing is left; undefined = there is none. */
  #takeOldest(wanted: ReadonlySet<string>, oldestAlive: number): number | undefined {
    let first: readonly [string, Entry] | undefined;
    for (const each of this.#entries) {
      const [name, { generation }] = each;
      if (wanted.has(name) || generation >= oldestAlive) continue;
      if (first === undefined || generation < first[1].generation) first = each;
    }
    if (first === undefined) return undefined;
    this.#entries.delete(first[0]);
    return first[1].row;
  }
}
