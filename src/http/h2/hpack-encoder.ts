/** Encodes field sections (RFC 7541) with a dynamic table: what is likely to repeat is indexed, secrets never are. */

import { writeLatin1 } from '../../native/node-internals.ts';
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { INDEXING, type LiteralPattern, NEVER_INDEXED, nameRule, WITHOUT_INDEXING } from './name-rules.ts';
import { STATIC_INDEX_OF_NAME, STATIC_LAST, STATIC_VALUES } from './static-table.ts';

// What is indexed: fields whose name is not known for values of their own (name-rules.ts), that take at most a quarter of
// the table, and whose name does not stand in it already with values that nobody asked for again. An entry costs the peer
// memory and us a search, and it moves all others one step nearer to their end: it has to be paid back by repetition.

/** The table we use at most, whatever the peer would keep. */
const TABLE_BYTES_MAX = 4096;
/** Before the peer says otherwise (RFC 9113 §6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
/** An entry takes at most this share of the table: a longer one would push out all that repeats. */
const ENTRY_SHARE_MAX = 1 / 4;
/** So many entries of one name that were never asked for again show that its values do not repeat. */
const UNUSED_ENTRIES_MAX = 3;
/** An integer is at most 28 bits long here: a prefix and four octets. */
const INTEGER_BYTES_MAX = 5;
/** Below this length one octet tells the length of a string, in the Huffman code too when that is shorter. */
const SHORT_STRING = 127;
/** The longest Huffman codes take four octets. */
const CODE_BYTES_MAX = 4;
/** Beside the bytes of name and value: integers, and twice a short string in the Huffman code before it is given up. */
const FIELD_OVERHEAD_BYTES = 3 * INTEGER_BYTES_MAX + 2 * SHORT_STRING * CODE_BYTES_MAX;

/** How an indexed field and a size update begin (RFC 7541 §6.1 and §6.3). */
const INDEXED_FIELD = 0x80;
const SIZE_UPDATE = 0x20;

interface SentEntry {
  readonly name: string;
  readonly value: string;
  /** It was asked for again. */
  isUsed: boolean;
}

/** Where sections of all connections of this thread are encoded, one after the other. */
let target: Buffer = Buffer.allocUnsafeSlow(4096);

export class HpackEncoder {
  readonly #table = new DynamicTable<SentEntry>(INITIAL_TABLE_BYTES);
  /** The smallest size since the last section, and the last; -1: no change is to be told. */
  #smallestSize = -1;
  #nextSize = -1;
  /** The last `date`, and the number of its entry; -1: it has none. */
  #date = '';
  #dateNumber = -1;
  #tableState = 0;
  /** Bytes of the section so far. */
  size = 0;

  /** What has been encoded stands at the beginning, until any encoder of this thread begins another section. */
  get bytes(): Buffer {
    return target;
  }

  /** As long as it stays the same, a section that was encoded without changing it can be sent again. */
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
    // both, so that the peer evicts what we have evicted (RFC 7541 §4.2)
    if (this.#smallestSize < this.#nextSize) this.#resize(this.#smallestSize);
    this.#resize(this.#nextSize);
    this.#nextSize = -1;
  }

  /** Adds a field: a lower-case name and its value, byte strings. */
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

  /** Adds `date`: a literal when it is the only one of this second, so that quiet connections keep their tables. */
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

  /** Adds `content-length`, which seldom repeats: without the tables, and without a string for its digits. */
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

  /** Adds what was encoded before, at a table state that still holds. */
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

  /** Adds a field that stands in the dynamic table, or enters it if it is worth that. */
  #indexed(staticIndex: number, name: string, value: string): void {
    const table = this.#table;
    let nameIndex = staticIndex;
    let unused = 0;
    // a table of 4096 bytes holds some fifty entries, and the latest are the likely ones
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

  /** The index of an entry by its number; 0 when it is no longer there. */
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

  /** RFC 7541 §5.2, in the Huffman code where that is shorter. */
  #string(text: string): void {
    const size = text.length;
    if (size < SHORT_STRING) {
      // its coded length is known when it stands there
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
/** Of a length that a double holds exactly. */
const DIGITS_MAX = 16;

function countDigits(length: number): number {
  let digits = 1;
  for (let next = 10; length >= next; next *= 10) digits += 1;
  return digits;
}

let datedFor = '';
let datedBytes: Uint8Array = new Uint8Array(0);

/** A date as an encoded string, made once a second for all connections. */
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
