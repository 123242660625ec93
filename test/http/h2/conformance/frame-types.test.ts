/** RFC 9113 §6.1 to §6.4 and §6.6 to §6.10: what each type of frame may contain, and where it may occur. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { abortCodes, expectUnreached, rule, serveRules, timesReached } from '../../../support/conformance.ts';
import {
  block,
  CODE,
  dataFrame,
  END_BOTH,
  frame,
  goawayFrame,
  headersFrame,
  PRIORITY_FLAG,
  padded,
  pingFrame,
  priority,
  requestFields,
  resetFrame,
  SETTING,
  settingsFrame,
  uint32,
} from '../../../support/h2-bytes.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const hello = block(requestFields('/hello'));

/** Declares a rule that the last frame ends the connection with one of the codes. */
function fatal(name: string, codes: readonly number[], ...frames: readonly Uint8Array[]): void {
  rule(name, async (peer) => {
    peer.send(...frames);
    await peer.expectGoaway(...codes);
    expectUnreached();
  });
}

// ---- §6.1 DATA ----

fatal('RFC 9113 §6.1: DATA on stream 0 is a PROTOCOL_ERROR', [CODE.protocolError], dataFrame(0, 'x'));

const openEcho = headersFrame(1, requestFields('/echo', [], 'POST'), FLAG.endHeaders);
for (const [name, payload] of [
  ['as long as the payload', padded(Buffer.alloc(0), 4, 5)],
  ['longer than the payload', padded(Buffer.from('data'), 0, 255)],
  ['in an empty frame', Buffer.from([1])],
] as const)
  rule(`RFC 9113 §6.1: padding of DATA ${name} is a PROTOCOL_ERROR`, async (peer) => {
    peer.send(openEcho, frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, payload));
    await peer.expectGoaway(CODE.protocolError);
  });

rule('RFC 9113 §6.1: padded DATA without the length of the padding is an error', async (peer) => {
  peer.send(openEcho, frame(FRAME.data, FLAG.padded | FLAG.endStream, 1));
  await peer.expectStreamError(1, CODE.frameSizeError, CODE.protocolError);
});

rule('RFC 9113 §6.1: padding is no content', async (peer) => {
  peer.send(openEcho, frame(FRAME.data, FLAG.padded, 1, padded(Buffer.from('first '), 255)));
  peer.send(frame(FRAME.data, FLAG.padded, 1, padded(Buffer.alloc(0), 10)));
  peer.send(frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, padded(Buffer.from('last'), 0)));
  strictEqual((await peer.expectResponse(1)).body, 'first last');
});

rule('RFC 9113 §6.1: END_STREAM on empty DATA ends the body', async (peer) => {
  peer.send(openEcho, dataFrame(1, 'body'), dataFrame(1, '', FLAG.endStream));
  strictEqual((await peer.expectResponse(1)).body, 'body');
});

rule('RFC 9113 §6.1: a few empty DATA frames change nothing', async (peer) => {
  peer.send(
    openEcho,
    dataFrame(1, ''),
    dataFrame(1, 'body'),
    dataFrame(1, ''),
    dataFrame(1, '', FLAG.endStream),
  );
  strictEqual((await peer.expectResponse(1)).body, 'body');
});

// ---- §6.2 HEADERS ----

fatal('RFC 9113 §6.2: HEADERS on stream 0 is a PROTOCOL_ERROR', [CODE.protocolError], headersFrame(0, hello));
for (const [name, payload, flags] of [
  ['as long as the payload', padded(Buffer.alloc(0), 4, 5), 0],
  ['longer than the payload', padded(hello, 0, 255), 0],
  ['that reaches into the priority', padded(priority(0), 0, 1), PRIORITY_FLAG],
] as const)
  fatal(
    `RFC 9113 §6.2: padding of HEADERS ${name} is a PROTOCOL_ERROR`,
    [CODE.protocolError],
    headersFrame(1, payload, END_BOTH | FLAG.padded | flags),
  );

rule('RFC 9113 §6.2: HEADERS may be padded', async (peer) => {
  peer.send(headersFrame(1, padded(hello, 255), END_BOTH | FLAG.padded));
  peer.send(headersFrame(3, padded(hello, 0), END_BOTH | FLAG.padded));
  await peer.expectResponse(1);
  await peer.expectResponse(3);
});

rule('RFC 9113 §6.2: HEADERS may carry priority', async (peer) => {
  peer.send(headersFrame(1, Buffer.concat([priority(0, 255), hello]), END_BOTH | PRIORITY_FLAG));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
});

rule('RFC 9113 §6.2: HEADERS with END_STREAM and CONTINUATION end the request once', async (peer) => {
  peer.send(headersFrame(1, hello.subarray(0, 5), FLAG.endStream));
  peer.send(frame(FRAME.continuation, FLAG.endHeaders, 1, hello.subarray(5)));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
  strictEqual(timesReached('/hello'), 1);
});

