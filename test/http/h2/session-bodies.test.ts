/** Request bodies over HTTP/2: when the windows of stream and connection open, and when a connection is not read. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import {
  READ_AHEAD_BYTES,
  TIGHT_READ_AHEAD_BYTES,
  UnreadBodies,
} from '../../../src/http/exchange/unread-bodies.ts';
import { INITIAL_WINDOW_BYTES } from '../../../src/http/h2/frame-types.ts';
import { CONNECTION_WINDOW_BYTES_MAX, SessionBodies } from '../../../src/http/h2/session-bodies.ts';
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from '../../../src/http/h2/session-bounds.ts';
import { StreamBody } from '../../../src/http/h2/stream-body.ts';
import { Counters } from '../../../src/metrics/worker-metrics.ts';
import { RecordedOutput } from '../../support/recorded-output.ts';

const KIB = 1024;
const BUDGET = 8192 * KIB;
const STREAM_WINDOW_BYTES_MAX = 4096 * KIB;
/** A body that no handler reads for this long counts as unread. */
const UNREAD_MS = 1_000;

/** A stream as SessionBodies sees it. */
class Stream {
  readonly body: StreamBody;
  hasQueued = false;
  unreadBytes = 0;
  readBytes = 0;
  awaitsBody = false;
  refused = false;

  constructor(body: StreamBody) {
    this.body = body;
  }

  releaseWithheld(): void {
    this.body.releaseWithheld();
  }
  isUnread(now: number): boolean {
    return this.body.isUnread(this, now);
  }
  refuseUnread(): void {
    this.refused = true;
    this.unreadBytes = 0;
  }
}

class Scene {
  readonly recorded = new RecordedOutput();
  readonly streams: Stream[] = [];
  readonly unread = new UnreadBodies(
    BUDGET,
    new Counters(),
    createLogger('error', 'test', () => undefined),
  );
  readonly bodies = new SessionBodies(this.recorded.output, { all: () => this.streams }, this.unread);

  constructor() {
    this.bodies.start();
    deepStrictEqual(this.updates(), [`0: ${CONNECTION_WINDOW_BYTES - INITIAL_WINDOW_BYTES}`]);
  }

  /** Makes streams 1, 3, 5 and so on. */
  stream(declaredLength?: number): Stream {
    const id = 1 + 2 * this.streams.length;
    const stream = new Stream(new StreamBody(this.bodies, this.recorded.output, id, declaredLength));
    this.streams.push(stream);
    return stream;
  }

  updates(): string[] {
    return this.recorded.takeUpdates();
  }

  /** Receives a DATA frame and gives it to the exchange, which then holds `unreadBytes`. */
  receive(stream: Stream, bytes: number, unreadBytes = 0): void {
    strictEqual(this.bodies.takeWindow(bytes), true);
    strictEqual(stream.body.takeWindow(bytes), true);
    stream.body.received(bytes, unreadBytes);
  }

  /** Makes so much wait that no window grows, however fast this machine is. */
  keepWindows(): void {
    this.unread.change(this.bodies, CONNECTION_WINDOW_BYTES / 2 + 1);
  }

  /** Uses more than half of the budget by other connections. */
  makeTight(): void {
    const others = { unreadBytes: 0, isHeldBack: false, holdBack: () => undefined, letGo: () => undefined };
    this.unread.change(others, BUDGET / 2);
  }
}

test('A stream takes its window and not a byte more, and opens it again by half', () => {
  const scene = new Scene();
  const { body } = scene.stream();
  strictEqual(body.expectedBytes, STREAM_WINDOW_BYTES);
  strictEqual(body.takeWindow(STREAM_WINDOW_BYTES), true);
  strictEqual(body.expectedBytes, 0);
  body.release(STREAM_WINDOW_BYTES / 2 - 1);
  deepStrictEqual(scene.updates(), []);
  body.release(1);
  deepStrictEqual(scene.updates(), [`1: ${STREAM_WINDOW_BYTES / 2}`]);
  strictEqual(body.takeWindow(STREAM_WINDOW_BYTES / 2), true);
  strictEqual(body.takeWindow(1), false);
});

test('All streams together take the window of the connection, which opens by half, too', () => {
  const scene = new Scene();
  const streams = Array.from({ length: 4 }, () => scene.stream());
  for (const { body } of streams) {
    strictEqual(body.takeWindow(STREAM_WINDOW_BYTES), true);
    strictEqual(scene.bodies.takeWindow(STREAM_WINDOW_BYTES), true);
  }
  strictEqual(scene.bodies.holdsBodies, true);
  strictEqual(scene.bodies.takeWindow(1), false);
  for (const { body } of streams.slice(0, 2)) body.release(STREAM_WINDOW_BYTES);
  deepStrictEqual(scene.updates(), [
    `1: ${STREAM_WINDOW_BYTES}`,
    `0: ${CONNECTION_WINDOW_BYTES / 2}`,
    `3: ${STREAM_WINDOW_BYTES}`,
  ]);
  strictEqual(scene.bodies.holdsBodies, false);
});

