/** RFC 9113 §9.2: TLS below HTTP/2, with the options the gateway listens with. */
import { ok, rejects, strictEqual } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { createSecureOptions } from '../../../../src/tls/secure-options.ts';
import { testCertificate } from '../../../support/certificate.ts';
import { CODE } from '../../../support/h2-bytes.ts';
import { runProgram } from '../../../support/run-program.ts';
import { StrictPeer } from '../../../support/strict-peer.ts';
import { startFrontEnd, type TestFrontEnd } from '../../../support/test-front-end.ts';

const WAIT_MAX_MS = 30_000;
const servers = new Map<'ec' | 'rsa', TestFrontEnd>();

before(async () => {
  for (const kind of ['ec', 'rsa'] as const) {
    const { cert, key } = testCertificate(kind);
    const front = await startFrontEnd({
      '/hello': (x) => {
        x.head(200, []);
        x.write(Buffer.from('hello'));
        x.end();
      },
    });
    front.frontEnd.setTls(createSecureOptions({ certificate: cert, key, ticketKeys: randomBytes(48) }));
    servers.set(kind, front);
  }
});
after(() => Promise.all([...servers.values()].map((front) => front.stop())));

function open(options: ConnectionOptions, kind: 'ec' | 'rsa' = 'ec'): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        port: servers.get(kind)?.port ?? 0,
        host: '127.0.0.1',
        servername: 'localhost',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        ...options,
      },
      () => resolve(socket),
    );
    socket.setTimeout(WAIT_MAX_MS, () => socket.destroy(new Error('no handshake in time')));
    socket.on('error', reject);
  });
}

async function serves(socket: TLSSocket): Promise<void> {
  strictEqual(socket.alpnProtocol, 'h2');
  const peer = new StrictPeer(socket);
  peer.start();
  await peer.expectServes(1);
  peer.check();
  peer.destroy();
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`RFC 9113 §9.2: ${version} carries HTTP/2`, async () => {
    const socket = await open({ minVersion: version, maxVersion: version });
    strictEqual(socket.getProtocol(), version);
    await serves(socket);
  });

for (const version of ['TLSv1', 'TLSv1.1'] as const)
  test(`RFC 9113 §9.2: ${version} is refused`, async () => {
    await rejects(open({ minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }));
  });

test('RFC 9113 §9.2.2: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 with P-256 is supported', async () => {
  const ciphers = 'ECDHE-RSA-AES128-GCM-SHA256';
  const socket = await open({ maxVersion: 'TLSv1.2', ciphers, ecdhCurve: 'prime256v1' }, 'rsa');
  strictEqual(socket.getCipher().name, ciphers);
  await serves(socket);
});

for (const ciphers of ['ECDHE-RSA-AES128-SHA', 'AES128-GCM-SHA256', 'AES256-SHA', 'ECDHE-RSA-AES256-SHA384'])
  test(`RFC 9113 §9.2.2: the cipher suite ${ciphers}, prohibited with TLS 1.2, is refused`, async () => {
    await rejects(open({ maxVersion: 'TLSv1.2', ciphers }, 'rsa'));
  });

test('RFC 9113 §9.2.1: a TLS 1.2 connection is not renegotiated', async () => {
  const socket = await open({ maxVersion: 'TLSv1.2' });
  const peer = new StrictPeer(socket);
  peer.start();
  await peer.expectServes(1);
  const outcome = await new Promise<Error | null>((resolve) => {
    const gone = (): void => resolve(new Error('the connection was closed'));
    socket.once('close', gone);
    socket.once('error', resolve);
    socket.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  ok(outcome instanceof Error);
  peer.destroy();
});

test('RFC 9113 §9.2.1: TLS compression is off', async () => {
  const address = `127.0.0.1:${servers.get('ec')?.port}`;
  const { text } = await runProgram('openssl', [
    's_client',
    '-tls1_2',
    '-alpn',
    'h2',
    '-comp',
    '-connect',
    address,
  ]);
  ok(/^Compression: NONE$/m.test(text), text);
});

test('RFC 9113 §9.2: a client that offers SNI is served, and so is one that does not', async () => {
  await serves(await open({ servername: 'localhost' }));
  await serves(await open({ servername: '' }));
});

test('RFC 9113 §3.2: ALPN without h2 is no HTTP/2', async () => {
  const socket = await open({ ALPNProtocols: ['http/1.1'] });
  const peer = new StrictPeer(socket);
  peer.raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  await new Promise((resolve) => socket.once('close', resolve));
  ok(!Buffer.concat(received).subarray(0, 9).equals(Buffer.from('000000040000000000', 'hex')));
});

test('RFC 9113 §3.2: among several protocols h2 is chosen', async () => {
  const socket = await open({ ALPNProtocols: ['http/1.1', 'h2', 'spdy/3.1'] });
  await serves(socket);
});

test('RFC 9113 §9.1: a server that drains says GOAWAY with NO_ERROR and finishes what is open', async () => {
  const front = await startFrontEnd({
    '/slow': (x) => {
      x.head(200, []);
      x.write(Buffer.from('begun, '));
      x.flush();
      setTimeout(() => {
        x.write(Buffer.from('finished'));
        x.end();
      }, 50);
    },
  });
  const socket = connect({
    port: front.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  const peer = new StrictPeer(socket);
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  peer.start();
  peer.get(1, '/slow');
  await peer.until(() => peer.body(1).length > 0, 'a part of the answer');
  const drained = front.frontEnd.drain(WAIT_MAX_MS);
  strictEqual((await peer.expectResponse(1)).body, 'begun, finished');
  await peer.expectGoaway(CODE.noError);
  peer.check();
  strictEqual(await drained, 0);
  await front.stop();
});
