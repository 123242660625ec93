/** Clients of HTTP/2 that flood, starve, bomb and break off. */
import {
  dataFrame,
  hpackInteger,
  hpackString,
  literalIndexed,
  pingFrame,
  settingsFrame,
  tableSizeUpdate,
  uint32,
} from '../../support/h2-bytes.ts';
import { FLAG, FRAME, type WireClient } from '../../support/wire-client.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { until } from './outcome.ts';

const PATIENCE_MS = 10_000;
const ROUND_FRAMES = 100;
const CANCEL = 8;
const INITIAL_WINDOW = 4;
const ENABLE_PUSH = 2;
const WINDOW_MAX = 0x7fffffff;
const CALM_DOWN = /^GOAWAY 11/;

/** How the connection ended, or what came on a stream. */
function endOf(wire: WireClient): string {
  const goaway = wire.frames.find(({ type }) => type === FRAME.goaway);
  if (goaway !== undefined)
    return `GOAWAY ${goaway.payload.readUInt32BE(4)} ${goaway.payload.toString('latin1', 8)}`;
  return wire.closed ? 'closed' : 'open';
}

/** Sends in rounds until the connection ends. */
async function flood(target: Target, send: (wire: WireClient, i: number) => void): Promise<string> {
  const wire = await target.wire();
  const limit = performance.now() + PATIENCE_MS;
  for (let i = 0; !endOf(wire).startsWith('GOAWAY') && !wire.closed && performance.now() < limit; ) {
    for (let n = 0; n < ROUND_FRAMES; n++) send(wire, i++);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return endOf(wire);
}

const FLOODS: Readonly<Record<string, (wire: WireClient, i: number) => void>> = {
  'streams reset at once': (wire, i) => {
    wire.request(i * 2 + 1, '/hostile/hold');
    wire.reset(i * 2 + 1, CANCEL);
  },
  'streams that have to be reset': (wire, i) => {
    wire.request(i * 2 + 1, '/hostile/hold');
    wire.windowUpdate(i * 2 + 1, 0);
  },
  'requests that are malformed': (wire, i) => wire.request(i * 2 + 1, 'no-path'),
  PING: (wire) => wire.send(FRAME.ping, 0, 0, Buffer.alloc(8)),
  'PING acknowledgements': (wire) => wire.send(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8)),
  SETTINGS: (wire) => wire.send(FRAME.settings, 0, 0),
  'SETTINGS that change the windows': (wire, i) =>
    wire.socket.write(settingsFrame([INITIAL_WINDOW, i % 2 === 0 ? 0 : WINDOW_MAX])),
  'SETTINGS that change the table': (wire, i) =>
    wire.socket.write(settingsFrame([1, i % 2 === 0 ? 0 : 4096])),
  PRIORITY: (wire, i) => wire.send(FRAME.priority, 0, i * 2 + 1, Buffer.alloc(5)),
  PRIORITY_UPDATE: (wire, i) => wire.send(0x10, 0, 0, Buffer.concat([uint32(i * 2 + 1), Buffer.from('u=1')])),
  'frames of an unknown type': (wire) => wire.send(0xaa, 0, 0, Buffer.alloc(3)),
  'large frames of an unknown type': (wire) => wire.send(0xaa, 0, 0, Buffer.alloc(16_384)),
  WINDOW_UPDATE: (wire) => wire.windowUpdate(0, 1),
  'empty DATA': (wire, i) => {
    if (i === 0) wire.request(1, '/hostile/echo', { method: 'POST', open: true });
    wire.data(1, '');
  },
  'padding and nothing else': (wire, i) => {
    if (i === 0) wire.request(1, '/hostile/echo', { method: 'POST', open: true });
    wire.send(FRAME.data, FLAG.padded, 1, Buffer.concat([Buffer.from([255]), Buffer.alloc(255)]));
  },
  'empty HEADERS': (wire, i) => wire.send(FRAME.headers, FLAG.endHeaders, i * 2 + 1),
  'empty CONTINUATION': (wire, i) => {
    if (i === 0) wire.send(FRAME.headers, 0, 1, wire.encode([[':method', 'GET']]));
    else wire.send(FRAME.continuation, 0, 1);
  },
  'full CONTINUATION': (wire, i) => {
    if (i === 0) wire.send(FRAME.headers, 0, 1, wire.encode([[':method', 'GET']]));
    else wire.send(FRAME.continuation, 0, 1, Buffer.alloc(16_384, 0x82));
  },
  'table size updates': (wire, i) =>
    wire.send(
      FRAME.headers,
      FLAG.endHeaders | FLAG.endStream,
      i * 2 + 1,
      Buffer.concat(Array.from({ length: 50 }, () => tableSizeUpdate(0))),
    ),
  PUSH_PROMISE: (wire) => wire.send(FRAME.pushPromise, FLAG.endHeaders, 1, uint32(2)),
  'RST_STREAM of streams that never were': (wire, i) => wire.reset(i * 2 + 1, CANCEL),
};

