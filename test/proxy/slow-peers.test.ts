/** Clients and servers that are slow, or go in the middle: who holds whom back, and what is left. Bounds are those of proxy-limits.ts. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, beforeEach } from 'node:test';
import { connect } from 'node:tls';
import { UNSENT_BYTES_MAX } from '../../src/proxy/proxy-limits.ts';
import { BLOCK_CONTENT_BYTES } from '../../src/proxy/send-blocks.ts';
import { calmTest as test } from '../support/calm.ts';
import { connectH2 } from '../support/h2-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';

/** What an exchange holds for its client, and what one read of a socket brings (docs/proxy.md). */
const ANSWER_BYTES_MAX = 64 * 1024 + 64 * 1024;
const HEADS_BYTES_MAX = 4 * 1024;
const MIB = 1024 * 1024;

let front: ProxyFront;
let server: Server;
let port: number;
let serve: (request: IncomingMessage, response: ServerResponse) => void;
const accepted = new Set<Socket>();
/** Connections that the proxy has made to the server, the newest last. */
let links: Socket[] = [];

/** Node tells of each connection that is made in this process. */
function noteLink(message: unknown): void {
  const { socket } = message as { readonly socket: Socket };
  socket.once('connect', () => {
    if (socket.remotePort === port) links.push(socket);
  });
}

