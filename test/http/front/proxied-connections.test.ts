/** Connections that begin with a PROXY head: over TLS and without, byte by byte, from HAProxy and curl; who is refused. */
import { equal, match, ok } from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { calmTest as test } from '../../support/calm.ts';
import { testCertificate } from '../../support/certificate.ts';
import { freePorts } from '../../support/free-ports.ts';
import { proxyHeadV2 } from '../../support/proxy-head-v2.ts';
import { startFrontEnd, waitFor } from '../../support/test-front-end.ts';

const LOOPBACK = ['127.0.0.0/8'];
const HEAD = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 8443\r\n';
const REQUEST = 'GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
const CLIENT = '192.0.2.7:56324 at 198.51.100.1:8443';

function who(exchange: Exchange): void {
  const { peerAddress, peerPort, localAddress, localPort } = exchange.connection;
  exchange.head(200, ['content-type', 'text/plain']);
  exchange.write(Buffer.from(`${peerAddress}:${peerPort} at ${localAddress}:${localPort}\n`));
  exchange.end();
}

const secure = await startFrontEnd({ '/who': who }, { trustedProxies: LOOPBACK });
const plain = await startFrontEnd(
  { '/who': who },
  { trustedProxies: LOOPBACK, cleartext: true, limits: { connectionsPerAddressMax: 2 } },
);
after(async () => {
  await secure.stop();
  await plain.stop();
});

/** What comes back until the end; `slowly`: each byte in a segment of its own. */
async function talk(socket: Socket, text: string | Buffer, slowly = false): Promise<string> {
  let received = '';
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  const bytes = Buffer.from(text as string, 'latin1');
  if (slowly)
    for (const byte of bytes) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  else socket.write(bytes);
  await closed;
  return received;
}

function talkPlain(text: string | Buffer, slowly = false, { port } = plain): Promise<string> {
  return talk(connect(port, '127.0.0.1'), text, slowly);
}

/** The head, and TLS behind it. */
async function talkTls(head: string | Buffer, together: boolean): Promise<string> {
  const below = connect(secure.port, '127.0.0.1');
  await once(below, 'connect');
  // what TLS writes first goes into one segment with the head
  if (together) below.cork();
  below.write(head as string, 'latin1');
  const socket = connectTls({ socket: below, ca: testCertificate().cert, servername: 'localhost' });
  if (together) setImmediate(() => below.uncork());
  return await talk(socket, REQUEST);
}

test('Handlers see the client that the head names, over TLS and without, whole and byte by byte', async () => {
  const second = proxyHeadV2(0x21, 0x11, [192, 0, 2, 7, 198, 51, 100, 1, 220, 4, 0x20, 0xfb, 4, 0, 1, 7]);
  for (const head of [Buffer.from(HEAD), second]) {
    const text = Buffer.concat([head, Buffer.from(REQUEST)]);
    for (const slowly of [false, true])
      ok((await talkPlain(text, slowly)).includes(CLIENT), `slowly: ${slowly}`);
    for (const together of [false, true])
      ok((await talkTls(head, together)).includes(CLIENT), `together: ${together}`);
  }
});

test('A proxy that speaks for itself or does not know the client is the client', async () => {
  for (const head of [Buffer.from('PROXY UNKNOWN\r\n'), proxyHeadV2(0x20, 0, [])])
    match(
      await talkPlain(Buffer.concat([head, Buffer.from(REQUEST)])),
      /\n127\.0\.0\.1:\d+ at 127\.0\.0\.1:\d+\n/,
    );
});

test('A connection that begins otherwise is closed without a word, and the log says why', async () => {
  const before = plain.counters.get('proxyHeadsRefusedTotal');
  for (const text of [REQUEST, 'PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n', '\x16\x03\x01'])
    equal(await talkPlain(text), '');
  equal(plain.counters.get('proxyHeadsRefusedTotal'), before + 3);
  ok(
    plain.logLines.some((line) =>
      line.includes('Connection closed: it does not begin with a PROXY head peer=127.0.0.1'),
    ),
    plain.logLines.join('\n'),
  );
});

