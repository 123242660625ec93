/** Decodes field sections (RFC 7541), and recognises a section that it has decoded before. */

import { readLatin1 } from '../../native/node-internals.ts';
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { fieldKind } from './field-kind.ts';
import { huffmanDecode, huffmanDecodedMax } from './huffman.ts';
import { STATIC_LAST, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

/** A section is not valid HPACK: the connection must end (COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** A decoded section. A section that a connection repeats is the same object while the decoder remembers it. */
export interface FieldSection {
  /** Names and values in turn, as byte strings. Incomplete when `tooLarge`. */
  readonly fields: readonly string[];
  /** The kind of each field (field-kind.ts), which is found once for a field of a table. */
  readonly kinds: readonly number[];
  /** The section exceeds a limit; `fields` ends before the field that does. */
  readonly tooLarge: boolean;
  /** Belongs to the caller of the decoder: what it has made of the section. */
  memo: unknown;
}

export interface HpackDecoderLimits {
  /** Size of the dynamic table that the peer was told. */
  readonly tableBytesMax: number;
  /** Size of a section as RFC 9113 §6.5.2 counts it. */
  readonly listBytesMax: number;
  /** Fields of a section. */
  readonly fieldsMax: number;
}

/** Sections remembered for one connection: requests for a page, and those that the page repeats. */
const REMEMBERED_SLOTS = 16;
/** Longer sections hold literals, which seldom repeat. */
const REMEMBERED_BYTES_MAX = 96;
/** A few octets can stand for many long fields: this bounds the decoded sections that an idle connection keeps. */
const REMEMBERED_LIST_BYTES_MAX = 4096;
/** Octets of an integer after its prefix (RFC 7541 §5.1): 28 bits are far more than any length within the limits. */
const INTEGER_OCTETS_MAX = 4;

/** A field and its kind. */
interface KnownField {
  readonly name: string;
  readonly value: string;
  readonly kind: number;
}

interface RememberedSection extends FieldSection {
  /** Octets of the encoded section. */
  readonly size: number;
  readonly tableState: number;
}

export class HpackDecoder {
  readonly #listBytesMax: number;
  readonly #fieldsMax: number;
  readonly #table: DynamicTable<KnownField>;
  /** The largest table that the encoder of the peer may use. While `#mustShrink`, a section has to begin with a smaller size. */
  #tableBytesMax: number;
  #mustShrink = false;
  /** Counts the changes of the dynamic table: the same number means that each index has the same meaning. */
  #tableState = 0;
  /** The remembered sections by slot, and their encoded octets, REMEMBERED_BYTES_MAX for each slot. */
  #remembered: (RememberedSection | undefined)[] | undefined;
  #octets: Uint8Array = NOTHING;
  // the section that is being decoded
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #fields: string[] = [];
  #kinds: number[] = [];
  #listBytes = 0;
  #tooLarge = false;

  constructor(limits: HpackDecoderLimits) {
    this.#tableBytesMax = limits.tableBytesMax;
    this.#listBytesMax = limits.listBytesMax;
    this.#fieldsMax = limits.fieldsMax;
    this.#table = new DynamicTable(limits.tableBytesMax);
  }

  /** Bytes that the dynamic table counts. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE. It has to confirm a smaller one (RFC 7541 §4.2). */
  setTableBytesMax(bytes: number): void {
    this.#tableBytesMax = bytes;
    this.#mustShrink = this.#table.bytesMax > bytes;
  }

  /** Decodes the section in `bytes[start, end)`; throws HpackError. */
  decode(bytes: Buffer, start: number, end: number): FieldSection {
    const size = end - start;
    const slot = size > 0 && size <= REMEMBERED_BYTES_MAX ? slotOf(bytes, start, end) : -1;
    if (slot !== -1 && !this.#mustShrink) {
      const known = this.#remembered?.[slot];
      if (
        known !== undefined &&
        known.size === size &&
        known.tableState === this.#tableState &&
        this.#isRemembered(slot, bytes, start, size)
      )
        return known;
    }
    const tableState = this.#tableState;
    this.#fields = [];
    this.#kinds = [];
    this.#listBytes = 0;
    this.#tooLarge = false;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    try {
      this.#decodeSection();
    } finally {
      this.#bytes = NOTHING;
    }
    const section: RememberedSection = {
      fields: this.#fields,
      kinds: this.#kinds,
      tooLarge: this.#tooLarge,
      memo: undefined,
      size,
      tableState,
    };
    if (slot !== -1 && tableState === this.#tableState && this.#listBytes <= REMEMBERED_LIST_BYTES_MAX)
      this.#remember(slot, section, bytes, start);
    return section;
  }

  #decodeSection(): void {
    let mayResize = true;
    while (this.#at < this.#end) {
      const octet = this.#bytes[this.#at] as number;
      if ((octet & 0xe0) === 0x20) {
        if (!mayResize) throw new HpackError('a size update follows a field');
        this.#resize(this.#integer(5));
        continue;
      }
      if (mayResize) {
        if (this.#mustShrink) throw new HpackError(`the table has to shrink to ${this.#tableBytesMax} bytes`);
        mayResize = false;
      }
      if ((octet & 0x80) !== 0) this.#keep(this.#entry(this.#integer(7)));
      else if ((octet & 0x40) !== 0) this.#literal(6, true);
      else this.#literal(4, false);
    }
  }

  #resize(bytesMax: number): void {
    if (bytesMax > this.#tableBytesMax)
      throw new HpackError(`the table may hold ${this.#tableBytesMax} bytes, not ${bytesMax}`);
    this.#mustShrink = false;
    if (bytesMax === this.#table.bytesMax) return;
    this.#table.resize(bytesMax);
    this.#tableState += 1;
  }

  #literal(prefixBits: number, isIndexed: boolean): void {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string(isIndexed) : this.#entry(index).name;
    const value = this.#string(isIndexed);
    if (!isIndexed && this.#tooLarge) return;
    const field: KnownField = { name, value, kind: fieldKind(name, value) };
    this.#keep(field);
    if (!isIndexed) return;
    this.#table.add(field);
    this.#tableState += 1;
  }

  #keep(field: KnownField): void {
    const { name, value, kind } = field;
    this.#listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (this.#listBytes > this.#listBytesMax || this.#kinds.length >= this.#fieldsMax) this.#tooLarge = true;
    if (this.#tooLarge) return;
    this.#fields.push(name, value);
    this.#kinds.push(kind);
  }

  #entry(index: number): KnownField {
    if (index > STATIC_LAST) {
      const dynamic = index - STATIC_LAST - 1;
      if (dynamic >= this.#table.count) throw new HpackError(`index ${index} is beyond the tables`);
      return this.#table.entry(dynamic);
    }
    if (index === 0) throw new HpackError('index 0 is not used');
    return STATIC_FIELDS[index] as KnownField;
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

  /** RFC 7541 §5.2. Past a limit a string is checked and not copied, unless the dynamic table needs it. */
  #string(isForTable: boolean): string {
    if (this.#at >= this.#end) throw new HpackError('a string is missing');
    const isCoded = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const size = this.#integer(7);
    const start = this.#at;
    const end = start + size;
    if (end > this.#end) throw new HpackError('a string is longer than its section');
    this.#at = end;
    if (!isCoded) return this.#hasRoomFor(size) || isForTable ? readLatin1(this.#bytes, start, end) : '';
    const room = huffmanDecodedMax(size);
    const target = room <= scratch.length ? scratch : Buffer.allocUnsafe(room);
    const decoded = huffmanDecode(this.#bytes, start, end, target);
    if (decoded === -1) throw new HpackError('a string is not in the Huffman code');
    return this.#hasRoomFor(decoded) || isForTable ? readLatin1(target, 0, decoded) : '';
  }

  #hasRoomFor(size: number): boolean {
    if (this.#listBytes + size > this.#listBytesMax) this.#tooLarge = true;
    return !this.#tooLarge;
  }

  // ---- repeated sections ----

  #isRemembered(slot: number, bytes: Uint8Array, start: number, size: number): boolean {
    const octets = this.#octets;
    const from = slot * REMEMBERED_BYTES_MAX;
    for (let i = 0; i < size; i++) if (octets[from + i] !== bytes[start + i]) return false;
    return true;
  }

  #remember(slot: number, section: RememberedSection, bytes: Uint8Array, start: number): void {
    if (this.#remembered === undefined) {
      this.#remembered = new Array<RememberedSection | undefined>(REMEMBERED_SLOTS).fill(undefined);
      this.#octets = new Uint8Array(REMEMBERED_SLOTS * REMEMBERED_BYTES_MAX);
    }
    this.#remembered[slot] = section;
    const from = slot * REMEMBERED_BYTES_MAX;
    for (let i = 0; i < section.size; i++) this.#octets[from + i] = bytes[start + i] as number;
  }
}

/** Returns the slot of a section by its length and its first, middle and last octets, in which sections are likely to differ. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = (start + end) >>> 1;
  const sum =
    (end - start) * 31 +
    (bytes[start] as number) * 7 +
    (bytes[middle] as number) * 3 +
    (bytes[end - 1] as number);
  return sum % REMEMBERED_SLOTS;
}

const NOTHING: Buffer = Buffer.alloc(0);
/** Receives decoded Huffman codes before they become strings; longer codes get an allocation of their own. */
const scratch = Buffer.allocUnsafeSlow(8 * 1024);
const STATIC_FIELDS: readonly KnownField[] = STATIC_NAMES.map((name, i) => {
  const value = STATIC_VALUES[i] as string;
  return { name, value, kind: fieldKind(name, value) };
});
