/** Decodes field sections (RFC 7541), and knows a section again that it has decoded before. */
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { huffmanDecode, huffmanDecodedMax } from './huffman.ts';
import { STATIC_LAST, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

/** What the peer's encoder has done is not HPACK: the connection cannot go on (COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** A decoded section; the same object for the same section of a connection as long as that can be told. */
export interface FieldSection {
  /** Names and values in turn, byte strings. Incomplete when `tooLarge`. */
  readonly fields: readonly string[];
  /** It has passed a limit; nothing of it was kept from there on. */
  readonly tooLarge: boolean;
  /** Belongs to whoever decodes: what was made of the section. */
  memo: unknown;
}

export interface HpackDecoderLimits {
  /** Size of the dynamic table that we have told the peer. */
  readonly tableBytesMax: number;
  /** Size of a section as RFC 9113 §6.5.2 counts it. */
  readonly listBytesMax: number;
  /** Fields of a section. */
  readonly fieldsMax: number;
}

/** Sections remembered for one connection: a page and what it asks for again and again. */
const REMEMBERED_SLOTS = 16;
/** Longer ones hold literals, which seldom repeat. */
const REMEMBERED_BYTES_MAX = 128;
/** An integer has no more octets after its prefix (RFC 7541 §5.1): 28 bits, far beyond any length we take. */
const INTEGER_OCTETS_MAX = 4;

interface Remembered {
  readonly bytes: Uint8Array;
  readonly tableState: number;
  readonly section: FieldSection;
}

export class HpackDecoder {
  readonly #limits: HpackDecoderLimits;
  readonly #table: DynamicTable;
  /** Counts whatever changes what an index means. */
  #tableState = 0;
  #remembered: (Remembered | undefined)[] | undefined;
  // what is being decoded
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #fields: string[] = [];
  #listBytes = 0;
  #tooLarge = false;

  constructor(limits: HpackDecoderLimits) {
    this.#limits = limits;
    this.#table = new DynamicTable(limits.tableBytesMax);
  }

  /** Bytes that the dynamic table counts. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Decodes the section in `bytes[start, end)`; throws HpackError. */
  decode(bytes: Buffer, start: number, end: number): FieldSection {
    const size = end - start;
    const slot = slotOf(bytes, start, end);
    if (size <= REMEMBERED_BYTES_MAX) {
      const known = this.#remembered?.[slot];
      if (
        known !== undefined &&
        known.tableState === this.#tableState &&
        isEqual(known.bytes, bytes, start, size)
      )
        return known.section;
    }
    const before = this.#tableState;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#fields = [];
    this.#listBytes = 0;
    this.#tooLarge = false;
    this.#decodeSection();
    this.#bytes = NOTHING;
    const section: FieldSection = { fields: this.#fields, tooLarge: this.#tooLarge, memo: undefined };
    if (before === this.#tableState && size <= REMEMBERED_BYTES_MAX && size > 0) {
      this.#remembered ??= new Array<Remembered | undefined>(REMEMBERED_SLOTS).fill(undefined);
      this.#remembered[slot] = {
        bytes: Uint8Array.prototype.slice.call(bytes, start, end),
        tableState: before,
        section,
      };
    }
    return section;
  }

  #decodeSection(): void {
    let mayResize = true;
    while (this.#at < this.#end) {
      const octet = this.#bytes[this.#at] as number;
      if ((octet & 0x80) !== 0) {
        const index = this.#integer(7);
        if (index === 0) throw new HpackError('index 0 is not used');
        this.#keep(this.#nameOf(index), this.#valueOf(index));
      } else if ((octet & 0x40) !== 0) this.#literal(6, true);
      else if ((octet & 0x20) !== 0) {
        if (!mayResize) throw new HpackError('a size update follows a field');
        this.#resize(this.#integer(5));
        continue;
      } else this.#literal(4, false);
      mayResize = false;
    }
  }

  #resize(bytesMax: number): void {
    if (bytesMax > this.#limits.tableBytesMax)
      throw new HpackError(`the table may hold ${this.#limits.tableBytesMax} bytes, not ${bytesMax}`);
    if (bytesMax === this.#table.bytesMax) return;
    this.#table.resize(bytesMax);
    this.#tableState += 1;
  }

  #literal(prefixBits: number, isIndexed: boolean): void {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#nameOf(index);
    const value = this.#string();
    this.#keep(name, value);
    if (!isIndexed) return;
    this.#table.add(name, value);
    this.#tableState += 1;
  }

  #keep(name: string, value: string): void {
    const { listBytesMax, fieldsMax } = this.#limits;
    this.#listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (this.#listBytes > listBytesMax || this.#fields.length >= fieldsMax * 2) this.#tooLarge = true;
    if (!this.#tooLarge) this.#fields.push(name, value);
  }

  #nameOf(index: number): string {
    if (index <= STATIC_LAST) return STATIC_NAMES[index] as string;
    return this.#table.name(this.#checkIndex(index));
  }

  #valueOf(index: number): string {
    if (index <= STATIC_LAST) return STATIC_VALUES[index] as string;
    return this.#table.value(this.#checkIndex(index));
  }

  #checkIndex(index: number): number {
    const dynamic = index - STATIC_LAST - 1;
    if (dynamic >= this.#table.count) throw new HpackError(`index ${index} is beyond the tables`);
    return dynamic;
  }

  /** RFC 7541 §5.1. */
  #integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    let value = (this.#bytes[this.#at++] as number) & prefix;
    if (value < prefix) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) throw new HpackError('an integer is cut off');
      if (shift === INTEGER_OCTETS_MAX * 7) throw new HpackError('an integer is too large');
      const octet = this.#bytes[this.#at++] as number;
      value += (octet & 0x7f) << shift;
      if ((octet & 0x80) === 0) return value;
    }
  }

  /** RFC 7541 §5.2. */
  #string(): string {
    if (this.#at >= this.#end) throw new HpackError('a string is missing');
    const isCoded = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const size = this.#integer(7);
    const start = this.#at;
    const end = start + size;
    if (end > this.#end) throw new HpackError('a string is longer than its section');
    this.#at = end;
    if (!isCoded) return this.#bytes.latin1Slice(start, end);
    const room = huffmanDecodedMax(size);
    const target = room <= scratch.length ? scratch : Buffer.allocUnsafe(room);
    const decoded = huffmanDecode(this.#bytes, start, end, target);
    if (decoded === -1) throw new HpackError('a string is not in the Huffman code');
    return target.latin1Slice(0, decoded);
  }
}

/** Where a section is remembered: by its length and its ends, which hold what differs. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = (start + end) >>> 1;
  const sum = (end - start) * 31 + (bytes[start] ?? 0) * 7 + (bytes[middle] ?? 0) * 3 + (bytes[end - 1] ?? 0);
  return sum % REMEMBERED_SLOTS;
}

function isEqual(known: Uint8Array, bytes: Uint8Array, start: number, size: number): boolean {
  if (known.length !== size) return false;
  for (let i = 0; i < size; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}

const NOTHING: Buffer = Buffer.alloc(0);
/** Where strings are decoded before they become strings; longer ones get an allocation of their own. */
const scratch = Buffer.allocUnsafeSlow(8 * 1024);
