/**
 * Real handshakes with a server that has our options: accepted versions and suites, refused ones, and resumption across
 * servers.
 */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer, connect as h2Connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { createSecureOptions } from '../../src/tls/secure-options.ts';
import { loadServerCertificate, type ServerCertificate } from '../../src/tls/server-certificate.ts';
import { createTicketKeys } from '../../src/tls/ticket-keys.ts';
import { CertificateFolder, EC_KEY, RSA_KEY } from './openssl.ts';

const folder = new CertificateFolder();
const servers: Server[] = [];
let rsa: ServerCertificate;
let ec: ServerCertificate;

before(() => {
  folder.makeSelfSigned('rsa', RSA_KEY);
  folder.makeSelfSigned('ec', EC_KEY);
  rsa = loadServerCertificate({ certificate: folder.file('rsa.pem'), key: folder.file('rsa.key') });
  ec = loadServerCertificate({ certificate: folder.file('ec.pem'), key: folder.file('ec.key') });
});
after(() => {
  for (const server of servers) server.close();
  folder.remove();
});

interface Started {
  readonly port: number;
  readonly server: Server;
}

async function start(
  certificate: ServerCertificate,
  ticketKeys: Uint8Array = createTicketKeys(),
): Promise<Started> {
  const server = createServer(createSecureOptions({ ...certificate, ticketKeys }));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { server, port: (server.address() as AddressInfo).port };
}

interface Spoken {
  readonly protocol: string | null;
  readonly cipher: string;
  readonly alpn: string | false | null;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
  readonly keyExchange: string | undefined;
}

/** Connects, reads to the end, because TLS 1.3 sends its tickets after the handshake, and returns what was negotiated. */
function speak(
  port: number,
  certificate: ServerCertificate,
  options: ConnectionOptions = {},
): Promise<Spoken> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: certificate.certificate,
      ...options,
    });
    let session: Buffer | undefined;
    let agreed: Omit<Spoken, 'session'> | undefined;
    socket.on('session', (ticket: Buffer) => {
      session = ticket;
    });
    socket.on('secureConnect', () => {
      const exchange = socket.getEphemeralKeyInfo();
      agreed = {
        protocol: socket.getProtocol(),
        cipher: socket.getCipher().standardName,
        alpn: socket.alpnProtocol,
        reused: socket.isSessionReused(),
        keyExchange: exchange !== null && 'name' in exchange ? exchange.name : undefined,
      };
    });
    socket.on('error', reject);
    socket.on('close', () =>
      agreed === undefined ? reject(new Error('closed')) : resolve({ ...agreed, session }),
    );
    socket.resume();
  });
}

