/** Runs a case of the WebSocket list over a carrier and judges it by the bytes that come back. */
import { isUtf8 } from 'node:buffer';
import { constants, inflateRawSync } from 'node:zlib';
import { type Carrier, type Fields, openWebSocket, SAMPLE_ACCEPT } from '../raw-websocket.ts';
import { OPCODE, RSV1, type ServerFrame } from '../websocket-frames.ts';
import type { Compression, Message, WebSocketCase } from './websocket-case.ts';

const { Z_SYNC_FLUSH } = constants;
const FLUSH = Buffer.from([0, 0, 0xff, 0xff]);
const WINDOW_BITS_MAX = 15;
const REASON_BYTES_MAX = 123;
const SHOWN_BYTES_MAX = 40;
/** So many pings at once have a pong each. */
const PONGS_FOR_ALL_MAX = 16;
/** Longer cases are sent byte by byte only in their first bytes: what decides stands in heads. */
const SINGLE_BYTES_MAX = 200;

/** How the bytes of a case are cut: as one piece, one piece for each frame, or byte by byte. */
export type Cut = 'whole' | 'frames' | 'bytes';

/** Returns what is wrong with the answer; nothing: the server has passed. */
export async function judgeCase(one: WebSocketCase, carrier: Carrier, cut: Cut): Promise<string[]> {
  const fields: Fields =
    one.compression === undefined ? {} : { 'sec-websocket-extensions': one.compression.offer };
  const peer = await openWebSocket(carrier, one.path, fields);
  try {
    await peer.sendPieces(cutPieces(one.pieces, cut));
    const inTime = await peer.until();
    const faults = [
      ...judgeHead(peer.fields, carrier, one.compression),
      ...judgeFrames(peer.frames, one, peer.fields['sec-websocket-extensions']),
    ];
    if (!inTime) faults.push('the server does not end the connection');
    else if (!peer.ended) faults.push('the connection ends without its due form');
    if (peer.pending > 0) faults.push(`${peer.pending} bytes behind the last frame`);
    return faults;
  } finally {
    peer.end();
    if (carrier.kind === 'h1') peer.destroy();
  }
}

function cutPieces(pieces: readonly Buffer[], cut: Cut): Iterable<Buffer> {
  if (cut === 'frames') return pieces;
  const all = Buffer.concat(pieces);
  if (cut === 'whole') return [all];
  const single = Math.min(all.length, SINGLE_BYTES_MAX);
  return [...Array.from({ length: single }, (_, i) => all.subarray(i, i + 1)), all.subarray(single)].filter(
    (piece) => piece.length > 0,
  );
}

function judgeHead(fields: Fields, carrier: Carrier, compression: Compression | undefined): string[] {
  const faults: string[] = [];
  const accept = fields['sec-websocket-accept'];
  if (accept !== (carrier.kind === 'h1' ? SAMPLE_ACCEPT : undefined))
    faults.push(`Sec-WebSocket-Accept: ${accept}`);
  const extensions = fields['sec-websocket-extensions'];
  if (compression?.agreed === undefined) {
    if (extensions !== undefined) faults.push(`Sec-WebSocket-Extensions: ${extensions}`);
    return faults;
  }
  const [name, ...parameters] = (extensions ?? '').split(';').map((part) => part.trim());
  if (name !== 'permessage-deflate') faults.push(`Sec-WebSocket-Extensions: ${extensions}`);
  for (const parameter of compression.agreed)
    if (!parameters.includes(parameter)) faults.push(`${parameter} is not agreed: ${extensions}`);
  return faults;
}

function judgeFrames(frames: readonly ServerFrame[], one: WebSocketCase, extensions = ''): string[] {
  const faults = frames.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  const last = frames.at(-1);
  if (last?.opcode === OPCODE.close) faults.push(...judgeClose(last, one.closes));
  else faults.push(`no close frame at the end but ${last === undefined ? 'nothing' : show(last)}`);
  if (frames.slice(0, -1).some(({ opcode }) => opcode === OPCODE.close)) faults.push('frames behind a close');
  const pongs = frames.filter(({ opcode }) => opcode === OPCODE.pong);
  faults.push(
    ...comparePongs(
      pongs.map(({ payload }) => payload),
      one.pongs,
    ),
  );
  try {
    const messages = readMessages(frames, extensions);
    const echoes = one.mayLackEchoes ? one.echoes.slice(0, messages.length) : one.echoes;
    const kinds = messages.map(({ opcode }) => opcode).join(' ');
    const wanted = echoes.map(({ opcode }) => opcode).join(' ');
    if (kinds !== wanted) faults.push(`messages of the opcodes [${kinds}] in place of [${wanted}]`);
    faults.push(
      ...compare(
        'echo',
        messages.map(({ payload }) => payload),
        echoes.map(({ payload }) => payload),
      ),
    );
  } catch (error) {
    faults.push(String(error));
  }
  return faults;
}

