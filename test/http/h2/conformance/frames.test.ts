/** RFC 9113 §4 and §5.5: the frame format, frame sizes, field blocks, and extensions of the protocol. */
import { ok, strictEqual } from 'node:assert/strict';
import { expectUnreached, rule, serveRules, timesReached } from '../../../support/conformance.ts';
import {
  block,
  CODE,
  dataFrame,
  END_BOTH,
  frame,
  headersFrame,
  indexed,
  literalIndexed,
  PRIORITY_FLAG,
  padded,
  pingFrame,
  priority,
  requestFields,
  resetFrame,
  SETTING,
  settingsFrame,
  uint32,
  windowUpdateFrame,
} from '../../../support/h2-bytes.ts';
import { untilStill } from '../../../support/until-still.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const RESERVED = 0x80000000;
const UNKNOWN = 0xbb;

rule(
  'RFC 9113 §4.1: frames of unknown types are ignored, on the connection and on every stream',
  async (peer) => {
    peer.send(frame(UNKNOWN, 0xff, 0, Buffer.alloc(100)), frame(UNKNOWN, 0, 1, Buffer.alloc(8)));
    peer.post(1);
    peer.send(frame(UNKNOWN, 0xff, 1, Buffer.alloc(0)), frame(0xff, 1, 99, Buffer.alloc(1)));
    peer.data(1, 'whole', true);
    strictEqual((await peer.expectResponse(1)).body, 'whole');
    peer.send(frame(UNKNOWN, 0xff, 1, Buffer.alloc(16_384)));
    await peer.expectServes(3);
  },
);

rule('RFC 9113 §4.1: undefined flags are ignored', async (peer) => {
  peer.send(headersFrame(1, requestFields('/echo', [], 'POST'), FLAG.endHeaders | 0xd2));
  peer.send(dataFrame(1, 'flags', FLAG.endStream | 0xf6), windowUpdateFrame(0, 1));
  peer.send(frame(FRAME.ping, 0xfe, 0, Buffer.from('flagged!')));
  const pong = await peer.frame(({ type }) => type === FRAME.ping, 'the answer to a PING');
  strictEqual(pong.flags, FLAG.ack);
  strictEqual((await peer.expectResponse(1)).body, 'flags');
  peer.send(frame(FRAME.settings, 0xfe, 0), frame(FRAME.windowUpdate, 0xff, 0, uint32(1)));
  peer.send(frame(FRAME.priority, 0xff, 3, priority(0)));
  await peer.expectServes(3);
});

rule('RFC 9113 §4.1: the reserved bit of a stream identifier is ignored', async (peer) => {
  peer.send(frame(FRAME.settings, 0, RESERVED), frame(FRAME.ping, 0, RESERVED, Buffer.from('reserved')));
  peer.send(headersFrame(1 | RESERVED, requestFields('/echo', [], 'POST'), FLAG.endHeaders));
  peer.send(
    dataFrame(1 | RESERVED, 'bits', FLAG.endStream),
    frame(FRAME.windowUpdate, 0, RESERVED, uint32(1)),
  );
  strictEqual((await peer.expectResponse(1)).body, 'bits');
  await peer.expectAlive();
});

rule('RFC 9113 §4.2: DATA of 16,384 octets is accepted', async (peer) => {
  peer.post(1, '/size');
  peer.data(1, Buffer.alloc(16_384), true);
  strictEqual((await peer.expectResponse(1)).body, '16384');
});

rule(
  'RFC 9113 §4.2: DATA one octet larger than SETTINGS_MAX_FRAME_SIZE is a FRAME_SIZE_ERROR',
  async (peer) => {
    await peer.settled();
    peer.post(1, '/size');
    const size = peer.checker.settings.get(SETTING.maxFrameSize) ?? 16_384;
    peer.data(1, Buffer.alloc(size + 1), true);
    await peer.expectStreamError(1, CODE.frameSizeError);
  },
);