test('A head of an address that is not trusted is not read', async () => {
  const strange = await startFrontEnd(
    { '/who': who },
    { trustedProxies: ['192.0.2.0/24', '::1'], cleartext: true },
  );
  try {
    equal(await talkPlain(HEAD + REQUEST, false, strange), '');
    ok(strange.logLines.some((line) => line.includes('it is not from a trusted address (--proxy-trusted)')));
    strange.frontEnd.setTrustedProxies(LOOPBACK);
    ok((await talkPlain(HEAD + REQUEST, false, strange)).includes(CLIENT));
  } finally {
    await strange.stop();
  }
});

test('A connection whose head does not come in time is closed', async () => {
  const hasty = await startFrontEnd(
    { '/who': who },
    { trustedProxies: LOOPBACK, cleartext: true, limits: { handshakeTimeoutMs: 50 } },
  );
  try {
    equal(await talkPlain('PROXY TCP4 192', false, hasty), '');
    ok(hasty.logLines.some((line) => line.includes('its PROXY head was not complete after 50 ms')));
  } finally {
    await hasty.stop();
  }
});

test('Connections are counted by the address of the client, not of the proxy', async () => {
  const open = ['192.0.2.1', '192.0.2.1', '192.0.2.2'].map((address) => {
    const socket = connect(plain.port, '127.0.0.1');
    socket.write(`PROXY TCP4 ${address} 198.51.100.1 1 2\r\n`);
    return socket;
  });
  await waitFor(() => plain.counters.get('connections') === 3, 'three connections');
  const refused = plain.counters.get('connectionsRefusedTotal');
  equal(await talkPlain(`PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n${REQUEST}`), '');
  equal(plain.counters.get('connectionsRefusedTotal'), refused + 1);
  match(await talkPlain(`PROXY TCP4 192.0.2.2 198.51.100.1 1 2\r\n${REQUEST}`), /192\.0\.2\.2:1 /);
  for (const socket of open) socket.destroy();
  await plain.whenIdle();
  match(await talkPlain(`PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n${REQUEST}`), /192\.0\.2\.1:1 /);
});

test('curl --haproxy-protocol is understood over HTTP/1.1 and HTTP/2', async () => {
  const run = promisify(execFile);
  const { certPath } = testCertificate();
  for (const version of ['--http1.1', '--http2'])
    match(
      (
        await run('curl', [
          '-sS',
          version,
          '--haproxy-protocol',
          '--cacert',
          certPath,
          '--resolve',
          `localhost:${secure.port}:127.0.0.1`,
          `https://localhost:${secure.port}/who`,
        ])
      ).stdout,
      /^127\.0\.0\.1:\d+ at 127\.0\.0\.1:\d+\n$/,
    );
});

test('HAProxy with send-proxy and send-proxy-v2 passes on who its client is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-haproxy-'));
  const ports = await freePorts(2);
  const forms = ['send-proxy', 'send-proxy-v2 proxy-v2-options unique-id,crc32c'];
  const sections = forms.map(
    (form, i) => `listen l${i}
  bind 127.0.0.1:${ports[i]}
  unique-id-format %{+X}o-%ci:%cp
  server s 127.0.0.1:${secure.port} ${form}`,
  );
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n${sections.join('\n')}\n`,
  );
  const haproxy = spawn('haproxy', ['-db', '-q', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' });
  try {
    for (const port of ports) {
      const below = await connectWhenThere(port);
      const mine = `127.0.0.1:${below.localPort} at 127.0.0.1:${port}\n`;
      const socket = connectTls({ socket: below, ca: testCertificate().cert, servername: 'localhost' });
      const answer = await talk(socket, REQUEST);
      ok(answer.endsWith(mine), `${answer} has ${mine}`);
    }
  } finally {
    haproxy.kill('SIGKILL');
    await once(haproxy, 'close');
    rmSync(folder, { recursive: true });
  }
});

async function connectWhenThere(port: number): Promise<Socket> {
  let socket: Socket | undefined;
  for (const limit = performance.now() + 60_000; performance.now() < limit; ) {
    const trying = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      trying.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    if (connected) {
      socket = trying;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  ok(socket !== undefined, 'HAProxy listens in time');
  return socket;
}
