/** Clients that ask for gigabytes and read nothing: memory stays small, and an honest client does not notice. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { inForm } from '../support/test-form.ts';
import { askSession, readToEnd, TestGateway } from '../support/test-gateway.ts';
import { WireClient } from '../support/wire-client.ts';

const CLIENTS = 8;
const REQUESTS = inForm(600, 2000);
const MEMORY_MAX_BYTES = 256 * 1024 * 1024;
/** Whoever waited for the others would wait for minutes. A machine may stand still for seconds. */
const HELLO_MAX_MS = 20_000;
const HONEST_REQUESTS = inForm(30, 100);
const INITIAL_WINDOW = 4;
const STREAMS = 100;
/** Of 64 KiB: twice the memory that may be taken for them. */
const PIECES = 1024;

const SCRIPT = `local httpd = require 'httpd'
local large = string.rep('8 bytes ', 1024 * 1024)
httpd.register_handler('/large', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, large)
end)
httpd.register_handler('/hello', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'hello')
end)
local page = string.rep('x', 2048)
httpd.register_handler('/page', function() httpd.write(nil, page) end)
httpd.register_handler('/sleep', function() httpd.sleep(1000) end)`;

/** One gateway for the tests that need no option: what one leaves behind counts in the memory of the other. */
let usualGateway: Promise<TestGateway> | undefined;
function usual(): Promise<TestGateway> {
  usualGateway ??= TestGateway.start({ '/': SCRIPT }, { apart: true });
  return usualGateway;
}
after(async () => (await usualGateway)?.stop());

/** Asks again and again over both protocols and returns the longest wait; memory is looked at all the while. */
async function beHonest(gateway: TestGateway): Promise<{ longest: number; memory: number }> {
  const session = await gateway.session();
  let longest = 0;
  let memory = 0;
  for (let i = 0; i < HONEST_REQUESTS; i++) {
    const before = performance.now();
    const { text } = i % 5 === 0 ? await gateway.ask('h1', '/hello') : await askSession(session, '/hello');
    assert.equal(text, 'hello');
    longest = Math.max(longest, performance.now() - before);
    memory = Math.max(memory, gateway.residentBytes);
  }
  session.destroy();
  return { longest, memory };
}

function assertBounded({ longest, memory }: { longest: number; memory: number }): void {
  const mebibytes = Math.round(memory / 1024 / 1024);
  assert.ok(memory < MEMORY_MAX_BYTES, `${mebibytes} MiB are in use`);
  assert.ok(longest < HELLO_MAX_MS, `hello took up to ${longest} ms`);
}

test(`${REQUESTS} pipelined GETs of 8 MB by clients that do not read hold little memory and disturb nobody`, async () => {
  const gateway = await usual();
  const bytes = 'GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(REQUESTS);
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => gateway.connect()));
  for (const socket of sockets) {
    socket.pause();
    socket.write(bytes);
  }
  await gateway.untilCounters((now) => now.exchangesTotal >= CLIENTS, 'every client is being served');
  assertBounded(await beHonest(gateway));
  for (const socket of sockets) socket.destroy();
  await gateway.untilIdle();
});

test('HTTP/2 clients that open many streams of 8 MB and grant nothing hold little memory and disturb nobody', async () => {
  const gateway = await usual();
  const wires = await Promise.all(
    Array.from(
      { length: CLIENTS },
      async () => new WireClient(await gateway.connect('h2'), { [INITIAL_WINDOW]: 1 }),
    ),
  );
  for (const wire of wires) for (let i = 0; i < STREAMS; i++) wire.request(2 * i + 1, '/large');
  await gateway.untilCounters((now) => now.exchanges === CLIENTS * STREAMS, 'every stream is being served');
  assertBounded(await beHonest(gateway));
  for (const wire of wires) wire.destroy();
  await gateway.untilIdle();
});

test('HTTP/2 clients that grant everything and stop reading hold little memory and disturb nobody', async () => {
  // node:http2 does not notice that a connection it cannot write to was reset (Node 20): time has to tell it
  const words = ['--stall-timeout', '3', '--idle-timeout', '5'];
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words, apart: true });
  const wires = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const wire = new WireClient(await gateway.connect('h2'), { [INITIAL_WINDOW]: 0x7fffffff });
      wire.windowUpdate(0, 0x7fffffff - 65_535);
      wire.socket.pause();
      return wire;
    }),
  );
  for (const wire of wires) for (let i = 0; i < STREAMS; i++) wire.request(2 * i + 1, '/large');
  await gateway.untilCounters((now) => now.exchanges >= CLIENTS, 'every client is being served');
  assertBounded(await beHonest(gateway));
  for (const wire of wires) wire.destroy();
  await gateway.untilIdle();
  await gateway.untilCounters(
    (now) => now.connections === 0 && now.sessions === 0,
    'the connections are closed',
  );
  await gateway.stop();
});

test('A client that pipelines and reads nothing gets no more answers than its connection holds, and is cut off', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--stall-timeout', '1'] });
  const socket = await gateway.connect();
  socket.pause();
  const requests = 50_000;
  socket.write('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(requests));
  await gateway.untilCounters((now) => now.exchangesTotal > 0, 'the first is answered');
  await gateway.untilCounters((now) => now.connections === 0, 'the connection is closed');
  const { exchangesTotal } = await gateway.counters();
  assert.ok(exchangesTotal < requests, `${exchangesTotal} of ${requests} were answered`);
  assert.equal((await gateway.ask('h2', '/hello')).text, 'hello');
  socket.destroy();
  await gateway.untilIdle();
  await gateway.stop();
});

test('A body that has no end, for a handler that sleeps, is held back, and ends with the handler at its time limit', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--time-limit', '2'], apart: true });
  const before = gateway.residentBytes;
  const socket = await gateway.connect();
  const answer = readToEnd(socket);
  socket.write('POST /sleep HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
  const piece = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000, 'x'), Buffer.from('\r\n')]);
  // until the answer comes: bytes behind that could reset the connection before it is read
  let answered = false;
  socket.once('data', () => {
    answered = true;
  });
  const pour = (left: number): void => {
    if (left > 0 && !answered && !socket.destroyed) socket.write(piece, () => pour(left - 1));
  };
  pour(PIECES);
  const session = await gateway.session();
  const stream = session.request({ ':method': 'POST', ':path': '/sleep' });
  stream.on('error', () => undefined);
  for (let i = 0; i < PIECES; i++) stream.write(piece);
  const streamClosed = new Promise((resolve) => stream.once('close', resolve));
  assert.match(await answer, /^HTTP\/1\.1 500 /);
  await streamClosed;
  assert.ok(gateway.residentBytes - before < 64 * 1024 * 1024);
  await gateway.running.until(() => gateway.log.match(/limit=time limitMs=2000/g)?.length === 2);
  session.destroy();
  await gateway.untilIdle();
  await gateway.stop();
});