for (const [name, make] of [
  ['HEADERS', (size: number) => [headersFrame(1, Buffer.alloc(size))]],
  ['SETTINGS', (size: number) => [frame(FRAME.settings, 0, 0, Buffer.alloc(size + 6 - (size % 6)))]],
  [
    'CONTINUATION',
    (size: number) => [
      headersFrame(1, block(requestFields('/hello')), FLAG.endStream),
      frame(FRAME.continuation, FLAG.endHeaders, 1, Buffer.alloc(size)),
    ],
  ],
  ['GOAWAY', (size: number) => [frame(FRAME.goaway, 0, 0, Buffer.alloc(size))]],
  ['a frame of unknown type', (size: number) => [frame(UNKNOWN, 0, 0, Buffer.alloc(size))]],
] as const)
  rule(`RFC 9113 §4.2: ${name} larger than SETTINGS_MAX_FRAME_SIZE is a connection error`, async (peer) => {
    await peer.settled();
    peer.send(...make((peer.checker.settings.get(SETTING.maxFrameSize) ?? 16_384) + 1));
    await peer.expectGoaway(CODE.frameSizeError);
  });

rule('RFC 9113 §4.2: a length of 16,777,215 is refused before its octets come', async (peer) => {
  await peer.settled();
  peer.raw(frame(FRAME.headers, END_BOTH, 1, Buffer.alloc(0), 0xffffff));
  await peer.expectGoaway(CODE.frameSizeError);
});

for (const [name, bytes] of [
  ['padded HEADERS without the length of the padding', frame(FRAME.headers, END_BOTH | FLAG.padded, 1)],
  [
    'HEADERS with four octets of priority',
    frame(FRAME.headers, END_BOTH | PRIORITY_FLAG, 1, Buffer.alloc(4)),
  ],
  [
    'padded HEADERS with three octets of priority',
    frame(FRAME.headers, END_BOTH | PRIORITY_FLAG | FLAG.padded, 1, Buffer.alloc(4)),
  ],
] as const)
  rule(`RFC 9113 §4.2: ${name} is a connection error`, async (peer) => {
    peer.send(bytes);
    // the mandatory part is missing (§4.2), and the padding is as long as the payload (§6.2)
    await peer.expectGoaway(CODE.frameSizeError, CODE.protocolError);
  });

rule('RFC 9113 §4.3: a field block may come in many pieces', async (peer) => {
  const bytes = block(requestFields('/fields', [['x-cut', 'in pieces']]));
  const pieces: Buffer[] = [];
  const size = Math.ceil(bytes.length / 7);
  for (let at = 0; at < bytes.length; at += size) {
    const flags = at + size >= bytes.length ? FLAG.endHeaders : 0;
    const piece = bytes.subarray(at, at + size);
    pieces.push(
      at === 0 ? headersFrame(1, piece, flags | FLAG.endStream) : frame(FRAME.continuation, flags, 1, piece),
    );
  }
  peer.send(...pieces);
  ok((await peer.expectResponse(1)).body.includes('in pieces'));
});

rule('RFC 9113 §4.3: a block is whole with END_HEADERS only, whatever has come of it', async (peer) => {
  // no frame may come between, not even the acknowledgement of settings
  await peer.settled();
  peer.send(headersFrame(1, block(requestFields('/hello')), FLAG.endStream));
  await untilStill(() => peer.frames.length);
  expectUnreached();
  peer.send(frame(FRAME.continuation, FLAG.endHeaders, 1));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
});

rule('RFC 9113 §4.3: a field block that cannot be decoded is a COMPRESSION_ERROR', async (peer) => {
  peer.send(
    headersFrame(1, Buffer.concat([block(requestFields('/hello')), Buffer.from([0x00, 0x85, 0xf2])])),
  );
  await peer.expectGoaway(CODE.compressionError);
  expectUnreached();
});

rule('RFC 9113 §4.3: trailers that cannot be decoded are a COMPRESSION_ERROR', async (peer) => {
  peer.post(1);
  peer.send(headersFrame(1, Buffer.from([0x80])));
  await peer.expectGoaway(CODE.compressionError);
});

