/** Streams that an extended CONNECT turns into tunnels (RFC 8441). */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { after, before } from 'node:test';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { calmTest as test } from '../../support/calm.ts';
import { connectH2, fetchH2 } from '../../support/h2-client.ts';
import { connectWire, resetCode } from '../../support/own-sessions.ts';
import {
  type HandlerFunction,
  startFrontEnd,
  TEST_LIMITS,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { FRAME, type Head, type WireClient } from '../../support/wire-client.ts';

/** Writes back what it reads, and ends when the client does. */
function echo(exchange: Exchange): void {
  const { body } = exchange;
  const step = (): void => {
    while (body.queue.length > 0) {
      exchange.write(body.queue.takeChunk());
      body.consumed();
    }
    exchange.flush();
    if (body.ended) exchange.end();
    else if (exchange.isFull === true) exchange.whenDrained(step);
    else body.request(1, step);
  };
  step();
}

const events: string[] = [];

const HANDLERS: Record<string, HandlerFunction> = {
  '/echo': (x) => {
    x.onClose = () => events.push(`closed ${x.status}`);
    if (x.openTunnel('websocket', ['x-room', '7', 'Connection', 'close'])) echo(x);
    else x.reset(400);
  },
  '/later': (x) => {
    setImmediate(() => {
      if (x.openTunnel('WebSocket', [])) echo(x);
    });
  },
  '/plain': (x) => {
    x.write(Buffer.from(x.method));
    x.end();
  },
  '/other': (x) => {
    x.head(404, []);
    x.write(Buffer.from(String(x.openTunnel('echo', []))));
    x.end();
  },
  '/push': (x) => {
    if (!x.openTunnel('websocket', [])) return;
    const step = (): void => {
      if (x.finished) return;
      while (!x.finished && x.write(Buffer.alloc(60_000, 'p')));
      x.whenDrained(step);
    };
    x.onAbort = (reason) => events.push(reason.code);
    step();
  },
  /** Reads nothing. */
  '/deaf': (x) => {
    x.openTunnel('websocket', []);
  },
};

const limits = { bodyBytesMax: 1000, stallTimeoutMs: 300, idleTimeoutMs: 300 };
let front: TestFrontEnd;

before(async () => {
  front = await startFrontEnd(HANDLERS, { limits });
});
after(() => front.stop());

/** A session whose server has said that it takes extended CONNECT. */
async function connect(): Promise<ClientHttp2Session> {
  const session = await connectH2(front.port);
  if (session.remoteSettings.enableConnectProtocol !== true) await once(session, 'remoteSettings');
  strictEqual(session.remoteSettings.enableConnectProtocol, true);
  return session;
}

function ask(path: string, protocol = 'websocket'): Record<string, string> {
  return {
    ':method': 'CONNECT',
    ':protocol': protocol,
    ':path': path,
    ':scheme': 'https',
    ':authority': 'a',
  };
}

/** Resolves with what has been received as soon as it has so many bytes. */
async function receive(stream: ClientHttp2Stream, size: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    length += chunk.length;
  };
  stream.on('data', take);
  await waitFor(() => length >= size, `${size} bytes`);
  stream.off('data', take);
  return Buffer.concat(chunks);
}

test('A tunnel carries bytes both ways beside other streams, and ends with either side', async () => {
  const session = await connect();
  events.length = 0;
  const stream = session.request(ask('/echo'), { endStream: false });
  const [head] = await once(stream, 'response');
  strictEqual(head[':status'], 200);
  strictEqual(head['x-room'], '7');
  strictEqual(head['connection'], undefined);
  // far above the limit of a body, and above all windows
  const large = Buffer.alloc(3_000_000, '0123456789');
  const back = receive(stream, large.length);
  stream.write(large);
  strictEqual((await fetchH2(session, { ':path': '/plain' })).body.toString(), 'GET');
  ok((await back).equals(large));
  stream.end();
  await once(stream, 'close');
  strictEqual(stream.rstCode, ERROR_CODE.noError);
  await waitFor(() => events.length > 0, 'the end of the exchange');
  deepStrictEqual(events, ['closed 200']);
  strictEqual(front.accesses.includes('GET /echo HTTP/2 200'), true, front.accesses.join());
  session.destroy();
});

