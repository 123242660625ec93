/** RFC 9113 §5.2 and §6.9: flow control in both directions. */
import { ok, strictEqual } from 'node:assert/strict';
import { rule, STREAMS_MAX, serveRules } from '../../../support/conformance.ts';
import {
  CODE,
  dataFrame,
  frame,
  headersFrame,
  padded,
  requestFields,
  resetFrame,
  SETTING,
  settingsFrame,
  windowUpdateFrame,
} from '../../../support/h2-bytes.ts';
import { type StrictPeer, sendWindow } from '../../../support/strict-peer.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const FRAME_BYTES = 16_384;
const MAX = 0x7fffffff;

// ---- the server sends ----

rule(
  'RFC 9113 §6.9: no DATA is sent without window, the head is',
  async (peer) => {
    peer.get(1);
    await peer.frame(({ type }) => type === FRAME.headers, 'a head');
    await peer.settled();
    strictEqual(peer.body(1).length, 0);
    peer.send(windowUpdateFrame(1, 1));
    await peer.until(() => peer.body(1).length > 0, 'one octet');
    await peer.settled();
    strictEqual(peer.body(1).toString(), 'h');
    peer.send(windowUpdateFrame(1, 100));
    strictEqual((await peer.expectResponse(1)).body, 'hello');
  },
  { settings: [[SETTING.initialWindowSize, 0]] },
);

rule(
  'RFC 9113 §6.9.1: an answer without content needs no window',
  async (peer) => {
    peer.get(1, '/none');
    peer.get(3, '/empty');
    await peer.expectResponse(1);
    await peer.expectResponse(3, 204);
  },
  { settings: [[SETTING.initialWindowSize, 0]] },
);

rule('RFC 9113 §6.9.2: the window of a connection begins with 65,535 octets', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 1_000_000]));
  await peer.settled();
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length >= 65_535, 'a window of the answer');
  await peer.settled();
  strictEqual(peer.body(1).length, 65_535);
  peer.send(windowUpdateFrame(0, 1_000_000));
  strictEqual((await peer.expectResponse(1)).body.length, 200_000);
});

rule('RFC 9113 §6.9.2: the window of a stream begins with 65,535 octets', async (peer) => {
  peer.send(windowUpdateFrame(0, 1_000_000));
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length >= 65_535, 'a window of the answer');
  await peer.settled();
  strictEqual(peer.body(1).length, 65_535);
  peer.send(windowUpdateFrame(1, 1_000_000));
  strictEqual((await peer.expectResponse(1)).body.length, 200_000);
});

rule('RFC 9113 §6.9.2: SETTINGS_INITIAL_WINDOW_SIZE changes no connection window', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 1_000_000]));
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length >= 65_535, 'a window of the answer');
  peer.send(settingsFrame([SETTING.initialWindowSize, 2_000_000]));
  await peer.settled();
  strictEqual(peer.body(1).length, 65_535);
});

rule(
  'RFC 9113 §6.9.2: SETTINGS_INITIAL_WINDOW_SIZE opens the windows of streams under way',
  async (peer) => {
    peer.get(1);
    await peer.settled();
    peer.send(settingsFrame([SETTING.initialWindowSize, 2]));
    await peer.until(() => peer.body(1).length > 0, 'two octets');
    await peer.settled();
    strictEqual(peer.body(1).toString(), 'he');
    peer.send(settingsFrame([SETTING.initialWindowSize, 5]));
    strictEqual((await peer.expectResponse(1)).body, 'hello');
  },
  { settings: [[SETTING.initialWindowSize, 0]] },
);

rule(
  'RFC 9113 §6.9.2: SETTINGS_INITIAL_WINDOW_SIZE can make a window negative',
  async (peer) => {
    peer.send(windowUpdateFrame(0, 1_000_000));
    peer.get(1, '/large');
    await peer.until(() => peer.body(1).length === 1_000, 'a window of the answer');
    peer.send(settingsFrame([SETTING.initialWindowSize, 400]));
    await peer.settled();
    // the window is -600 now
    peer.send(windowUpdateFrame(1, 600));
    await peer.settled();
    strictEqual(peer.body(1).length, 1_000);
    peer.send(windowUpdateFrame(1, 7));
    await peer.until(() => peer.body(1).length > 1_000, 'seven octets');
    await peer.settled();
    strictEqual(peer.body(1).length, 1_007);
    peer.send(windowUpdateFrame(1, 1_000_000));
    strictEqual((await peer.expectResponse(1)).body.length, 200_000);
  },
  { settings: [[SETTING.initialWindowSize, 1_000]] },
);

