/** The exchange between handler and wire: the order of calls, lengths, buffers, and the ways to end. */
import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../../src/base/errors.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { CHUNK_BYTES_MAX } from '../../../src/http/exchange/chunk-pool.ts';
import type { ExchangeObserver } from '../../../src/http/exchange/exchange-wire.ts';
import type { RequestHead } from '../../../src/http/exchange/request-head.ts';
import { BUFFER_BYTES_MAX } from '../../../src/http/exchange/response-buffer.ts';
import { ServerExchange } from '../../../src/http/exchange/server-exchange.ts';
import { StallWatch } from '../../../src/http/exchange/stall-watch.ts';
import { READ_AHEAD_BYTES, UnreadBodies } from '../../../src/http/exchange/unread-bodies.ts';
import { Counters } from '../../../src/metrics/worker-metrics.ts';
import { RecordingWire } from '../../support/recording-wire.ts';
import { testCompression } from '../../support/test-compression.ts';

const STALL_MS = 5_000;
const BODY_BYTES_MAX = 1_000_000;

interface Options {
  readonly request?: Partial<RequestHead>;
  readonly ready?: boolean;
  readonly observers?: readonly ExchangeObserver[];
}

class Scene {
  readonly wire = new RecordingWire();
  readonly counters = new Counters();
  readonly lines: string[] = [];
  readonly stalls = new StallWatch(STALL_MS);
  readonly unreadBodies: UnreadBodies;
  readonly exchange: ServerExchange;
  /** The calls that the owner of the exchange got, in order. */
  readonly told: string[] = [];

  constructor({ request, ready = true, observers = [] }: Options = {}) {
    const logger = createLogger('debug', 'test', (line) => this.lines.push(line));
    this.unreadBodies = new UnreadBodies(64 * BODY_BYTES_MAX, this.counters, logger);
    const head: RequestHead = {
      protocol: 'HTTP/1.1',
      method: 'GET',
      target: '/x',
      scheme: 'https',
      authority: 'a.example',
      fields: [],
      connection: {
        peerAddress: '127.0.0.1',
        peerPort: 1,
        localAddress: '127.0.0.1',
        localPort: 2,
        tlsProtocol: undefined,
        tlsCipher: undefined,
        tlsServerName: undefined,
      },
      pushed: false,
      hasBody: false,
      declaredLength: undefined,
      memo: undefined,
      ...request,
    };
    const patience = { stalls: this.stalls, bodyRate: { bytesPerSecondMin: 0, graceMs: 0 } };
    const { counters, unreadBodies } = this;
    const settings = {
      logger,
      counters,
      bodyBytesMax: BODY_BYTES_MAX,
      patience,
      unreadBodies,
      compression: testCompression(),
      observers,
    };
    this.exchange = new ServerExchange(head, this.wire, settings, ready);
    this.exchange.onAbort = (reason) => this.told.push(reason.code);
    this.exchange.onClose = () => this.told.push('closed');
  }

  /** Simulates that the wire has room again. */
  drain(): void {
    this.wire.drain();
    this.exchange.wireDrained();
  }

  /** Makes the next call of the wire return false. */
  fill(): void {
    this.wire.hasRoom = () => false;
  }

  write(text: string): boolean {
    return this.exchange.write(Buffer.from(text, 'latin1'));
  }
}

const FIELD_INVALID = { name: 'GatewayError', code: 'LGW_FIELD_INVALID' };
const POST = { method: 'POST', hasBody: true } as const;
const bytes = (size: number): Buffer => Buffer.alloc(size, 'x');
const untilNextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

// ---- head, content, end ----------------------------------------------------------------------------------------------

test('A short answer leaves in one piece when it has ended, with its length', () => {
  const { wire, exchange } = new Scene();
  exchange.head(201, ['x-a', '1']);
  ok(exchange.write(Buffer.from('abc')));
  ok(exchange.writeText('d\xff'));
  deepStrictEqual(wire.calls, []);
  exchange.end();
  deepStrictEqual(wire.calls, ['head', 'chunk 5', 'last']);
  strictEqual(wire.text, 'abcd\xff');
  deepStrictEqual(wire.head, {
    status: 201,
    reason: undefined,
    responseFields: ['x-a', '1'],
    contentLength: 5,
    hasDate: false,
    closes: false,
    mayHaveTrailers: false,
    bodyless: false,
  });
});