test('Windows double for a client that they hold back, up to 4 MiB a stream and 16 MiB a connection', () => {
  const scene = new Scene();
  // prevents that a pause of this machine looks like a slow client
  scene.bodies.measured(Number.POSITIVE_INFINITY);
  const stream = scene.stream();
  let sizes = { 0: CONNECTION_WINDOW_BYTES, 1: STREAM_WINDOW_BYTES };
  for (let i = 0; i < 5_000; i++) {
    scene.receive(stream, 16 * KIB);
    for (const update of scene.updates()) {
      const [id, increment] = update.split(': ').map(Number) as [0 | 1, number];
      // the used half is returned, and the rest is growth
      const grown = increment - sizes[id] / 2;
      strictEqual([0, sizes[id]].includes(grown), true, `${update} of ${sizes[id]}`);
      sizes = { ...sizes, [id]: sizes[id] + grown };
    }
  }
  deepStrictEqual(sizes, { 0: CONNECTION_WINDOW_BYTES_MAX, 1: STREAM_WINDOW_BYTES_MAX });
});

test('No window grows while the bodies of its client wait here', () => {
  for (const how of ['unread', 'tight'] as const) {
    const scene = new Scene();
    scene.bodies.measured(Number.POSITIVE_INFINITY);
    const stream = scene.stream();
    if (how === 'tight') scene.makeTight();
    else scene.keepWindows();
    for (let i = 0; i < 3; i++) scene.receive(stream, STREAM_WINDOW_BYTES / 2);
    const half = `1: ${STREAM_WINDOW_BYTES / 2}`;
    deepStrictEqual(scene.updates(), [half, half, half], how);
  }
});

test('A body is as long as was declared: not longer, and short until then', () => {
  const scene = new Scene();
  const { body } = scene.stream(10);
  strictEqual(body.count(9), true);
  strictEqual(body.isShort, true);
  strictEqual(body.count(1), true);
  strictEqual(body.isShort, false);
  strictEqual(body.count(1), false);
  const { body: open } = scene.stream();
  strictEqual(open.count(1_000_000), true);
  strictEqual(open.isShort, false);
});

test('What comes while a body is paused opens its windows when the reader goes on', () => {
  const scene = new Scene();
  const stream = scene.stream();
  stream.body.pause();
  const half = CONNECTION_WINDOW_BYTES / 2;
  scene.bodies.releaseReceived(half - STREAM_WINDOW_BYTES);
  scene.receive(stream, STREAM_WINDOW_BYTES, READ_AHEAD_BYTES);
  deepStrictEqual(scene.updates(), []);
  stream.body.resume();
  stream.body.resume();
  deepStrictEqual(scene.updates(), [`0: ${half}`, `1: ${STREAM_WINDOW_BYTES}`]);
});

test('Under a short budget the window of the connection waits, too, until somebody waits for the client', () => {
  const scene = new Scene();
  scene.keepWindows();
  scene.makeTight();
  const stream = scene.stream();
  stream.body.pause();
  const half = CONNECTION_WINDOW_BYTES / 2;
  scene.bodies.releaseReceived(half - STREAM_WINDOW_BYTES);
  scene.receive(stream, STREAM_WINDOW_BYTES, TIGHT_READ_AHEAD_BYTES);
  deepStrictEqual([scene.updates(), scene.bodies.withheldBytes], [[], STREAM_WINDOW_BYTES]);
  scene.bodies.bodyAwaited(true);
  deepStrictEqual([scene.updates(), scene.bodies.withheldBytes], [[`0: ${half}`], 0]);
  // but bytes that arrive now do not count
  scene.bodies.releaseReceived(half - 1);
  stream.body.received(1, TIGHT_READ_AHEAD_BYTES);
  deepStrictEqual([scene.updates(), scene.bodies.withheldBytes], [[`0: ${half}`], 0]);
  scene.bodies.bodyAwaited(false);
  strictEqual(scene.bodies.withholds, true);
  stream.body.resume();
  deepStrictEqual([scene.updates(), scene.bodies.withheldBytes], [[`1: ${STREAM_WINDOW_BYTES + 1}`], 0]);
});

