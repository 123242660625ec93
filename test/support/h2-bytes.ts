/** Makes HTTP/2 bytes for tests: frames, settings, and HPACK representations, legal or illegal. */
import { FLAG, FRAME } from './wire-client.ts';

export type Field = readonly [name: string, value: string];

/** Error codes (RFC 9113 §7). */
export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** Settings (RFC 9113 §6.5.2 and RFC 8441). */
export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

/** Flags that FLAG lacks. */
export const PRIORITY_FLAG = 0x20;
export const END_BOTH: number = FLAG.endStream | FLAG.endHeaders;

export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES_MAX = 16_384;
export const WINDOW_BYTES_MAX = 0x7fffffff;
const FRAME_HEADER_BYTES = 9;

/** Makes a frame. The highest bit of `stream` is the reserved bit. `length` replaces the true length of the payload. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
  length: number = payload.length,
): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream >>> 0, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Makes a SETTINGS frame of identifier and value pairs, in this order. */
export function settingsFrame(...pairs: readonly (readonly [number, number])[]): Buffer {
  const rows = pairs.map(([identifier, value]) => {
    const row = Buffer.allocUnsafe(6);
    row.writeUInt16BE(identifier, 0);
    row.writeUInt32BE(value, 2);
    return row;
  });
  return frame(FRAME.settings, 0, 0, Buffer.concat(rows));
}

/** Makes the five octets of priority (RFC 9113 §6.3). */
export function priority(dependency: number, weight = 16, exclusive = false): Buffer {
  const bytes = Buffer.allocUnsafe(5);
  bytes.writeUInt32BE((dependency | (exclusive ? 0x80000000 : 0)) >>> 0, 0);
  bytes.writeUInt8(weight, 4);
  return bytes;
}

/** Puts the pad length before the content and the padding after it; `announced` replaces the true pad length. */
export function padded(content: Uint8Array, padBytes: number, announced: number = padBytes): Buffer {
  return Buffer.concat([Buffer.from([announced]), content, Buffer.alloc(padBytes)]);
}

// ---- HPACK (RFC 7541) ----

/** Encodes an integer with a prefix of `prefixBits`; `pattern` has the bits above the prefix (§5.1). */
export function hpackInteger(value: number, prefixBits: number, pattern: number): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.from([pattern | value]);
  const bytes = [pattern | max];
  let rest = value - max;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Encodes a string without Huffman coding (§5.2). */
export function hpackString(text: string): Buffer {
  return Buffer.concat([hpackInteger(text.length, 7, 0), Buffer.from(text, 'latin1')]);
}

export function indexed(index: number): Buffer {
  return hpackInteger(index, 7, 0x80);
}

/** Encodes a literal without indexing and with a literal name, which needs no table (§6.2.2). */
export function literal([name, value]: Field): Buffer {
  return Buffer.concat([Buffer.from([0]), hpackString(name), hpackString(value)]);
}

/** Encodes a literal with incremental indexing (§6.2.1); `name` is a literal name or an index. */
export function literalIndexed(name: string | number, value: string): Buffer {
  if (typeof name === 'number') return Buffer.concat([hpackInteger(name, 6, 0x40), hpackString(value)]);
  return Buffer.concat([Buffer.from([0x40]), hpackString(name), hpackString(value)]);
}

/** Encodes a never-indexed literal (§6.2.3). */
export function literalNever(name: string | number, value: string): Buffer {
  if (typeof name === 'number') return Buffer.concat([hpackInteger(name, 4, 0x10), hpackString(value)]);
  return Buffer.concat([Buffer.from([0x10]), hpackString(name), hpackString(value)]);
}

/** Encodes a dynamic table size update (§6.3). */
export function tableSizeUpdate(size: number): Buffer {
  return hpackInteger(size, 5, 0x20);
}

/** Encodes a whole field block of literals. */
export function block(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(literal));
}

/** Returns the fields of a request; `extra` follows the four pseudo-header fields. */
export function requestFields(path: string, extra: readonly Field[] = [], method = 'GET'): Field[] {
  return [[':method', method], [':scheme', 'https'], [':authority', 'localhost'], [':path', path], ...extra];
}

/** Makes a HEADERS frame with a whole field block, and with END_STREAM unless `flags` differ. */
export function headersFrame(
  stream: number,
  fields: readonly Field[] | Uint8Array,
  flags: number = END_BOTH,
): Buffer {
  return frame(FRAME.headers, flags, stream, fields instanceof Uint8Array ? fields : block(fields));
}

export function dataFrame(stream: number, content: string | Uint8Array, flags: number = 0): Buffer {
  const payload = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  return frame(FRAME.data, flags, stream, payload);
}

export function windowUpdateFrame(stream: number, increment: number): Buffer {
  return frame(FRAME.windowUpdate, 0, stream, uint32(increment));
}

export function resetFrame(stream: number, code: number): Buffer {
  return frame(FRAME.rstStream, 0, stream, uint32(code));
}

export function pingFrame(payload = 'opaque!!', flags: number = 0): Buffer {
  return frame(FRAME.ping, flags, 0, Buffer.from(payload, 'latin1'));
}

export function goawayFrame(lastStream: number, code: number, debug = ''): Buffer {
  const payload = Buffer.concat([uint32(lastStream), uint32(code), Buffer.from(debug, 'latin1')]);
  return frame(FRAME.goaway, 0, 0, payload);
}
