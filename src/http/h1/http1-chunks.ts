/**
 * Takes chunked coding apart (RFC 9112 §7.1), strictly, and bounds what is no content in it. The content that has come together
 * is moved together in its own buffer, so that a client cannot make its reader work for every single byte.
 */
import { type Fields, isNamed } from '../semantics/fields.ts';
import { ChunkExtension, ENDED, MALFORMED } from './http1-chunk-extension.ts';
import { isTokenByte, isValueByte, parseFieldLines } from './http1-fields.ts';

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
const TRAILER_NAME = 7;
const TRAILER_VALUE = 8;
const TRAILER_LF = 9;
const LAST_LF = 10;
const DONE = 11;

const LF = 10;
const CR = 13;
const COLON = 58;
const SEMICOLON = 59;

/** One more than the longest name that is looked for. */
const NAME_LENGTH_MAX = 'transfer-encoding'.length + 1;

/** A trailer section without a field. */
const EMPTY_SECTION_BYTES = 2;
/** Fewer bytes are moved by a loop. */
const MOVED_BYTES_MIN = 32;

export class ChunkDecoder {
  readonly #trailerBytesMax: number;
  readonly #contentBytesMax: number;
  readonly #keepsTrailers: boolean;
  #state = SIZE;
  #size = 0;
  /** Of all chunks whose size has come. */
  #contentBytes = 0;
  #digits = 0;
  #extension: ChunkExtension | undefined;
  #extensionBytes = 0;
  /** The name of a trailer, as far as it has come and may matter. */
  #trailerName = '';
  #trailerBytes = 0;
  /** The trailer section as far as it has come, where somebody wants it. */
  #trailerText = '';
  /** The status that refuses the body; 0 as long as it is well-formed. */
  refusal = 0;
  /** Where the content of the bytes that `decode` took last lies in their buffer. */
  contentStart = 0;
  contentEnd = 0;

  /** `contentBytesMax`: Infinity = no limit. `keepsTrailers`: for `trailers`. */
  constructor(trailerBytesMax: number, contentBytesMax: number, keepsTrailers = false) {
    this.#trailerBytesMax = trailerBytesMax;
    this.#contentBytesMax = contentBytesMax;
    this.#keepsTrailers = keepsTrailers;
  }

  /** The trailers of a body that has ended; undefined where it has none, or they were not kept. */
  get trailers(): Fields | undefined {
    return this.#trailerText.length > EMPTY_SECTION_BYTES ? parseFieldLines(this.#trailerText, 0) : undefined;
  }

  /** True when the chunks say that there is more content than may be: told before it comes. */
  get isTooLarge(): boolean {
    return this.#contentBytes > this.#contentBytesMax;
  }

  /** True once the body has ended. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /**
   * Goes through bytes of the body from `at` on; returns where it stopped: their end, the body's, or a fault. What lies between
   * `at` and there is changed.
   */
  decode(bytes: Buffer, at: number): number {
    this.contentStart = at;
    this.contentEnd = at;
    let i = at;
    while (i < bytes.length && this.#state !== DONE) {
      if (this.#state === DATA) {
        const end = Math.min(i + this.#size, bytes.length);
        this.#size -= end - i;
        this.#takeContent(bytes, i, end);
        i = end;
        if (this.#size === 0) this.#state = DATA_CR;
        continue;
      }
      this.refusal = this.#step(bytes[i] as number);
      if (this.refusal !== 0) break;
      i += 1;
    }
    return i;
  }

  /** The first piece stays where it is, the others follow it. */
  #takeContent(bytes: Buffer, start: number, end: number): void {
    if (this.contentEnd === this.contentStart) {
      this.contentStart = start;
      this.contentEnd = end;
      return;
    }
    let to = this.contentEnd;
    this.contentEnd += end - start;
    if (end - start >= MOVED_BYTES_MIN) bytes.copyWithin(to, start, end);
    else for (let i = start; i < end; i++) bytes[to++] = bytes[i] as number;
  }

  #step(byte: number): number {
    if (this.#keepsTrailers && this.#state >= TRAILER_START) this.#trailerText += String.fromCharCode(byte);
    switch (this.#state) {
      case SIZE:
        return this.#takeSize(byte);
      case EXTENSION:
        return this.#takeExtension(byte);
      case SIZE_LF:
        this.#digits = 0;
        this.#contentBytes += this.#size;
        if (this.isTooLarge) return 413;
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
        this.#state = TRAILER_NAME;
        // a trailer without a name; a blank would fold the line into the one before
        return byte === COLON ? 400 : this.#takeTrailerName(byte);
      case TRAILER_NAME:
        return this.#takeTrailerName(byte);
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        else if (!isValueByte(byte)) return 400;
        return this.#countTrailer();
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
    else if (byte === SEMICOLON) {
      this.#extension ??= new ChunkExtension();
      this.#extension.begin();
      this.#state = EXTENSION;
    } else return 400;
    return 0;
  }

  #takeExtension(byte: number): number {
    const outcome = this.#extension?.take(byte);
    if (outcome === MALFORMED) return 400;
    if (outcome === ENDED) {
      this.#state = SIZE_LF;
      return 0;
    }
    this.#extensionBytes += 1;
    return this.#extensionBytes > EXTENSION_BYTES_MAX ? 413 : 0;
  }

  #takeTrailerName(byte: number): number {
    if (byte === COLON) {
      // another message may hide behind a second length (RFC 9110 §6.5.1)
      if (isNamed(this.#trailerName, 'content-length') || isNamed(this.#trailerName, 'transfer-encoding'))
        return 400;
      this.#trailerName = '';
      this.#state = TRAILER_VALUE;
    } else if (!isTokenByte(byte)) return 400;
    else if (this.#trailerName.length < NAME_LENGTH_MAX) this.#trailerName += String.fromCharCode(byte);
    return this.#countTrailer();
  }

  #countTrailer(): number {
    this.#trailerBytes += 1;
    return this.#trailerBytes > this.#trailerBytesMax ? 431 : 0;
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
