/** Turns the heads of one connection into encoded field sections and back: what a session knows of HPACK. */
import type { PushPromise } from '../exchange/exchange.ts';
import type { ResponseHead } from '../exchange/exchange-wire.ts';
import {
  FIELDS_MAX,
  type Fields,
  fieldValue,
  isConnectionSpecific,
  TRANSPORT_SECURITY,
} from '../semantics/fields.ts';
import { isFixed } from '../semantics/fixed-fields.ts';
import { httpDate } from '../semantics/http-date.ts';
import { type FieldSection, HpackDecoder, HpackError } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';

/** SETTINGS_HEADER_TABLE_SIZE of the server: the initial value (RFC 9113 §6.5.2). */
const TABLE_BYTES_MAX = 4096;
/** Encoded response heads that one connection remembers. */
const HEADS_MAX = 8;

/** A response head, without its date and length, whose encoding did not change the dynamic table. */
interface EncodedHead {
  readonly fields: Fields;
  readonly status: number;
  readonly tableState: number;
  readonly bytes: Uint8Array;
}

export class HeadCodec {
  readonly #decoder: HpackDecoder;
  readonly #encoder = new HpackEncoder();
  readonly #heads: EncodedHead[] = [];
  #nextHead = 0;
  readonly #transportSecurity: string | undefined;

  /**
   * `listBytesMax`: the largest head of a request, as RFC 9113 §6.5.2 counts it; `transportSecurity`: the value of
   * Strict-Transport-Security, where a head has none.
   */
  constructor(listBytesMax: number, transportSecurity?: string) {
    this.#transportSecurity = transportSecurity;
    this.#decoder = new HpackDecoder({
      tableBytesMax: TABLE_BYTES_MAX,
      listBytesMax,
      fieldsMax: FIELDS_MAX,
    });
  }

  /** Decodes a whole section. A string says what is wrong with the section; the connection must then end. */
  decode(bytes: Buffer, start: number, end: number): FieldSection | string {
    try {
      return this.#decoder.decode(bytes, start, end);
    } catch (error) {
      if (error instanceof HpackError) return error.message;
      throw error;
    }
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setPeerTableSize(bytes: number): void {
    this.#encoder.setTableBytesMax(bytes);
  }

  // Each of the calls below returns how many bytes of `bytes`, from the first, are its result. They stand there until the next call.

  get bytes(): Buffer {
    return this.#encoder.bytes;
  }

  encodeHead(head: ResponseHead): number {
    const encoder = this.#encoder;
    const { responseFields, status, contentLength } = head;
    encoder.begin();
    const known = this.#findHead(responseFields, status);
    if (known !== undefined) encoder.repeat(known.bytes);
    else {
      const before = encoder.size;
      const { tableState } = encoder;
      encoder.field(':status', String(status));
      this.#addFields(responseFields, true);
      const security = this.#transportSecurity;
      if (security !== undefined && fieldValue(responseFields, TRANSPORT_SECURITY) === undefined)
        encoder.field(TRANSPORT_SECURITY, security);
      // a handler uses a fixed list again, and no fixed list changes: its identity stands for its fields
      if (tableState === encoder.tableState && before === 0 && isFixed(responseFields))
        this.#remember(responseFields, status);
    }
    if (!head.hasDate) encoder.date(httpDate());
    if (contentLength !== undefined) encoder.contentLength(contentLength);
    return encoder.size;
  }

  encodeInformational(status: number, fields: Fields): number {
    this.#encoder.begin();
    this.#encoder.field(':status', String(status));
    this.#addFields(fields, false);
    return this.#encoder.size;
  }

  encodeTrailers(fields: Fields): number {
    this.#encoder.begin();
    this.#addFields(fields, false);
    return this.#encoder.size;
  }

  encodePromise(promise: PushPromise): number {
    const encoder = this.#encoder;
    encoder.begin();
    encoder.field(':method', promise.method);
    encoder.field(':scheme', promise.scheme);
    encoder.field(':authority', promise.authority);
    encoder.field(':path', promise.target);
    this.#addFields(promise.fields, false);
    return encoder.size;
  }

  /** Adds fields with lower-case names, without those that concern one connection (RFC 9113 §8.2). */
  #addFields(fields: Fields, withoutLength: boolean): void {
    for (let i = 0; i < fields.length; i += 2) {
      const name = (fields[i] as string).toLowerCase();
      if (isConnectionSpecific(name) || (withoutLength && name === 'content-length')) continue;
      this.#encoder.field(name, fields[i + 1] as string);
    }
  }

  #findHead(fields: Fields, status: number): EncodedHead | undefined {
    const { tableState } = this.#encoder;
    for (let i = 0; i < this.#heads.length; i++) {
      const head = this.#heads[i] as EncodedHead;
      if (head.fields === fields && head.tableState === tableState && head.status === status) return head;
    }
    return undefined;
  }

  #remember(fields: Fields, status: number): void {
    const { bytes, size, tableState } = this.#encoder;
    const copy = new Uint8Array(size);
    for (let i = 0; i < size; i++) copy[i] = bytes[i] as number;
    const stale = this.#heads.findIndex((head) => head.fields === fields && head.status === status);
    const slot = stale === -1 ? this.#nextHead : stale;
    this.#heads[slot] = { fields, status, tableState, bytes: copy };
    if (stale === -1) this.#nextHead = (this.#nextHead + 1) % HEADS_MAX;
  }
}
