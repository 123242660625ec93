/** Encodes field sections (RFC 7541) with a dynamic table, which gets fields that are likely to repeat and never a secret. */

import { writeLatin1 } from '../../native/node-internals.ts';
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { INDEXING, type LiteralPattern, NEVER_INDEXED, nameRule, WITHOUT_INDEXING } from './name-rules.ts';
import { STATIC_INDEX_OF_NAME, STATIC_LAST, STATIC_VALUES } from './static-table.ts';

// A field enters the dynamic table when name-rules.ts does not exclude its name, when it takes at most a quarter of the table, and when
// the table does not hold several unused entries of that name. Each entry costs the peer memory, costs the encoder a search, and brings
// the eviction of all other entries nearer. Only an entry that is used again is worth that.

/** The largest table that the encoder uses, even when the peer allows a larger one. */
const TABLE_BYTES_MAX = 4096;
/** The size of the table before the peer sets another (RFC 9113 §6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
/** An entry takes at most this share of the table: a longer one would evict most entries that repeat. */
const ENTRY_SHARE_MAX = 1 / 4;
/** So many unused entries of one name show that the values of that name do not repeat. */
const UNUSED_ENTRIES_MAX = 3;
/** The encoder writes integers of at most 28 bits: a prefix and four octets. */
const INTEGER_BYTES_MAX = 5;
/** Below this length one octet holds the length of a string, also of its Huffman code when that is shorter. */
const SHORT_STRING = 127;
/** The longest Huffman codes take four octets. */
const CODE_BYTES_MAX = 4;
/** Bytes in addition to name and value: integers, and the Huffman codes of two short strings, which may be longer than the strings. */
const FIELD_OVERHEAD_BYTES = 3 * INTEGER_BYTES_MAX + 2 * SHORT_STRING * CODE_BYTES_MAX;

/** How an indexed field and a size update begin (RFC 7541 §6.1 and §6.3). */
const INDEXED_FIELD = 0x80;
const SIZE_UPDATE = 0x20;

interface SentEntry {
  readonly name: string;
  readonly value: string;
  /** The entry has been used since it was added. */
  isUsed: boolean;
}

/** The buffer in which the connections of this thread encode sections, one after the other. */
let target: Buffer = Buffer.allocUnsafeSlow(4096);

export class HpackEncoder {
  readonly #table = new DynamicTable<SentEntry>(INITIAL_TABLE_BYTES);
  /** The smallest and the latest table size that the peer has set since the last section; -1: no change is to be told. */
  #smallestSize = -1;
  #nextSize = -1;
  /** The last `date`, and the number of its entry in the table; -1: no entry. */
  #date = '';
  #dateNumber = -1;
  #tableState = 0;
  /** Bytes of the section so far. */
  size = 0;

  /** The encoded section stands at the beginning, until an encoder of this thread begins another section. */
  get bytes(): Buffer {
    return target;
  }

  /** While this number stays the same, a section whose encoding did not change the table can be sent again. */
  get tableState(): number {
    return this.#tableState;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableBytesMax(bytes: number): void {
    const size = Math.min(bytes, TABLE_BYTES_MAX);
    if (this.#nextSize === -1 && size === this.#table.bytesMax) return;
    this.#smallestSize = this.#nextSize === -1 ? size : Math.min(this.#smallestSize, size);
    this.#nextSize = size;
  }

  /** Starts a section. */
  begin(): void {
    this.size = 0;
    if (this.#nextSize === -1) return;
    // both sizes, so that the peer evicts the same entries (RFC 7541 §4.2)
    if (this.#smallestSize < this.#nextSize) this.#resize(this.#smallestSize);
    this.#resize(this.#nextSize);
    this.#nextSize = -1;
  }

  /** Adds a field: a lower-case name and its value, both byte strings. */
  field(name: string, value: string): void {
    this.#reserve(name.length + value.length + FIELD_OVERHEAD_BYTES);
    const { literal, first, last } = nameRule(name);
    if (literal === NEVER_INDEXED) {
      this.#literal(literal, first, name, value);
      return;
    }
    for (let index = first; index <= last; index++) {
      if (STATIC_VALUES[index] === value) {
        this.#integer(INDEXED_FIELD, 7, index);
        return;
      }
    }
    if (literal === WITHOUT_INDEXING) this.#literal(literal, first, name, value);
    else this.#indexed(first, name, value);
  }

  /** Adds `date`: as a literal at its first use in a second, so that connections of few requests keep their table entries. */
  date(date: string): void {
    if (date !== this.#date) {
      this.#date = date;
      this.#dateNumber = -1;
      this.#reserve(INTEGER_BYTES_MAX + date.length);
      this.#integer(WITHOUT_INDEXING, 4, DATE_INDEX);
      this.repeat(encodedDate(date));
      return;
    }
    this.#reserve(date.length + FIELD_OVERHEAD_BYTES);
    const index = this.#dateNumber === -1 ? 0 : this.#indexOf(this.#dateNumber);
    if (index !== 0) {
      this.#integer(INDEXED_FIELD, 7, index);
      return;
    }
    const mayIndex = 'date'.length + date.length + ENTRY_OVERHEAD_BYTES <= this.#entryBytesMax;
    this.#integer(mayIndex ? INDEXING : WITHOUT_INDEXING, mayIndex ? 6 : 4, DATE_INDEX);
    this.repeat(encodedDate(date));
    if (!mayIndex) return;
    this.#add('date', date);
    this.#dateNumber = this.#table.inserted - 1;
  }

  /** Adds `content-length`, which seldom repeats, as a literal, and makes no string of its digits. */
  contentLength(length: number): void {
    this.#reserve(INTEGER_BYTES_MAX + DIGITS_MAX);
    target[this.size++] = 0x0f;
    target[this.size++] = CONTENT_LENGTH_INDEX - 15;
    const digits = countDigits(length);
    target[this.size++] = digits;
    this.size += digits;
    let rest = length;
    let at = this.size;
    for (; rest > INT32_MAX; rest = Math.floor(rest / 10)) target[--at] = ZERO + (rest % 10);
    let small = rest | 0;
    do {
      const tenth = (small / 10) | 0;
      target[--at] = ZERO + small - tenth * 10;
      small = tenth;
    } while (small > 0);
  }

  /** Adds fields that were encoded before, while `tableState` was what it is now. */
  repeat(section: Uint8Array): void {
    const size = section.length;
    this.#reserve(size);
    const at = this.size;
    for (let i = 0; i < size; i++) target[at + i] = section[i] as number;
    this.size = at + size;
  }

  #resize(bytesMax: number): void {
    this.#table.resize(bytesMax);
    this.#tableState += 1;
    this.#reserve(INTEGER_BYTES_MAX);
    this.#integer(SIZE_UPDATE, 5, bytesMax);
  }

  get #entryBytesMax(): number {
    return this.#table.bytesMax * ENTRY_SHARE_MAX;
  }

  /** Adds a field by its entry in the dynamic table, or as a literal that enters the table where the rules above allow it. */
  #indexed(staticIndex: number, name: string, value: string): void {
    const table = this.#table;
    let nameIndex = staticIndex;
    let unused = 0;
    // a table of 4096 bytes holds some fifty entries, and the latest are the most likely ones
    for (let i = 0; i < table.count; i++) {
      const entry = table.entry(i);
      if (entry.name !== name) continue;
      if (entry.value === value) {
        entry.isUsed = true;
        this.#integer(INDEXED_FIELD, 7, STATIC_LAST + 1 + i);
        return;
      }
      if (!entry.isUsed) unused += 1;
      if (nameIndex === 0) nameIndex = STATIC_LAST + 1 + i;
    }
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (size > this.#entryBytesMax || unused >= UNUSED_ENTRIES_MAX) {
      this.#literal(WITHOUT_INDEXING, nameIndex, name, value);
      return;
    }
    this.#literal(INDEXING, nameIndex, name, value);
    this.#add(name, value);
  }