test('Content or an end without a head are a 200 without fields', () => {
  for (const begin of ['write', 'writeText', 'trailers', 'end'] as const) {
    const { wire, exchange } = new Scene();
    if (begin === 'write') exchange.write(Buffer.from('a'));
    else if (begin === 'writeText') exchange.writeText('a');
    else if (begin === 'trailers') exchange.trailers([]);
    exchange.end();
    deepStrictEqual([wire.head?.status, wire.head?.responseFields], [200, []], begin);
    ok(wire.isOver, begin);
  }
});

test('flush sends the head and what has been written, once, and the length of what follows is open', () => {
  const scene = new Scene();
  const { wire, exchange } = scene;
  exchange.flush();
  deepStrictEqual(wire.calls, []);
  exchange.head(200, []);
  scene.write('abc');
  exchange.flush();
  exchange.flush();
  deepStrictEqual(wire.calls, ['head', 'chunk 3']);
  strictEqual(wire.head?.contentLength, undefined);
  exchange.writeText('de');
  exchange.flush();
  exchange.end();
  deepStrictEqual(wire.calls, ['head', 'chunk 3', 'chunk 2', 'end']);
});

test('The last chunk that waits for the end says that it is the last', () => {
  const scene = new Scene();
  scene.exchange.head(200, []);
  scene.exchange.flush();
  scene.write('abc');
  scene.exchange.end();
  deepStrictEqual(scene.wire.calls, ['head', 'chunk 3', 'last']);
});

test('A second head is an error, and after the end nothing is taken any more', () => {
  const scene = new Scene();
  const { wire, exchange } = scene;
  exchange.head(200, []);
  throws(() => exchange.head(200, []), /The head has already been given/);
  exchange.end();
  const calls = [...wire.calls];
  exchange.head(404, []);
  strictEqual(scene.write('a'), true);
  strictEqual(exchange.writeText('a'), true);
  exchange.trailers(['a', 'b']);
  exchange.inform(103, []);
  exchange.end();
  exchange.reset();
  deepStrictEqual(wire.calls, calls);
  strictEqual(exchange.bytesWritten, 0);
});

test('A head that cannot be sent changes nothing: another can be given', () => {
  const { wire, exchange } = new Scene();
  for (const status of [199, 600, 200.5, Number.NaN])
    throws(() => exchange.head(status, []), /is not a final status between 200 and 599/);
  for (const fields of [
    ['a b', '1'],
    ['a', '1\r\nb: 2'],
    ['a', '\u0100'],
    ['content-length', '-1'],
    ['content-length', '1', 'content-length', '2'],
  ])
    throws(() => exchange.head(200, fields), FIELD_INVALID);
  strictEqual(exchange.headGiven, false);
  exchange.reason = 'a\nb';
  throws(() => exchange.head(200, []), FIELD_INVALID);
  exchange.reason = 'Fine';
  exchange.head(299, ['content-length', '1', 'Content-Length', '1', 'DATE', 'x', 'connection', 'a, Close']);
  exchange.writeText('a');
  exchange.end();
  const { reason, contentLength, hasDate, closes } = wire.head ?? {};
  deepStrictEqual([reason, contentLength, hasDate, closes], ['Fine', 1, true, true]);
});

test('Informational heads leave at once, before the head only, and are bounded', () => {
  const { wire, exchange } = new Scene();
  for (const status of [99, 101, 200])
    throws(() => exchange.inform(status, []), /is not informational/, String(status));
  throws(() => exchange.inform(103, ['a b', '']), FIELD_INVALID);
  const hint = ['link', 'x'.repeat(1024 - 64 - 4)];
  for (let i = 0; i < 256; i++) exchange.inform(103, hint);
  strictEqual(wire.calls.length, 256);
  throws(() => exchange.inform(100, []), /more than the limit of 262144 bytes/);
  exchange.head(200, []);
  exchange.inform(103, hint);
  strictEqual(wire.calls.length, 256);
});

// ---- lengths ---------------------------------------------------------------------------------------------------------

