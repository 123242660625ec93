/** Clients that make the server do useless work lose their connection; other clients notice nothing. */
import { match, ok, strictEqual } from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { FrontEndLimits } from '../../../src/http/front/front-end.ts';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { calmTest as test } from '../../support/calm.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import {
  besideHonest,
  connectTls,
  connectWire,
  goAwayCode,
  resetCode,
  startOwn,
} from '../../support/own-sessions.ts';
import { type TestFrontEnd, waitFor } from '../../support/test-front-end.ts';
import { untilStill } from '../../support/until-still.ts';
import { FLAG, FRAME, type WireClient } from '../../support/wire-client.ts';

const PRIORITY_UPDATE = 0x10;
const UNKNOWN_TYPE = 0xaa;

/** Long enough that a flood is ended for its content also where this process gets little processor time. */
const HEAD_MS_MAX = 240_000;
/** Nothing that is tested: a wait that lasts longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 120_000;

async function withOwn(
  t: TestContext,
  limits: Partial<FrontEndLimits>,
  use: (front: TestFrontEnd) => Promise<void>,
): Promise<void> {
  const front = await startOwn({ headTimeoutMs: HEAD_MS_MAX, ...limits });
  t.after(() => front.stop());
  await use(front);
}

/** Sends until the connection has ended, and checks how it ended. */
async function flood(
  front: TestFrontEnd,
  send: (wire: WireClient, i: number) => void,
  reason: RegExp,
): Promise<void> {
  await besideHonest(front, async () => {
    const wire = await connectWire(front);
    await wire.ping();
    const limit = performance.now() + WAIT_MAX_MS;
    let i = 0;
    while (!wire.frames.some(({ type }) => type === FRAME.goaway) && !wire.closed) {
      ok(performance.now() < limit, `${i} rounds went unpunished`);
      for (let n = 0; n < 100; n++) send(wire, i++);
      await new Promise((resolve) => setImmediate(resolve));
    }
    strictEqual(await goAwayCode(wire), ERROR_CODE.enhanceYourCalm);
    await waitFor(() => wire.closed, 'the connection to be closed');
    ok(
      front.logLines.some((line) => line.includes('warn') && reason.test(line)),
      front.logLines.join('\n'),
    );
  });
  await waitFor(() => front.counters.get('exchanges') === 0, 'all exchanges to end');
}

test('A client that opens streams and resets them at once is cut off (CVE-2023-44487)', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        wire.request(i * 2 + 1, '/quiet');
        wire.reset(i * 2 + 1, 8);
      },
      /too many streams were reset/,
    ),
  ));

test('A client that resets streams that were answered already is cut off too', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        wire.request(i * 2 + 1, '/hello');
        wire.reset(i * 2 + 1, 8);
      },
      /too many frames that only steer/,
    ),
  ));

test('A client may reset as many streams as a page has, again and again', (t) =>
  withOwn(t, {}, async (front) => {
    const wire = await connectWire(front);
    for (let i = 0; i < 100; i++) wire.request(i * 2 + 1, '/quiet');
    await waitFor(() => front.counters.get('exchanges') === 100, 'the exchanges');
    for (let i = 0; i < 100; i++) wire.reset(i * 2 + 1, 8);
    await waitFor(() => front.counters.get('exchanges') === 0, 'the exchanges to end');
    wire.request(201, '/hello');
    strictEqual((await wire.response(201)).status, 200);
    wire.destroy();
  }));

const PROVOKED: Readonly<Record<string, (wire: WireClient, id: number) => void>> = {
  'windows that are opened by nothing': (wire, id) => {
    wire.request(id, '/quiet');
    wire.windowUpdate(id, 0);
  },
  'windows that are opened too far': (wire, id) => {
    wire.request(id, '/quiet');
    wire.windowUpdate(id, 0x7fffffff);
  },
  'bodies that are longer than was said': (wire, id) => {
    wire.request(id, '/quiet', { method: 'POST', open: true, fields: [['content-length', '1']] });
    wire.data(id, 'two');
  },
  'DATA after the end of a body': (wire, id) => {
    wire.request(id, '/quiet');
    wire.data(id, 'late');
  },
  'HEADERS after the end of a request': (wire, id) => {
    wire.request(id, '/quiet');
    wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id);
  },
  'PRIORITY frames of a wrong size': (wire, id) => {
    wire.request(id, '/quiet');
    wire.send(FRAME.priority, 0, id, Buffer.alloc(4));
  },
  'malformed requests': (wire, id) => wire.request(id, 'no-path'),
};

for (const [what, provoke] of Object.entries(PROVOKED)) {
  test(`A client that has its streams reset by ${what} is cut off (CVE-2025-8671)`, (t) =>
    withOwn(t, {}, (front) =>
      flood(front, (wire, i) => provoke(wire, i * 2 + 1), /too many streams had to be reset/),
    ));
}