/** Streams are opened and never let go on: the gateway has to end them. */
async function starve(target: Target, path: string, windowBytes: number, reads: boolean): Promise<string> {
  const wire = await target.wire({ [INITIAL_WINDOW]: windowBytes });
  if (windowBytes > 0) wire.windowUpdate(0, WINDOW_MAX - 65_535);
  if (!reads) wire.socket.pause();
  for (let i = 0; i < CLIENT_LIMITS.streamsMax; i++) wire.request(2 * i + 1, path);
  await until(() => wire.closed, 3 * CLIENT_LIMITS.stallTimeoutMs);
  wire.socket.resume();
  const resets = wire.frames.filter(({ type }) => type === FRAME.rstStream).length;
  const end = endOf(wire);
  wire.destroy();
  return resets > 0 && end === 'open' ? `${resets} streams reset` : `${end}, ${resets} streams reset`;
}

/** Bodies that nobody reads, as many as there may be. */
async function unread(target: Target, path: string): Promise<string> {
  const wire = await target.wire();
  const piece = Buffer.alloc(16_384, 'b');
  for (let i = 0; i < CLIENT_LIMITS.streamsMax; i++) {
    wire.request(2 * i + 1, path, { method: 'POST', open: true });
    // what the first window of a stream and a half holds: more than the gateway has granted in all
    for (let n = 0; n < 6; n++) wire.socket.write(dataFrame(2 * i + 1, piece));
  }
  await until(() => wire.closed || wire.frames.some(({ type }) => type === FRAME.goaway), 2000);
  const end = endOf(wire);
  wire.destroy();
  return end;
}

async function sendsOnce(target: Target, bytes: (wire: WireClient) => void): Promise<string> {
  const wire = await target.wire();
  await wire.ping();
  bytes(wire);
  await until(
    () =>
      wire.closed ||
      wire.frames.some(
        ({ type, stream }) => type === FRAME.goaway || (type === FRAME.rstStream && stream === 1),
      ),
    PATIENCE_MS,
  );
  const reset = wire.frames.find(({ type, stream }) => type === FRAME.rstStream && stream === 1);
  const end = endOf(wire);
  return end === 'open' && reset !== undefined ? `RST_STREAM ${reset.payload.readUInt32BE()}` : end;
}

/** A field of the dynamic table that every byte of a head names again. */
async function bomb(target: Target): Promise<string> {
  const wire = await target.wire();
  const pseudo = Buffer.from('\x82\x87\x84\x01\x09localhost', 'latin1');
  const entry = literalIndexed('x-bomb', 'b'.repeat(3900));
  const outcomes = new Set<string>();
  for (let id = 1; id < 40; id += 2) {
    const fields = id === 1 ? entry : Buffer.alloc(6000, 0x80 | 62);
    wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, Buffer.concat([pseudo, fields]));
    const { status, resetCode } = await wire.response(id).catch(() => ({ status: 0, resetCode: 0 }));
    outcomes.add(status > 0 ? String(status) : `RST_STREAM ${resetCode}`);
  }
  return [...outcomes].join(', ');
}