test('Content beyond the declared length is dropped, and the log says so once', () => {
  const scene = new Scene();
  scene.exchange.head(200, ['content-length', '4']);
  scene.write('ab');
  strictEqual(scene.write('cde'), true);
  strictEqual(scene.exchange.writeText('fg'), true);
  scene.exchange.end();
  strictEqual(scene.wire.text, 'abcd');
  strictEqual(scene.exchange.bytesWritten, 4);
  strictEqual(scene.lines.length, 1);
  ok(/longer than its Content-Length.*target=\/x.*declared=4/.test(scene.lines[0] ?? ''), scene.lines[0]);
});

test('Content that is shorter than declared is a 500 before the head was sent, and breaks off what was sent', () => {
  const unsent = new Scene();
  unsent.exchange.head(200, ['content-length', '4', 'x-a', '1']);
  unsent.write('abc');
  unsent.exchange.end();
  strictEqual(unsent.wire.head?.status, 500);
  ok(!unsent.wire.head.responseFields.includes('x-a'));
  strictEqual(unsent.wire.head.contentLength, unsent.wire.text.length);
  ok(unsent.wire.text.startsWith('<!DOCTYPE html>') && !unsent.wire.text.includes('abc'));

  const sent = new Scene();
  sent.exchange.head(200, ['content-length', '4']);
  sent.write('abc');
  sent.exchange.flush();
  sent.exchange.end();
  deepStrictEqual(sent.wire.calls, ['head', 'chunk 3', 'abort']);
  for (const { lines } of [unsent, sent])
    ok(/shorter than its Content-Length.*declared=4.*written=3/.test(lines[0] ?? ''), lines[0]);
});

test('HEAD gets the head alone: with the length that GET would have, where that is known', () => {
  const HEAD = { request: { method: 'HEAD' } };
  const written = new Scene(HEAD);
  written.write('abc');
  written.exchange.writeText('de');
  written.exchange.flush();
  deepStrictEqual(written.wire.calls, []);
  written.exchange.end();
  deepStrictEqual([written.wire.calls, written.wire.head?.contentLength], [['head', 'last'], 5]);
  strictEqual(written.exchange.bytesWritten, 0);

  const silent = new Scene(HEAD);
  silent.exchange.head(200, []);
  silent.exchange.end();
  strictEqual(silent.wire.head?.contentLength, undefined);

  const declared = new Scene(HEAD);
  declared.exchange.head(200, ['content-length', '9']);
  declared.write('abc');
  declared.exchange.trailers(['a', 'b']);
  declared.exchange.end();
  deepStrictEqual([declared.wire.calls, declared.wire.head?.contentLength], [['head', 'last'], 9]);
  deepStrictEqual(declared.lines, []);
});

test('A status without content gets none, whatever is written and declared', () => {
  for (const [status, fields, length] of [
    [204, ['content-length', '3'], undefined],
    [205, ['content-length', '3'], 0],
    [304, ['content-length', '3'], 3],
    [304, [], undefined],
  ] as const) {
    const scene = new Scene();
    scene.exchange.head(status, fields);
    scene.write('abc');
    scene.exchange.flush();
    scene.exchange.end();
    deepStrictEqual(scene.wire.calls, ['head', 'last'], String(status));
    deepStrictEqual([scene.wire.head?.bodyless, scene.wire.head?.contentLength], [true, length]);
  }
});

test('Trailers follow the content, and the head knows of them when it is still to come', () => {
  const scene = new Scene();
  scene.exchange.head(200, []);
  throws(() => scene.exchange.trailers(['a b', '']), FIELD_INVALID);
  scene.write('abc');
  scene.exchange.trailers(['x-sum', '1']);
  scene.exchange.end();
  deepStrictEqual(scene.wire.calls, ['head', 'chunk 3', 'end']);
  deepStrictEqual(scene.wire.trailers, ['x-sum', '1']);
  deepStrictEqual([scene.wire.head?.mayHaveTrailers, scene.wire.head?.contentLength], [true, undefined]);

  const late = new Scene();
  late.exchange.head(200, ['trailer', 'x-sum']);
  late.exchange.flush();
  late.write('abc');
  late.exchange.trailers(['x-sum', '2']);
  late.exchange.end();
  deepStrictEqual(late.wire.calls, ['head', 'chunk 3', 'end']);
  deepStrictEqual([late.wire.head?.mayHaveTrailers, late.wire.trailers], [true, ['x-sum', '2']]);
});

// ---- room ------------------------------------------------------------------------------------------------------------

