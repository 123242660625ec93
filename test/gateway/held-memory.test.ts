/** What clients can make the gateway hold: the first rows of the table in SECURITY.md, measured in the real program. */
import assert from 'node:assert/strict';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connectH2 } from '../support/h2-client.ts';
import { inForm } from '../support/test-form.ts';
import { askSession, promptly, TestGateway } from '../support/test-gateway.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Handlers that leave their bodies until `go` is called, and after `again` once more; and such that read. */
const SCRIPT = `local httpd = require 'httpd'
local gone = false
httpd.register_handler('/hold', function()
    while not gone do httpd.sleep(0.05) end
    httpd.write(nil, 'held')
end)
httpd.register_handler('/late', function()
    while not gone do httpd.sleep(0.05) end
    local n = 0
    for data in function() return httpd.read(nil, 65536) end do n = n + #data end
    httpd.write(nil, tostring(n))
end)
httpd.register_handler('/go', function() gone = true httpd.write(nil, 'gone') end)
httpd.register_handler('/again', function() gone = false httpd.write(nil, 'again') end)
httpd.register_handler('/count', function()
    local n = 0
    for data in function() return httpd.read(nil, 65536) end do n = n + #data end
    httpd.write(nil, tostring(n))
end)
httpd.register_handler('/echo', function()
    for data in function() return httpd.read(nil, 65536) end do httpd.write(nil, data) end
end)
`;

/** Beside bodies: what an exchange with a Lua coroutine that sleeps takes, and its streams in both directions. */
const EXCHANGE_BYTES = 24 * KIB;
/** A connection with TLS, without any request. */
const CONNECTION_BYTES = 100 * KIB;
/** The Lua state, code that is compiled as it runs, and what the garbage collector has not taken yet. */
const PROCESS_BYTES = 32 * MIB;

/** What each connection may hold when the budget is used up: a little, and one read more, in blocks half filled. */
const UNREAD_BYTES_BEYOND = 32 * KIB + 2 * 64 * KIB;
/** What a connection of HTTP/1.1 may hold of a body: 128 KiB, and the rest of a read, in blocks half filled. */
const UNREAD_BYTES_OF_HTTP1 = 2 * (128 + 64) * KIB;

/** Where it is read all the same, for another of its bodies: 256 KiB, and two reads more, in blocks half filled. */
const UNREAD_BYTES_MIXED = 2 * (256 + 128) * KIB;

const gateways = new Set<TestGateway>();
after(() => Promise.all([...gateways].map((gateway) => gateway.stop())));

async function start(...words: string[]): Promise<TestGateway> {
  const usual = ['--time-limit', '0', '--cpu-limit', '60', '--min-body-rate', '0'];
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words: [...usual, ...words], apart: true });
  gateways.add(gateway);
  return gateway;
}

async function stop(gateway: TestGateway): Promise<void> {
  gateways.delete(gateway);
  await gateway.stop();
}

/** One gateway, with a budget of 1 MiB and a listener without TLS, for the tests that do not look at the memory of its process. */
let shared: Promise<TestGateway> | undefined;
async function startShared(): Promise<TestGateway> {
  shared ??= start('--max-unread-bodies', '1M', '--http', '127.0.0.1:0');
  const gateway = await shared;
  assert.equal((await gateway.ask('h2', '/again')).status, 200);
  return gateway;
}

const BLOCK = Buffer.alloc(64 * KIB);

/** Sends as much as it is let, and ends behind it where `ends` says so. */
function pour(stream: ClientHttp2Stream | TLSSocket, bytes: number, ends = false): void {
  const more = (left: number): void => {
    if (stream.destroyed) return;
    if (left > 0) stream.write(BLOCK, () => more(left - BLOCK.length));
    else if (ends) stream.end();
  };
  stream.on('error', () => undefined);
  more(bytes);
}

/** So many requests on one session whose bodies have no end. */
function pourStreams(
  session: ClientHttp2Session,
  path: string,
  count: number,
  bytes: number,
): ClientHttp2Stream[] {
  return Array.from({ length: count }, () => {
    const stream = session.request({ ':method': 'POST', ':path': path });
    pour(stream, bytes);
    stream.resume();
    return stream;
  });
}

async function pourHttp1(gateway: TestGateway, bytes: number): Promise<TLSSocket> {
  const socket = await gateway.connect();
  socket.write(`POST /hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes}\r\n\r\n`);
  pour(socket, bytes);
  socket.resume();
  return socket;
}

