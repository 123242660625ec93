/**
 * Finds the delimiter of a multipart body, CR LF and two hyphens with the boundary, wherever chunks begin and end. Each byte is
 * looked at about once: CR stands only at the front of the delimiter, so what has begun to match and then differs begins no
 * other match.
 */

const CR = 13;

export class DelimiterSearch {
  readonly #delimiter: Buffer;
  /** Bytes of the delimiter that the bytes seen last are. */
  #matched = 0;

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  /** Bytes of the delimiter. */
  get size(): number {
    return this.#delimiter.length;
  }

  /** Bytes at the end of what was looked at that may be the front of a delimiter. */
  get matched(): number {
    return this.#matched;
  }

  /** Begins anew behind a line end, which counts as that of a delimiter. */
  beginLine(): void {
    this.#matched = 2;
  }

  /** Looks at the next bytes: the index behind the delimiter, or -1 when its end is not among them. */
  find(bytes: Uint8Array): number {
    const { size } = this;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    if (this.#matched > 0) {
      at = this.#extend(buffer, 0);
      if (this.#matched === size) {
        this.#matched = 0;
        return at;
      }
      if (this.#matched > 0) return -1;
    }
    const found = buffer.indexOf(this.#delimiter, at);
    if (found !== -1) return found + size;
    let start = buffer.indexOf(CR, Math.max(at, buffer.length - size + 1));
    while (start !== -1) {
      this.#extend(buffer, start);
      if (this.#matched > 0) return -1;
      start = buffer.indexOf(CR, start + 1);
    }
    return -1;
  }

  /** Compares on from `from`: where it differs, or the end. */
  #extend(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length && this.#matched < this.#delimiter.length) {
      if (bytes[at] !== this.#delimiter[this.#matched]) {
        this.#matched = 0;
        return at;
      }
      at += 1;
      this.#matched += 1;
    }
    return at;
  }
}
