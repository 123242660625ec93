/** Servers of HTTP/2 that break rules, cut answers off or flood: what the client gets, and that the next request is answered. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before } from 'node:test';
import { DEFAULT_PROXY_RULES, type ProxyRules } from '../../src/mapping/proxy-settings.ts';
import { calmTest as test } from '../support/calm.ts';
import {
  block,
  CODE,
  dataFrame,
  END_BOTH,
  type Field,
  frame,
  goawayFrame,
  headersFrame,
  indexed,
  literal,
  literalIndexed,
  pingFrame,
  requestFields,
  resetFrame,
  SETTING,
  settingsFrame,
  uint32,
  windowUpdateFrame,
} from '../support/h2-bytes.ts';
import { ask, type Told, type Version } from '../support/proxy-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { type RawH2Upstream, rawH2Upstream } from '../support/raw-h2-upstream.ts';
import { plainUpstream } from '../support/upstream.ts';
import { FLAG, FRAME } from '../support/wire-client.ts';

interface Case {
  /** What the server sends when it has the head of the request. */
  readonly sends: (stream: number, socket: Socket) => Buffer;
  readonly gets: (told: Told) => void;
}

const { timeouts } = DEFAULT_PROXY_RULES;
/** A body may stop for ever, and a head comes late only on a slow machine. */
const RULES: Partial<ProxyRules> = { retries: 0, timeouts: { ...timeouts, idleMs: 300 } };
/** For servers that may give no head. */
const IMPATIENT: Partial<ProxyRules> = {
  retries: 0,
  timeouts: { ...timeouts, headMs: 300, idleMs: 300 },
};

const failed = ({ status, body }: Told): void => {
  assert.ok(status === 502 || status === 504, `status ${status}`);
  assert.match(body, /Error id: [\w-]+/);
};
const broken = ({ status, isWhole }: Told): void => assert.deepEqual([status, isWhole], [200, false]);
/** Where the fault stands close behind the head, the head may not have been given yet. */
const brokenOrFailed = (told: Told): void => (told.status === 200 ? broken(told) : failed(told));
const whole =
  (body: string) =>
  (told: Told): void =>
    assert.deepEqual([told.status, told.body, told.isWhole], [200, body, true]);

const head = (stream: number, extra: readonly Field[] = [], flags: number = FLAG.endHeaders): Buffer =>
  headersFrame(stream, [[':status', '200'], ...extra], flags);
const times = (count: number, one: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => one(i)));
const all = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts);
const answer = (stream: number, extra: readonly Field[] = []): Buffer =>
  all(head(stream, extra), dataFrame(stream, 'ok', FLAG.endStream));