test('A tunnel that is opened later has what came meanwhile, and may be silent', async () => {
  const session = await connect();
  const stream = session.request(ask('/later'), { endStream: false });
  stream.write('early');
  strictEqual((await receive(stream, 5)).toString(), 'early');
  // longer than a client may be silent without a tunnel; several sweeps pass
  await new Promise((resolve) => setTimeout(resolve, 3 * limits.stallTimeoutMs));
  const back = receive(stream, 10);
  stream.write('still here');
  strictEqual((await back).toString(), 'still here');
  session.destroy();
});

test('No tunnel is opened for another protocol, without a body, or by an answer that opens none', async () => {
  const session = await connect();
  const status = async (path: string, protocol?: string, endStream = false): Promise<number> => {
    const stream = session.request(ask(path, protocol), { endStream });
    stream.on('error', () => undefined);
    const [head] = await once(stream, 'response');
    stream.close();
    return head[':status'];
  };
  strictEqual(await status('/echo', 'connect-udp'), 501);
  strictEqual(await status('/echo', 'WebSocket'), 200);
  // its client would take 200 for the opened tunnel
  strictEqual(await status('/plain'), 501);
  strictEqual(await status('/other'), 404);
  strictEqual(await status('/nothing'), 404);
  strictEqual(await status('/echo', 'websocket', true), 400);
  session.destroy();
});

const CONNECT: Head = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'https'],
  [':path', '/echo'],
  [':authority', 'a'],
];

async function statusOf(wire: WireClient, id: number, head: Head): Promise<string | undefined> {
  wire.send(FRAME.headers, 4, id, wire.encode(head));
  const frame = await wire.frame(({ type, stream }) => type === FRAME.headers && stream === id, 'a head');
  return frame.head?.get(':status');
}

test('A head is malformed that has :protocol without CONNECT, or CONNECT with it and without an address', async () => {
  const wire = await connectWire(front);
  const without = (name: string): Head => CONNECT.filter(([other]) => other !== name);
  const malformed: Head[] = [
    [...without(':method'), [':method', 'GET']],
    [...CONNECT, [':protocol', 'websocket']],
    without(':path'),
    without(':scheme'),
    without(':authority'),
    [...CONNECT, ['host', 'b']],
    [...CONNECT, ['upgrade', 'websocket']],
  ];
  let id = 1;
  for (const head of malformed) {
    // pseudo-header fields come first
    const ordered = [...head].sort(([a], [b]) => Number(b.startsWith(':')) - Number(a.startsWith(':')));
    wire.send(FRAME.headers, 4, id, wire.encode(ordered));
    strictEqual(await resetCode(wire, id), ERROR_CODE.protocolError, JSON.stringify(head));
    id += 2;
  }
  strictEqual(await statusOf(wire, id, [...CONNECT, ['content-length', '0']]), '400');
  strictEqual(await statusOf(wire, id + 2, [...CONNECT, ['host', 'a']]), '200');
  // a plain CONNECT is for a proxy
  const plain: Head = [
    [':method', 'CONNECT'],
    [':authority', 'a:1'],
  ];
  strictEqual(await statusOf(wire, id + 4, plain), '501');
  wire.destroy();
});

test('A tunnel whose client does not read is cut at last', async () => {
  const wire = await connectWire(front);
  const head = CONNECT.map(([name, value]) => [name, name === ':path' ? '/push' : value] as const);
  strictEqual(await statusOf(wire, 1, head), '200');
  strictEqual(await resetCode(wire, 1), ERROR_CODE.internalError);
  const isCut = (): boolean => events.includes('LGW_CLIENT_STALLED');
  await waitFor(isCut, 'the end of the exchange', 4 * TEST_LIMITS.stallTimeoutMs);
  wire.destroy();
});

test('What comes through a tunnel that nobody reads is held back by its window', async () => {
  const wire = await connectWire(front);
  const head = CONNECT.map(([name, value]) => [name, name === ':path' ? '/deaf' : value] as const);
  strictEqual(await statusOf(wire, 1, head), '200');
  const held = front.counters.get('unreadBodyBytes');
  for (let sent = 0; sent < 256 * 1024; sent += 16_384) wire.data(1, Buffer.alloc(16_384));
  await wire.ping();
  ok(front.counters.get('unreadBodyBytes') > held + 100_000);
  const opened = wire.frames.filter(({ type, stream }) => type === FRAME.windowUpdate && stream === 1);
  const bytes = opened.reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
  ok(bytes < 256 * 1024, `the window was opened by ${bytes} bytes`);
  wire.destroy();
  await waitFor(() => front.counters.get('unreadBodyBytes') === held, 'the bytes are let go');
});