rule(
  'RFC 9113 §6.9.2: a new stream begins with the window that holds now',
  async (peer) => {
    await peer.settled();
    peer.send(settingsFrame([SETTING.initialWindowSize, 65_535]));
    await peer.expectServes(1);
  },
  { settings: [[SETTING.initialWindowSize, 0]] },
);

rule('RFC 9113 §5.2: a stream without window does not hold up others', async (peer) => {
  peer.send(windowUpdateFrame(0, 1_000_000));
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length === 65_535, 'a window of the answer');
  await peer.expectServes(3);
  peer.send(windowUpdateFrame(1, 1_000_000));
  await peer.expectResponse(1);
});

rule('RFC 9113 §5.2: a connection without window still answers what needs none', async (peer) => {
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length === 65_535, 'a window of the answer');
  peer.get(3, '/none');
  await peer.expectResponse(3);
  peer.get(5);
  await peer.frame(({ type, stream }) => type === FRAME.headers && stream === 5, 'a head');
  await peer.settled();
  strictEqual(peer.body(5).length, 0);
  peer.send(windowUpdateFrame(0, 1_000_000), windowUpdateFrame(1, 1_000_000));
  await peer.expectResponse(5);
  await peer.expectResponse(1);
});

rule('RFC 9113 §6.9.1: a window may be given in small pieces', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 0]));
  peer.get(1);
  for (let i = 0; i < 5; i++) {
    peer.send(windowUpdateFrame(1, 1));
    await peer.until(() => peer.body(1).length === i + 1, `octet ${i + 1}`);
  }
  strictEqual((await peer.expectResponse(1)).body, 'hello');
});

// ---- WINDOW_UPDATE of the client ----

rule('RFC 9113 §6.9: WINDOW_UPDATE of 0 on a stream is a PROTOCOL_ERROR', async (peer) => {
  peer.get(1, '/wait');
  peer.send(windowUpdateFrame(1, 0));
  await peer.expectStreamError(1, CODE.protocolError);
});

rule('RFC 9113 §6.9: WINDOW_UPDATE of 0 on the connection is a PROTOCOL_ERROR', async (peer) => {
  peer.send(windowUpdateFrame(0, 0));
  await peer.expectGoaway(CODE.protocolError);
});

rule('RFC 9113 §6.9: the reserved bit of an increment is ignored, so this one is 0', async (peer) => {
  peer.send(windowUpdateFrame(0, 0x80000000));
  await peer.expectGoaway(CODE.protocolError);
});

rule('RFC 9113 §6.9: the reserved bit of an increment is ignored', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 0]));
  peer.get(1);
  peer.send(windowUpdateFrame(1, 0x80000003), windowUpdateFrame(0, 0x80000001));
  await peer.until(() => peer.body(1).length > 0, 'three octets');
  await peer.settled();
  strictEqual(peer.body(1).toString(), 'hel');
});

for (const stream of [0, 1])
  for (const size of [0, 3, 5])
    rule(
      `RFC 9113 §6.9: WINDOW_UPDATE of ${size} octets on stream ${stream} is a FRAME_SIZE_ERROR`,
      async (peer) => {
        peer.get(1, '/wait');
        peer.send(frame(FRAME.windowUpdate, 0, stream, Buffer.alloc(size)));
        await peer.expectGoaway(CODE.frameSizeError);
      },
    );

rule('RFC 9113 §6.9.1: a connection window of 2^31-1 octets is legal', async (peer) => {
  peer.send(windowUpdateFrame(0, MAX - 65_535));
  await peer.expectServes(1);
});

rule('RFC 9113 §6.9.1: a connection window above 2^31-1 is a FLOW_CONTROL_ERROR', async (peer) => {
  peer.send(windowUpdateFrame(0, MAX - 65_534));
  await peer.expectGoaway(CODE.flowControlError);
});

