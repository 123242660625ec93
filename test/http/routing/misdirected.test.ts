/** Clients that use another protocol than the port. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { calmTest as test } from '../../support/calm.ts';
import { connectPlain, connectSecure } from '../../support/raw-client.ts';
import { type HandlerFunction, startFrontEnd, waitFor } from '../../support/test-front-end.ts';
import { WireClient } from '../../support/wire-client.ts';

const HANDLERS: Record<string, HandlerFunction> = {
  '/hello': (x) => {
    x.write(Buffer.from('hello'));
    x.end();
  },
};

test('HTTP without TLS on the TLS port is told where to go, counted and logged', async () => {
  const front = await startFrontEnd(HANDLERS);
  const { port } = front;
  for (const [request, url] of [
    [`GET /app/x?y=1 HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`, `https://localhost:${port}/app/x?y=1`],
    ['DELETE /x HTTP/1.0\r\n\r\n', `https://127.0.0.1:${port}/x`],
    [`\r\nFOO /y HTTP/1.1\r\nHost: [::1]:${port}\r\n\r\n`, undefined],
    [`GET /<script> HTTP/1.1\r\nHost: a\r\n\r\n`, 'https://a/<script>'],
    [`GET /${'x'.repeat(2000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'https://a/'],
    [`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`, 'https://a/'],
  ] as const) {
    const client = await connectPlain(port);
    client.send(request);
    const text = (await client.rest()).toString();
    if (url === undefined) match(text, /^HTTP\/1\.1 501 /);
    else {
      match(text, /^HTTP\/1\.1 400 Bad Request\r\ncontent-type: text\/plain; charset=utf-8\r\n/);
      match(text, /\r\nConnection: close\r\n/);
      ok(text.endsWith(`\r\n\r\nThis port speaks HTTPS only: ask for ${url}\n`), text);
    }
  }
  strictEqual(front.accesses[0], 'GET /app/x?y=1 HTTP/1.1 400');
  strictEqual(front.counters.get('misdirectedTotal'), 6);
  // one line each minute, however many clients connect
  const lines = front.logLines.filter((line) => line.includes('without TLS on a TLS port'));
  strictEqual(lines.length, 1);
  match(lines[0] ?? '', / peer=127\.0\.0\.1 port=\d+$/);
  const honest = await connectSecure(port);
  honest.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
  strictEqual((await honest.response()).body.toString(), 'hello');
  honest.destroy();
  await front.stop();
});

test('HTTP/2 without TLS on the TLS port is told so, too, and its session ends', async () => {
  const front = await startFrontEnd(HANDLERS);
  const raw = await connectPlain(front.port);
  const wire = new WireClient(raw.socket);
  wire.request(1, '/hello');
  const { status, body } = await wire.response(1);
  strictEqual(status, 400);
  match(body.toString(), /^This port speaks HTTPS only: ask for https:\/\/\S+\/hello\n$/);
  await waitFor(() => front.counters.get('sessions') === 0, 'the end of the session');
  strictEqual(front.accesses[0], 'GET /hello HTTP/2 400');
  raw.destroy();
  await front.stop();
});

test('TLS on the port without it is refused, counted and logged', async () => {
  const front = await startFrontEnd(HANDLERS, { cleartext: true });
  const failed = await new Promise<string>((resolve) => {
    const socket = connectTls({ port: front.port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', (error) => resolve(String(Reflect.get(error, 'code'))));
  });
  match(failed, /^ERR_SSL_|^EPROTO/);
  strictEqual(front.counters.get('misdirectedTotal'), 1);
  ok(
    front.logLines.some((line) =>
      / info .* Client speaks TLS on a port without it peer=127\.0\.0\.1/.test(line),
    ),
  );
  await waitFor(() => front.accesses.length === 1, 'the access line');
  deepStrictEqual(front.accesses, ['- - HTTP/1.1 400 LGW_HEAD_MALFORMED']);
  await front.stop();
});

test('Handshakes that fail, and connections that say nothing, are counted, and logged once a minute', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { handshakeTimeoutMs: 100 } });
  const speak = (bytes: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connectTcp({ port: front.port, host: '127.0.0.1' });
      if (bytes !== '') socket.write(bytes, 'latin1');
      socket.on('error', () => undefined);
      socket.on('data', () => undefined);
      socket.on('close', () => resolve());
    });
  // no TLS record, a record that is no handshake, one that does not end
  await speak('\x00\x01\x02\x03\x04\x05');
  await speak('\x16\x03\x01\x00\x02\x99\x99\x00\x00');
  await speak('\x16\x03\x01\x02\x00\x01');
  await waitFor(() => front.counters.get('handshakesFailedTotal') === 3, 'three handshakes to fail');
  await speak('');
  await waitFor(() => front.counters.get('silentTotal') === 1, 'the silent connection');
  const lines = front.logLines.filter((line) => line.includes('TLS handshake failed'));
  strictEqual(lines.length, 1);
  match(lines[0] ?? '', / peer=127\.0\.0\.1 code=ERR_SSL_\S+ error=/);
  await front.stop();
});

const HANDSHAKE_MS_MAX = 600;

test('The time for a handshake begins with the connection, whenever its first byte comes', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { handshakeTimeoutMs: HANDSHAKE_MS_MAX } });
  const socket = connectTcp({ port: front.port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  // Node's own timeout starts with the first byte and would not fire here
  let isLate = false;
  setTimeout(() => {
    socket.write('\x16\x03\x01\x02\x00\x01', 'latin1');
    setTimeout(() => {
      isLate = true;
    }, HANDSHAKE_MS_MAX).unref();
  }, HANDSHAKE_MS_MAX - 100);
  socket.resume();
  await closed;
  ok(!isLate, 'the time began with the byte');
  await front.stop();
});
