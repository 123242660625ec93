/** Encodes field sections (RFC 7541) with a dynamic table, into one growing buffer. */
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { STATIC_INDEX_OF_NAME, STATIC_LAST, staticIndexOf } from './static-table.ts';

/** The table we use at most, whatever the peer would keep. */
export const ENCODER_TABLE_BYTES_MAX = 4096;
/** Before the peer says otherwise (RFC 9113 §6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
/** An entry takes at most this share of the table: a longer one would push out all that repeats. */
const ENTRY_SHARE_MAX = 1 / 4;
/** An integer is at most 28 bits long here: a prefix and four octets. */
const INTEGER_BYTES_MAX = 5;

/** Secrets: a table must not tell by its size what they are, nor any hop keep them (RFC 7541 §7.1.3). */
const NEVER_INDEXED: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
]);

/** Values that differ from one response to the next: they would only push others out. */
const NOT_WORTH_INDEXING: ReadonlySet<string> = new Set([
  ':path',
  'age',
  'content-length',
  'content-range',
  'etag',
  'expires',
  'last-modified',
  'location',
  'x-request-id',
]);

export class HpackEncoder {
  readonly #table = new DynamicTable(INITIAL_TABLE_BYTES);
  /** Numbers of entries, by name, and by name and value. */
  readonly #byName = new Map<string, number>();
  readonly #byField = new Map<string, number>();
  /** The smallest size since the last section, and the last; -1: no change is to be told. */
  #smallestSize = -1;
  #nextSize = -1;
  /** What has been encoded: valid until the next section. */
  bytes: Buffer = NOTHING;
  size = 0;

  /** As long as it stays the same, a section that was encoded without changing it can be sent again. */
  tableState = 0;

  /** True when a size update has to be sent with the next section. */
  get mustResize(): boolean {
    return this.#nextSize !== -1;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableBytesMax(bytes: number): void {
    const size = Math.min(bytes, ENCODER_TABLE_BYTES_MAX);
    if (this.#nextSize === -1 && size === this.#table.bytesMax) return;
    this.#smallestSize = this.#nextSize === -1 ? size : Math.min(this.#smallestSize, size);
    this.#nextSize = size;
  }

  /** Starts a section. */
  begin(): void {
    this.size = 0;
    if (this.#nextSize === -1) return;
    // both, so that the peer evicts what we have evicted (RFC 7541 §4.2)
    if (this.#smallestSize < this.#nextSize) this.#resize(this.#smallestSize);
    this.#resize(this.#nextSize);
    this.#nextSize = -1;
  }

  /** Adds a field: a lower-case name and its value, byte strings. */
  field(name: string, value: string): void {
    this.#reserve(name.length + value.length + 3 * INTEGER_BYTES_MAX);
    if (NEVER_INDEXED.has(name)) {
      this.#literal(0x10, 4, name, value);
      return;
    }
    const fixed = staticIndexOf(name, value);
    if (fixed !== 0) {
      this.#integer(0x80, 7, fixed);
      return;
    }
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (size > this.#table.bytesMax * ENTRY_SHARE_MAX || NOT_WORTH_INDEXING.has(name)) {
      this.#literal(0, 4, name, value);
      return;
    }
    const field = `${name}\n${value}`;
    const known = this.#indexOf(this.#byField.get(field));
    if (known !== 0) {
      this.#integer(0x80, 7, known);
      return;
    }
    this.#literal(0x40, 6, name, value);
    const number = this.#table.inserted;
    this.#table.add(name, value);
    this.tableState += 1;
    this.#byField.set(field, number);
    this.#byName.set(name, number);
    this.#forgetOld();
  }

  /** `content-length`, which seldom repeats: without the tables, and without a string for its digits. */
  contentLength(length: number): void {
    this.#reserve(24);
    const digits = String(length);
    this.bytes[this.size++] = 0x0f;
    this.bytes[this.size++] = CONTENT_LENGTH_INDEX - 15;
    this.bytes[this.size++] = digits.length;
    for (let i = 0; i < digits.length; i++) this.bytes[this.size++] = digits.charCodeAt(i);
  }

  /** Adds what a section began with before, at a table state that still holds. */
  repeat(section: Uint8Array): void {
    const size = section.length;
    this.#reserve(size);
    const { bytes } = this;
    const at = this.size;
    for (let i = 0; i < size; i++) bytes[at + i] = section[i] as number;
    this.size = at + size;
  }

  #resize(bytesMax: number): void {
    this.#table.resize(bytesMax);
    this.tableState += 1;
    this.#reserve(INTEGER_BYTES_MAX);
    this.#integer(0x20, 5, bytesMax);
  }

  #literal(pattern: number, prefixBits: number, name: string, value: string): void {
    const index = STATIC_INDEX_OF_NAME.get(name) ?? this.#indexOf(this.#byName.get(name));
    this.#integer(pattern, prefixBits, index);
    if (index === 0) this.#string(name);
    this.#string(value);
  }

  /** The index of an entry by its number; 0 when it is no longer there. */
  #indexOf(number: number | undefined): number {
    if (number === undefined) return 0;
    const age = this.#table.inserted - 1 - number;
    return age < this.#table.count ? STATIC_LAST + 1 + age : 0;
  }

  /** Names and values of entries that have been evicted are dropped once they are most. */
  #forgetOld(): void {
    if (this.#byField.size <= this.#table.count * 2 + 16) return;
    for (const map of [this.#byField, this.#byName])
      for (const [key, number] of map) if (this.#indexOf(number) === 0) map.delete(key);
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const { bytes } = this;
    const prefix = (1 << prefixBits) - 1;
    if (value < prefix) {
      bytes[this.size++] = pattern | value;
      return;
    }
    bytes[this.size++] = pattern | prefix;
    let rest = value - prefix;
    for (; rest >= 0x80; rest >>>= 7) bytes[this.size++] = 0x80 | (rest & 0x7f);
    bytes[this.size++] = rest;
  }

  #string(text: string): void {
    const size = text.length;
    const coded = huffmanLength(text);
    if (coded < size) {
      this.#integer(0x80, 7, coded);
      this.size = huffmanEncode(text, this.bytes, this.size);
    } else {
      this.#integer(0, 7, size);
      for (let i = 0; i < size; i++) this.bytes[this.size++] = text.charCodeAt(i);
    }
  }

  #reserve(size: number): void {
    const needed = this.size + size;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.size);
    this.bytes = larger;
  }
}

const CONTENT_LENGTH_INDEX = 28;
const NOTHING: Buffer = Buffer.alloc(0);
/** Most heads fit. */
const BYTES_MIN = 256;