rule(
  'RFC 9113 §6.9.1: a connection window above 2^31-1 by two increments is a FLOW_CONTROL_ERROR',
  async (peer) => {
    peer.send(windowUpdateFrame(0, MAX), windowUpdateFrame(0, MAX));
    await peer.expectGoaway(CODE.flowControlError);
  },
);

rule('RFC 9113 §6.9.1: a stream window of 2^31-1 octets is legal', async (peer) => {
  peer.get(1, '/wait');
  peer.send(windowUpdateFrame(1, MAX - 65_535));
  await peer.expectAlive();
  peer.expectNone(FRAME.rstStream, 1);
});

rule('RFC 9113 §6.9.1: a stream window above 2^31-1 is a FLOW_CONTROL_ERROR of the stream', async (peer) => {
  peer.get(1, '/wait');
  peer.send(windowUpdateFrame(1, MAX - 65_534));
  await peer.expectReset(1, CODE.flowControlError);
  await peer.expectServes(3);
});

rule(
  'RFC 9113 §6.9.1: a stream window above 2^31-1 by two increments is a FLOW_CONTROL_ERROR',
  async (peer) => {
    peer.get(1, '/wait');
    peer.send(windowUpdateFrame(1, MAX), windowUpdateFrame(1, MAX));
    await peer.expectStreamError(1, CODE.flowControlError);
  },
);

rule(
  'RFC 9113 §6.9.2: SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 for a stream is a FLOW_CONTROL_ERROR',
  async (peer) => {
    peer.get(1, '/wait');
    peer.send(windowUpdateFrame(1, MAX - 65_535));
    await peer.settled();
    peer.send(settingsFrame([SETTING.initialWindowSize, 65_536]));
    await peer.expectGoaway(CODE.flowControlError);
  },
);

// ---- the server receives ----

/** Sends as much as the windows allow until they do not open any more; returns the octets sent on each stream. */
async function exhaust(peer: StrictPeer, streams: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const sent = new Map<number, number>([[0, 0]]);
  for (const stream of streams) sent.set(stream, 0);
  for (;;) {
    await peer.settled();
    let progress = 0;
    for (const stream of streams) {
      for (;;) {
        const room = Math.min(
          FRAME_BYTES,
          sendWindow(peer, stream, sent.get(stream) ?? 0),
          sendWindow(peer, 0, sent.get(0) ?? 0),
        );
        if (room <= 0) break;
        peer.data(stream, Buffer.alloc(room));
        progress += room;
        sent.set(stream, (sent.get(stream) ?? 0) + room);
        sent.set(0, (sent.get(0) ?? 0) + room);
      }
    }
    if (progress === 0) return sent;
  }
}

rule('RFC 9113 §6.9.1: more DATA than the window of a stream is a FLOW_CONTROL_ERROR', async (peer) => {
  peer.post(1, '/wait');
  const sent = await exhaust(peer, [1]);
  ok((sent.get(1) ?? 0) >= 65_535 && (sent.get(1) ?? 0) <= 32 * 1024 * 1024);
  peer.data(1, 'x');
  await peer.expectStreamError(1, CODE.flowControlError);
});

rule('RFC 9113 §6.9.1: padding counts for the window of a stream', async (peer) => {
  peer.post(1, '/wait');
  await exhaust(peer, [1]);
  peer.send(frame(FRAME.data, FLAG.padded, 1, padded(Buffer.alloc(0), 0)));
  await peer.expectStreamError(1, CODE.flowControlError);
});

rule('RFC 9113 §6.9.1: empty DATA needs no window', async (peer) => {
  peer.post(1, '/wait');
  await exhaust(peer, [1]);
  peer.data(1, '');
  await peer.expectAlive();
  peer.data(1, '', true);
  await peer.expectAlive();
  peer.expectNone(FRAME.rstStream, 1);
});

