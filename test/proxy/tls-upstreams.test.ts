/** Servers behind the proxy that speak TLS: whose certificate is believed, which name is asked for, and what ends a handshake. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { after, before } from 'node:test';
import { createServer, type SecureContextOptions, type TLSSocket, type TlsOptions } from 'node:tls';
import forge from 'node-forge';
import { DEFAULT_PROXY_RULES, type UpstreamTls } from '../../src/mapping/proxy-settings.ts';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { connectH2 } from '../support/h2-client.ts';
import { ask } from '../support/proxy-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { waitFor } from '../support/test-front-end.ts';
import { rawUpstream } from '../support/upstream.ts';

const DAY_MS = 86_400_000;
const LOCAL = { hostNames: ['localhost'], addresses: [Buffer.from([127, 0, 0, 1])], organization: 'test' };

/** An authority, and certificates by it; all have one key. */
const rsaKey = testCertificate('rsa').key;
const privateKey = forge.pki.privateKeyFromPem(rsaKey);
const publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);

function issue(name: string, issuer: string, days: number): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - 10 * DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + days * DAY_MS);
  const subject = (text: string): forge.pki.CertificateField[] => [{ name: 'commonName', value: text }];
  certificate.setSubject(subject(name));
  certificate.setIssuer(subject(issuer));
  certificate.setExtensions(
    name === issuer
      ? [{ name: 'basicConstraints', cA: true }]
      : [{ name: 'subjectAltName', altNames: [{ type: 2, value: name }] }],
  );
  certificate.sign(privateKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}

const AUTHORITY = issue('authority', 'authority', 10);
const OTHER_AUTHORITY = makeCertificate({
  ...LOCAL,
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + DAY_MS),
});
const EXPIRED = makeCertificate({
  ...LOCAL,
  notBefore: new Date(Date.now() - 10 * DAY_MS),
  notAfter: new Date(Date.now() - DAY_MS),
});

interface Case {
  readonly cert: SecureContextOptions;
  readonly tls: Partial<UpstreamTls>;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Undefined: the request is answered. */
  readonly fails?: RegExp;
}

const { cert, key } = testCertificate();
const byAuthority = (name: string, days = 10): SecureContextOptions => ({
  cert: issue(name, 'authority', days),
  key: rsaKey,
});

const CASES: Readonly<Record<string, Case>> = {
  'a certificate by the given authority': {
    cert: byAuthority('localhost'),
    host: 'localhost',
    tls: { ca: AUTHORITY },
  },
  'a certificate by another authority': {
    cert: byAuthority('localhost'),
    host: 'localhost',
    tls: { ca: OTHER_AUTHORITY.certificate },
    fails: /unable to (?:verify|get)/,
  },
  'a certificate by an authority that Node does not know': {
    cert: byAuthority('localhost'),
    host: 'localhost',
    tls: {},
    fails: /unable to (?:verify|get)/,
  },
  'a certificate signed by itself': { cert: { cert, key }, tls: {}, fails: /self-signed certificate/ },
  'a certificate signed by itself that is the given authority': { cert: { cert, key }, tls: { ca: cert } },
  'a certificate for another name': {
    cert: byAuthority('other.example'),
    host: 'localhost',
    tls: { ca: AUTHORITY },
    fails: /Hostname\/IP does not match|not in the cert's altnames/i,
  },
  'a certificate for the name that is given': {
    cert: byAuthority('other.example'),
    tls: { ca: AUTHORITY, servername: 'other.example' },
  },
  'a certificate for the address of the target': { cert: { cert, key }, tls: { ca: cert } },
  'a certificate for another address than the one that is given': {
    cert: { cert, key },
    host: 'localhost',
    tls: { ca: cert, servername: '192.0.2.7' },
    fails: /does not match certificate's altnames|not in the cert's list/i,
  },
  'a certificate for the address that is given': {
    cert: { cert, key },
    host: 'localhost',
    tls: { ca: cert, servername: '127.0.0.1' },
  },
  'a certificate that has expired': {
    cert: { cert: EXPIRED.certificate, key: EXPIRED.key },
    tls: { ca: EXPIRED.certificate },
    fails: /certificate has expired/,
  },
  'a certificate that has expired and is not checked': {
    cert: { cert: EXPIRED.certificate, key: EXPIRED.key },
    tls: { verify: false },
  },
  'a certificate signed by itself that is not checked': { cert: { cert, key }, tls: { verify: false } },
  'a certificate for another name that is not checked': {
    cert: byAuthority('other.example'),
    host: 'localhost',
    tls: { verify: false, ca: AUTHORITY },
  },
};

let front: ProxyFront;
const servers: Server[] = [];
/** What clients of the servers have asked for, and whether they went on with a session. */
const handshakes: { readonly name: string | false; readonly reused: boolean }[] = [];

async function startServer(options: TlsOptions): Promise<number> {
  const server = createServer(options, (socket: TLSSocket) => {
    handshakes.push({
      name: Reflect.get(socket, 'servername') as string | false,
      reused: socket.isSessionReused(),
    });
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      const closes = bytes.includes('/close') ? 'Connection: close\r\n' : '';
      socket.write(`HTTP/1.1 200 OK\r\n${closes}Content-Length: 2\r\n\r\nok`);
    });
  });
  server.on('tlsClientError', () => undefined);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