before(async () => {
  subscribe('net.client.socket', noteLink);
  front = await startProxyFront({ limits: { bodyBytesMax: 256 * MIB } });
  server = createServer((request, response) => {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    serve(request, response);
  });
  server.on('connection', (socket) => {
    accepted.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => accepted.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  front.passTo([`http://127.0.0.1:${port}`], { retries: 0 });
});

beforeEach(() => {
  links = [];
});

after(async () => {
  unsubscribe('net.client.socket', noteLink);
  server.close();
  for (const socket of accepted) socket.destroy();
  await front.stop();
});

/** Writes without an end, and counts what the system has taken. */
function pour(response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const step = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', step);
  step();
}

/** No connection of another test is used again. */
const fresh = { 'x-fresh': '1' };

async function endLinks(): Promise<void> {
  await front.whenPassed();
  for (const socket of accepted) socket.destroy();
  await waitFor(() => accepted.size === 0, 'the connections to end');
}

test('Of an answer whose client takes nothing no more is read than an exchange and one read hold; then it comes whole', async () => {
  await endLinks();
  const size = 8 * MIB;
  serve = (_request, response) => {
    response.writeHead(200, { 'Content-Length': size });
    response.end(Buffer.alloc(size, 'x'));
  };
  const session = await connectH2(front.port, 'https', { settings: { initialWindowSize: 0 } });
  const stream = session.request({ ':path': '/', ...fresh });
  let received = 0;
  stream.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  await once(stream, 'response');
  const read = await untilStill(() => links.at(-1)?.bytesRead ?? 0);
  assert.equal(received, 0);
  assert.ok(read > 1024 && read <= ANSWER_BYTES_MAX + HEADS_BYTES_MAX, `${read} bytes were read`);
  session.settings({ initialWindowSize: MIB });
  await once(stream, 'close');
  assert.deepEqual([received, stream.rstCode], [size, 0]);
  session.destroy();
});

test('A client of HTTP/1.1 that takes nothing holds its server back, and its going ends the connection', async () => {
  await endLinks();
  serve = (_request, response) => pour(response);
  const client = connect({
    port: front.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  client.on('error', () => undefined);
  client.pause();
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await waitFor(() => (links.at(-1)?.bytesRead ?? 0) > 0, 'the answer to begin');
  // what the system keeps for two sockets is not ours
  const read = await untilStill(() => links.at(-1)?.bytesRead ?? 0);
  assert.ok(read < 64 * MIB, `${read} bytes were read`);
  client.destroy();
  await waitFor(() => accepted.size === 0, 'the connection to the server to end');
  await front.whenPassed();
});

test('A server that takes nothing of a body holds its client back within the named bound, and both go on', async () => {
  await endLinks();
  const size = 24 * MIB;
  let request: IncomingMessage | undefined;
  let taken = 0;
  serve = (came, response) => {
    request = came;
    came.on('end', () => response.end('done'));
  };
  const session = await connectH2(front.port);
  const stream = session.request({ ':path': '/', ':method': 'POST', ...fresh }, { endStream: false });
  let answer = '';
  stream.on('data', (bytes: Buffer) => {
    answer += bytes.toString();
  });
  stream.end(Buffer.alloc(size, 'x'));
  await waitFor(() => request !== undefined, 'the request to arrive');
  const link = links.at(-1) as Socket;
  const written = await untilStill(() => link.bytesWritten);
  assert.ok(written < size, 'it is held back');
  assert.ok(
    link.writableLength <= UNSENT_BYTES_MAX + BLOCK_CONTENT_BYTES,
    `${link.writableLength} bytes wait`,
  );
  request?.on('data', (bytes: Buffer) => {
    taken += bytes.length;
  });
  await once(stream, 'close');
  assert.deepEqual([taken, answer], [size, 'done']);
  session.destroy();
});

test('Bodies go both ways at the same time, each with its own backpressure', async () => {
  await endLinks();
  serve = (request, response) => void request.pipe(response);
  const session = await connectH2(front.port, 'https', { settings: { initialWindowSize: 65_535 } });
  const stream = session.request({ ':path': '/', ':method': 'POST', ...fresh }, { endStream: false });
  const block = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 7) % 251));
  let at = 0;
  stream.on('data', (bytes: Buffer) => {
    for (const byte of bytes.subarray(0, 16)) {
      assert.equal(byte, block[at % block.length]);
      at += 1;
    }
    at += Math.max(0, bytes.length - 16);
    // slower than what is sent
    stream.pause();
    setImmediate(() => stream.resume());
  });
  const sent = 48 * block.length;
  stream.end(Buffer.concat(Array.from({ length: 48 }, () => block)));
  await once(stream, 'close');
  assert.deepEqual([at, stream.rstCode], [sent, 0]);
  session.destroy();
});

for (const [what, method] of [
  ['within an answer', 'GET'],
  ['within its body', 'POST'],
] as const)
  for (const version of ['h2', 'h1'] as const)
    test(`A client of ${version} that goes ${what} ends the connection to the server, which nobody uses again`, async () => {
      await endLinks();
      let begun = 0;
      let ended = 0;
      serve = (request, response) => {
        begun += 1;
        request.on('end', () => {
          ended += 1;
        });
        request.resume();
        if (method === 'GET') pour(response);
      };
      if (version === 'h2') {
        const session = await connectH2(front.port);
        // node:http2 ends a body before it resets its stream: with a length that is no end
        const length = method === 'POST' ? { 'content-length': '9' } : {};
        const stream = session.request(
          { ':path': '/', ':method': method, ...length },
          { endStream: method === 'GET' },
        );
        stream.on('error', () => undefined);
        if (method === 'POST') stream.write('part');
        await waitFor(() => begun === 1, 'the request to arrive');
        if (method === 'GET') await once(stream, 'data');
        stream.close(8);
        await waitFor(() => accepted.size === 0, 'the connection to the server to end');
        session.destroy();
      } else {
        const raw = await connectRaw(front.port);
        raw.send(
          `${method} / HTTP/1.1\r\nHost: a\r\n${method === 'POST' ? 'Content-Length: 9\r\n' : ''}\r\n`,
        );
        if (method === 'POST') raw.send('part');
        await waitFor(() => begun === 1, 'the request to arrive');
        raw.close();
        await waitFor(() => accepted.size === 0, 'the connection to the server to end');
      }
      await front.whenPassed();
      assert.equal(ended, method === 'GET' ? 1 : 0);
    });