const CONTROL: Readonly<Record<string, (wire: WireClient, i: number) => void>> = {
  PING: (wire) => wire.send(FRAME.ping, 0, 0, Buffer.alloc(8)),
  'PING acknowledgements': (wire) => wire.send(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8)),
  SETTINGS: (wire) => wire.send(FRAME.settings, 0, 0),
  'SETTINGS acknowledgements': (wire) => wire.send(FRAME.settings, FLAG.ack, 0),
  PRIORITY: (wire, i) => wire.send(FRAME.priority, 0, i * 2 + 1, Buffer.alloc(5)),
  PRIORITY_UPDATE: (wire) =>
    wire.send(PRIORITY_UPDATE, 0, 0, Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('u=1')])),
  'frames of an unknown type': (wire) => wire.send(UNKNOWN_TYPE, 0, 0, Buffer.alloc(3)),
};

for (const [what, send] of Object.entries(CONTROL)) {
  test(`A flood of ${what} is cut off`, (t) =>
    withOwn(t, {}, (front) => flood(front, send, /too many frames that only steer/)));
}

test('A flood of empty DATA frames is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        if (i === 0) wire.request(1, '/echo', { method: 'POST', open: true });
        wire.data(1, '');
      },
      /too many empty DATA frames/,
    ),
  ));

test('A flood of DATA frames that hold nothing but padding is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        if (i === 0) wire.request(1, '/echo', { method: 'POST', open: true });
        wire.send(FRAME.data, FLAG.padded, 1, Buffer.from([3, 0, 0, 0]));
      },
      /too many empty DATA frames/,
    ),
  ));

test('A flood of empty HEADERS frames is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => wire.send(FRAME.headers, FLAG.endHeaders, i * 2 + 1),
      /too many (?:empty HEADERS frames|streams had to be reset)/,
    ),
  ));

test('A flood of WINDOW_UPDATE frames is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(front, (wire) => wire.windowUpdate(0, 1), /too many WINDOW_UPDATE frames/),
  ));

test('WINDOW_UPDATE frames that answer DATA are no flood, however small the windows', (t) =>
  withOwn(t, {}, async (front) => {
    // 16 MiB through a window of 1 KiB that is opened for each frame: 16,384 updates each for the stream and the connection
    const wire = await connectWire(front, { 4: 1024 });
    wire.request(1, '/big');
    let seen = 0;
    let bytes = 0;
    while (bytes < 16 * 1024 * 1024) {
      await wire.frame(() => wire.frames.length > seen, 'more frames');
      for (; seen < wire.frames.length; seen++) {
        const frame = wire.frames[seen];
        if (frame?.type === FRAME.goaway) throw new Error(frame.payload.toString('latin1', 8));
        if (frame?.type !== FRAME.data || frame.payload.length === 0) continue;
        bytes += frame.payload.length;
        wire.windowUpdate(0, frame.payload.length);
        wire.windowUpdate(1, frame.payload.length);
      }
    }
    strictEqual((await wire.response(1)).resetCode, undefined);
    wire.destroy();
  }));

test('A head of endless CONTINUATION frames is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        if (i === 0) wire.send(FRAME.headers, 0, 1, wire.encode([[':method', 'GET']]));
        else wire.send(FRAME.continuation, 0, 1);
      },
      /more than 32 CONTINUATION frames/,
    ),
  ));

test('A compressed head that is larger than any head may be is cut off', (t) =>
  withOwn(t, {}, (front) =>
    flood(
      front,
      (wire, i) => {
        if (i === 0) wire.send(FRAME.headers, 0, 1, wire.encode([[':method', 'GET']]));
        else wire.send(FRAME.continuation, 0, 1, Buffer.alloc(16_384, 0x82));
      },
      /compressed head has more than/,
    ),
  ));

test('A small head that unfolds into a large one is refused without being unfolded (HPACK bomb)', (t) =>
  withOwn(t, {}, async (front) => {
    await besideHonest(front, async () => {
      const wire = await connectWire(front);
      // static entries for GET, https and /, then :authority and the field that is repeated later
      const head = Buffer.from('\x82\x87\x84\x01\x09localhost', 'latin1');
      // an integer with a prefix of seven bits: 127 + 3840
      const name = Buffer.from('\x40\x06x-bomb\x7f\x80\x1e', 'latin1');
      const entry = Buffer.concat([name, Buffer.alloc(127 + 3840, 'b')]);
      wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, Buffer.concat([head, entry]));
      strictEqual((await wire.response(1)).status, 404);
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      for (let id = 3; id < 40; id += 2) {
        // the newest entry is the first of the dynamic table, number 62
        const repeated = Buffer.alloc(16_000, 0x80 | 62);
        wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, Buffer.concat([head, repeated]));
        const { status, resetCode: code } = await wire.response(id);
        ok(status === 431 || code === ERROR_CODE.enhanceYourCalm, `status ${status}, code ${code}`);
      }
      collectGarbage();
      ok(process.memoryUsage().heapUsed - before < 64 * 1024 * 1024);
      wire.request(41, '/hello');
      strictEqual((await wire.response(41)).status, 200);
      wire.destroy();
    });
  }));