describe('createSecureOptions()', () => {
  test('speaks TLS 1.3 and 1.2 with RSA and with EC keys', async () => {
    for (const certificate of [rsa, ec]) {
      const { port } = await start(certificate);
      const newest = await speak(port, certificate);
      deepEqual([newest.protocol, newest.keyExchange], ['TLSv1.3', 'X25519']);
      const older = await speak(port, certificate, { maxVersion: 'TLSv1.2' });
      equal(older.protocol, 'TLSv1.2');
      match(
        older.cipher,
        new RegExp(
          `^TLS_ECDHE_${certificate.keyKind === 'EC' ? 'ECDSA' : 'RSA'}_WITH_(AES_...|CHACHA20)_(GCM|POLY1305)`,
        ),
      );
    }
  });

  test('speaks every suite of the profile', async () => {
    for (const [certificate, kind] of [
      [rsa, 'RSA'],
      [ec, 'ECDSA'],
    ] as const) {
      const { port } = await start(certificate);
      for (const suite of ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']) {
        const ciphers = `ECDHE-${kind}-${suite}`;
        equal(
          (await speak(port, certificate, { ciphers, maxVersion: 'TLSv1.2' })).protocol,
          'TLSv1.2',
          ciphers,
        );
      }
      for (const ciphers of [
        'TLS_AES_128_GCM_SHA256',
        'TLS_AES_256_GCM_SHA384',
        'TLS_CHACHA20_POLY1305_SHA256',
      ])
        equal((await speak(port, certificate, { ciphers, minVersion: 'TLSv1.3' })).cipher, ciphers);
    }
  });

  test('refuses TLS 1.1', async () => {
    const { port } = await start(rsa);
    const old: ConnectionOptions = {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    };
    await rejects(speak(port, rsa, old), /alert protocol version/);
  });

  test('refuses clients that only know CBC, CCM, ARIA, static RSA or finite-field suites', async () => {
    const { port } = await start(rsa);
    const { port: ecPort } = await start(ec);
    const refused = [
      'ECDHE-RSA-AES128-SHA256',
      'ECDHE-RSA-AES256-SHA',
      'ECDHE-ARIA128-GCM-SHA256',
      'AES128-GCM-SHA256',
      'DHE-RSA-AES128-GCM-SHA256',
    ];
    for (const ciphers of refused)
      await rejects(speak(port, rsa, { ciphers, maxVersion: 'TLSv1.2' }), /alert handshake failure/, ciphers);
    for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES128-CCM'])
      await rejects(
        speak(ecPort, ec, { ciphers, maxVersion: 'TLSv1.2' }),
        /alert handshake failure/,
        ciphers,
      );
    await rejects(
      speak(ecPort, ec, { ciphers: 'TLS_AES_128_CCM_SHA256', minVersion: 'TLSv1.3' }),
      /alert handshake failure/,
    );
  });

  test('agrees on P-256 and P-384 where the client lacks X25519, and refuses other curves', async () => {
    const { port } = await start(ec);
    equal((await speak(port, ec, { ecdhCurve: 'prime256v1' })).keyExchange, 'prime256v1');
    equal((await speak(port, ec, { ecdhCurve: 'secp384r1' })).keyExchange, 'secp384r1');
    await rejects(speak(port, ec, { ecdhCurve: 'secp521r1' }), /alert handshake failure/);
  });

  test('lets the client choose among the suites', async () => {
    const { port } = await start(rsa);
    const ciphers = 'ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256';
    match((await speak(port, rsa, { ciphers, maxVersion: 'TLSv1.2' })).cipher, /CHACHA20/);
  });

  test('agrees on h2 before http/1.1, and serves clients without ALPN', async () => {
    const { port } = await start(ec);
    equal((await speak(port, ec, { ALPNProtocols: ['http/1.1', 'h2'] })).alpn, 'h2');
    equal((await speak(port, ec, { ALPNProtocols: ['http/1.1'] })).alpn, 'http/1.1');
    equal((await speak(port, ec)).alpn, false);
  });

  test('refuses renegotiation', async () => {
    const { port, server } = await start(rsa);
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket) => socket.on('error', () => socket.destroy()));
    const socket = connect({ port, host: '127.0.0.1', ca: rsa.certificate, maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    const error: unknown = await new Promise((resolve) => {
      socket.on('error', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    match(String(error), /no renegotiation/i);
    socket.destroy();
  });

  test('resumes sessions at another server with the same ticket keys, and not with other keys', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const ticketKeys = createTicketKeys();
      const first = await start(ec, ticketKeys);
      const second = await start(ec, ticketKeys);
      const stranger = await start(ec);
      const limits = { minVersion: version, maxVersion: version };
      const { session, reused } = await speak(first.port, ec, limits);
      equal(reused, false);
      ok(session !== undefined);
      equal((await speak(second.port, ec, { ...limits, session })).reused, true, version);
      equal((await speak(stranger.port, ec, { ...limits, session })).reused, false, version);
    }
  });

  test('fits http2.createSecureServer', async () => {
    const options = createSecureOptions({ ...ec, ticketKeys: createTicketKeys() });
    const server = createSecureServer({ ...options, allowHTTP1: true });
    server.on('stream', (stream) => {
      stream.respond({ ':status': 204 });
      stream.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = h2Connect(`https://localhost:${(server.address() as AddressInfo).port}`, {
      ca: ec.certificate,
      lookup: undefined,
      host: '127.0.0.1',
    });
    const request = client.request({ ':path': '/' });
    const [fields] = await once(request, 'response');
    equal(fields[':status'], 204);
    client.destroy();
    server.close();
  });
});

test('createTicketKeys() makes 48 new bytes each time', () => {
  const [one, other] = [createTicketKeys(), createTicketKeys()];
  deepEqual([one.length, other.length], [48, 48]);
  notEqual(Buffer.from(one).toString('hex'), Buffer.from(other).toString('hex'));
});