test('A body that is given up frees the window of the connection, and not its own', () => {
  const scene = new Scene();
  scene.keepWindows();
  const stream = scene.stream();
  stream.body.pause();
  scene.bodies.releaseReceived(CONNECTION_WINDOW_BYTES / 2 - STREAM_WINDOW_BYTES);
  scene.receive(stream, STREAM_WINDOW_BYTES, READ_AHEAD_BYTES);
  stream.body.giveUp();
  deepStrictEqual(scene.updates(), [`0: ${CONNECTION_WINDOW_BYTES / 2}`]);
  stream.body.resume();
  stream.body.release(STREAM_WINDOW_BYTES);
  deepStrictEqual(scene.updates(), []);

  const ended = scene.stream();
  ended.body.takeWindow(STREAM_WINDOW_BYTES);
  ended.body.end();
  ended.body.pause();
  ended.body.received(STREAM_WINDOW_BYTES, READ_AHEAD_BYTES);
  deepStrictEqual(scene.updates(), [`0: ${CONNECTION_WINDOW_BYTES / 2}`]);
});

test('A body counts as unread when it is of some size, and nothing of it was read for a second', () => {
  const stream = new Scene().stream();
  const unread = (now: number): boolean => stream.isUnread(now);
  stream.unreadBytes = TIGHT_READ_AHEAD_BYTES + 1;
  strictEqual(unread(5_000), false);
  strictEqual(unread(5_000 + UNREAD_MS - 1), false);
  strictEqual(unread(5_000 + UNREAD_MS), true);
  stream.awaitsBody = true;
  strictEqual(unread(5_000 + UNREAD_MS), false);
  stream.awaitsBody = false;
  stream.unreadBytes -= 1;
  strictEqual(unread(5_000 + UNREAD_MS), false);
  stream.unreadBytes += 1;
  stream.readBytes = 1;
  strictEqual(unread(5_000 + UNREAD_MS), false);
  strictEqual(unread(5_000 + 2 * UNREAD_MS), true);
});

test('A connection that is held back is not read, and is read again when somebody waits for it', () => {
  const scene = new Scene();
  const { bodies, unread, recorded } = scene;
  unread.change(bodies, BUDGET);
  deepStrictEqual([bodies.isHeldBack, recorded.socket.isPaused()], [true, true]);
  bodies.bodyAwaited(true);
  deepStrictEqual([bodies.isHeldBack, recorded.socket.isPaused()], [false, false]);
  // it stays so while a handler waits for a body, or a response waits for a window
  unread.change(bodies, 1);
  strictEqual(bodies.isHeldBack, false);
  bodies.bodyAwaited(false);
  const stream = scene.stream();
  stream.hasQueued = true;
  unread.change(bodies, 1);
  strictEqual(bodies.isHeldBack, false);
  stream.hasQueued = false;
  unread.change(bodies, 1);
  strictEqual(bodies.isHeldBack, true);
  bodies.end();
  deepStrictEqual([bodies.isHeldBack, recorded.socket.isPaused()], [false, false]);
  unread.change(bodies, 1);
  strictEqual(bodies.isHeldBack, false);
  scene.bodies.releaseReceived(CONNECTION_WINDOW_BYTES);
  deepStrictEqual(scene.updates(), []);
});

test('Where other streams hold too much, the largest bodies that nobody reads are refused, until it is little enough', () => {
  const scene = new Scene();
  const { bodies, unread } = scene;
  const sizes = [100 * KIB, 300 * KIB, 200 * KIB, 20 * KIB];
  const streams = sizes.map((size) => Object.assign(scene.stream(), { unreadBytes: size }));
  const awaited = Object.assign(scene.stream(), { unreadBytes: 900 * KIB, awaitsBody: true });
  unread.change(bodies, BUDGET);
  bodies.bodyAwaited(true);
  strictEqual(bodies.isHeldBack, true);
  const now = Date.now();
  bodies.sweepHeldBack(now);
  deepStrictEqual([bodies.isHeldBack, streams.some(({ refused }) => refused)], [false, false]);
  unread.change(bodies, 1);
  strictEqual(bodies.isHeldBack, true);
  bodies.sweepHeldBack(now + UNREAD_MS);
  // 620 KiB, 320 KiB, 120 KiB: no more than 256 KiB
  deepStrictEqual(
    streams.map(({ refused }) => refused),
    [false, true, true, false],
  );
  deepStrictEqual([awaited.refused, bodies.isHeldBack], [false, false]);
});

test('Nothing is refused for a client that nobody waits for: it only waits', () => {
  const scene = new Scene();
  const stream = Object.assign(scene.stream(), { unreadBytes: 900 * KIB });
  scene.unread.change(scene.bodies, BUDGET);
  scene.bodies.sweepHeldBack(1);
  scene.bodies.sweepHeldBack(1 + UNREAD_MS);
  deepStrictEqual([stream.refused, scene.bodies.isHeldBack], [false, true]);
});
