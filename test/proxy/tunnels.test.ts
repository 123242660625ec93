/** Upgrades that are passed on: HTTP/1.1 to HTTP/1.1 by its fields, HTTP/2 to HTTP/1.1 by extended CONNECT. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { webSocketAccept } from '../../src/http/semantics/websocket-key.ts';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { calmTest as test } from '../support/calm.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { waitFor } from '../support/test-front-end.ts';

let front: ProxyFront;
let server: Server;
let head = '';
let accepts = true;
const sockets = new Set<Socket>();

/** Changes over, and sends everything back. */
function serve(socket: Socket): void {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => undefined);
  socket.once('data', (bytes) => {
    const text = bytes.toString('latin1');
    head = text.slice(0, text.indexOf('\r\n\r\n') + 4);
    const key = /sec-websocket-key: (.*)\r\n/i.exec(head)?.[1] ?? '';
    const accept = accepts ? webSocketAccept(key) : 'no';
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nfirst `,
    );
    socket.pipe(socket);
  });
}

let url = '';

before(async () => {
  front = await startProxyFront();
  server = createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  front.passTo([url]);
});

after(async () => {
  server.close();
  for (const socket of sockets) socket.destroy();
  await front.stop();
});

test('An upgrade of HTTP/1.1 becomes a tunnel both ways, and ends with its client', async () => {
  const socket = connectTls({
    port: front.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.write(
    'GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await waitFor(() => text.includes('first '), 'the first bytes of the upstream');
  assert.match(text, /^HTTP\/1\.1 101 /);
  assert.match(
    text,
    new RegExp(
      `sec-websocket-accept: ${webSocketAccept('AAAAAAAAAAAAAAAAAAAAAA==').replace(/[+/]/g, '.')}`,
      'i',
    ),
  );
  assert.match(
    head,
    /^GET \/chat HTTP\/1\.1\r\nHost: a\.example\r\n[\s\S]*\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/,
  );
  socket.write('echo');
  await waitFor(() => text.endsWith('echo'), 'the echo');
  socket.destroy();
  await waitFor(() => sockets.size === 0, 'the connection to the upstream to end');
  await front.whenPassed();
});

test('An extended CONNECT of HTTP/2 becomes an upgrade of HTTP/1.1, with a key of the gateway', async () => {
  const session = connectH2(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  await once(session, 'remoteSettings');
  const open = async (): Promise<{
    status: number;
    fields: Record<string, unknown>;
    stream: ReturnType<typeof session.request>;
  }> => {
    const stream = session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'https',
        ':path': '/chat',
        ':authority': 'a.example',
        'sec-websocket-version': '13',
      },
      { endStream: false },
    );
    stream.on('error', () => undefined);
    const [fields] = await once(stream, 'response');
    return { status: Number(fields[':status']), fields, stream };
  };
  const { status, fields, stream } = await open();
  assert.equal(status, 200);
  assert.equal(fields['sec-websocket-accept'], undefined);
  assert.match(
    head,
    /^GET \/chat HTTP\/1\.1\r\nHost: a\.example\r\n[\s\S]*\r\nSec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/,
  );
  let text = '';
  stream.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  stream.write('echo');
  await waitFor(() => text === 'first echo', 'the echo');
  stream.end();
  await waitFor(() => sockets.size === 0, 'the connection to the upstream to end');
  accepts = false;
  const refused = await open();
  assert.equal(refused.status, 502);
  session.destroy();
  await front.whenPassed();
});

test('A tunnel in which nothing moves ends at its own time, not at that of answers', async () => {
  const { timeouts } = DEFAULT_PROXY_RULES;
  const open = async (): Promise<{ readonly socket: Socket; readonly text: () => string }> => {
    const socket = connectTls({
      port: front.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.write(
      'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    await waitFor(() => text.includes('first '), 'the first bytes of the upstream');
    return { socket, text: () => text };
  };
  accepts = true;
  front.passTo([url], { timeouts: { ...timeouts, idleMs: 50 } });
  const kept = await open();
  // several times as long as answers may be silent
  await new Promise((resolve) => setTimeout(resolve, 400));
  kept.socket.write('echo');
  await waitFor(() => kept.text().endsWith('echo'), 'the echo');
  kept.socket.destroy();
  await waitFor(() => sockets.size === 0, 'the end of the tunnel');
  front.passTo([url], { timeouts: { ...timeouts, tunnelMs: 200 } });
  const ended = await open();
  await waitFor(() => sockets.size === 0 && ended.socket.destroyed, 'the end of the silent tunnel');
  await front.whenPassed();
});