before(async () => {
  front = await startProxyFront();
});

after(async () => {
  await front.stop();
  for (const server of servers) server.close();
});

const passTo = (target: string, tls: Partial<UpstreamTls>): void =>
  front.passTo([target], { retries: 0, tls: { verify: true, ca: undefined, servername: undefined, ...tls } });

for (const [what, { cert: own, tls, host = '127.0.0.1', fails }] of Object.entries(CASES))
  test(`A server that has ${what} ${fails === undefined ? 'is asked' : 'is not asked'}`, async () => {
    // sessions of TLS 1.2 come before the check of the name
    const port = await startServer({ ...own, maxVersion: 'TLSv1.2' });
    passTo(`https://${host}:${port}`, tls);
    // a session that was refused is not gone on with
    for (let i = 0; i < 2; i++) {
      const { status, body } = await ask('h1', front.port, '/close');
      if (fails === undefined) assert.deepEqual([status, body], [200, 'ok']);
      else {
        assert.equal(status, 502);
        assert.match(body, /Error id: [\w-]+/);
        assert.equal(front.failures.at(-1), 'LGW_PROXY_DENIED');
        assert.match(front.messages.at(-1) ?? '', fails);
        assert.ok(front.messages.at(-1)?.includes(`https://${host}:${port}`), front.messages.at(-1));
      }
    }
  });

test('The name of the host is asked for, or the one that is given; an address is none', async () => {
  const port = await startServer({ cert, key });
  for (const [host, name, asked] of [
    ['localhost', undefined, 'localhost'],
    ['127.0.0.1', undefined, false],
    ['127.0.0.1', 'localhost', 'localhost'],
    ['localhost', '127.0.0.1', false],
  ] as const) {
    passTo(`https://${host}:${port}`, { ca: cert, servername: name });
    const before = handshakes.length;
    assert.equal((await ask('h1', front.port, '/')).status, 200);
    assert.deepEqual([handshakes.length - before, handshakes.at(-1)?.name], [1, asked]);
  }
});

test('A further connection goes on with the session of the one before', async () => {
  const port = await startServer({ cert, key });
  passTo(`https://127.0.0.1:${port}`, { ca: cert });
  const before = handshakes.length;
  for (let i = 0; i < 3; i++) assert.equal((await ask('h1', front.port, '/close')).status, 200);
  assert.deepEqual(
    handshakes.slice(before).map(({ reused }) => reused),
    [false, true, true],
  );
  // what is believed belongs to those who believe it
  passTo(`https://127.0.0.1:${port}`, {});
  assert.equal((await ask('h1', front.port, '/')).status, 502);
});

test('A server that speaks no TLS, and one that ends the handshake, give 502; one that is silent 504', async () => {
  const sockets = new Set<Socket>();
  let does: (socket: Socket) => void = () => undefined;
  const server = await rawUpstream((socket) => {
    sockets.add(socket);
    socket.once('data', () => does(socket));
  });
  const timeouts = { ...DEFAULT_PROXY_RULES.timeouts, connectMs: 200 };
  try {
    front.passTo([server.url.replace('http:', 'https:')], {
      retries: 0,
      timeouts: { ...timeouts, connectMs: 5000 },
    });
    does = (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    assert.equal((await ask('h1', front.port, '/')).status, 502);
    does = (socket) => socket.destroy();
    assert.equal((await ask('h1', front.port, '/')).status, 502);
    does = () => undefined;
    front.passTo([server.url.replace('http:', 'https:')], { retries: 0, timeouts });
    assert.equal((await ask('h1', front.port, '/')).status, 504);
    assert.match(front.messages.at(-1) ?? '', /no connection within 200 ms/);
    await waitFor(() => server.open() === 0, 'the connection to end');
  } finally {
    await server.close();
  }
});

test('A client that goes while its server shakes hands ends the connection', async () => {
  const server = await rawUpstream((socket) => void socket.resume());
  try {
    for (const scheme of ['https', 'h1', 'h2']) {
      front.passTo([server.url.replace('http:', `${scheme}:`)], { retries: 0 });
      const session = await connectH2(front.port);
      session.request({ ':path': '/' }).on('error', () => undefined);
      await waitFor(() => server.open() === 1, 'the handshake to begin');
      session.destroy();
      await waitFor(() => server.open() === 0, `the connection to end, ${scheme}`);
      await front.whenPassed();
    }
  } finally {
    await server.close();
  }
});

test('A server that does not choose HTTP/2 in TLS is not asked by it', async () => {
  const port = await startServer({ cert, key, ALPNProtocols: ['http/1.1'] });
  passTo(`h2://127.0.0.1:${port}`, { ca: cert });
  assert.equal((await ask('h1', front.port, '/')).status, 502);
  const without = await startServer({ cert, key });
  passTo(`h2://127.0.0.1:${without}`, { ca: cert });
  assert.equal((await ask('h1', front.port, '/')).status, 502);
  assert.match(front.messages.at(-1) ?? '', /does not speak HTTP\/2/);
});