/** Waits until the gauge stands still. */
async function untilSettled(gateway: TestGateway, bytesMin: number): Promise<number> {
  let last = -1;
  let same = 0;
  await gateway.untilCounters(({ unreadBodyBytes }) => {
    same = unreadBodyBytes === last ? same + 1 : 0;
    last = unreadBodyBytes;
    return unreadBodyBytes >= bytesMin && same >= 5;
  }, `unread bodies take ${bytesMin} bytes and no more`);
  return last;
}

async function untilNothingUnread(gateway: TestGateway): Promise<void> {
  await gateway.untilCounters(({ unreadBodyBytes }) => unreadBodyBytes === 0, 'no unread body is counted');
}

function expectGrown(gateway: TestGateway, before: number, bytesMax: number): void {
  const grown = gateway.residentBytes - before;
  const most = bytesMax + PROCESS_BYTES;
  assert.ok(
    grown <= most,
    `${Math.round(grown / MIB)} MiB more, and ${Math.round(most / MIB)} MiB are allowed`,
  );
}

/** The port of the listener without TLS. */
async function plainPortOf(gateway: TestGateway): Promise<number> {
  const line = /Listening on http:\/\/127\.0\.0\.1:(\d+)/;
  await gateway.untilLog(line);
  return Number(line.exec(gateway.log)?.[1]);
}

/** What others get meanwhile: small and large bodies, with every protocol, over connections of their own. */
async function expectHonestServed(gateway: TestGateway): Promise<void> {
  const body = Buffer.alloc(4 * MIB);
  for (const protocol of ['h1', 'h2'] as const) {
    for (const sent of [body.subarray(0, 10), body.subarray(0, 16 * KIB), body]) {
      const { status, text } = await promptly(
        gateway.ask(protocol, '/count', { method: 'POST', body: sent }),
      );
      assert.deepEqual([status, text], [200, String(sent.length)], gateway.log);
    }
  }
}

/** What one connection may hold of bodies: half a window of each stream, and the window of the connection, in blocks half filled. */
const UNREAD_BYTES_OF_ONE = 2 * (128 * 128 * KIB + MIB);

test('One HTTP/2 connection with all its streams and unread bodies holds no more than the table says', async () => {
  const gateway = await start();
  await gateway.ask('h2', '/count', { method: 'POST', body: 'x' });
  const before = gateway.residentBytes;
  const session = await gateway.session();
  const streams = pourStreams(session, '/hold', 128, MIB);
  const held = await untilSettled(gateway, 16 * MIB);
  const most = UNREAD_BYTES_OF_ONE;
  assert.ok(held <= most, `${held} bytes are counted`);
  expectGrown(gateway, before, most + CONNECTION_BYTES + 128 * EXCHANGE_BYTES);
  await gateway.ask('h2', '/go');
  await untilNothingUnread(gateway);
  for (const stream of streams) stream.destroy();
  session.destroy();
  await gateway.untilIdle();
  await stop(gateway);
});

test('Connections of one address hold the budget and a little for each; others are served meanwhile', async () => {
  const budget = inForm(8, 16) * MIB;
  const connections = inForm(20, 40);
  const gateway = await start(
    ...['--max-unread-bodies', String(budget), '--max-streams', '32'],
    // and some for the others, which come from here too
    ...['--max-connections-per-address', String(connections + 8)],
  );
  await gateway.ask('h2', '/count', { method: 'POST', body: 'x' });
  const before = gateway.residentBytes;
  const sessions: ClientHttp2Session[] = [];
  const sockets: TLSSocket[] = [];
  for (let i = 0; i < connections / 2; i++) {
    const session = await gateway.session();
    sessions.push(session);
    pourStreams(session, '/hold', 32, MIB);
    sockets.push(await pourHttp1(gateway, 16 * MIB));
  }
  const held = await untilSettled(gateway, budget);
  assert.ok(held <= budget + connections * UNREAD_BYTES_BEYOND, `${held} bytes are counted`);
  assert.match(
    gateway.log,
    new RegExp(`Unread request bodies have used up their budget \\(--max-unread-bodies\\).* limit=${budget}`),
  );
  await expectHonestServed(gateway);
  const exchanges = (connections / 2) * (32 + 1);
  expectGrown(
    gateway,
    before,
    budget + connections * (UNREAD_BYTES_BEYOND + CONNECTION_BYTES) + exchanges * EXCHANGE_BYTES,
  );
  await gateway.ask('h2', '/go');
  await untilNothingUnread(gateway);
  for (const session of sessions) session.destroy();
  for (const socket of sockets) socket.destroy();
  await gateway.untilIdle();
  await stop(gateway);
});

