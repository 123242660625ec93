/** Frames that are read without a Receiver: they give the message that the Receiver of ws gives, and all others are left to it. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { webSocketParts } from '../../src/websocket/handshake.ts';
import type { Message } from '../../src/websocket/message-inbox.ts';
import { PIECE_BYTES } from '../../src/websocket/websocket-limits.ts';
import { readWholeFrame, wholeFrameBytes } from '../../src/websocket/whole-frame.ts';
import { binary, close, continuation, frame, ping, RSV1, text } from '../support/websocket-frames.ts';

const BYTES_MAX = 1 << 20;

/** What the Receiver makes of it at once. */
function received(bytes: Buffer): Message | undefined {
  const { Receiver } = webSocketParts();
  const receiver = new Receiver({ isServer: true, extensions: {}, maxPayload: BYTES_MAX, maxFragments: 8 });
  let message: Message | undefined;
  receiver.on('message', (data, isBinary) => {
    message = { data, isBinary };
  });
  receiver.on('error', () => undefined);
  receiver.write(Buffer.from(bytes));
  return message;
}

test('A whole frame is read as the Receiver reads it, wherever it begins', () => {
  for (const size of [0, 1, 3, 4, 125, 126, 127, 1000, PIECE_BYTES]) {
    for (const bytes of [
      text('a'.repeat(size)),
      text('é'.repeat(size >> 1)),
      binary(Buffer.alloc(size, 0xff)),
    ]) {
      const behind = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('behind')]);
      const message = readWholeFrame(behind, 6, BYTES_MAX);
      deepStrictEqual(message, received(bytes));
      strictEqual(wholeFrameBytes(message as Message), bytes.length);
    }
  }
});

test('What is no whole frame of a message, or breaks a rule, is left to the Receiver', () => {
  const left: Buffer[] = [
    text('x', { fin: false }),
    continuation('x'),
    ping('x'),
    close(1000),
    text('x', { rsv: RSV1 }),
    frame({ opcode: 3, payload: 'x' }),
    text('x', { mask: false }),
    text(Buffer.from([0xc3, 0x28])),
    text(Buffer.from([0xed, 0xa0, 0x80])),
    text('x', { lengthBits: 16 }),
    text('x', { lengthBits: 64 }),
    binary(Buffer.alloc(PIECE_BYTES + 1)),
    binary('x', { announces: 2n }),
    ...Array.from({ length: 7 }, (_, i) => text('x').subarray(0, i)),
    text('x'.repeat(200)).subarray(0, 7),
  ];
  for (const bytes of left)
    strictEqual(readWholeFrame(bytes, 0, BYTES_MAX), undefined, bytes.toString('hex'));
});

test('A message of the limit is read, and a longer one is left to the Receiver', () => {
  strictEqual(readWholeFrame(text('12345'), 0, 5)?.data.toString(), '12345');
  strictEqual(readWholeFrame(text('123456'), 0, 5), undefined);
});
