/** RFC 9113 §8.1 and §8.7: messages, their content and trailers, and what a server sends. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { abortCodes, LARGE_BYTES, rule, serveRules, timesReached } from '../../../support/conformance.ts';
import {
  CODE,
  dataFrame,
  END_BOTH,
  type Field,
  frame,
  headersFrame,
  padded,
  requestFields,
  resetFrame,
  SETTING,
  settingsFrame,
  windowUpdateFrame,
} from '../../../support/h2-bytes.ts';
import { wholePost } from '../../../support/strict-peer.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

const length = (value: string): Field => ['content-length', value];
const open = (stream: number, extra: readonly Field[] = [], path = '/echo'): Buffer =>
  headersFrame(stream, requestFields(path, extra, 'POST'), FLAG.endHeaders);
const trailers = (stream: number, fields: readonly Field[], flags: number = END_BOTH): Buffer =>
  headersFrame(stream, fields, flags);

// ---- requests ----

rule('RFC 9113 §8.1: a request may have content', async (peer) => {
  peer.send(wholePost(1, '/echo', 'content'));
  strictEqual((await peer.expectResponse(1)).body, 'content');
});

rule('RFC 9113 §8.1: a request may have content and trailers', async (peer) => {
  peer.send(open(1), dataFrame(1, 'content'), trailers(1, [['x-sum', '1']]));
  strictEqual((await peer.expectResponse(1)).body, 'content');
});

rule('RFC 9113 §8.1: a request may have trailers and no content', async (peer) => {
  peer.send(open(1), trailers(1, [['x-sum', '1']]));
  strictEqual((await peer.expectResponse(1)).body, '');
});

rule('RFC 9113 §8.1: trailers without END_STREAM are malformed', async (peer) => {
  peer.send(open(1), dataFrame(1, 'content'), trailers(1, [['x-sum', '1']], FLAG.endHeaders));
  await peer.expectMalformed(1);
});

for (const [what, fields] of [
  ['a pseudo-header field', [[':path', '/hello']]],
  ['an unknown pseudo-header field', [[':x', '1']]],
  ['an upper-case name', [['X-Sum', '1']]],
  ['a connection-specific field', [['connection', 'close']]],
  ['a line feed in a value', [['x-sum', 'a\nb']]],
  ['an empty name', [['', 'a']]],
] as readonly (readonly [string, readonly Field[]])[])
  rule(`RFC 9113 §8.1: trailers with ${what} are malformed`, async (peer) => {
    peer.send(open(1), dataFrame(1, 'content'), trailers(1, fields));
    await peer.expectMalformed(1);
  });

rule('RFC 9113 §8.1: a second head of a request is malformed', async (peer) => {
  peer.send(open(1), headersFrame(1, requestFields('/hello')));
  await peer.expectMalformed(1);
  strictEqual(timesReached('/hello'), 0);
});

// ---- §8.1.1 content-length ----

for (const [what, head, frames] of [
  ['more content', [length('3')], [dataFrame(1, 'four', FLAG.endStream)]],
  ['less content', [length('5')], [dataFrame(1, 'four', FLAG.endStream)]],
  ['more content in two frames', [length('5')], [dataFrame(1, 'four'), dataFrame(1, 'four', FLAG.endStream)]],
  ['less content and trailers', [length('5')], [dataFrame(1, 'four'), trailers(1, [['x', '1']])]],
  ['content, where it is 0', [length('0')], [dataFrame(1, 'x', FLAG.endStream)]],
  ['no content after all', [length('1')], [dataFrame(1, '', FLAG.endStream)]],
] as const)
  rule(
    `RFC 9113 §8.1.1: ${what} than content-length is malformed`.replace('all than', 'all against'),
    async (peer) => {
      peer.send(open(1, head), ...frames);
      await peer.expectMalformed(1);
    },
  );

rule('RFC 9113 §8.1.1: content-length without content is malformed', async (peer) => {
  peer.send(headersFrame(1, requestFields('/hello', [length('1')])));
  await peer.expectMalformed(1);
});

for (const value of ['', '-1', '+1', '0x1', '1,1', '1 1', '1.0', 'many', '99999999999999999999999'])
  rule(`RFC 9113 §8.1.1: content-length "${value}" is malformed`, async (peer) => {
    peer.send(open(1, [length(value)]), dataFrame(1, 'x', FLAG.endStream));
    await peer.expectMalformed(1);
  });

rule('RFC 9113 §8.1.1: two content-lengths that differ are malformed', async (peer) => {
  peer.send(open(1, [length('4'), length('5')]), dataFrame(1, 'four', FLAG.endStream));
  await peer.expectMalformed(1);
});

rule('RFC 9113 §8.1.1: content-length is the sum of all DATA without padding', async (peer) => {
  peer.send(open(1, [length('8')]), dataFrame(1, 'four'), dataFrame(1, ''));
  peer.send(frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, padded(Buffer.from('more'), 50)));
  strictEqual((await peer.expectResponse(1)).body, 'fourmore');
});

rule('RFC 9113 §8.1.1: content-length 0 is legal with END_STREAM on the head, or after it', async (peer) => {
  peer.send(headersFrame(1, requestFields('/echo', [length('0')], 'POST')));
  peer.send(open(3, [length('0')]), dataFrame(3, '', FLAG.endStream));
  strictEqual((await peer.expectResponse(1)).body, '');
  strictEqual((await peer.expectResponse(3)).body, '');
});

rule('RFC 9113 §8.1.1: a handler that reads a body cut short by its length is aborted', async (peer) => {
  peer.send(open(1, [length('100')], '/wait'), dataFrame(1, 'short', FLAG.endStream));
  await peer.expectMalformed(1);
  deepStrictEqual(abortCodes().length, 1);
});

// ---- responses ----

rule('RFC 9113 §8.1: a response is HEADERS and DATA, the last of which ends the stream', async (peer) => {
  peer.get(1);
  const { body, fields } = await peer.expectResponse(1);
  deepStrictEqual([body, fields.get('content-type')], ['hello', 'text/plain']);
});

rule('RFC 9113 §8.1: informational heads come before the final one and end nothing', async (peer) => {
  peer.get(1, '/hints');
  const { informational, body } = await peer.expectResponse(1);
  deepStrictEqual([informational, body], [[103], 'hinted']);
});

rule('RFC 9113 §8.1: trailers end the stream', async (peer) => {
  peer.get(1, '/trailers');
  const { trailers: sent, body } = await peer.expectResponse(1);
  deepStrictEqual([sent?.get('x-sum'), body], ['42', 'body']);
});

rule('RFC 9113 §8.1: an answer to HEAD has no content', async (peer) => {
  peer.send(headersFrame(1, requestFields('/hello', [], 'HEAD')));
  const { body, fields } = await peer.expectResponse(1);
  deepStrictEqual([body, fields.get('content-length')], ['', '5']);
});

rule('RFC 9113 §8.1: 204 has no content', async (peer) => {
  peer.get(1, '/empty');
  strictEqual((await peer.expectResponse(1, 204)).body, '');
  peer.expectNone(FRAME.data, 1);
});

rule('RFC 9113 §8.1: an answer without content may end with its head', async (peer) => {
  peer.get(1, '/none');
  strictEqual((await peer.expectResponse(1)).body, '');
});

rule('RFC 9113 §8.1: a whole answer may come before the request is', async (peer) => {
  peer.send(open(1, [], '/unread'), dataFrame(1, 'a part'));
  strictEqual((await peer.expectResponse(1)).body, 'unread');
  await peer.expectAlive();
  const resets = peer.frames.filter(({ type }) => type === FRAME.rstStream);
  deepStrictEqual(
    resets.map(({ payload }) => payload.readUInt32BE()),
    resets.map(() => CODE.noError),
  );
});

rule('RFC 9113 §8.1: answers of many streams come apart and whole', async (peer) => {
  peer.send(settingsFrame([SETTING.initialWindowSize, 1_000_000]), windowUpdateFrame(0, 10_000_000));
  const streams = Array.from({ length: 12 }, (_, i) => 1 + 2 * i);
  peer.send(
    ...streams.map((stream) =>
      stream % 4 === 1
        ? headersFrame(stream, requestFields('/large'))
        : wholePost(stream, '/echo', `own ${stream}`),
    ),
  );
  for (const stream of streams) {
    const { body } = await peer.expectResponse(stream);
    if (stream % 4 === 1) ok(body === 'l'.repeat(LARGE_BYTES));
    else strictEqual(body, `own ${stream}`);
  }
});

rule('RFC 9113 §8.1: bodies of many streams that come mixed are kept apart', async (peer) => {
  const streams = [1, 3, 5, 7];
  peer.send(...streams.map((stream) => open(stream)));
  for (let i = 0; i < 20; i++) peer.send(...streams.map((stream) => dataFrame(stream, `${stream}.`)));
  peer.send(...streams.map((stream) => dataFrame(stream, '', FLAG.endStream)));
  for (const stream of streams)
    strictEqual((await peer.expectResponse(stream)).body, `${stream}.`.repeat(20));
});

rule('RFC 9113 §8.1: 100 Continue comes when the body is wanted, and ends nothing', async (peer) => {
  peer.send(open(1, [['expect', '100-continue']]));
  const first = await peer.frame(({ type, stream }) => type === FRAME.headers && stream === 1, 'a head');
  strictEqual(new Map(first.fields).get(':status'), '100');
  peer.data(1, 'wanted', true);
  const { informational, body } = await peer.expectResponse(1);
  deepStrictEqual([informational, body], [[100], 'wanted']);
});

rule('RFC 9113 §8.7: a request is processed once, even when its client resets it', async (peer) => {
  peer.send(headersFrame(1, requestFields('/part')), resetFrame(1, CODE.cancel));
  await peer.expectServes(3);
  ok(timesReached('/part') <= 1);
});

rule(
  'RFC 9113 §10.5.1: a field section above the limit is refused, and the next request served',
  async (peer) => {
    const fields = Array.from({ length: 30 }, (_, i): Field => [`x-${i}`, 'v'.repeat(600)]);
    const bytes = headersFrame(1, requestFields('/hello', fields)).subarray(9);
    peer.send(headersFrame(1, bytes.subarray(0, 16_000), FLAG.endStream));
    peer.send(frame(FRAME.continuation, FLAG.endHeaders, 1, bytes.subarray(16_000)));
    const { status } = await peer.expectResponse(1, 431);
    strictEqual(status, 431);
    await peer.expectServes(3);
  },
);