function judgeClose({ payload, fin, rsv }: ServerFrame, closes: WebSocketCase['closes']): string[] {
  const code = payload.length === 0 ? 'none' : payload.length === 1 ? 1 : payload.readUInt16BE();
  const reason = payload.subarray(2);
  const faults: string[] = [];
  if (!closes.includes(code)) faults.push(`closed with ${code} ${reason} in place of ${closes.join(' or ')}`);
  if (!fin || rsv !== 0) faults.push('a close frame with wrong bits');
  if (reason.length > REASON_BYTES_MAX || !isUtf8(reason)) faults.push('a reason that is none');
  return faults;
}

/** Puts fragments together and unfolds what is compressed. */
function readMessages(frames: readonly ServerFrame[], extensions: string): Message[] {
  const messages: Message[] = [];
  const isFresh = extensions.includes('server_no_context_takeover');
  const windowBits = Number(/server_max_window_bits=(\d+)/.exec(extensions)?.[1] ?? WINDOW_BITS_MAX);
  let before: Buffer = Buffer.alloc(0);
  let open: { opcode: number; compressed: boolean; parts: Buffer[] } | undefined;
  for (const one of frames) {
    if (one.opcode > OPCODE.binary) continue;
    if ((one.opcode === OPCODE.continuation) !== (open !== undefined))
      throw new Error(`out of place: ${show(one)}`);
    if (one.rsv !== 0 && (one.rsv !== RSV1 || extensions === '' || open !== undefined))
      throw new Error(`wrong reserved bits: ${show(one)}`);
    open ??= { opcode: one.opcode, compressed: one.rsv === RSV1, parts: [] };
    open.parts.push(one.payload);
    if (!one.fin) continue;
    let payload: Buffer = Buffer.concat(open.parts);
    if (open.compressed) {
      const dictionary = before.length > 0 ? { dictionary: before } : {};
      const settings = { finishFlush: Z_SYNC_FLUSH, windowBits, ...dictionary };
      payload = inflateRawSync(Buffer.concat([payload, FLUSH]), settings);
      if (!isFresh) before = Buffer.concat([before, payload]).subarray(-(2 ** windowBits));
    }
    messages.push({ opcode: open.opcode, payload });
    open = undefined;
  }
  if (open !== undefined) throw new Error('a message without an end');
  return messages;
}

/** Where many pings wait, some may have no pong (RFC 6455 §5.5.3). */
function comparePongs(got: readonly Buffer[], wanted: readonly Buffer[]): string[] {
  if (wanted.length <= PONGS_FOR_ALL_MAX) return compare('pong', got, wanted);
  let at = 0;
  for (const bytes of got) {
    while (at < wanted.length && !bytes.equals(wanted[at] as Buffer)) at += 1;
    if (at++ >= wanted.length) return [`the pong ${showBytes(bytes)} is out of place`];
  }
  return got.length < PONGS_FOR_ALL_MAX ? [`${got.length} × pong for ${wanted.length} pings`] : [];
}

function compare(what: string, got: readonly Buffer[], wanted: readonly Buffer[]): string[] {
  if (got.length !== wanted.length) return [`${got.length} × ${what} in place of ${wanted.length}`];
  const wrong = got.findIndex((bytes, i) => !bytes.equals(wanted[i] as Buffer));
  return wrong === -1 ? [] : [`${what} ${wrong} is ${showBytes(got[wrong] as Buffer)}`];
}

function show({ opcode, rsv, fin, payload }: ServerFrame): string {
  return `opcode ${opcode}, reserved bits ${rsv}, ${fin ? 'last' : 'more'}: ${showBytes(payload)}`;
}

function showBytes(bytes: Buffer): string {
  return `${bytes.length} bytes ${JSON.stringify(bytes.toString('latin1', 0, SHOWN_BYTES_MAX))}`;
}
