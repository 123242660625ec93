/** RFC 9113 §5.1 and §5.4: the states of a stream, identifiers, concurrency, and errors. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import {
  abortCodes,
  expectUnreached,
  rule,
  STREAMS_MAX,
  serveRules,
  timesReached,
} from '../../../support/conformance.ts';
import {
  block,
  CODE,
  dataFrame,
  END_BOTH,
  frame,
  headersFrame,
  PRIORITY_FLAG,
  priority,
  requestFields,
  resetFrame,
  SETTING,
  uint32,
  windowUpdateFrame,
} from '../../../support/h2-bytes.ts';
import type { StrictPeer } from '../../../support/strict-peer.ts';
import { waitFor } from '../../../support/test-front-end.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const continuation = (stream: number): Buffer =>
  frame(FRAME.continuation, FLAG.endHeaders, stream, block([['x', 'y']]));
const trailers = (stream: number, flags: number = END_BOTH): Buffer =>
  headersFrame(stream, [['x-sum', '1']], flags);
const request = (stream: number, path = '/hello'): Buffer => headersFrame(stream, requestFields(path));

// ---- idle ----

for (const [name, bytes] of [
  ['DATA', dataFrame(1, 'idle', FLAG.endStream)],
  ['RST_STREAM', resetFrame(1, CODE.cancel)],
  ['WINDOW_UPDATE', windowUpdateFrame(1, 100)],
  ['CONTINUATION', continuation(1)],
] as const)
  rule(`RFC 9113 §5.1: ${name} on an idle stream is a PROTOCOL_ERROR`, async (peer) => {
    peer.send(bytes);
    await peer.expectGoaway(CODE.protocolError);
  });

rule('RFC 9113 §5.1: DATA on an idle stream above one in use is a PROTOCOL_ERROR', async (peer) => {
  await peer.expectServes(1);
  peer.send(dataFrame(5, 'idle'));
  await peer.expectGoaway(CODE.protocolError);
});

rule('RFC 9113 §5.1: PRIORITY on an idle stream is accepted and opens nothing', async (peer) => {
  peer.send(frame(FRAME.priority, 0, 99, priority(0)), frame(FRAME.priority, 0, 2, priority(99)));
  await peer.expectServes(1);
  peer.expectNone(FRAME.headers, 99);
});

rule('RFC 9113 §5.1: HEADERS opens an idle stream', async (peer) => {
  await peer.expectServes(1);
});

// ---- reserved ----

const reserve = async (peer: StrictPeer): Promise<number> => {
  peer.get(1, '/promise');
  const promise = await peer.frame(({ type }) => type === FRAME.pushPromise, 'a promise');
  strictEqual(promise.stream, 1);
  return 2;
};

for (const [name, make] of [
  ['DATA', (stream: number) => dataFrame(stream, 'x')],
  ['HEADERS', (stream: number) => request(stream)],
  ['CONTINUATION', (stream: number) => continuation(stream)],
] as const)
  rule(`RFC 9113 §5.1: ${name} on a stream the server has reserved is a connection error`, async (peer) => {
    peer.send(make(await reserve(peer)));
    await peer.expectGoaway(CODE.protocolError);
  });

rule(
  'RFC 9113 §5.1: PRIORITY and WINDOW_UPDATE on a stream the server has reserved are accepted',
  async (peer) => {
    const stream = await reserve(peer);
    peer.send(frame(FRAME.priority, 0, stream, priority(0)), windowUpdateFrame(stream, 10));
    await peer.expectServes(3);
  },
);

rule('RFC 9113 §5.1: RST_STREAM on a stream the server has reserved cancels the promise', async (peer) => {
  peer.send(resetFrame(await reserve(peer), CODE.cancel));
  await peer.expectServes(3);
});

// ---- open ----

rule('RFC 9113 §5.1: any frame is accepted on an open stream', async (peer) => {
  peer.post(1);
  peer.send(dataFrame(1, 'a'), frame(FRAME.priority, 0, 1, priority(0)), windowUpdateFrame(1, 5));
  peer.send(dataFrame(1, 'b'), trailers(1));
  strictEqual((await peer.expectResponse(1)).body, 'ab');
});

rule('RFC 9113 §5.1: RST_STREAM on an open stream ends its exchange', async (peer) => {
  peer.post(1, '/wait');
  await peer.settled();
  peer.send(resetFrame(1, CODE.cancel));
  await peer.expectAlive();
  deepStrictEqual(abortCodes(), ['LGW_CLIENT_GONE']);
});

rule('RFC 9113 §5.4.2: RST_STREAM is not answered with RST_STREAM', async (peer) => {
  peer.post(1, '/wait');
  peer.get(3, '/wait');
  peer.send(resetFrame(1, CODE.protocolError), resetFrame(3, CODE.streamClosed));
  await peer.expectAlive();
  peer.expectNone(FRAME.rstStream, 1);
  peer.expectNone(FRAME.rstStream, 3);
});

// ---- half-closed (remote) ----

for (const [name, bytes, codes] of [
  ['DATA', dataFrame(1, 'late', FLAG.endStream), [CODE.streamClosed]],
  ['HEADERS', trailers(1), [CODE.streamClosed]],
  ['HEADERS without END_STREAM', trailers(1, FLAG.endHeaders), [CODE.streamClosed]],
  ['empty DATA', dataFrame(1, ''), [CODE.streamClosed]],
] as const)
  rule(`RFC 9113 §5.1: ${name} on a half-closed (remote) stream is STREAM_CLOSED`, async (peer) => {
    peer.get(1, '/wait');
    peer.send(bytes);
    await peer.expectStreamError(1, ...codes);
  });

rule('RFC 9113 §5.1: DATA after DATA with END_STREAM is STREAM_CLOSED', async (peer) => {
  peer.post(1, '/wait');
  peer.send(dataFrame(1, 'all', FLAG.endStream), dataFrame(1, 'more'));
  await peer.expectStreamError(1, CODE.streamClosed);
});

rule('RFC 9113 §5.1: DATA after trailers is STREAM_CLOSED', async (peer) => {
  peer.post(1, '/wait');
  peer.send(dataFrame(1, 'all'), trailers(1), dataFrame(1, 'more'));
  await peer.expectStreamError(1, CODE.streamClosed);
});

rule('RFC 9113 §5.1: CONTINUATION on a half-closed (remote) stream is a connection error', async (peer) => {
  peer.get(1, '/wait');
  peer.send(continuation(1));
  await peer.expectGoaway(CODE.protocolError, CODE.streamClosed);
});

rule(
  'RFC 9113 §5.1: WINDOW_UPDATE and PRIORITY on a half-closed (remote) stream are accepted',
  async (peer) => {
    peer.get(1, '/part');
    peer.send(windowUpdateFrame(1, 5), frame(FRAME.priority, 0, 1, priority(3, 1, true)));
    await peer.expectServes(3);
    strictEqual(peer.body(1).toString(), 'part');
  },
);

rule('RFC 9113 §5.1: RST_STREAM on a half-closed (remote) stream ends its exchange', async (peer) => {
  peer.get(1, '/wait');
  await peer.settled();
  peer.send(resetFrame(1, CODE.cancel));
  await peer.expectServes(3);
  deepStrictEqual(abortCodes(), ['LGW_CLIENT_GONE']);
});

// ---- closed by RST_STREAM of the client ----

for (const [name, make] of [
  ['DATA', () => dataFrame(1, 'late')],
  ['HEADERS', () => trailers(1)],
] as const)
  rule(`RFC 9113 §5.1: ${name} after the client's RST_STREAM is STREAM_CLOSED`, async (peer) => {
    peer.post(1, '/wait');
    peer.send(resetFrame(1, CODE.cancel), make());
    await peer.expectStreamError(1, CODE.streamClosed);
  });

rule("RFC 9113 §5.1: CONTINUATION after the client's RST_STREAM is a connection error", async (peer) => {
  peer.post(1, '/wait');
  peer.send(resetFrame(1, CODE.cancel), continuation(1));
  await peer.expectGoaway(CODE.protocolError, CODE.streamClosed);
});

rule("RFC 9113 §5.1: PRIORITY after the client's RST_STREAM is accepted", async (peer) => {
  peer.post(1, '/wait');
  peer.send(resetFrame(1, CODE.cancel), frame(FRAME.priority, 0, 1, priority(0)));
  await peer.expectServes(3);
});

// ---- closed by END_STREAM on both sides ----

for (const [name, make] of [
  ['DATA', () => dataFrame(1, 'late')],
  ['HEADERS', () => request(1)],
  ['HEADERS with trailers', () => trailers(1)],
] as const)
  rule(`RFC 9113 §5.1: ${name} on a closed stream is STREAM_CLOSED`, async (peer) => {
    await peer.expectServes(1);
    peer.send(make());
    const seen = await peer.frame(
      ({ type, stream }) => type === FRAME.goaway || (type === FRAME.rstStream && stream === 1),
      'STREAM_CLOSED',
    );
    strictEqual(
      seen.payload.readUInt32BE(seen.type === FRAME.goaway ? 4 : 0),
      CODE.streamClosed,
      String(peer),
    );
    strictEqual(timesReached('/hello'), 1);
  });

rule('RFC 9113 §5.1: CONTINUATION on a closed stream is a connection error', async (peer) => {
  await peer.expectServes(1);
  peer.send(continuation(1));
  await peer.expectGoaway(CODE.protocolError, CODE.streamClosed);
});

rule(
  'RFC 9113 §5.1: WINDOW_UPDATE, RST_STREAM and PRIORITY soon after a stream has closed are ignored',
  async (peer) => {
    await peer.expectServes(1);
    peer.send(windowUpdateFrame(1, 100), frame(FRAME.priority, 0, 1, priority(0)));
    peer.send(resetFrame(1, CODE.noError));
    await peer.expectServes(3);
  },
);

// ---- closed by RST_STREAM of the server ----

rule('RFC 9113 §5.1: what was under way when the server reset a stream is discarded', async (peer) => {
  const bad = headersFrame(
    1,
    [...requestFields('/echo', [], 'POST'), ['connection', 'close']],
    FLAG.endHeaders,
  );
  peer.send(bad, dataFrame(1, 'under way'), windowUpdateFrame(1, 1), trailers(1), request(3));
  strictEqual((await peer.expectResponse(3)).body, 'hello');
  await peer.expectAlive();
});

rule(
  'RFC 9113 §8.1: a body nobody reads is ended with NO_ERROR after a whole answer, and then discarded',
  async (peer) => {
    peer.post(1, '/unread');
    strictEqual((await peer.expectResponse(1)).body, 'unread');
    const [own] = peer.frames.filter(({ type }) => type === FRAME.rstStream);
    if (own !== undefined) strictEqual(own.payload.readUInt32BE(0), CODE.noError);
    peer.data(1, 'under way');
    peer.data(1, 'the end', true);
    await peer.settled();
    await peer.expectServes(3);
  },
);

// ---- §5.1.1 identifiers ----

rule('RFC 9113 §5.1.1: an even stream id from a client is a PROTOCOL_ERROR', async (peer) => {
  peer.send(request(2));
  await peer.expectGoaway(CODE.protocolError);
  expectUnreached();
});

rule('RFC 9113 §5.1.1: a smaller stream id is a PROTOCOL_ERROR', async (peer) => {
  await peer.expectServes(5);
  peer.send(request(3));
  await peer.expectGoaway(CODE.protocolError);
  strictEqual(timesReached('/hello'), 1);
});

rule('RFC 9113 §5.1.1: a smaller stream id is a PROTOCOL_ERROR while the larger is open', async (peer) => {
  peer.send(request(7, '/wait'), request(5));
  await peer.expectGoaway(CODE.protocolError);
  expectUnreached();
});

rule('RFC 9113 §5.1.1: stream 0 opens no stream', async (peer) => {
  peer.send(request(0));
  await peer.expectGoaway(CODE.protocolError);
});

rule('RFC 9113 §5.1.1: stream ids may leave gaps, up to 2^31-1', async (peer) => {
  await peer.expectServes(1);
  await peer.expectServes(1001);
  await peer.expectServes(0x7fffffff);
});

rule('RFC 9113 §5.1.1: DATA on a stream id that was left out is no new stream', async (peer) => {
  await peer.expectServes(5);
  peer.send(dataFrame(3, 'x'));
  await peer.expectGoaway(CODE.streamClosed, CODE.protocolError);
});

// ---- §5.1.2 concurrency ----

const fill = async (peer: StrictPeer): Promise<number> => {
  await peer.settled();
  strictEqual(peer.checker.settings.get(SETTING.maxConcurrentStreams), STREAMS_MAX);
  for (let i = 0; i < STREAMS_MAX; i++) peer.get(1 + 2 * i, '/wait');
  return 1 + 2 * STREAMS_MAX;
};

rule('RFC 9113 §5.1.2: a stream above SETTINGS_MAX_CONCURRENT_STREAMS is refused', async (peer) => {
  const next = await fill(peer);
  peer.get(next);
  await peer.expectStreamError(next, CODE.refusedStream, CODE.protocolError);
  expectUnreached();
  strictEqual(timesReached('/wait'), STREAMS_MAX);
});

rule(
  'RFC 9113 §5.1.2: a refused stream was not processed, so a later one is free to try again',
  async (peer) => {
    const next = await fill(peer);
    peer.get(next);
    await peer.expectReset(next, CODE.refusedStream);
    peer.send(resetFrame(5, CODE.cancel));
    await peer.settled();
    await peer.expectServes(next + 2);
  },
);

rule('RFC 9113 §5.1.2: open and half-closed streams count alike', async (peer) => {
  await peer.settled();
  for (let i = 0; i < STREAMS_MAX; i++) {
    if (i % 2 === 0) peer.post(1 + 2 * i, '/wait');
    else peer.get(1 + 2 * i, '/wait');
  }
  const next = 1 + 2 * STREAMS_MAX;
  peer.get(next);
  await peer.expectStreamError(next, CODE.refusedStream, CODE.protocolError);
});

rule('RFC 9113 §5.1.2: the end of a response makes room', async (peer) => {
  await peer.settled();
  for (let i = 0; i < 3 * STREAMS_MAX; i++) await peer.expectServes(1 + 2 * i);
});

// ---- §5.3 priority ----

rule('RFC 9113 §5.3.2: priority in HEADERS and PRIORITY is accepted and ignored', async (peer) => {
  const bytes = Buffer.concat([priority(11, 0, true), block(requestFields('/hello'))]);
  peer.send(headersFrame(1, bytes, END_BOTH | PRIORITY_FLAG), frame(FRAME.priority, 0, 1, priority(7, 200)));
  strictEqual((await peer.expectResponse(1)).body, 'hello');
  await peer.expectAlive();
});

rule('RFC 7540 §5.3.1: HEADERS that depend on themselves are a PROTOCOL_ERROR', async (peer) => {
  const bytes = Buffer.concat([priority(1), block(requestFields('/hello'))]);
  peer.send(headersFrame(1, bytes, END_BOTH | PRIORITY_FLAG));
  await peer.expectStreamError(1, CODE.protocolError);
});

rule('RFC 7540 §5.3.1: PRIORITY that depends on itself is a PROTOCOL_ERROR', async (peer) => {
  peer.get(1, '/wait');
  peer.send(frame(FRAME.priority, 0, 1, priority(1)));
  await peer.expectStreamError(1, CODE.protocolError);
});

// ---- §5.4 errors ----

rule(
  'RFC 9113 §5.4.1: GOAWAY of a connection error names the last stream that was processed',
  async (peer) => {
    await peer.expectServes(1);
    await peer.expectServes(3);
    peer.send(dataFrame(0, 'x'));
    const goaway = await peer.frame(({ type }) => type === FRAME.goaway, 'GOAWAY');
    strictEqual(goaway.payload.readUInt32BE(0), 3);
    await peer.expectConnectionClosed();
  },
);

rule('RFC 9113 §5.4.1: nothing is processed after a connection error', async (peer) => {
  peer.send(dataFrame(0, 'x'), request(1));
  await peer.expectGoaway(CODE.protocolError);
  expectUnreached();
});

rule('RFC 9113 §5.4.1: a connection error aborts what is under way', async (peer) => {
  peer.get(1, '/wait');
  peer.post(3, '/wait');
  await peer.settled();
  peer.send(dataFrame(0, 'x'));
  await peer.expectGoaway(CODE.protocolError);
  await waitFor(() => abortCodes().length >= 2, 'both exchanges to be aborted');
  deepStrictEqual(abortCodes(), ['LGW_CLIENT_GONE', 'LGW_CLIENT_GONE']);
});

rule('RFC 9113 §5.4.2: a stream error leaves other streams alone', async (peer) => {
  peer.post(1);
  peer.data(1, 'first ');
  peer.send(headersFrame(3, [...requestFields('/hello'), ['upgrade', 'h2c']]));
  peer.data(1, 'last', true);
  strictEqual((await peer.expectResponse(1)).body, 'first last');
  await peer.expectMalformed(3);
});

rule('RFC 9113 §7: unknown error codes in RST_STREAM mean nothing special', async (peer) => {
  peer.post(1, '/wait');
  peer.send(frame(FRAME.rstStream, 0, 1, uint32(0xffffffff)));
  await peer.expectServes(3);
});

rule('RFC 9113 §7: unknown error codes in GOAWAY mean nothing special', async (peer) => {
  peer.post(1);
  peer.send(frame(FRAME.goaway, 0, 0, Buffer.concat([uint32(0), uint32(0xff)])));
  peer.data(1, 'still here', true);
  await peer.until(
    () => peer.closed || peer.body(1).length > 0,
    'the rest of the answer, or the end of the connection',
  );
  ok(peer.closed || peer.body(1).toString() === 'still here');
});
