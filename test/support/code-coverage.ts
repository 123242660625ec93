/** Adds up V8's coverage data of any number of processes and threads, as lines of the TypeScript source. */
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

/**
 * Coverage of one script in a file of NODE_V8_COVERAGE: functions, each with ranges; an inner range follows its outer range.
 */
export interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

interface Compiled {
  /** 1: the character ran in some process. */
  readonly ran: Uint8Array;
  /** Offset in the compiled text, with the file and line of the source. */
  readonly pieces: readonly { readonly offset: number; readonly file: string; readonly line: number }[];
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** A digit of a source map holds five bits of a number, and this bit, which says that another digit follows. */
const MORE = 32;
const BITS = 5;

export class CodeCoverage {
  readonly #compiled = new Map<string, Compiled>();

  /** Counts a script even if no process ran it. */
  expect(url: string): void {
    this.#of(url);
  }

  add({ url, functions }: ScriptCoverage): void {
    const { ran } = this.#of(url);
    const own = new Uint8Array(ran.length);
    for (const { ranges } of functions)
      for (const { startOffset, endOffset, count } of ranges)
        own.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    for (let i = 0; i < own.length; i++) if (own[i] === 1) ran[i] = 1;
  }

  /** For each source file: the number of lines with code, and of those whose first piece of code ran. */
  lines(): ReadonlyMap<string, { readonly lines: number; readonly ran: number }> {
    const files = new Map<string, Map<number, boolean>>();
    for (const { ran, pieces } of this.#compiled.values()) {
      const seen = new Set<string>();
      for (const { offset, file, line } of pieces) {
        // only the first piece of a line counts, because code under a condition starts lines of its own
        if (seen.has(`${file}:${line}`)) continue;
        seen.add(`${file}:${line}`);
        const lines = files.get(file) ?? new Map<number, boolean>();
        lines.set(line, lines.get(line) === true || ran[offset] === 1);
        files.set(file, lines);
      }
    }
    return new Map(
      [...files].map(([file, lines]) => [
        file,
        { lines: lines.size, ran: [...lines.values()].filter(Boolean).length },
      ]),
    );
  }

  #of(url: string): Compiled {
    let compiled = this.#compiled.get(url);
    if (compiled === undefined) {
      const path = fileURLToPath(url);
      const text = readFileSync(path, 'utf8');
      compiled = { ran: new Uint8Array(text.length), pieces: piecesOf(path, text) };
      this.#compiled.set(url, compiled);
    }
    return compiled;
  }
}

/** Reads the source map beside the compiled file (ECMA-426). */
function piecesOf(path: string, text: string): Compiled['pieces'] {
  const map = JSON.parse(readFileSync(`${path}.map`, 'utf8')) as { sources: string[]; mappings: string };
  const files = map.sources.map((source) => relative(PACKAGE_ROOT, resolve(dirname(path), source)));
  const pieces: { offset: number; file: string; line: number }[] = [];
  let [source, line, start] = [0, 0, 0];
  for (const row of map.mappings.split(';')) {
    let column = 0;
    for (const segment of row === '' ? [] : row.split(',')) {
      const [columns = 0, sources, lines = 0] = numbersOf(segment);
      column += columns;
      if (sources === undefined) continue;
      source += sources;
      line += lines;
      const file = files[source];
      if (file?.startsWith('src/') === true) pieces.push({ offset: start + column, file, line });
    }
    start = text.indexOf('\n', start) + 1;
  }
  return pieces;
}

function numbersOf(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value += (digit & (MORE - 1)) << shift;
    shift += BITS;
    if ((digit & MORE) !== 0) continue;
    numbers.push((value & 1) === 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
