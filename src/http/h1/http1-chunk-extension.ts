/** Goes through the extensions of one chunk (RFC 9112 §7.1.1), which mean nothing here, and finds where they end. */
import { isBlank } from '../semantics/fields.ts';
import { isTokenByte, isValueByte } from './http1-fields.ts';

const NAME_START = 0;
const NAME = 1;
const NAME_END = 2;
const VALUE_START = 3;
const VALUE = 4;
const QUOTED = 5;
const ESCAPED = 6;
const VALUE_END = 7;

const CR = 13;
const QUOTE = 34;
const SEMICOLON = 59;
const EQUALS = 61;
const BACKSLASH = 92;

export const TAKEN = 0;
export const ENDED = 1;
export const MALFORMED = 2;

export class ChunkExtension {
  #state = NAME_START;

  /** A semicolon begins the first extension of a chunk. */
  begin(): void {
    this.#state = NAME_START;
  }

  /** TAKEN; ENDED: the byte is the CR that ends the line; or MALFORMED. */
  take(byte: number): typeof TAKEN | typeof ENDED | typeof MALFORMED {
    switch (this.#state) {
      case NAME_START:
        return isBlank(byte) ? TAKEN : this.#takeToken(byte, NAME);
      case NAME:
        return isTokenByte(byte) ? TAKEN : this.#leaveName(byte, true);
      case NAME_END:
        return this.#leaveName(byte, false);
      case VALUE_START:
        if (isBlank(byte)) return TAKEN;
        return byte === QUOTE ? this.#go(QUOTED) : this.#takeToken(byte, VALUE);
      case VALUE:
        return isTokenByte(byte) ? TAKEN : this.#leaveValue(byte);
      case QUOTED:
        if (byte === QUOTE) return this.#go(VALUE_END);
        if (byte === BACKSLASH) return this.#go(ESCAPED);
        return isValueByte(byte) ? TAKEN : MALFORMED;
      case ESCAPED:
        return isValueByte(byte) ? this.#go(QUOTED) : MALFORMED;
      default:
        return this.#leaveValue(byte);
    }
  }

  #takeToken(byte: number, next: number): typeof TAKEN | typeof MALFORMED {
    return isTokenByte(byte) ? this.#go(next) : MALFORMED;
  }

  /** `isName`: no blank has come behind the name yet, with which the line must not end. */
  #leaveName(byte: number, isName: boolean): typeof TAKEN | typeof ENDED | typeof MALFORMED {
    if (byte === CR) return isName ? ENDED : MALFORMED;
    if (byte === SEMICOLON) return this.#go(NAME_START);
    if (byte === EQUALS) return this.#go(VALUE_START);
    return isBlank(byte) ? this.#go(NAME_END) : MALFORMED;
  }

  #leaveValue(byte: number): typeof TAKEN | typeof ENDED | typeof MALFORMED {
    if (byte === CR) return ENDED;
    return byte === SEMICOLON ? this.#go(NAME_START) : MALFORMED;
  }

  #go(state: number): typeof TAKEN {
    this.#state = state;
    return TAKEN;
  }
}