/** Takes promises and refuses each. */
async function refusesPushes(target: Target): Promise<string> {
  const wire = await target.wire({ [ENABLE_PUSH]: 1 });
  wire.windowUpdate(0, WINDOW_MAX - 65_535);
  for (let id = 1; id < 41; id += 2) {
    wire.request(id, '/hostile/pushes');
    await wire.response(id).catch(() => undefined);
    for (const { type, payload } of wire.frames.splice(0))
      if (type === FRAME.pushPromise) wire.reset(payload.readUInt32BE(), CANCEL);
    if (wire.closed) break;
  }
  return endOf(wire);
}

export const HTTP2: readonly HostileClient[] = [
  ...Object.entries(FLOODS).map(
    ([what, send], i): HostileClient => ({
      name: `a flood of ${what}`,
      brief: i % 3 === 0,
      act: (target) => flood(target, send),
      gets: /^GOAWAY (?:0|1|11|6|9) /,
    }),
  ),
  {
    waits: true,
    name: 'downloads through windows that stay closed',
    brief: true,
    act: (target) => starve(target, '/hostile/large', 0, true),
    gets: /streams reset|GOAWAY/,
  },
  {
    name: 'downloads through windows of one byte',
    act: (target) => starve(target, '/hostile/large', 1, true),
    gets: /streams reset|GOAWAY/,
  },
  {
    name: 'downloads that are granted and not read',

    act: (target) => starve(target, '/hostile/large', WINDOW_MAX, false),
    gets: /./,
  },
  {
    name: 'uploads that nobody reads',
    brief: true,
    act: (target) => unread(target, '/hostile/hold'),
    gets: /^(?:open|GOAWAY)/,
  },
  {
    name: 'uploads that nobody reads and that are broken off',
    act: async (target) => {
      const wire = await target.wire();
      for (let i = 0; i < CLIENT_LIMITS.streamsMax; i++) {
        wire.request(2 * i + 1, '/hostile/echo', { method: 'POST', open: true });
        wire.data(2 * i + 1, 'x'.repeat(1000));
      }
      await wire.ping();
      for (let i = 0; i < CLIENT_LIMITS.streamsMax; i++) wire.reset(2 * i + 1, CANCEL);
      await wire.ping();
      return endOf(wire);
    },
    gets: /open/,
  },
  {
    name: 'more bytes than the windows allow',

    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.request(1, '/hostile/hold', { method: 'POST', open: true });
        for (let i = 0; i < 300; i++) wire.socket.write(dataFrame(1, Buffer.alloc(16_384)));
      }),
    gets: /^(?:GOAWAY (?:0|1|3|11)|RST_STREAM [013])/,
  },
  {
    name: 'a window that grows beyond its maximum',
    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.windowUpdate(0, WINDOW_MAX);
      }),
    gets: /^GOAWAY 3/,
  },
  {
    name: 'settings that let a window grow beyond its maximum',
    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.request(1, '/hostile/hold');
        wire.windowUpdate(1, WINDOW_MAX - 65_535);
        wire.socket.write(settingsFrame([INITIAL_WINDOW, WINDOW_MAX]));
      }),
    gets: /^GOAWAY 3/,
  },
  {
    name: 'a frame larger than any may be',
    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.request(1, '/hostile/hold', { method: 'POST', open: true });
        wire.socket.write(dataFrame(1, Buffer.alloc(70_000)));
      }),
    gets: /^(?:GOAWAY 6|RST_STREAM 6)/,
  },
  { name: 'a head that unfolds into a large one', brief: true, act: bomb, gets: /431|RST_STREAM 11|GOAWAY/ },
  {
    name: 'an index beyond the table',
    act: (target) =>
      sendsOnce(target, (wire) =>
        wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, hpackInteger(1e6, 7, 0x80)),
      ),
    gets: /^GOAWAY 9/,
  },
  {
    name: 'an HPACK integer without end',
    act: (target) =>
      sendsOnce(target, (wire) =>
        wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, Buffer.alloc(1000, 0xff)),
      ),
    gets: /^GOAWAY 9/,
  },
  {
    name: 'an HPACK string longer than its block',
    act: (target) =>
      sendsOnce(target, (wire) =>
        wire.send(
          FRAME.headers,
          FLAG.endHeaders | FLAG.endStream,
          1,
          Buffer.concat([Buffer.from([0x40]), hpackInteger(1e6, 7, 0)]),
        ),
      ),
    gets: /^GOAWAY 9/,
  },
  {
    name: 'bad Huffman codes',
    act: (target) =>
      sendsOnce(target, (wire) =>
        wire.send(
          FRAME.headers,
          FLAG.endHeaders | FLAG.endStream,
          1,
          Buffer.concat([Buffer.from([0x40, 0x84]), Buffer.alloc(4, 0xff), hpackString('v')]),
        ),
      ),
    gets: /^GOAWAY 9/,
  },
  {
    name: 'stream numbers that go back',
    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.request(5, '/hostile/hello?x');
        wire.request(3, '/hostile/hello?x');
      }),
    gets: /^GOAWAY [15]/,
  },
  {
    name: 'a stream number of the server',
    act: (target) => sendsOnce(target, (wire) => wire.request(2, '/hostile/hello?x')),
    gets: /^GOAWAY 1/,
  },
  {
    name: 'more streams than are allowed',
    brief: true,
    act: async (target) => {
      const wire = await target.wire();
      for (let i = 0; i < CLIENT_LIMITS.streamsMax + 20; i++) wire.request(2 * i + 1, '/hostile/hold');
      await wire.ping();
      const refused = wire.frames.filter(
        ({ type, payload }) => type === FRAME.rstStream && payload.readUInt32BE() === 7,
      ).length;
      return `${refused} refused, ${endOf(wire)}`;
    },
    gets: /^20 refused, open/,
  },
  { name: 'pushes that are all refused', act: refusesPushes, gets: /^(?:open|GOAWAY 11)/ },
  {
    name: 'a preface that is none',
    act: async (target) => {
      const client = await target.plain();
      client.send('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n');
      await until(() => client.ended, PATIENCE_MS);
      return client.ended ? 'closed' : 'open';
    },
    gets: /closed/,
  },
  {
    name: 'a session that never does anything',
    act: async (target) => {
      const wire = await target.wire();
      await until(() => wire.closed, PATIENCE_MS);
      return endOf(wire);
    },
    gets: /^(?:GOAWAY 0|closed)/,
  },
  {
    name: 'a session that keeps itself alive by PING',
    act: async (target) => {
      const wire = await target.wire();
      const limit = performance.now() + 2 * CLIENT_LIMITS.idleTimeoutMs + 2000;
      while (!wire.closed && performance.now() < limit) {
        wire.socket.write(pingFrame());
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      return endOf(wire);
    },
    gets: /^GOAWAY 0|^closed/,
  },
  {
    name: 'GOAWAY and on it goes',
    act: async (target) => {
      const wire = await target.wire();
      wire.send(FRAME.goaway, 0, 0, Buffer.alloc(8));
      wire.request(1, '/hostile/hello?x');
      await until(() => wire.closed || wire.frames.some(({ stream }) => stream === 1), PATIENCE_MS);
      return wire.frames.some(({ stream }) => stream === 1) ? 'answered' : endOf(wire);
    },
    gets: /^(?:answered|GOAWAY 0|closed)/,
  },
  {
    name: 'a body that is longer than it says',
    act: (target) =>
      sendsOnce(target, (wire) => {
        wire.request(1, '/hostile/hold', { method: 'POST', open: true, fields: [['content-length', '1']] });
        wire.data(1, 'two');
      }),
    gets: /^RST_STREAM 1/,
  },
  {
    name: 'a head in two thousand pieces',
    act: async (target) => {
      const wire = await target.wire();
      wire.request(1, '/hostile/fields', { pieces: 2000, fields: [['x-a', 'v'.repeat(4000)]] });
      await until(() => wire.closed || wire.frames.some(({ type }) => type === FRAME.goaway), PATIENCE_MS);
      return endOf(wire);
    },
    gets: CALM_DOWN,
  },
];
