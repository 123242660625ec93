/**
 * Takes chunked coding apart (RFC 9112 §7.1), strictly, bounds what is no content in it, and codes the content anew for the
 * parser: what has arrived together is one chunk there, so that a client cannot make it work for every single byte.
 */

/** Bytes of all chunk extensions of one body: nobody sends any in earnest (RFC 9112 §7.1.1 asks for a limit). */
const EXTENSION_BYTES_MAX = 16 * 1024;
/** Digits of a chunk's size: 2^52 bytes, which a double holds exactly. */
const SIZE_DIGITS_MAX = 13;

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILER = 7;
const TRAILER_LF = 8;
const LAST_LF = 9;
const DONE = 10;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const SEMICOLON = 59;
const DELETE = 127;

/** Fewer bytes are copied by a loop. */
const COPIED_BYTES_MIN = 32;
/** Room for a size and its line end before the content; what follows the content has its own. */
const SIZE_LINE_BYTES_MAX = SIZE_DIGITS_MAX + 2;
const CODED_BYTES_MIN = SIZE_LINE_BYTES_MAX + '\r\n0\r\n'.length;
const NOTHING = Buffer.alloc(0);

export class ChunkDecoder {
  readonly #trailerBytesMax: number;
  #state = SIZE;
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  /** The size of the last chunk has been coded. */
  #lastCoded = false;
  /** The status that refuses the body; 0 as long as it is well-formed. */
  refusal = 0;
  /** What `decode` made of the bytes that it took last: their content as one chunk, with the last one the trailers. */
  coded: Buffer = NOTHING;

  constructor(trailerBytesMax: number) {
    this.#trailerBytesMax = trailerBytesMax;
  }

  /** True once the body has ended. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /** Goes through bytes of the body from `at` on; returns where it stopped: their end, the body's, or a fault. */
  decode(bytes: Buffer, at: number): number {
    const out = Buffer.allocUnsafe(bytes.length - at + CODED_BYTES_MIN);
    let to = SIZE_LINE_BYTES_MAX;
    let i = at;
    while (i < bytes.length && this.#state < TRAILER_START) {
      if (this.#state === DATA) {
        const end = Math.min(i + this.#size, bytes.length);
        this.#size -= end - i;
        if (end - i < COPIED_BYTES_MIN) while (i < end) out[to++] = bytes[i++] as number;
        else {
          to += bytes.copy(out, to, i, end);
          i = end;
        }
        if (this.#size === 0) this.#state = DATA_CR;
        continue;
      }
      this.refusal = this.#step(bytes[i] as number);
      if (this.refusal !== 0) break;
      i += 1;
    }
    const trailersAt = i;
    if (this.#state >= TRAILER_START) {
      while (i < bytes.length && this.#state !== DONE) {
        this.refusal = this.#step(bytes[i] as number);
        if (this.refusal !== 0) break;
        i += 1;
      }
    }
    this.#code(out, to, bytes.subarray(trailersAt, i));
    return i;
  }

  /** `out`: content from `SIZE_LINE_BYTES_MAX` to `to`. */
  #code(out: Buffer, to: number, trailers: Buffer): void {
    let start = SIZE_LINE_BYTES_MAX;
    let end = to;
    if (to > start) {
      const line = `${(to - start).toString(16)}\r\n`;
      start -= line.length;
      out.write(line, start, 'latin1');
      end += out.write('\r\n', end, 'latin1');
    }
    if (this.#state >= TRAILER_START) {
      if (!this.#lastCoded) end += out.write('0\r\n', end, 'latin1');
      this.#lastCoded = true;
      end += trailers.copy(out, end);
    }
    this.coded = out.subarray(start, end);
  }

  #step(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#takeSize(byte);
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF;
        else if (isControl(byte)) return 400;
        else {
          this.#extensionBytes += 1;
          if (this.#extensionBytes > EXTENSION_BYTES_MAX) return 413;
        }
        return 0;
      case SIZE_LF:
        this.#digits = 0;
        return this.#expect(byte, LF, this.#size === 0 ? TRAILER_START : DATA);
      case DATA_CR:
        return this.#expect(byte, CR, DATA_LF);
      case DATA_LF:
        return this.#expect(byte, LF, SIZE);
      case TRAILER_START:
        if (byte === CR) {
          this.#state = LAST_LF;
          return 0;
        }
        // a blank would fold the line into the one before
        if (byte === SPACE || byte === TAB) return 400;
        this.#state = TRAILER;
        return this.#takeTrailer(byte);
      case TRAILER:
        return this.#takeTrailer(byte);
      case TRAILER_LF:
        return this.#expect(byte, LF, TRAILER_START);
      default:
        return this.#expect(byte, LF, DONE);
    }
  }

  #takeSize(byte: number): number {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#digits += 1;
      if (this.#digits > SIZE_DIGITS_MAX) return 400;
      this.#size = this.#size * 16 + digit;
      return 0;
    }
    if (this.#digits === 0) return 400;
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) this.#state = EXTENSION;
    else return 400;
    return 0;
  }

  #takeTrailer(byte: number): number {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > this.#trailerBytesMax) return 431;
    if (byte === CR) this.#state = TRAILER_LF;
    else if (isControl(byte)) return 400;
    return 0;
  }

  #expect(byte: number, wanted: number, next: number): number {
    if (byte !== wanted) return 400;
    this.#state = next;
    return 0;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function isControl(byte: number): boolean {
  return (byte < SPACE && byte !== TAB) || byte === DELETE;
}