// ---- §6.3 PRIORITY ----

fatal(
  'RFC 9113 §6.3: PRIORITY on stream 0 is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.priority, 0, 0, priority(1)),
);
for (const size of [0, 4, 6])
  rule(`RFC 9113 §6.3: PRIORITY of ${size} octets is a FRAME_SIZE_ERROR`, async (peer) => {
    peer.get(1, '/wait');
    peer.send(frame(FRAME.priority, 0, 1, Buffer.alloc(size)));
    await peer.expectStreamError(1, CODE.frameSizeError);
  });

// ---- §6.4 RST_STREAM ----

fatal('RFC 9113 §6.4: RST_STREAM on stream 0 is a PROTOCOL_ERROR', [CODE.protocolError], resetFrame(0, 8));
for (const size of [0, 3, 5])
  rule(`RFC 9113 §6.4: RST_STREAM of ${size} octets is a FRAME_SIZE_ERROR`, async (peer) => {
    peer.get(1, '/wait');
    peer.send(frame(FRAME.rstStream, 0, 1, Buffer.alloc(size)));
    await peer.expectGoaway(CODE.frameSizeError);
  });

rule('RFC 9113 §6.4: RST_STREAM stops an answer under way', async (peer) => {
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length >= 65_535, 'a window of the answer');
  peer.send(resetFrame(1, CODE.cancel));
  await peer.settled();
  const size = peer.body(1).length;
  peer.send(frame(FRAME.windowUpdate, 0, 0, uint32(1_000_000)));
  await peer.expectServes(3);
  strictEqual(peer.body(1).length, size);
});

// ---- §6.6 PUSH_PROMISE ----

fatal(
  'RFC 9113 §6.6: PUSH_PROMISE from a client is a PROTOCOL_ERROR',
  [CODE.protocolError],
  headersFrame(1, requestFields('/wait')),
  frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([uint32(2), hello])),
);
fatal(
  'RFC 9113 §8.4: PUSH_PROMISE from a client on an idle stream is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([uint32(2), hello])),
);
fatal(
  'RFC 9113 §6.6: PUSH_PROMISE on stream 0 is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.pushPromise, FLAG.endHeaders, 0, Buffer.concat([uint32(2), hello])),
);

rule('RFC 9113 §8.4: a promise goes out before what refers to it, on an even stream', async (peer) => {
  peer.get(1, '/push');
  strictEqual((await peer.expectResponse(1)).body, 'together');
  strictEqual((await peer.expectResponse(2)).body, 'pushed');
  const own = peer.frames.filter(({ stream }) => stream === 1);
  strictEqual(own[0]?.type, FRAME.pushPromise);
  const promised = new Map(own[0]?.fields);
  deepStrictEqual([promised.get(':method'), promised.get(':path')], ['GET', '/hello']);
  deepStrictEqual([promised.get(':scheme'), promised.get(':authority')], ['https', 'localhost']);
  peer.get(3, '/push');
  strictEqual((await peer.expectResponse(4)).body, 'pushed');
});

rule(
  'RFC 9113 §6.6: nothing is promised while SETTINGS_ENABLE_PUSH is 0',
  async (peer) => {
    peer.get(1, '/push');
    strictEqual((await peer.expectResponse(1)).body, 'alone');
    peer.expectNone(FRAME.pushPromise, 1);
  },
  { settings: [[SETTING.enablePush, 0]] },
);

rule(
  'RFC 9113 §6.5.2: nothing is promised while SETTINGS_MAX_CONCURRENT_STREAMS is 0',
  async (peer) => {
    peer.get(1, '/push');
    strictEqual((await peer.expectResponse(1)).body, 'alone');
  },
  { settings: [[SETTING.maxConcurrentStreams, 0]] },
);

rule('RFC 9113 §6.5.2: push can be disabled later', async (peer) => {
  await peer.settled();
  peer.send(settingsFrame([SETTING.enablePush, 0]));
  await peer.settled();
  peer.get(1, '/push');
  strictEqual((await peer.expectResponse(1)).body, 'alone');
});

// ---- §6.7 PING ----

rule('RFC 9113 §6.7: PING is answered with its own payload', async (peer) => {
  peer.send(pingFrame('\x00\xff12345\x80'), pingFrame('second!!'));
  const isPong = ({ type }: { readonly type: number }): boolean => type === FRAME.ping;
  await peer.until(() => peer.frames.filter(isPong).length === 2, 'two answers');
  deepStrictEqual(
    peer.frames.filter(isPong).map(({ flags, payload }) => [flags, payload.toString('latin1')]),
    [
      [FLAG.ack, '\x00\xff12345\x80'],
      [FLAG.ack, 'second!!'],
    ],
  );
});

rule('RFC 9113 §6.7: an acknowledgement of PING nobody asked for is ignored', async (peer) => {
  peer.send(pingFrame('nobody!!', FLAG.ack));
  await peer.expectServes(1);
  ok(!peer.frames.some(({ payload }) => payload.toString('latin1') === 'nobody!!'));
});