test('Handlers that begin to read when the budget is used up get their bodies whole', async () => {
  const gateway = await startShared();
  const plainPort = await plainPortOf(gateway);
  const size = 768 * KIB;
  const body = Buffer.alloc(size);
  const session = await gateway.session();
  const plain = await connectH2(plainPort, 'http');
  const answers = [
    ...Array.from({ length: 6 }, () => askSession(session, '/late', { method: 'POST', body })),
    ...Array.from({ length: 6 }, () => askSession(plain, '/late', { method: 'POST', body })),
    gateway.ask('h1', '/late', { method: 'POST', body }),
    gateway.ask('h1', '/late', { method: 'POST', body, chunked: true }),
  ];
  await untilSettled(gateway, MIB);
  await gateway.ask('h2', '/go');
  for (const { status, text } of await promptly(Promise.all(answers)))
    assert.deepEqual([status, text], [200, String(size)], gateway.log);
  await untilNothingUnread(gateway);
  session.destroy();
  plain.destroy();
  await gateway.untilIdle();
});

test('A handler that waits for room for its answer is not kept from it by a body that it does not read meanwhile', async () => {
  const gateway = await startShared();
  const session = await gateway.session();
  pourStreams(session, '/hold', 16, MIB);
  await untilSettled(gateway, MIB);
  for (const protocol of ['h2', 'h1'] as const) {
    const body = Buffer.alloc(2 * MIB, 'x');
    const answer = await promptly(gateway.ask(protocol, '/echo', { method: 'POST', body }));
    assert.ok(answer.body.equals(body), `${answer.status} ${answer.body.length}`);
  }
  await gateway.ask('h2', '/go');
  await untilNothingUnread(gateway);
  session.destroy();
  await gateway.untilIdle();
});

test('Over HTTP/1.1 a large head and a large unread body hold no more than the table says', async () => {
  const gateway = await start();
  await gateway.ask('h1', '/count', { method: 'POST', body: 'x' });
  const before = gateway.residentBytes;
  const count = inForm(16, 32);
  const sockets: TLSSocket[] = [];
  for (let i = 0; i < count; i++) {
    sockets.push(await pourHttp1(gateway, 16 * MIB));
    const head = await gateway.connect();
    head.write(`GET /hold HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(32 * KIB - 100)}`);
    sockets.push(head);
  }
  const held = await untilSettled(gateway, count * 128 * KIB);
  assert.ok(held <= count * UNREAD_BYTES_OF_HTTP1, `${held} bytes are counted`);
  expectGrown(gateway, before, count * (512 * KIB + 2 * CONNECTION_BYTES + EXCHANGE_BYTES));
  await gateway.ask('h1', '/go');
  await untilNothingUnread(gateway);
  for (const socket of sockets) socket.destroy();
  await gateway.untilIdle();
  await stop(gateway);
});

test('A connection that is read for one of its requests loses large bodies of others that nobody reads, and no other connection does', async () => {
  const gateway = await startShared();
  const session = await gateway.session();
  const reading = session.request({ ':method': 'POST', ':path': '/count' });
  let text = '';
  reading.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  const read = new Promise<void>((resolve) => reading.on('end', resolve));
  reading.write('x');
  const other = await gateway.session();
  const kept = askSession(other, '/late', { method: 'POST', body: Buffer.alloc(20 * KIB) });
  const streams = pourStreams(session, '/hold', 16, MIB);
  const statuses = streams.map(
    (stream) => new Promise<unknown>((resolve) => stream.on('response', (head) => resolve(head[':status']))),
  );
  assert.equal(await promptly(Promise.race(statuses)), 503);
  const held = await untilSettled(gateway, 0);
  assert.ok(held <= MIB + UNREAD_BYTES_MIXED, `${held} bytes are counted`);
  await gateway.untilCounters(({ unreadBodyBytes }) => unreadBodyBytes < MIB, 'there is room again');
  pour(reading, 2 * MIB, true);
  await promptly(read);
  assert.equal(text, String(2 * MIB + 1));
  await gateway.ask('h2', '/go');
  assert.equal((await promptly(kept)).text, String(20 * KIB));
  await untilNothingUnread(gateway);
  session.destroy();
  other.destroy();
  await gateway.untilIdle();
});

test('A client that goes while its connection is not read is noticed, and all that it held is free', async () => {
  const gateway = await startShared();
  const sessions = await Promise.all([1, 2, 3].map(() => gateway.session()));
  for (const session of sessions) pourStreams(session, '/hold', 16, MIB);
  await untilSettled(gateway, MIB);
  for (const session of sessions) session.destroy();
  await untilNothingUnread(gateway);
  await gateway.untilIdle();
});