const CASES: Readonly<Record<string, Case>> = {
  'answers as it should': { sends: (stream) => answer(stream), gets: whole('ok') },
  // ---- answers that are cut off ----
  'resets with NO_ERROR within its body': {
    sends: (stream) => all(head(stream), dataFrame(stream, 'part'), resetFrame(stream, CODE.noError)),
    gets: broken,
  },
  'resets with CANCEL within its body': {
    sends: (stream) => all(head(stream), dataFrame(stream, 'part'), resetFrame(stream, CODE.cancel)),
    gets: broken,
  },
  'resets with NO_ERROR behind its head': {
    sends: (stream) => all(head(stream), resetFrame(stream, CODE.noError)),
    gets: broken,
  },
  'says behind its head that it refuses the stream': {
    sends: (stream) => all(head(stream), dataFrame(stream, 'part'), resetFrame(stream, CODE.refusedStream)),
    gets: broken,
  },
  'closes the connection within its body': {
    sends: (stream, socket) => {
      setImmediate(() => socket.end());
      return all(head(stream), dataFrame(stream, 'part'));
    },
    gets: broken,
  },
  'resets the connection within its body': {
    sends: (stream, socket) => {
      socket.write(all(head(stream), dataFrame(stream, 'part')), () => socket.resetAndDestroy());
      return Buffer.alloc(0);
    },
    // the system may take back what the gateway has not read
    gets: brokenOrFailed,
  },
  'sends less than its content-length': {
    sends: (stream) => answer(stream, [['content-length', '5']]),
    gets: brokenOrFailed,
  },
  'sends more than its content-length': {
    sends: (stream) => answer(stream, [['content-length', '1']]),
    gets: brokenOrFailed,
  },
  'sends nothing more than half a body': {
    sends: (stream) => all(head(stream), dataFrame(stream, 'half')),
    gets: broken,
  },
  'has a content-length in its trailers': {
    sends: (stream) =>
      all(head(stream), dataFrame(stream, 'ok'), headersFrame(stream, [['content-length', '2']])),
    gets: broken,
  },
  'has a pseudo-header field in its trailers': {
    sends: (stream) => all(head(stream), dataFrame(stream, 'ok'), headersFrame(stream, [[':status', '200']])),
    gets: brokenOrFailed,
  },
  'has a second head': {
    sends: (stream) => all(head(stream), head(stream), dataFrame(stream, 'ok', FLAG.endStream)),
    gets: brokenOrFailed,
  },
  'sends beyond the window': {
    sends: (stream) =>
      all(
        head(stream),
        times(40, () => dataFrame(stream, Buffer.alloc(16_384, 'x'))),
      ),
    gets: brokenOrFailed,
  },
  // ---- whole ones ----
  'resets with NO_ERROR behind the end': {
    sends: (stream) => all(answer(stream), resetFrame(stream, CODE.noError)),
    gets: whole('ok'),
  },
  'sends DATA behind the end': {
    sends: (stream) => all(answer(stream), dataFrame(stream, 'more', FLAG.endStream)),
    gets: whole('ok'),
  },
  'sends frames of unknown types': {
    sends: (stream) =>
      all(
        times(1000, () => frame(0x42, 0, 0, Buffer.alloc(10))),
        answer(stream),
      ),
    gets: whole('ok'),
  },
  'announces that it goes away, and answers': {
    sends: (stream) => all(goawayFrame(0x7fffffff, CODE.noError), answer(stream)),
    gets: whole('ok'),
  },
  // what HTTP/1.1 would take for the end of a line goes no further
  'has CR LF in a value': {
    sends: (stream) => answer(stream, [['x-a', 'a\r\nx-b: c']]),
    gets: (told) => {
      whole('ok')(told);
      assert.deepEqual([told.headers['x-a'], told.headers['x-b']], [undefined, undefined]);
    },
  },
  'has a NUL in a value': {
    sends: (stream) => answer(stream, [['x-a', 'a\0b']]),
    gets: (told) => {
      whole('ok')(told);
      assert.equal(told.headers['x-a'], undefined);
    },
  },
  // ---- heads ----
  'has a content-length that no double holds': {
    sends: (stream) => answer(stream, [['content-length', '9007199254740993']]),
    gets: failed,
  },
  'has two content-length': {
    sends: (stream) =>
      answer(stream, [
        ['content-length', '2'],
        ['content-length', '2'],
      ]),
    gets: failed,
  },
  'has a name in upper case': { sends: (stream) => answer(stream, [['X-A', 'b']]), gets: failed },
  'has a field of one connection': {
    sends: (stream) => answer(stream, [['connection', 'close']]),
    gets: failed,
  },
  'has a transfer coding': {
    sends: (stream) => answer(stream, [['transfer-encoding', 'chunked']]),
    gets: failed,
  },
  'has no status': { sends: (stream) => headersFrame(stream, [['x-a', 'b']]), gets: failed },
  'has a status of 999': { sends: (stream) => headersFrame(stream, [[':status', '999']]), gets: failed },
  'has a status of 101': { sends: (stream) => headersFrame(stream, [[':status', '101']]), gets: failed },
  'ends with an informational head': {
    sends: (stream) => headersFrame(stream, [[':status', '103']]),
    gets: failed,
  },
  'sends 103 for ever': {
    sends: (stream) =>
      all(
        times(40, () => headersFrame(stream, [[':status', '103']], FLAG.endHeaders)),
        answer(stream),
      ),
    gets: failed,
  },
  'has a head that unpacks to 40 MB': {
    sends: (stream) =>
      all(
        headersFrame(
          stream,
          all(
            literal([':status', '200']),
            literalIndexed('x-a', 'x'.repeat(4000)),
            times(10_000, () => indexed(62)),
          ),
          FLAG.endHeaders,
        ),
        dataFrame(stream, 'ok', FLAG.endStream),
      ),
    gets: failed,
  },
  'has a block that is no HPACK': {
    sends: (stream) => frame(FRAME.headers, END_BOTH, stream, Buffer.from('ff8080', 'hex')),
    gets: failed,
  },
  'continues its head without end': {
    sends: (stream) =>
      all(
        frame(FRAME.headers, 0, stream, block([[':status', '200']])),
        times(1000, () => frame(FRAME.continuation, 0, stream, block([['x-a', 'b'.repeat(50)]]))),
      ),
    gets: failed,
  },
  'continues its head by nothing without end': {
    sends: (stream) =>
      all(
        frame(FRAME.headers, 0, stream, block([[':status', '200']])),
        times(1000, () => frame(FRAME.continuation, 0, stream)),
      ),
    gets: failed,
  },
  'sends DATA within its head': {
    sends: (stream) =>
      all(frame(FRAME.headers, 0, stream, block([[':status', '200']])), dataFrame(stream, 'x')),
    gets: failed,
  },
  'sends DATA before its head': {
    sends: (stream) => all(dataFrame(stream, 'x'), head(stream)),
    gets: failed,
  },
  // ---- frames ----
  promises: {
    sends: (stream) =>
      all(
        frame(FRAME.pushPromise, FLAG.endHeaders, stream, all(uint32(2), block(requestFields('/p')))),
        answer(stream),
      ),
    gets: failed,
  },
  'opens the window of the stream by nothing': {
    sends: (stream) => all(windowUpdateFrame(stream, 0), answer(stream)),
    gets: failed,
  },
  'opens the window of the connection by nothing': {
    sends: (stream) => all(windowUpdateFrame(0, 0), answer(stream)),
    gets: failed,
  },
  'opens the window of the stream beyond its limit': {
    sends: (stream) => all(windowUpdateFrame(stream, 0x7fffffff), answer(stream)),
    gets: failed,
  },
  'opens the window of the connection beyond its limit': {
    sends: (stream) => all(windowUpdateFrame(0, 0x7fffffff), answer(stream)),
    gets: failed,
  },
  'answers a stream that nobody has opened': { sends: (stream) => answer(stream + 100), gets: failed },
  'opens a stream itself': { sends: (stream) => all(head(2), answer(stream)), gets: failed },
  'resets a stream that nobody has opened': {
    sends: (stream) => resetFrame(stream + 2, CODE.cancel),
    gets: failed,
  },
  'sends DATA on stream 0': { sends: () => dataFrame(0, 'x'), gets: failed },
  'sends a frame that is too long': {
    sends: (stream) => frame(FRAME.data, 0, stream, Buffer.alloc(20_000)),
    gets: failed,
  },
  'goes away with an error': { sends: () => goawayFrame(0, CODE.enhanceYourCalm, 'calm'), gets: failed },
  'speaks HTTP/1.1': {
    sends: () => Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    gets: failed,
  },
  // ---- floods, none of which is an answer ----
  'floods with SETTINGS': {
    sends: () => times(5000, () => settingsFrame([SETTING.headerTableSize, 4096])),
    gets: failed,
  },
  'floods with PING': { sends: () => times(5000, () => pingFrame()), gets: failed },
  'floods with RST_STREAM': {
    sends: (stream) => times(2000, () => resetFrame(stream, CODE.cancel)),
    gets: failed,
  },
  'floods with empty DATA': {
    sends: (stream) =>
      all(
        head(stream),
        times(5000, () => dataFrame(stream, '')),
      ),
    gets: brokenOrFailed,
  },
};