  #add(name: string, value: string): void {
    this.#table.add({ name, value, isUsed: false });
    this.#tableState += 1;
  }

  #literal(pattern: LiteralPattern, nameIndex: number, name: string, value: string): void {
    this.#integer(pattern, pattern === INDEXING ? 6 : 4, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
  }

  /** Returns the index of an entry by its number; 0 when the entry has been evicted. */
  #indexOf(number: number): number {
    const age = this.#table.inserted - 1 - number;
    return age < this.#table.count ? STATIC_LAST + 1 + age : 0;
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const prefix = (1 << prefixBits) - 1;
    if (value < prefix) {
      target[this.size++] = pattern | value;
      return;
    }
    target[this.size++] = pattern | prefix;
    let rest = value - prefix;
    for (; rest >= 0x80; rest >>>= 7) target[this.size++] = 0x80 | (rest & 0x7f);
    target[this.size++] = rest;
  }

  /** Writes a string (RFC 7541 §5.2), in the Huffman code where that is shorter. */
  #string(text: string): void {
    const size = text.length;
    if (size < SHORT_STRING) {
      // writes the code at once: its length is then known
      const start = this.size + 1;
      const end = huffmanEncode(text, target, start);
      const isShorter = end - start < size;
      target[this.size] = isShorter ? 0x80 | (end - start) : size;
      this.size = end;
      if (isShorter) return;
      this.size = start + size;
      for (let i = 0; i < size; i++) target[start + i] = text.charCodeAt(i);
      return;
    }
    const coded = huffmanLength(text);
    if (coded < size) {
      this.#integer(0x80, 7, coded);
      this.size = huffmanEncode(text, target, this.size);
    } else {
      this.#integer(0, 7, size);
      this.size += writeLatin1(target, text, this.size, size);
    }
  }

  #reserve(size: number): void {
    const needed = this.size + size;
    if (needed <= target.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, target.length * 2));
    target.copy(larger, 0, 0, this.size);
    target = larger;
  }
}

const ZERO = 48;
const INT32_MAX = 0x7fffffff;
/** Digits of the largest length that a double holds exactly. */
const DIGITS_MAX = 16;

function countDigits(length: number): number {
  let digits = 1;
  for (let next = 10; length >= next; next *= 10) digits += 1;
  return digits;
}

let datedFor = '';
let datedBytes: Uint8Array = new Uint8Array(0);

/** Returns a date as an encoded string, which is made once a second for all connections. */
function encodedDate(date: string): Uint8Array {
  if (date !== datedFor) {
    datedBytes = new Uint8Array(huffmanLength(date) + 1);
    datedBytes[0] = 0x80 | (datedBytes.length - 1);
    huffmanEncode(date, datedBytes, 1);
    datedFor = date;
  }
  return datedBytes;
}

const CONTENT_LENGTH_INDEX = STATIC_INDEX_OF_NAME.get('content-length') as number;
const DATE_INDEX = STATIC_INDEX_OF_NAME.get('date') as number;
