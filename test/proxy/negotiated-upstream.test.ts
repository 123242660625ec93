/** Servers over TLS that choose their version of HTTP themselves, and WebSockets to servers of HTTP/2 (RFC 8441). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  connect as connectH2,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { after, before } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { webSocketAccept } from '../../src/http/semantics/websocket-key.ts';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { ask } from '../support/proxy-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { deadPort, tlsUpstream } from '../support/upstream.ts';

const { cert, key } = testCertificate();
const TLS = { tls: { ...DEFAULT_PROXY_RULES.tls, ca: cert } };
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

let front: ProxyFront;
/** Speaks both versions over TLS, and counts its connections. */
let both: Http2Server;
let connections = 0;
/** HTTP/2 with prior knowledge, which takes WebSockets; and one that does not. */
let open: Http2Server;
let closed: Http2Server;
const sessions = new Set<{ destroy(): void }>();

function keep(one: ServerHttp2Session | Socket): void {
  sessions.add(one);
  one.on('error', () => undefined);
  one.once('close', () => sessions.delete(one));
}

async function listening(server: Http2Server): Promise<Http2Server> {
  server.on('session', keep);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Http2Server): number {
  return (server.address() as AddressInfo).port;
}

before(async () => {
  front = await startProxyFront();
  const secure = createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
    response.end(`over ${request.httpVersion}`);
  });
  secure.on('secureConnection', (socket) => {
    connections += 1;
    keep(socket);
  });
  secure.on('upgrade', (_request: unknown, socket: Socket) => {
    keep(socket);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  both = await listening(secure as unknown as Http2Server);
  open = createServer({ settings: { enableConnectProtocol: true } });
  open.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    assert.equal(headers[':protocol'], 'websocket');
    assert.equal(headers['sec-websocket-key'], undefined);
    stream.respond({ ':status': 200, 'sec-websocket-protocol': String(headers['sec-websocket-protocol']) });
    stream.pipe(stream);
  });
  await listening(open);
  closed = await listening(createServer((_request, response) => response.end('plain')));
});

after(async () => {
  await front.stop();
  for (const one of sessions) one.destroy();
  for (const server of [both, open, closed]) server.close();
});

test('A server over TLS is asked over HTTP/2 where it offers that, on one connection for a burst', async () => {
  connections = 0;
  front.passTo([`https://127.0.0.1:${portOf(both)}`], TLS);
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask('h2', front.port, '/')));
  assert.deepEqual(new Set(answers.map(({ body }) => body)), new Set(['over 2.0']));
  assert.equal(connections, 1);
  assert.equal((await ask('h1', front.port, '/', 'body')).body, 'over 2.0');
  assert.equal(connections, 1);
});

test('A server over TLS that has HTTP/1.1 only gets that, and its connection is used again', async () => {
  const upstream = await tlsUpstream((request, response) => response.end(`over ${request.httpVersion}`));
  front.passTo([upstream.url], TLS);
  for (let i = 0; i < 3; i++) assert.equal((await ask('h2', front.port, '/')).body, 'over 1.1');
  assert.equal(upstream.connections(), 1);
  await upstream.close();
});

test('h1:// and h2:// leave a server no choice', async () => {
  for (const [scheme, version] of [
    ['h1', '1.1'],
    ['h2', '2.0'],
  ]) {
    front.passTo([`${scheme}://127.0.0.1:${portOf(both)}`], TLS);
    assert.equal((await ask('h2', front.port, '/')).body, `over ${version}`);
  }
});

test('A server that is down, or not to be trusted, is 502 while its version is asked for', async () => {
  front.passTo([`https://127.0.0.1:${await deadPort()}`], TLS);
  assert.equal((await ask('h2', front.port, '/')).status, 502);
  front.passTo([`https://127.0.0.1:${portOf(both)}`]);
  assert.equal((await ask('h2', front.port, '/')).status, 502);
  await front.whenPassed();
});

/** Asks for an upgrade over HTTP/1.1; the head of the answer, and the socket. */
async function upgrade(protocol: string): Promise<{ readonly head: string; readonly socket: Socket }> {
  const socket = connectTls({
    port: front.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  const fields = `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n`;
  socket.write(`GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`);
  let head = '';
  while (!head.includes('\r\n\r\n')) head += String((await once(socket, 'data'))[0]);
  return { head, socket };
}

async function expectEcho(socket: Socket): Promise<void> {
  socket.write('ping');
  assert.equal(String((await once(socket, 'data'))[0]), 'ping');
  socket.end();
  await once(socket, 'close');
}

test('An upgrade to a server that chooses goes over HTTP/1.1, also where requests go over HTTP/2', async () => {
  front.passTo([`https://127.0.0.1:${portOf(both)}`], TLS);
  assert.equal((await ask('h2', front.port, '/')).body, 'over 2.0');
  const { head, socket } = await upgrade('echo');
  assert.match(head, /^HTTP\/1\.1 101 /);
  await expectEcho(socket);
});

test('A WebSocket over HTTP/1.1 becomes an extended CONNECT to a server of HTTP/2', async () => {
  front.passTo([`h2c://127.0.0.1:${portOf(open)}`]);
  for (let i = 0; i < 2; i++) {
    const { head, socket } = await upgrade('websocket');
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.ok(
      head.toLowerCase().includes(`sec-websocket-accept: ${webSocketAccept(KEY)}\r\n`.toLowerCase()),
      head,
    );
    assert.match(head, /sec-websocket-protocol: chat\r\n/i);
    await expectEcho(socket);
  }
  await front.whenPassed();
});

test('A WebSocket over HTTP/2 goes on over HTTP/2', async () => {
  front.passTo([`h2c://127.0.0.1:${portOf(open)}`]);
  const session = connectH2(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  await once(session, 'remoteSettings');
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':authority': 'x',
    ':path': '/ws',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': 'chat',
  });
  const [headers] = await once(stream, 'response');
  assert.deepEqual([headers[':status'], headers['sec-websocket-protocol']], [200, 'chat']);
  assert.equal(headers['sec-websocket-accept'], undefined);
  stream.write('ping');
  assert.equal(String((await once(stream, 'data'))[0]), 'ping');
  stream.end();
  await once(stream, 'close');
  session.close();
  await front.whenPassed();
});

test('A server of HTTP/2 that takes no WebSockets is 502 for one, and goes on to answer requests', async () => {
  front.passTo([`h2c://127.0.0.1:${portOf(closed)}`]);
  const { head, socket } = await upgrade('websocket');
  assert.match(head, /^HTTP\/1\.1 502 /);
  socket.destroy();
  assert.equal(front.failures.at(-1), 'LGW_PROXY_INVALID');
  assert.equal((await ask('h2', front.port, '/')).body, 'plain');
});