test('Streams whose windows stay closed are cut after the stall timeout, and hold little until then', (t) =>
  withOwn(t, { stallTimeoutMs: 300 }, async (front) => {
    await besideHonest(front, async () => {
      const wire = await connectWire(front, { 4: 0 });
      for (let id = 1; id < 200; id += 2) wire.request(id, id % 4 === 1 ? '/big' : '/hello');
      for (let id = 1; id < 200; id += 2) ok((await resetCode(wire, id)) > 0);
      strictEqual((await wire.ping()).length, 8);
      wire.destroy();
    });
    await waitFor(() => front.counters.get('exchanges') === 0, 'all exchanges to end');
  }));

test('A client that reads nothing is cut after the stall timeout, and holds little until then', (t) =>
  withOwn(t, { stallTimeoutMs: 500 }, async (front) => {
    await besideHonest(front, async () => {
      collectGarbage();
      const before = process.memoryUsage().arrayBuffers;
      const wire = await connectWire(front, { 4: 0x7fffffff });
      wire.windowUpdate(0, 0x7fffffff - 65_535);
      await wire.ping();
      wire.socket.pause();
      for (let id = 1; id < 200; id += 2) wire.request(id, '/big');
      await waitFor(() => front.counters.get('exchanges') === 100, 'the exchanges');
      await untilStill(() => wire.socket.bytesRead);
      collectGarbage();
      const held = process.memoryUsage().arrayBuffers - before;
      ok(held < 32 * 1024 * 1024, `${held} bytes are held`);
      await waitFor(() => front.counters.get('exchanges') === 0, 'the exchanges to be cut');
      await waitFor(() => front.counters.get('sessions') === 1, 'the session to be cut');
      wire.destroy();
    });
  }));

test('A client that sends PING and reads nothing is not read any more', (t) =>
  withOwn(t, { stallTimeoutMs: 500, controlFramesPerSecond: 10_000_000 }, async (front) => {
    await besideHonest(front, async () => {
      const wire = await connectWire(front);
      await wire.ping();
      wire.socket.pause();
      const pings = Buffer.concat(
        Array.from({ length: 4096 }, () => Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])),
      );
      // more than the sockets between the two hold; to encrypt 70 MB would block the honest client's thread for seconds
      for (let i = 0; i < 192; i++) wire.socket.write(pings);
      await waitFor(() => front.counters.get('sessions') === 1, 'the session to be cut', WAIT_MAX_MS);
      wire.destroy();
    });
  }));

test('A head that is begun and not finished is cut off after the head timeout', (t) =>
  withOwn(t, { headTimeoutMs: 200 }, async (front) => {
    const wire = await connectWire(front);
    // the acknowledgement of SETTINGS would otherwise come between the parts of the head
    await wire.ping();
    wire.send(FRAME.headers, 0, 1, wire.encode([[':method', 'GET']]));
    strictEqual(await goAwayCode(wire), ERROR_CODE.enhanceYourCalm);
    const half = await connectWire(front);
    await half.ping();
    half.socket.write(Buffer.from([0, 0, 8, 6]));
    strictEqual(await goAwayCode(half), ERROR_CODE.enhanceYourCalm);
  }));

test('A client that does not begin is cut off after the head timeout', (t) =>
  withOwn(t, { headTimeoutMs: 200 }, async (front) => {
    const socket = await connectTls(front.port);
    socket.resume();
    await waitFor(() => socket.destroyed, 'the connection to be closed');
    match(front.logLines.join('\n'), /SETTINGS_TIMEOUT/);
  }));

test('A body of single bytes costs little more than its bytes', (t) =>
  withOwn(t, {}, async (front) => {
    await besideHonest(front, async () => {
      const wire = await connectWire(front);
      wire.request(1, '/quiet', { method: 'POST', open: true });
      await waitFor(
        () => front.counters.get('exchanges') === 2 || front.counters.get('exchanges') === 1,
        'it',
      );
      const one = Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 1, 0x78]);
      const many = Buffer.concat(Array.from({ length: 10_000 }, () => one));
      collectGarbage();
      const before = process.memoryUsage();
      for (let i = 0; i < 10; i++) wire.socket.write(many);
      await wire.ping();
      collectGarbage();
      const after = process.memoryUsage();
      const grown = after.arrayBuffers - before.arrayBuffers;
      ok(grown < 8 * 1024 * 1024, `${grown} bytes are held for 100,000`);
      wire.destroy();
    });
  }));
