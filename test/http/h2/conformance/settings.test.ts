/** RFC 9113 §6.5: the settings, their values, and how they are acknowledged. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { rule, serveRules } from '../../../support/conformance.ts';
import { CODE, frame, SETTING, settingsFrame, windowUpdateFrame } from '../../../support/h2-bytes.ts';
import type { StrictPeer } from '../../../support/strict-peer.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

function fatal(name: string, code: number, bytes: Uint8Array): void {
  rule(name, async (peer) => {
    peer.send(bytes);
    await peer.expectGoaway(code);
  });
}

const row = (identifier: number, value: number): Buffer => settingsFrame([identifier, value]);
const acknowledgements = (peer: StrictPeer): number =>
  peer.frames.filter(({ type, flags }) => type === FRAME.settings && (flags & FLAG.ack) !== 0).length;

fatal(
  'RFC 9113 §6.5: an acknowledgement with a payload is a FRAME_SIZE_ERROR',
  CODE.frameSizeError,
  frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6)),
);
fatal(
  'RFC 9113 §6.5: SETTINGS on a stream is a PROTOCOL_ERROR',
  CODE.protocolError,
  frame(FRAME.settings, 0, 1, Buffer.alloc(0)),
);
fatal(
  'RFC 9113 §6.5: an acknowledgement on a stream is a PROTOCOL_ERROR',
  CODE.protocolError,
  frame(FRAME.settings, FLAG.ack, 1),
);
for (const size of [1, 3, 5, 7, 13])
  fatal(
    `RFC 9113 §6.5: SETTINGS of ${size} octets is a FRAME_SIZE_ERROR`,
    CODE.frameSizeError,
    frame(FRAME.settings, 0, 0, Buffer.alloc(size)),
  );
for (const value of [2, 0xffffffff])
  fatal(
    `RFC 9113 §6.5.2: SETTINGS_ENABLE_PUSH ${value} is a PROTOCOL_ERROR`,
    CODE.protocolError,
    row(SETTING.enablePush, value),
  );
for (const value of [0x80000000, 0xffffffff])
  fatal(
    `RFC 9113 §6.5.2: SETTINGS_INITIAL_WINDOW_SIZE ${value} is a FLOW_CONTROL_ERROR`,
    CODE.flowControlError,
    row(SETTING.initialWindowSize, value),
  );
for (const value of [0, 16_383, 0x1000000, 0xffffffff])
  fatal(
    `RFC 9113 §6.5.2: SETTINGS_MAX_FRAME_SIZE ${value} is a PROTOCOL_ERROR`,
    CODE.protocolError,
    row(SETTING.maxFrameSize, value),
  );
fatal(
  'RFC 9113 §6.5.2: an invalid value after valid ones is found',
  CODE.protocolError,
  settingsFrame([SETTING.initialWindowSize, 5], [SETTING.maxFrameSize, 16_384], [SETTING.enablePush, 3]),
);
fatal(
  'RFC 9113 §6.5.3: an invalid value is found although a valid one follows',
  CODE.protocolError,
  settingsFrame([SETTING.enablePush, 3], [SETTING.enablePush, 1]),
);

for (const [name, identifier, values] of [
  ['SETTINGS_HEADER_TABLE_SIZE', SETTING.headerTableSize, [0, 1, 4096, 0xffffffff]],
  ['SETTINGS_ENABLE_PUSH', SETTING.enablePush, [0, 1]],
  ['SETTINGS_MAX_CONCURRENT_STREAMS', SETTING.maxConcurrentStreams, [0, 1, 0xffffffff]],
  ['SETTINGS_INITIAL_WINDOW_SIZE', SETTING.initialWindowSize, [0, 1, 0x7fffffff, 65_535]],
  ['SETTINGS_MAX_FRAME_SIZE', SETTING.maxFrameSize, [16_384, 0xffffff]],
  ['SETTINGS_MAX_HEADER_LIST_SIZE', SETTING.maxHeaderListSize, [0xffffffff, 65_536]],
] as const)
  rule(`RFC 9113 §6.5.2: every legal value of ${name} is accepted`, async (peer) => {
    let stream = 1;
    for (const value of values) {
      peer.send(row(identifier, value), windowUpdateFrame(0, 10));
      if (identifier !== SETTING.initialWindowSize || value > 5) await peer.expectServes(stream);
      stream += 2;
    }
    await peer.expectAlive();
    // one acknowledgement for the preface's settings and one for each further frame
    strictEqual(acknowledgements(peer), 1 + values.length);
  });

rule('RFC 9113 §6.5.3: each SETTINGS is acknowledged once, the acknowledgement is not', async (peer) => {
  peer.send(settingsFrame(), settingsFrame([SETTING.enablePush, 0]), settingsFrame());
  await peer.expectAlive();
  strictEqual(acknowledgements(peer), 4);
});

rule('RFC 9113 §6.5.3: the values of one frame are processed in order: the last one holds', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 1_000_000], [SETTING.initialWindowSize, 3]));
  await peer.settled();
  peer.get(1);
  await peer.until(() => peer.body(1).length > 0, 'a first part');
  await peer.settled();
  strictEqual(peer.body(1).toString(), 'hel');
});

rule(
  'RFC 9113 §6.5.3: settings hold when they are acknowledged, and for what was sent before',
  async (peer) => {
    peer.get(1, '/large');
    await peer.until(() => peer.body(1).length === 65_535, 'a window of the answer');
    peer.send(settingsFrame([SETTING.initialWindowSize, 65_545]), windowUpdateFrame(0, 1_000));
    await peer.until(() => peer.body(1).length === 65_545, 'ten more octets');
    await peer.settled();
    strictEqual(peer.body(1).length, 65_545);
  },
);

rule(
  'RFC 9113 §6.5.3: requests are served although the client has not acknowledged yet',
  async (peer) => {
    peer.keepSettingsUnacknowledged();
    peer.start();
    await peer.expectServes(1);
  },
  { start: false },
);

rule('RFC 9113 §6.5.2: the server announces a limit of streams, and never push', async (peer) => {
  await peer.settled();
  ok((peer.checker.settings.get(SETTING.maxConcurrentStreams) ?? 0) >= 1);
  ok((peer.checker.settings.get(SETTING.enablePush) ?? 0) === 0);
});

rule('RFC 9113 §6.5.2: no frame is larger than SETTINGS_MAX_FRAME_SIZE of the client', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 1_000_000]), windowUpdateFrame(0, 1_000_000));
  peer.get(1, '/large');
  strictEqual((await peer.expectResponse(1)).body.length, 200_000);
  deepStrictEqual(
    peer.frames.filter(({ payload }) => payload.length > 16_384),
    [],
  );
});

rule('RFC 9113 §6.5.2: SETTINGS_MAX_FRAME_SIZE that shrinks again is respected', async (peer) => {
  peer.send(settingsFrame([SETTING.maxFrameSize, 100_000], [SETTING.initialWindowSize, 1_000_000]));
  peer.send(windowUpdateFrame(0, 1_000_000));
  peer.get(1, '/large');
  await peer.expectResponse(1);
  peer.send(settingsFrame([SETTING.maxFrameSize, 16_384]));
  await peer.settled();
  peer.get(3, '/large');
  await peer.expectResponse(3);
});

rule('RFC 8441 §3: SETTINGS_ENABLE_CONNECT_PROTOCOL from a client changes nothing', async (peer) => {
  peer.send(row(SETTING.enableConnectProtocol, 1));
  await peer.expectServes(1);
});
