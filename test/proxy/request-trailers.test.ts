/** Trailers of requests that are passed on, over both versions of HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectH2, createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { answering, type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';

let front: ProxyFront;
let backend: RecordingBackend;
let server: Http2Server;
let target: string;
const sessions = new Set<ServerHttp2Session>();

before(async () => {
  front = await startProxyFront();
  backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  server = createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    let trailers = {};
    stream.on('trailers', (fields: object) => {
      trailers = fields;
    });
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify(trailers));
    });
    stream.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  target = `h2c://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(async () => {
  await front.stop();
  await backend.close();
  for (const session of sessions) session.destroy();
  server.close();
});

/** The answer to a body in chunks with trailers, over HTTP/1.1. */
async function sendH1(head: string, trailers: string): Promise<string> {
  const socket = connectTls({
    port: front.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  const fields = `Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n${head}`;
  socket.write(`POST / HTTP/1.1\r\n${fields}\r\n4\r\nbody\r\n0\r\n${trailers}\r\n`);
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

async function sendH2(fields: object, trailers: Record<string, string>): Promise<string> {
  const session = connectH2(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':method': 'POST', ...fields }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end('body');
  let text = '';
  for await (const bytes of stream) text += String(bytes);
  session.close();
  return text;
}

test('Trailers in chunks go on in chunks, without those that may not stand there', async () => {
  front.passTo([backend.url]);
  const given = 'X-Sum: 1\r\nAuthorization: a\r\nx-more: 2\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=1\r\n';
  assert.match(await sendH1('Trailer: X-Sum\r\n', given), /^HTTP\/1\.1 200 /);
  const { head, body } = backend.requests.at(-1) ?? { head: '', body: '' };
  assert.match(head, /\r\nTrailer: X-Sum\r\n/);
  assert.equal(body, '4\r\nbody\r\n0\r\nX-Sum: 1\r\nx-more: 2\r\n\r\n');
  await sendH1('', 'Range: bytes=0-1\r\n');
  assert.equal(backend.requests.at(-1)?.body, '4\r\nbody\r\n0\r\n\r\n');
});

test('Trailers of HTTP/2 go on in chunks, and with a length they are dropped', async () => {
  front.passTo([backend.url]);
  assert.equal(await sendH2({}, { 'x-sum': '1', 'content-type': 'a/b' }), 'ok');
  assert.equal(backend.requests.at(-1)?.body, '4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n');
  assert.equal(await sendH2({ 'content-length': '4' }, { 'x-sum': '1' }), 'ok');
  assert.equal(backend.requests.at(-1)?.body, 'body');
});

test('Trailers that are announced go on to a server of HTTP/2, from either version', async () => {
  front.passTo([target]);
  assert.deepEqual(JSON.parse(await sendH2({ trailer: 'x-sum' }, { 'x-sum': '1', host: 'y' })), {
    'x-sum': '1',
  });
  assert.match(
    await sendH1('Trailer: x-sum, x-more\r\n', 'X-Sum: 2\r\nX-More: 3\r\n'),
    /\{"x-sum":"2","x-more":"3"\}/,
  );
  // announced, and not there
  assert.deepEqual(JSON.parse(await sendH2({ trailer: 'x-sum' }, {})), {});
});