const begun = headersFrame(1, block(requestFields('/hello')), FLAG.endStream);
for (const [name, bytes] of [
  ['DATA of its stream', dataFrame(1, '')],
  ['HEADERS of its stream', headersFrame(1, requestFields('/hello'))],
  ['HEADERS of another stream', headersFrame(3, requestFields('/hello'))],
  ['PRIORITY', frame(FRAME.priority, 0, 1, priority(0))],
  ['RST_STREAM', resetFrame(1, CODE.cancel)],
  ['SETTINGS', settingsFrame()],
  ['PING', pingFrame()],
  ['GOAWAY', frame(FRAME.goaway, 0, 0, Buffer.alloc(8))],
  ['WINDOW_UPDATE of the connection', windowUpdateFrame(0, 1)],
  ['CONTINUATION of another stream', frame(FRAME.continuation, FLAG.endHeaders, 3)],
] as const)
  rule(`RFC 9113 §4.3: ${name} inside a field block is a PROTOCOL_ERROR`, async (peer) => {
    peer.send(begun, bytes);
    await peer.expectGoaway(CODE.protocolError);
    expectUnreached();
  });

rule('RFC 9113 §5.5: a frame of unknown type inside a field block is a PROTOCOL_ERROR', async (peer) => {
  peer.send(begun, frame(UNKNOWN, 0, 1), frame(FRAME.continuation, FLAG.endHeaders, 1));
  await peer.expectGoaway(CODE.protocolError);
});

rule('RFC 9113 §4.3.1: the block of a malformed request still changes the dynamic table', async (peer) => {
  const bad = Buffer.concat([literalIndexed('x-kept', 'yes'), block([[':method', 'GET']])]);
  peer.send(headersFrame(1, bad));
  peer.send(headersFrame(3, Buffer.concat([block(requestFields('/fields')), indexed(62)])));
  ok((await peer.expectResponse(3)).body.includes('"x-kept","yes"'));
});

rule('RFC 9113 §4.3.1: the block of a refused request still changes the dynamic table', async (peer) => {
  await peer.settled();
  const most = peer.checker.settings.get(SETTING.maxConcurrentStreams) ?? 0;
  for (let i = 0; i < most; i++) peer.get(1 + 2 * i, '/wait');
  const refused = 1 + 2 * most;
  peer.send(
    headersFrame(refused, Buffer.concat([block(requestFields('/hello')), literalIndexed('x-kept', 'yes')])),
  );
  await peer.expectReset(refused, CODE.refusedStream, CODE.protocolError);
  peer.send(resetFrame(1, CODE.cancel));
  await peer.settled();
  peer.send(headersFrame(refused + 2, Buffer.concat([block(requestFields('/fields')), indexed(62)])));
  ok((await peer.expectResponse(refused + 2)).body.includes('"x-kept","yes"'));
});

rule('RFC 9113 §4.3.1: trailers still change the dynamic table', async (peer) => {
  peer.post(1);
  peer.data(1, 'body');
  peer.send(headersFrame(1, literalIndexed('x-kept', 'yes')));
  strictEqual((await peer.expectResponse(1)).body, 'body');
  peer.send(headersFrame(3, Buffer.concat([block(requestFields('/fields')), indexed(62)])));
  ok((await peer.expectResponse(3)).body.includes('"x-kept","yes"'));
});

rule('RFC 9113 §5.5: unknown settings are ignored', async (peer) => {
  peer.send(settingsFrame([0xff, 0xffffffff], [0, 1], [0x0f0f, 1], [0x7777, 0]));
  await peer.expectServes(1);
});

rule('RFC 9113 §4.2: padding and priority leave the field block whole', async (peer) => {
  const fields = block(requestFields('/hello'));
  const flags = END_BOTH | PRIORITY_FLAG | FLAG.padded;
  peer.send(headersFrame(1, padded(Buffer.concat([priority(0, 255, true), fields]), 100), flags));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
  strictEqual(timesReached('/hello'), 1);
});
