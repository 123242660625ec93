/** RFC 9113 §3: how a connection starts. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { rule, serveRules } from '../../../support/conformance.ts';
import {
  CODE,
  frame,
  headersFrame,
  PREFACE,
  pingFrame,
  requestFields,
  SETTING,
  settingsFrame,
} from '../../../support/h2-bytes.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const byHand = { start: false } as const;

rule('RFC 9113 §3.2: a client that offers h2 by ALPN gets h2', async (peer) => {
  await peer.expectServes(1);
});

rule(
  'RFC 9113 §3.3: a client with prior knowledge speaks HTTP/2 in cleartext',
  async (peer) => peer.expectServes(1),
  { cleartext: true },
);

rule(
  'RFC 9113 §3.4: the first frame of the server is SETTINGS, before the client has sent any',
  async (peer) => {
    peer.raw(PREFACE);
    const first = await peer.frame(() => true, 'a first frame');
    deepStrictEqual([first.type, first.flags, first.stream], [FRAME.settings, 0, 0]);
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: the first frame in cleartext is SETTINGS, too',
  async (peer) => {
    peer.start();
    const first = await peer.frame(() => true, 'a first frame');
    deepStrictEqual([first.type, first.flags, first.stream], [FRAME.settings, 0, 0]);
  },
  { start: false, cleartext: true },
);

rule('RFC 9113 §3.4: the settings of the preface are acknowledged', async (peer) => {
  const seen = await peer.frame(
    ({ type, flags }) => type === FRAME.settings && (flags & FLAG.ack) !== 0,
    'an acknowledgement',
  );
  strictEqual(seen.payload.length, 0);
});

rule(
  'RFC 9113 §3.4: preface, settings and a request may come in one segment',
  async (peer) => {
    peer.raw(PREFACE);
    peer.send(settingsFrame(), headersFrame(1, requestFields('/hello')));
    strictEqual((await peer.expectResponse(1)).body, 'hello');
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: preface, settings and a request may come octet by octet',
  async (peer) => {
    peer.keepSettingsUnacknowledged();
    const bytes = Buffer.concat([PREFACE, settingsFrame([SETTING.enablePush, 0])]);
    for (const octet of bytes) {
      peer.raw(Buffer.from([octet]));
      await new Promise(setImmediate);
    }
    peer.checker.sentSettings(new Map());
    const head = headersFrame(1, requestFields('/hello'));
    peer.checker.opened(1);
    for (const octet of head) {
      peer.raw(Buffer.from([octet]));
      await new Promise(setImmediate);
    }
    strictEqual((await peer.expectResponse(1)).body, 'hello');
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: an invalid preface ends the connection',
  async (peer) => {
    peer.raw('INVALID CONNECTION PREFACE\r\n\r\n');
    await peer.expectConnectionClosed(CODE.protocolError);
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: a preface whose last octet is wrong ends the connection',
  async (peer) => {
    peer.raw(`${PREFACE.toString('latin1', 0, 23)}\r`);
    await peer.expectConnectionClosed(CODE.protocolError);
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: a second preface is no frame',
  async (peer) => {
    peer.start();
    // its first nine octets are a frame of 0x505249 octets
    peer.raw(PREFACE);
    await peer.expectConnectionClosed(CODE.frameSizeError, CODE.protocolError);
  },
  byHand,
);

rule(
  'RFC 9113 §3.4: an HTTP/1.1 request where the preface belongs ends the connection',
  async (peer) => {
    peer.raw('GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await peer.expectConnectionClosed(CODE.protocolError);
  },
  byHand,
);

for (const [name, bytes] of [
  ['PING', pingFrame()],
  ['HEADERS', headersFrame(1, requestFields('/hello'))],
  ['WINDOW_UPDATE', frame(FRAME.windowUpdate, 0, 0, Buffer.from([0, 0, 0, 1]))],
  ['an acknowledgement of SETTINGS', frame(FRAME.settings, FLAG.ack, 0)],
  ['a frame of unknown type', frame(0xbb, 0, 0, Buffer.from('?'))],
] as const)
  rule(
    `RFC 9113 §3.4: ${name} instead of the first SETTINGS is a PROTOCOL_ERROR`,
    async (peer) => {
      peer.raw(PREFACE);
      peer.raw(bytes);
      await peer.expectConnectionClosed(CODE.protocolError);
      strictEqual(
        peer.frames.find(({ type }) => type === FRAME.headers),
        undefined,
      );
    },
    byHand,
  );

rule('RFC 9113 §3.4: the settings of a preface may be empty', async (peer) => {
  await peer.expectServes(1);
  ok(peer.checker.settings.size > 0);
});
