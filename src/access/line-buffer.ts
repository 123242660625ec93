/** Where lines of the access log are written to, as bytes. */

/** The sign of what was cut takes three bytes, and all other characters of a line one. */
const BYTES_PER_CHARACTER_MAX = 3;

/** Has lines that it has not written yet. */
export interface LineSource {
  /** Writes all of them. */
  writeLines(lines: LineBuffer): void;
}

export interface LineBuffer {
  /** Of the line that is claimed. */
  readonly bytes: Buffer;
  /** Room for a line of so many bytes: returns where in `bytes` it begins; -1: there is no room, and the line is dropped. */
  claim(bytesMax: number): number;
  /** The line that was claimed ends here; its line end is added. */
  commit(end: number): void;
  /** The source has lines, and is asked to write them before they have to leave. Those of another source, which came before, are written now. */
  willWrite(source: LineSource): void;
}

export function writeText(lines: LineBuffer, line: string): void {
  const at = lines.claim(line.length * BYTES_PER_CHARACTER_MAX);
  if (at >= 0) lines.commit(at + lines.bytes.write(line, at));
}

/** Gives each line to a function, as a text. */
export class TextLines implements LineBuffer {
  bytes: Buffer = Buffer.alloc(0);
  readonly #take: (line: string) => void;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  claim(bytesMax: number): number {
    if (bytesMax > this.bytes.length) this.bytes = Buffer.alloc(bytesMax);
    return 0;
  }

  commit(end: number): void {
    this.#take(this.bytes.toString('utf8', 0, end));
  }

  /** At once. */
  willWrite(source: LineSource): void {
    source.writeLines(this);
  }
}
