/** Turns field sections of one connection into head blocks and back: what is said of HPACK outside of it. */
import hpack from 'hpack.js';
import { httpDate } from '../../base/clock.ts';
import type { Fields, PushPromise } from '../exchange.ts';
import type { ResponseHead } from '../exchange-wire.ts';
import { isConnectionSpecific } from '../fields.ts';

/** What `decode` returns for a head over its limit. */
export const TOO_LARGE: Fields = [];

export class HeadCodec {
  readonly #decompressor: any = (hpack as any).decompressor.create({ table: { size: 4096 } });
  readonly #compressor: any = (hpack as any).compressor.create({ table: { size: 4096 } });
  readonly #listBytesMax: number;
  constructor(listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
  }
  decode(bytes: Buffer, start: number, end: number): Fields | string {
    try {
      this.#decompressor.write(Buffer.from(bytes.subarray(start, end)));
      this.#decompressor.execute();
      const out: string[] = [];
      let size = 0;
      for (let f = this.#decompressor.read(); f !== null; f = this.#decompressor.read()) {
        out.push(f.name, f.value);
        size += f.name.length + f.value.length + 32;
      }
      return size > this.#listBytesMax ? TOO_LARGE : out;
    } catch (e) {
      return String(e);
    }
  }
  setPeerTableSize(_size: number): void {}
  #encode(list: Fields): Buffer {
    const rows = [];
    for (let i = 0; i < list.length; i += 2)
      rows.push({ name: list[i], value: list[i + 1], incremental: false });
    this.#compressor.write(rows);
    const parts: Buffer[] = [];
    for (let part = this.#compressor.read(); part !== null; part = this.#compressor.read()) parts.push(part);
    return Buffer.concat(parts);
  }
  encodeHead(head: ResponseHead): Buffer {
    const list = [':status', String(head.status), ...lower(head.responseFields, true)];
    if (head.contentLength !== undefined) list.push('content-length', String(head.contentLength));
    if (!head.hasDate) list.push('date', httpDate());
    return this.#encode(list);
  }
  encodeInformational(status: number, fields: Fields): Buffer {
    return this.#encode([':status', String(status), ...lower(fields, false)]);
  }
  encodeTrailers(fields: Fields): Buffer {
    return this.#encode(lower(fields, false));
  }
  encodePromise(p: PushPromise): Buffer {
    return this.#encode([
      ':method',
      p.method,
      ':scheme',
      p.scheme,
      ':authority',
      p.authority,
      ':path',
      p.target,
      ...lower(p.fields, false),
    ]);
  }
}

function lower(fields: Fields, withoutLength: boolean): string[] {
  const out: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (isConnectionSpecific(name) || (withoutLength && name === 'content-length')) continue;
    out.push(name, fields[i + 1] as string);
  }
  return out;
}
