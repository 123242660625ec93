/** Clients of WebSockets that send what is no frame, unfold bombs, never end a message, never read, and never leave. */
import { constants, deflateRawSync } from 'node:zlib';
import { openWebSocket, type RawWebSocket } from '../../support/raw-websocket.ts';
import { binary, close, continuation, OPCODE, ping, RSV1, text } from '../../support/websocket-frames.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';

const PATIENCE_MS = 15_000;
const MEBIBYTE = 1024 * 1024;
const PATH = '/hostile/websocket';
/** What the buffers of both sides and of the kernel take, several times. */
const UNREAD_BYTES_MAX = 16 * MEBIBYTE;
/** A client whose bytes are not taken for so long is held back. */
const HELD_BACK_MS = 1000;
const FRAMES_PER_WRITE = 500;

function open(target: Target, path = PATH, fields = {}): Promise<RawWebSocket> {
  return openWebSocket(target.carrier, path, fields);
}

/** How the socket ended: the code of the close frame, or without one. */
async function endOf(peer: RawWebSocket): Promise<string> {
  await peer.until(undefined, PATIENCE_MS);
  const last = peer.frames.at(-1);
  const over = peer.over;
  peer.destroy();
  if (last?.opcode === OPCODE.close)
    return `close ${last.payload.length > 1 ? last.payload.readUInt16BE() : ''}`;
  return over ? 'closed' : 'open';
}

/** Sends the bytes once. */
async function sends(target: Target, bytes: Buffer, fields = {}): Promise<string> {
  const peer = await open(target, PATH, fields);
  peer.send(bytes);
  return await endOf(peer);
}

/** Sends the same bytes until the socket ends. */
async function repeats(target: Target, first: Buffer, more: Buffer): Promise<string> {
  const peer = await open(target);
  const many = Buffer.concat(Array.from({ length: FRAMES_PER_WRITE }, () => more));
  peer.send(first);
  const limit = performance.now() + PATIENCE_MS;
  while (!peer.over && !peer.stream.destroyed && performance.now() < limit) await peer.sendPieces([many]);
  return await endOf(peer);
}

/** Sends without reading, until nothing is taken any more. */
async function neverReads(target: Target, bytes: Buffer): Promise<string> {
  const peer = await open(target);
  const many = Buffer.concat(Array.from({ length: Math.ceil(65_536 / bytes.length) }, () => bytes));
  peer.stream.pause();
  let sent = 0;
  for (let isTaken = true; isTaken && sent < UNREAD_BYTES_MAX; ) {
    isTaken = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), HELD_BACK_MS);
      peer.stream.write(many, () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    if (isTaken) sent += many.length;
  }
  peer.destroy();
  return sent < UNREAD_BYTES_MAX ? 'held back' : `${sent} bytes were taken`;
}

const bomb = (): Buffer =>
  deflateRawSync(Buffer.alloc(32 * MEBIBYTE), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

export const WEBSOCKET: readonly HostileClient[] = [
  {
    name: 'a message that unfolds into 32 MiB',
    brief: true,
    act: (target) => sends(target, binary(bomb(), { rsv: RSV1 }), DEFLATE),
    gets: /^close 1009/,
  },
  {
    name: 'a compressed message that is none',
    act: (target) => sends(target, binary(Buffer.alloc(2000, 0xff), { rsv: RSV1 }), DEFLATE),
    gets: /^close 1007/,
  },
  {
    name: 'a message of 2⁶² bytes, announced',
    act: (target) => sends(target, binary('', { announces: 1n << 62n, lengthBits: 64 })),
    gets: /^close 1009/,
  },
  {
    name: 'HTTP in place of frames',
    act: (target) => sends(target, Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50))),
    gets: /^close 1002/,
  },
  {
    name: 'frames without a mask',
    brief: true,
    act: (target) => sends(target, text('plain', { mask: false })),
    gets: /^close 1002/,
  },
  {
    name: 'fragments without end',
    brief: true,
    act: (target) => repeats(target, text('x', { fin: false }), continuation('x', { fin: false })),
    gets: /^close 1008/,
  },
  {
    name: 'empty fragments without end',
    act: (target) => repeats(target, text('', { fin: false }), continuation('', { fin: false })),
    gets: /^close 1008/,
  },
  {
    name: 'pings without end, whose pongs nobody reads',
    brief: true,
    act: (target) => neverReads(target, ping('p'.repeat(125))),
    gets: /^(?:held back|\d+ bytes were taken)/,
  },
  {
    name: 'messages without end, whose echoes nobody reads',
    act: (target) => neverReads(target, binary(Buffer.alloc(10_000))),
    gets: /^held back/,
  },
  {
    name: 'a message byte by byte',
    act: async (target) => {
      const peer = await open(target);
      const bytes = Buffer.concat([text('one byte after the other'.repeat(20)), close(1000)]);
      await peer.sendPieces(Array.from(bytes, (byte) => Buffer.from([byte])));
      return await endOf(peer);
    },
    gets: /^close 1000/,
  },
  {
    waits: true,
    name: 'a close that is never answered',
    act: async (target) => endOf(await open(target, `${PATH}-closes`)),
    gets: /^close 4000/,
  },
  {
    waits: true,
    name: 'pings that are never answered',
    brief: true,
    act: async (target) => endOf(await open(target)),
    gets: /^clos/,
  },
  {
    waits: true,
    name: 'a download that is never read',
    act: async (target) => {
      const peer = await open(target, `${PATH}-floods`);
      peer.stream.pause();
      await new Promise((resolve) => setTimeout(resolve, 2 * CLIENT_LIMITS.stallTimeoutMs));
      peer.stream.resume();
      return await endOf(peer);
    },
    gets: /^clos/,
  },
  {
    name: 'a hundred that leave at once without a word',
    act: async (target) => {
      const peers = await Promise.all(Array.from({ length: 100 }, () => open(target)));
      for (const peer of peers) peer.send(text('never whole', { announces: 5000n }));
      for (const peer of peers) peer.destroy();
      return 'left';
    },
    gets: /^left/,
  },
  {
    name: 'a thousand handshakes that are none',
    act: async (target) => {
      const outcomes = new Map<string, number>();
      for (let i = 0; i < 1000; i += 20)
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const outcome = await open(target, PATH, { 'Sec-WebSocket-Key': 'none' }).then(
              () => 'opened',
              (error: unknown) => String((error as { status?: number }).status),
            );
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }),
        );
      return [...outcomes].map(([outcome, count]) => `${count} × ${outcome}`).join(', ');
    },
    gets: /^1000 × 400$/,
  },
];