test('A writer waits from a full buffer on until half of it has gone', async () => {
  const scene = new Scene();
  const { wire, exchange } = scene;
  let drained = 0;
  scene.fill();
  exchange.head(200, []);
  exchange.flush();
  strictEqual(exchange.write(bytes(BUFFER_BYTES_MAX - 1)), true);
  strictEqual(exchange.isFull, false);
  strictEqual(exchange.write(bytes(1)), false);
  strictEqual(exchange.isFull, true);
  for (let i = 0; i < 2; i++) exchange.whenDrained(() => (drained += 1));
  const cancelled = (): void => ok(false, 'a writer that has been withdrawn is not called');
  exchange.whenDrained(cancelled);
  exchange.cancelDrained(cancelled);
  // one chunk leaves at each of the first drains
  scene.drain();
  deepStrictEqual([drained, wire.calls.at(-1)], [0, `chunk ${CHUNK_BYTES_MAX}`]);
  scene.drain();
  strictEqual(drained, 2);
  strictEqual(exchange.isFull, false);
  exchange.whenDrained(() => (drained += 1));
  strictEqual(drained, 2);
  await untilNextTick();
  strictEqual(drained, 3);
});

test('The wire says how much an exchange may hold', () => {
  const scene = new Scene();
  scene.wire.bufferBytesMax = CHUNK_BYTES_MAX;
  scene.fill();
  scene.exchange.flush();
  strictEqual(scene.exchange.write(bytes(CHUNK_BYTES_MAX - 1)), true);
  strictEqual(scene.exchange.writeText('x'), true);
  strictEqual(scene.exchange.writeText('y'.repeat(CHUNK_BYTES_MAX)), false);
  deepStrictEqual(scene.wire.calls, ['head', `chunk ${CHUNK_BYTES_MAX}`]);
});

test('Full chunks go from the memory of the writer when the wire takes them, and the rest is kept', () => {
  const scene = new Scene();
  const { wire, exchange } = scene;
  let copies = 0;
  wire.takesCopies = () => ++copies <= 2;
  exchange.head(200, []);
  // everything is kept until the head is sent
  exchange.write(bytes(CHUNK_BYTES_MAX));
  strictEqual(copies, 0);
  scene.fill();
  exchange.flush();
  wire.calls.length = 0;
  // a wire without room gets no call
  exchange.write(bytes(CHUNK_BYTES_MAX));
  strictEqual(copies, 0);
  wire.hasRoom = () => true;
  scene.drain();
  wire.calls.length = 0;
  exchange.write(bytes(4 * CHUNK_BYTES_MAX + 1));
  deepStrictEqual([wire.calls, copies], [['copy 16384', 'copy 16384'], 3]);
  // no later bytes may overtake the kept ones
  wire.takesCopies = () => true;
  exchange.write(bytes(CHUNK_BYTES_MAX));
  deepStrictEqual(wire.calls, ['copy 16384', 'copy 16384']);
  exchange.end();
  deepStrictEqual(wire.calls.slice(2), ['chunk 16384', 'chunk 16384', 'chunk 16384', 'chunk 1', 'last']);
  strictEqual(scene.counters.get('bytesSentTotal'), 7 * CHUNK_BYTES_MAX + 1);
});

test('A wire that is not ready gets nothing but informational heads before it says so', () => {
  const scene = new Scene({ ready: false });
  scene.exchange.inform(103, []);
  scene.exchange.head(200, []);
  scene.write('abc');
  scene.exchange.flush();
  scene.exchange.end();
  deepStrictEqual(scene.wire.calls, ['inform 103']);
  scene.drain();
  deepStrictEqual(scene.wire.calls, ['inform 103', 'head', 'chunk 3', 'last']);
});