fatal(
  'RFC 9113 §6.7: PING on a stream is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.ping, 0, 1, Buffer.alloc(8)),
);
for (const size of [0, 6, 7, 9])
  fatal(
    `RFC 9113 §6.7: PING of ${size} octets is a FRAME_SIZE_ERROR`,
    [CODE.frameSizeError],
    frame(FRAME.ping, 0, 0, Buffer.alloc(size)),
  );
fatal(
  'RFC 9113 §6.7: an acknowledgement of PING of 7 octets is a FRAME_SIZE_ERROR',
  [CODE.frameSizeError],
  frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(7)),
);

rule('RFC 9113 §6.7: PING is answered while an answer waits for window', async (peer) => {
  peer.get(1, '/large');
  await peer.until(() => peer.body(1).length >= 65_535, 'a window of the answer');
  await peer.settled();
});

// ---- §6.8 GOAWAY ----

fatal(
  'RFC 9113 §6.8: GOAWAY on a stream is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.goaway, 0, 1, Buffer.alloc(8)),
);
for (const size of [0, 7])
  fatal(
    `RFC 9113 §6.8: GOAWAY of ${size} octets is a FRAME_SIZE_ERROR`,
    [CODE.frameSizeError],
    frame(FRAME.goaway, 0, 0, Buffer.alloc(size)),
  );

rule('RFC 9113 §6.8: what was asked before GOAWAY is answered', async (peer) => {
  peer.post(1);
  peer.send(goawayFrame(0, CODE.noError, 'debug data'));
  peer.data(1, 'the rest', true);
  strictEqual((await peer.expectResponse(1)).body, 'the rest');
});

rule('RFC 9113 §6.8: two GOAWAY frames are as good as one', async (peer) => {
  peer.get(1, '/large');
  peer.send(goawayFrame(0x7fffffff, CODE.noError), goawayFrame(0, CODE.noError));
  peer.send(
    frame(FRAME.windowUpdate, 0, 0, uint32(1_000_000)),
    frame(FRAME.windowUpdate, 0, 1, uint32(1_000_000)),
  );
  strictEqual((await peer.expectResponse(1)).body.length, 200_000);
});

rule(
  'RFC 9113 §6.8: the end of the connection after GOAWAY aborts nothing that was answered',
  async (peer) => {
    await peer.expectServes(1);
    peer.send(goawayFrame(0, CODE.noError));
    peer.socket.end();
    await peer.expectConnectionClosed(CODE.noError);
    deepStrictEqual(abortCodes(), []);
  },
);

// ---- §6.10 CONTINUATION ----

fatal(
  'RFC 9113 §6.10: CONTINUATION on stream 0 is a PROTOCOL_ERROR',
  [CODE.protocolError],
  headersFrame(1, hello, FLAG.endStream),
  frame(FRAME.continuation, FLAG.endHeaders, 0),
);
fatal(
  'RFC 9113 §6.10: CONTINUATION after HEADERS with END_HEADERS is a PROTOCOL_ERROR',
  [CODE.protocolError],
  headersFrame(1, requestFields('/wait')),
  frame(FRAME.continuation, FLAG.endHeaders, 1, hello),
);
fatal(
  'RFC 9113 §6.10: CONTINUATION after CONTINUATION with END_HEADERS is a PROTOCOL_ERROR',
  [CODE.protocolError],
  headersFrame(1, block(requestFields('/wait')), FLAG.endStream),
  frame(FRAME.continuation, 0, 1),
  frame(FRAME.continuation, FLAG.endHeaders, 1),
  frame(FRAME.continuation, FLAG.endHeaders, 1, hello),
);
fatal(
  'RFC 9113 §6.10: CONTINUATION after DATA is a PROTOCOL_ERROR',
  [CODE.protocolError],
  openEcho,
  dataFrame(1, 'x'),
  frame(FRAME.continuation, FLAG.endHeaders, 1, hello),
);
fatal(
  'RFC 9113 §6.10: CONTINUATION first of all is a PROTOCOL_ERROR',
  [CODE.protocolError],
  frame(FRAME.continuation, FLAG.endHeaders, 1, hello),
);

rule('RFC 9113 §6.10: empty HEADERS and CONTINUATION may carry a block between them', async (peer) => {
  peer.send(headersFrame(1, Buffer.alloc(0), FLAG.endStream), frame(FRAME.continuation, 0, 1));
  peer.send(frame(FRAME.continuation, 0, 1, hello), frame(FRAME.continuation, FLAG.endHeaders, 1));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
});

rule('RFC 9113 §6.10: a response head larger than a frame continues', async (peer) => {
  peer.get(1, '/wide');
  strictEqual((await peer.expectResponse(1)).fields.get('x-wide')?.length, 40_000);
  ok(peer.frames.some(({ type }) => type === FRAME.continuation));
});
