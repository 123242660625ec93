/** Reads WebAssembly's binary format, byte by byte (core specification §5). */

/** The module is not what can be read. */
export class RewriteError extends Error {
  override readonly name = 'RewriteError';
}

/** Reads the binary format; throws RewriteError past the end. */
export class Reader {
  position: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  byte(): number {
    const byte = this.#bytes[this.position];
    if (byte === undefined) throw new RewriteError('The module ends too early');
    this.position += 1;
    return byte;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new RewriteError('A number is longer than 32 bits');
  }

  skipLeb(): void {
    while ((this.byte() & 0x80) !== 0);
  }

  skip(count: number): void {
    this.position += count;
  }

  take(count: number): Uint8Array {
    const end = this.position + count;
    if (end > this.#bytes.length) throw new RewriteError('The module ends too early');
    const part = this.#bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }

  name(): string {
    return Buffer.from(this.take(this.u32())).toString();
  }
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