let front: ProxyFront;
let upstream: RawH2Upstream;
let current: Case = CASES['answers as it should'] as Case;

before(async () => {
  front = await startProxyFront();
  upstream = await rawH2Upstream((socket, stream) => socket.write(current.sends(stream, socket)));
});

after(async () => {
  await upstream.close();
  await front.stop();
});

for (const [what, one] of Object.entries(CASES))
  test(`A server of HTTP/2 that ${what}`, async () => {
    front.passTo([upstream.target], one.gets === failed || one.gets === brokenOrFailed ? IMPATIENT : RULES);
    // how an answer is cut off is told by each version in its own way
    const versions: readonly Version[] =
      one.gets === broken || one.gets === brokenOrFailed ? ['h2', 'h1'] : ['h2'];
    for (const version of versions) {
      current = one;
      one.gets(await ask(version, front.port, '/'));
      await front.whenPassed();
    }
    current = CASES['answers as it should'] as Case;
    front.passTo([upstream.target], { retries: 0 });
    whole('ok')(await ask('h2', front.port, '/'));
  });

test('A request behind the last stream of a GOAWAY is tried at the next server, also one that cannot be repeated', async () => {
  const other = await plainUpstream((_request, response) => response.end('other'));
  try {
    front.passTo([upstream.target, other.url]);
    current = { sends: () => goawayFrame(0, CODE.noError), gets: failed };
    const before = upstream.frames.length;
    whole('other')(await ask('h2', front.port, '/', ''));
    assert.ok(upstream.frames.slice(before).some(({ type }) => type === FRAME.headers));
  } finally {
    await other.close();
  }
});