test('Whatever is written, and whenever the wire has room, it gets one head, all the bytes in order, and one end', () => {
  const step = fc.oneof(
    fc.record({
      how: fc.constantFrom('write', 'writeText', 'writeOwned'),
      size: fc.oneof(fc.nat(64), fc.nat(3 * CHUNK_BYTES_MAX)),
    }),
    fc.record({ how: fc.constantFrom('flush', 'drain'), size: fc.constant(0) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      (steps, answers, hasTrailers) => {
        const scene = new Scene();
        const { wire, exchange } = scene;
        let asked = 0;
        wire.hasRoom = () => answers[asked++ % answers.length] === true;
        wire.takesCopies = () => !wire.isFull && answers[asked++ % answers.length] === true;
        const written: Buffer[] = [];
        exchange.head(200, []);
        for (const [n, { how, size }] of steps.entries()) {
          if (how === 'flush') exchange.flush();
          else if (how === 'drain') scene.drain();
          else {
            const piece = Buffer.alloc(size, 65 + n);
            written.push(Buffer.from(piece));
            if (how === 'writeText') exchange.writeText(piece.toString('latin1'));
            else exchange[how as 'write'](piece);
            if (how === 'write') piece.fill(0);
          }
        }
        if (hasTrailers) exchange.trailers(['a', 'b']);
        exchange.end();
        wire.hasRoom = () => true;
        scene.drain();
        ok(wire.isOver);
        ok(Buffer.concat(wire.content).equals(Buffer.concat(written)));
        strictEqual(wire.calls.filter((call) => call === 'last' || call === 'end').length, 1);
        deepStrictEqual(wire.trailers, hasTrailers ? ['a', 'b'] : undefined);
        strictEqual(scene.counters.get('bytesSentTotal'), exchange.bytesWritten);
      },
    ),
    { numRuns: 100, seed: 1 },
  );
});

// ---- ways to fail ----------------------------------------------------------------------------------------------------

test('reset is a page before the head was sent, and breaks off what was sent', () => {
  const unsent = new Scene();
  unsent.exchange.answeredBy = { requestId: 'id-1' };
  unsent.exchange.head(200, []);
  unsent.write('abc');
  unsent.exchange.trailers(['a', 'b']);
  unsent.exchange.reset(503);
  deepStrictEqual(unsent.wire.calls, ['head', `chunk ${unsent.wire.text.length}`, 'last']);
  deepStrictEqual([unsent.wire.head?.status, unsent.wire.head?.closes], [503, false]);
  ok(/Error id: id-1/.test(unsent.wire.text) && !/abc/.test(unsent.wire.text));
  deepStrictEqual(unsent.told, []);

  const head = new Scene({ request: { method: 'HEAD' } });
  head.exchange.reset();
  deepStrictEqual([head.wire.calls, head.wire.head?.status], [['head', 'last'], 500]);

  const sent = new Scene();
  sent.exchange.head(200, []);
  sent.exchange.flush();
  sent.write('abc');
  sent.exchange.reset(503);
  deepStrictEqual(sent.wire.calls, ['head', 'abort']);
  ok(sent.exchange.isDone);
});

const broken = (status?: number): GatewayError =>
  new GatewayError('LGW_BODY_MALFORMED', 'Broken', status === undefined ? {} : { status });

test('A client that breaks a rule gets a page with the status, and its connection ends, while nothing was sent', () => {
  const scene = new Scene();
  let wasFinished: boolean | undefined;
  scene.exchange.onAbort = (reason) => {
    wasFinished = scene.exchange.finished;
    scene.told.push(reason.code);
    deepStrictEqual(scene.wire.calls, [], 'the owner hears of it before the client');
    scene.exchange.write(Buffer.from('late'));
  };
  scene.write('abc');
  scene.exchange.fail(broken(408));
  deepStrictEqual([scene.told, wasFinished], [['LGW_BODY_MALFORMED'], true]);
  deepStrictEqual([scene.wire.head?.status, scene.wire.head?.closes], [408, true]);
  ok(scene.wire.isOver && !/abc|late/.test(scene.wire.text));
  scene.exchange.fail(broken(400));
  deepStrictEqual([scene.told, scene.exchange.error?.status], [['LGW_BODY_MALFORMED'], 408]);
});

test('What cannot be told is broken off: without a status, behind the head, and while the wire has no room', () => {
  for (const how of ['no status', 'sent', 'blocked'] as const) {
    const scene = new Scene({ ready: how !== 'blocked' });
    scene.write('abc');
    if (how === 'sent') scene.exchange.flush();
    scene.exchange.fail(broken(how === 'no status' ? undefined : 408));
    strictEqual(scene.wire.calls.at(-1), 'abort', how);
    deepStrictEqual(scene.told, ['LGW_BODY_MALFORMED'], how);
  }
});

test('Whoever has ended the response hears of no failure, and his last bytes are given up', () => {
  const scene = new Scene({ ready: false });
  scene.write('abc');
  scene.exchange.write(bytes(BUFFER_BYTES_MAX));
  strictEqual(scene.exchange.isFull, true);
  scene.exchange.end();
  strictEqual(scene.exchange.isFull, false);
  scene.exchange.fail(broken(408));
  deepStrictEqual([scene.told, scene.wire.calls], [[], ['abort']]);
  scene.exchange.wireClosed();
  deepStrictEqual(scene.told, ['closed']);
});

test('A client that goes ends the run first, then its reader, then its writer, once', async () => {
  const scene = new Scene({ request: POST });
  const { exchange, told } = scene;
  scene.fill();
  exchange.write(bytes(2 * BUFFER_BYTES_MAX));
  exchange.whenDrained(() => told.push('writer'));
  exchange.body.request(1, () => told.push(`reader ${exchange.body.error?.code}`));
  exchange.wireClosed();
  exchange.wireClosed();
  await untilNextTick();
  deepStrictEqual(told, ['LGW_CLIENT_GONE', 'reader LGW_CLIENT_GONE', 'writer', 'closed']);
  strictEqual(exchange.error?.code, 'LGW_CLIENT_GONE');
  strictEqual(scene.counters.get('exchanges'), 0);
  strictEqual(scene.counters.get('exchangesTotal'), 1);
});

test('An exchange that has ended well closes without an error; observers hear of it in their order, before its owner', () => {
  const order: string[] = [];
  const before = performance.now();
  const scene = new Scene({
    observers: [
      (exchange, startedAt) => {
        ok(startedAt !== undefined && startedAt >= before && startedAt <= performance.now());
        order.push(`first ${exchange.status} ${exchange.bytesWritten}`);
      },
      () => order.push('second'),
    ],
  });
  scene.exchange.onClose = () => order.push('owner');
  scene.write('abc');
  scene.exchange.end();
  deepStrictEqual(order, []);
  scene.exchange.wireClosed();
  deepStrictEqual(order, ['first 200 3', 'second', 'owner']);
  deepStrictEqual([scene.exchange.error, scene.told], [undefined, []]);
});

test('An observer that comes while an exchange goes on hears of its end, but not when it began', () => {
  const observers: ExchangeObserver[] = [];
  const scene = new Scene({ observers });
  const heard: (number | undefined)[] = [];
  observers.push((_exchange, startedAt) => heard.push(startedAt));
  scene.write('abc');
  scene.exchange.end();
  scene.exchange.wireClosed();
  deepStrictEqual(heard, [undefined]);
});

// ---- request bodies --------------------------------------------------------------------------------------------------

test('A request without a body has read it to its end; one with a body is told to send it by its first reader', async () => {
  const none = new Scene();
  strictEqual(none.exchange.body.ended, true);
  strictEqual(none.exchange.bodyComplete, true);

  const { exchange, wire } = new Scene({ request: POST });
  let read = 0;
  exchange.body.request(3, () => (read += 1));
  deepStrictEqual(wire.calls, ['body awaited', 'start body']);
  exchange.receiveBody(Buffer.from('ab'));
  deepStrictEqual([read, wire.calls.length], [0, 2]);
  exchange.endBody();
  deepStrictEqual([read, exchange.bodyComplete, wire.calls.at(-1)], [1, true, 'body not awaited']);
});

test('A body that nobody reads holds its wire back, counts in the budget, and leaves it with the exchange', () => {
  const { exchange, wire, unreadBodies, counters } = new Scene({ request: POST });
  exchange.receiveBody(bytes(READ_AHEAD_BYTES - 1));
  deepStrictEqual(wire.calls, []);
  exchange.receiveBody(bytes(1));
  deepStrictEqual(wire.calls, ['pause body']);
  ok(unreadBodies.bytes >= READ_AHEAD_BYTES);
  strictEqual(exchange.unreadBytes, READ_AHEAD_BYTES);
  exchange.body.queue.take(READ_AHEAD_BYTES / 2);
  exchange.body.consumed();
  deepStrictEqual(wire.calls, ['pause body', 'resume body']);
  strictEqual(exchange.readBytes, READ_AHEAD_BYTES / 2);
  exchange.wireClosed();
  deepStrictEqual(
    [unreadBodies.bytes, wire.bodyHolder.unreadBytes, counters.get('unreadBodyBytes')],
    [0, 0, 0],
  );
  strictEqual(counters.get('bytesReceivedTotal'), READ_AHEAD_BYTES);
});

test('A body of the largest size is taken, and one byte more is 413', () => {
  const scene = new Scene({ request: POST });
  strictEqual(scene.exchange.receiveBody(bytes(BODY_BYTES_MAX)), true);
  strictEqual(scene.exchange.receiveBody(bytes(1)), false);
  deepStrictEqual([scene.wire.head?.status, scene.wire.head?.closes], [413, true]);
  deepStrictEqual(scene.told, ['LGW_BODY_TOO_LARGE']);
  strictEqual(scene.exchange.body.error?.code, 'LGW_BODY_TOO_LARGE');
  // bytes that still arrive are accepted and dropped
  strictEqual(scene.exchange.receiveBody(bytes(1)), true);
  strictEqual(scene.exchange.unreadBytes, BODY_BYTES_MAX);
});

test('A reader without room refuses the body for the client, before the head and not behind it', () => {
  const open = new Scene({ request: POST });
  strictEqual(open.exchange.body.refuse(broken(413)), true);
  deepStrictEqual([open.wire.head?.status, open.told], [413, ['LGW_BODY_MALFORMED']]);
  const sent = new Scene({ request: POST });
  sent.exchange.head(200, []);
  sent.exchange.flush();
  strictEqual(sent.exchange.body.refuse(broken(413)), false);
  deepStrictEqual([sent.wire.calls, sent.told], [['head'], []]);
});

test('A client that is waited for too long is cut off: with 408 for its body, without where it takes nothing', () => {
  const silent = new Scene({ request: POST });
  silent.stalls.sweep(performance.now() + STALL_MS);
  deepStrictEqual(silent.told, [], 'nobody waits for it yet');
  silent.exchange.body.request(1, () => undefined);
  silent.wire.holdsBody = true;
  silent.stalls.sweep(performance.now() + STALL_MS);
  deepStrictEqual(silent.told, [], 'it is us who keep it from sending');
  silent.wire.holdsBody = false;
  silent.stalls.sweep(performance.now() + STALL_MS + 1);
  deepStrictEqual([silent.told, silent.wire.head?.status], [['LGW_CLIENT_STALLED'], 408]);

  const full = new Scene();
  full.fill();
  full.write('abc');
  full.exchange.flush();
  full.stalls.sweep(performance.now() + STALL_MS + 1);
  deepStrictEqual([full.told, full.wire.calls.at(-1)], [['LGW_CLIENT_STALLED'], 'abort']);

  // a client that reads nothing gets no extra time for a body that the gateway holds back
  const both = new Scene({ request: POST });
  both.fill();
  both.write('abc');
  both.exchange.flush();
  both.wire.holdsBody = true;
  both.exchange.body.request(1, () => undefined);
  both.stalls.sweep(performance.now() + STALL_MS + 1);
  deepStrictEqual(both.told, ['LGW_CLIENT_STALLED']);

  const drained = new Scene();
  drained.fill();
  drained.write('abc');
  drained.exchange.flush();
  drained.drain();
  drained.stalls.sweep(performance.now() + STALL_MS);
  deepStrictEqual(drained.told, []);
});

// ---- the request, pushes ---------------------------------------------------------------------------------------------

test('Handlers see the fields of a request without those that begin with a colon', () => {
  const { exchange } = new Scene({ request: { fields: [':method', 'GET', ':path', '/x', 'a', '1'] } });
  deepStrictEqual(exchange.fields, ['a', '1']);
  strictEqual(exchange.fields, exchange.fields);
});

test('A push goes to a wire that can, as GET or HEAD with legal fields, and not after the end', () => {
  const promise = {
    method: 'GET',
    scheme: 'https',
    authority: 'a.example',
    target: '/p',
    fields: [],
  };
  const { exchange, wire } = new Scene();
  exchange.push(promise);
  wire.canPush = true;
  exchange.push({ ...promise, method: 'POST' });
  deepStrictEqual(wire.calls, []);
  throws(() => exchange.push({ ...promise, fields: ['a', '\n'] }), FIELD_INVALID);
  exchange.push(promise);
  exchange.push({ ...promise, method: 'HEAD' });
  deepStrictEqual(wire.calls, ['push GET /p', 'push HEAD /p']);
  exchange.end();
  strictEqual(exchange.canPush, false);
  exchange.push(promise);
  strictEqual(wire.calls.length, 4);
});