rule('RFC 9113 §6.9.1: many streams cannot pass the window of the connection', async (peer) => {
  const streams = Array.from({ length: STREAMS_MAX - 1 }, (_, i) => 1 + 2 * i);
  for (const stream of streams) peer.post(stream, '/wait');
  const sent = await exhaust(peer, streams);
  const room = sendWindow(peer, 0, sent.get(0) ?? 0);
  const rooms: readonly number[] = streams.map((own) => sendWindow(peer, own, sent.get(own) ?? 0));
  ok(room === 0 || Math.max(...rooms) === 0);
  // exceeds one of the two windows
  const stream = streams[rooms.indexOf(Math.max(...rooms))] as number;
  peer.data(stream, 'x');
  if (room === 0) await peer.expectGoaway(CODE.flowControlError);
  else await peer.expectStreamError(stream, CODE.flowControlError);
});

/** Sends a body of `size` octets within the windows. */
async function upload(peer: StrictPeer, stream: number, size: number, sentBefore: number): Promise<number> {
  let left = size;
  let sent = 0;
  let total = sentBefore;
  while (left > 0) {
    const room = (): number =>
      Math.min(FRAME_BYTES, sendWindow(peer, stream, sent), sendWindow(peer, 0, total));
    await peer.until(() => room() > 0, 'an open window');
    const part = Math.min(left, room());
    left -= part;
    sent += part;
    total += part;
    peer.data(stream, Buffer.alloc(part), left === 0);
  }
  return total;
}

rule('RFC 9113 §5.2.2: the windows open again for what a handler reads', async (peer) => {
  peer.post(1, '/size');
  await peer.settled();
  await upload(peer, 1, 3_000_000, 0);
  strictEqual((await peer.expectResponse(1)).body, '3000000');
});

rule('RFC 9113 §6.9.1: padding is given back to the windows', async (peer) => {
  peer.send(headersFrame(1, requestFields('/size', [], 'POST'), FLAG.endHeaders));
  await peer.settled();
  // more padding than the largest window
  let counted = 0;
  let sent = 0;
  for (let i = 0; i < 12_000; i++) {
    const room = (): number => Math.min(sendWindow(peer, 1, counted), sendWindow(peer, 0, counted));
    if (i % 50 === 0) await peer.until(() => room() >= 50 * 257, 'an open window');
    peer.send(frame(FRAME.data, FLAG.padded, 1, padded(Buffer.alloc(1), 255)));
    counted += 257;
    sent += 1;
  }
  peer.data(1, '', true);
  strictEqual((await peer.expectResponse(1)).body, String(sent));
});

rule('RFC 9113 §6.9: DATA of reset streams is given back to the connection window', async (peer) => {
  await peer.settled();
  let total = 0;
  let stream = 1;
  // 16 × 256 KiB: more than the connection's initial window
  for (let i = 0; i < 16; i++) {
    peer.post(stream, '/wait');
    for (let part = 0; part < 16; part++) {
      await peer.until(() => sendWindow(peer, 0, total) >= FRAME_BYTES, 'an open connection window');
      peer.data(stream, Buffer.alloc(FRAME_BYTES - 1));
      total += FRAME_BYTES - 1;
    }
    peer.send(resetFrame(stream, CODE.cancel));
    stream += 2;
  }
  peer.post(stream, '/size');
  await upload(peer, stream, 500_000, total);
  strictEqual((await peer.expectResponse(stream)).body, '500000');
});

rule('RFC 9113 §6.9: DATA of malformed requests is given back to the connection window', async (peer) => {
  await peer.settled();
  let total = 0;
  let stream = 1;
  for (let i = 0; i < 16; i++) {
    const fields = [...requestFields('/size', [], 'POST'), ['te', 'gzip'] as const];
    const parts: Buffer[] = [headersFrame(stream, fields, FLAG.endHeaders)];
    await peer.until(() => sendWindow(peer, 0, total) >= 15 * FRAME_BYTES, 'an open connection window');
    for (let part = 0; part < 15; part++) parts.push(dataFrame(stream, Buffer.alloc(FRAME_BYTES - 1)));
    total += 15 * (FRAME_BYTES - 1);
    peer.send(...parts);
    await peer.settled();
    stream += 2;
  }
  peer.post(stream, '/size');
  await upload(peer, stream, 500_000, total);
  strictEqual((await peer.expectResponse(stream)).body, '500000');
});
