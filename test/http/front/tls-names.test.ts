/** Handshakes of openssl's client for each name and policy, and requests on connections of another policy, over both protocols. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { loadClientAuthority } from '../../../src/tls/client-authority.ts';
import { loadServerCertificate } from '../../../src/tls/server-certificate.ts';
import { createTicketKeys } from '../../../src/tls/ticket-keys.ts';
import { TlsPolicies } from '../../../src/tls/tls-policies.ts';
import type { ClientAuthority, TlsSetup } from '../../../src/tls/tls-setup.ts';
import { calmTest as test } from '../../support/calm.ts';
import { startFrontEnd, type TestFrontEnd, waitFor } from '../../support/test-front-end.ts';
import { Authority } from '../../tls/authority.ts';
import { CertificateFolder, RSA_KEY } from '../../tls/openssl.ts';

const folder = new CertificateFolder();
let setup: TlsSetup;
let authority: Authority;
let clientAuthority: ClientAuthority;
const fronts: TestFrontEnd[] = [];

before(() => {
  authority = new Authority(folder, 'ca');
  authority.issue('a', 'DNS:a.test,DNS:www.a.test');
  authority.issue('a-rsa', 'DNS:a.test', { key: RSA_KEY });
  authority.issue('wide', 'DNS:*.b.test');
  authority.issue('exact', 'DNS:x.b.test');
  authority.issue('ed', 'DNS:ed.test', { key: 'ed25519' });
  setup = {
    certificates: ['a', 'a-rsa', 'wide', 'exact', 'ed'].map((name) =>
      loadServerCertificate(authority.files(name)),
    ),
    ticketKeys: [createTicketKeys()],
    profile: 'intermediate',
    strictSni: false,
    clients: [],
  };
  clientAuthority = loadClientAuthority({ ca: folder.file('ca.pem'), verify: 'optional' });
});
after(async () => {
  for (const front of fronts) await front.stop();
  folder.remove();
});

async function start(more: Partial<TlsSetup> = {}): Promise<TestFrontEnd> {
  const front = await startFrontEnd(
    {
      '/': (x) => {
        const { policy, clientCertificate } = x.connection;
        x.head(200, ['x-policy', String(policy !== undefined)]);
        x.write(Buffer.from(JSON.stringify(clientCertificate ?? null)));
        x.end();
      },
    },
    { tls: new TlsPolicies({ ...setup, ...more }, 0) },
  );
  fronts.push(front);
  return front;
}

/** Common name of the certificate that openssl's client gets, or the alert. */
async function askOpenssl(port: number, ...words: readonly string[]): Promise<string> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
  await once(child, 'close');
  return (
    /^subject=CN ?= ?(\S+)$/m.exec(text)?.[1] ??
    /SSL alert number \d+/.exec(text)?.[0] ??
    /handshake failure/.exec(text)?.[0] ??
    text
  );
}

/** Certificate and key that a client shows. */
function readPair(name: string): { readonly cert: Buffer; readonly key: Buffer } {
  const { certificate, key } = authority.files(name);
  return { cert: readFileSync(certificate), key: readFileSync(key) };
}

const named = (name: string): string[] => ['-servername', name];

test('openssl gets the certificate of each name, over TLS 1.2 and 1.3, by the keys that it takes', async () => {
  const { port } = await start();
  const rsaOnly = ['-sigalgs', 'rsa_pss_rsae_sha256:RSA+SHA256'];
  for (const version of ['-tls1_2', '-tls1_3']) {
    for (const [words, expected] of [
      [named('a.test'), 'a'],
      [[...named('a.test'), ...rsaOnly], 'a-rsa'],
      [named('www.a.test'), 'a'],
      [named('x.b.test'), 'exact'],
      [named('y.b.test'), 'wide'],
      [named('z.y.b.test'), 'a'],
      [named('ed.test'), 'ed'],
      [['-noservername'], 'a'],
    ] as const)
      equal(await askOpenssl(port, version, ...words), expected, `${version} ${words.join(' ')}`);
  }
  // HTTP/1.0 is spoken, and what is no HTTP is refused
  equal(await askOpenssl(port, ...named('a.test'), '-alpn', 'smtp,http/1.0'), 'a');
  match(await askOpenssl(port, ...named('a.test'), '-alpn', 'smtp'), /alert number 120/);
  // no RSA key is for that name
  match(await askOpenssl(port, ...named('www.a.test'), ...rsaOnly), /alert number 40/);
});

test('Each profile speaks its versions and suites to openssl, and no others', async () => {
  const weak = ['-cipher', 'ALL:@SECLEVEL=0'];
  const refusedVersion = /alert number 70/;
  for (const [profile, words, expected] of [
    ['modern', ['-tls1_3'], /^a$/],
    ['modern', ['-tls1_2'], refusedVersion],
    ['intermediate', ['-tls1_2'], /^a$/],
    ['intermediate', ['-tls1_1', ...weak], refusedVersion],
    ['intermediate', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'], /alert number 40/],
    ['old', ['-tls1_3'], /^a$/],
    ['old', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'], /^a$/],
    ['old', ['-tls1_2', '-cipher', 'AES128-SHA'], /^a-rsa$/],
    ['old', ['-tls1_1', ...weak], /^a$/],
    ['old', ['-tls1', ...weak], /^a$/],
    ['old', ['-tls1_2', '-cipher', 'DHE-RSA-AES128-SHA'], /alert number 40/],
  ] as const) {
    const { port } = await start({ profile });
    match(await askOpenssl(port, ...named('a.test'), ...words), expected, `${profile} ${words.join(' ')}`);
  }
});

test('With --strict-sni openssl is refused with unrecognized_name, and served by the names of certificates', async () => {
  const { port, counters, logLines } = await start({ strictSni: true });
  for (const version of ['-tls1_2', '-tls1_3']) {
    equal(await askOpenssl(port, version, ...named('y.b.test')), 'wide');
    for (const words of [['-noservername'], named('stranger.test'), named('b.test')])
      equal(await askOpenssl(port, version, ...words), 'SSL alert number 112', words.join(' '));
  }
  equal(counters.get('handshakesFailedTotal'), 6);
  match(logLines.join('\n'), /TLS handshake failed .*asks for no name, and --strict-sni is given/);
});

test('The first message may come byte by byte, and one that never comes whole ends at the limit', async () => {
  const { port } = await start();
  const pieces = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  await once(pieces, 'connect');
  const socket = connect({ socket: slowed(pieces), servername: 'y.b.test', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  equal(socket.getPeerCertificate().subject.CN, 'wide');
  socket.destroy();
  pieces.destroy();

  const front = await startFrontEnd(
    {},
    { tls: new TlsPolicies(setup, 0), limits: { handshakeTimeoutMs: 100 } },
  );
  fronts.push(front);
  const stalled = connectTcp({ port: front.port, host: '127.0.0.1' });
  const closed = new Promise((resolve) => stalled.once('close', resolve));
  // bytes that arrive when the time is over reset the connection
  stalled.on('error', () => undefined);
  stalled.write(Buffer.from([22, 3, 1, 0, 100, 1]));
  await closed;
  await waitFor(() => front.counters.get('silentTotal') === 1, 'the silence to be counted');
});

/** Writes of the client go byte by byte. */
function slowed(socket: Socket): Socket {
  const write = socket._write.bind(socket);
  socket._writev = null as never;
  socket._write = (chunk: Buffer, encoding, done) => {
    let at = 0;
    const next = (error?: Error | null): void => {
      if (error || at === chunk.length) done(error ?? undefined);
      else write(chunk.subarray(at, ++at), encoding, () => setImmediate(next));
    };
    next();
  };
  return socket;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function askHttp2(port: number, name: string, authorities: readonly string[]): Promise<number[]> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: name, rejectUnauthorized: false });
  const statuses: number[] = [];
  for (const one of authorities) {
    const request = session.request({ ':path': '/', ':authority': one });
    const [fields] = (await once(request, 'response')) as [Record<string, unknown>];
    request.resume();
    statuses.push(Number(fields[':status']));
  }
  session.destroy();
  return statuses;
}

/** Asks over HTTP/1.1 until the connection ends. */
async function ask(port: number, host: string, options: ConnectionOptions): Promise<Answer> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  const error = await new Promise<Error | undefined>((resolve) => {
    socket.on('error', resolve);
    socket.on('close', () => resolve(undefined));
  });
  if (text === '') return { status: 0, text: error?.message ?? 'closed' };
  return { status: Number(text.slice(9, 12)), text: text.slice(text.indexOf('\r\n\r\n') + 4) };
}

test('A request for a name of another certificate gets 421 over HTTP/2 and HTTP/1.1, and the connection lives on', async () => {
  const { port } = await start();
  deepEqual(
    await askHttp2(port, 'a.test', ['a.test', 'x.b.test', 'www.a.test:8443', 'Y.B.TEST', 'a.test']),
    [200, 421, 200, 421, 200],
  );
  deepEqual(await askHttp2(port, 'y.b.test', ['z.b.test', 'x.b.test', '127.0.0.1']), [200, 421, 421]);
  for (const [name, host, expected] of [
    ['x.b.test', 'x.b.test', 200],
    ['x.b.test', 'a.test', 421],
    ['stranger.test', 'stranger.test', 200],
    ['stranger.test', 'x.b.test', 421],
    // a client that names nobody has not been told who this is
    ['', 'x.b.test', 200],
  ] as const)
    equal((await ask(port, host, { servername: name })).status, expected, `${name} ${host}`);
});

test('A gateway with one certificate answers for all authorities', async () => {
  const { port } = await start({ certificates: setup.certificates.slice(0, 1) });
  deepEqual(await askHttp2(port, 'a.test', ['x.b.test', 'stranger.test']), [200, 200]);
});

/** Connects until the server ends, and returns what the client got for the next time. */
async function resume(
  port: number,
  options: ConnectionOptions,
): Promise<{ readonly reused: boolean; readonly session: Buffer | undefined }> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  let reused = false;
  socket.on('session', (ticket: Buffer) => {
    session = ticket;
  });
  socket.on('secureConnect', () => {
    reused = socket.isSessionReused();
    // of TLS 1.2, where no event tells of a ticket that was renewed
    session = socket.getSession();
  });
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  socket.resume();
  await new Promise((resolve) => socket.on('close', resolve));
  return { reused, session };
}

test('A ticket counts for its own names, at each listener with the same demand on clients, and no other', async () => {
  const same = await start();
  const { port } = await start();
  const asking = await start({ clients: [clientAuthority] });
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const versions = { minVersion: version, maxVersion: version };
    const { session } = await resume(port, { ...versions, servername: 'a.test' });
    ok(session !== undefined);
    const resumed = async (to: number, servername: string): Promise<boolean> =>
      (await resume(to, { ...versions, servername, session })).reused;
    equal(await resumed(port, 'a.test'), true, version);
    equal(await resumed(same.port, 'a.test'), true, version);
    equal(await resumed(port, 'x.b.test'), false, version);
    equal(await resumed(asking.port, 'a.test'), false, version);
  }
});

test('A rotation of ticket keys and a renewal of certificates cost no client its session', async () => {
  const front = await start();
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    front.frontEnd.setTls(new TlsPolicies(setup, 0));
    const options = { minVersion: version, maxVersion: version, servername: 'a.test' };
    const { session } = await resume(front.port, options);
    authority.issue('renewed', 'DNS:a.test,DNS:www.a.test');
    const [old, ...others] = setup.certificates;
    const renewed = loadServerCertificate(authority.files('renewed'));
    const ticketKeys = [createTicketKeys(), ...setup.ticketKeys];
    front.frontEnd.setTls(new TlsPolicies({ ...setup, ticketKeys, certificates: [renewed, ...others] }, 0));
    const next = await resume(front.port, { ...options, session });
    equal(next.reused, true, version);
    // the client has a ticket of the new keys now: those before may go
    front.frontEnd.setTls(new TlsPolicies({ ...setup, ticketKeys: ticketKeys.slice(0, 1) }, 0));
    equal((await resume(front.port, { ...options, session: next.session })).reused, true, version);
    equal((await resume(front.port, { ...options, session })).reused, false, version);
    ok(old !== undefined);
  }
});

test('Certificates of clients: none, a good one, an expired one and one of another authority, asked for and required', async () => {
  authority.issue('ada', 'DNS:ada.test,email:ada@example.org', { subject: '/O=Example/CN=ada' });
  authority.issue('late', '', { days: -1 });
  const other = new Authority(folder, 'other');
  other.issue('eve', '');
  const optional = await start({ clients: [clientAuthority] });
  const required = await start({ clients: [{ ...clientAuthority, verify: 'require' }] });
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const asWho = (name: string | undefined): ConnectionOptions => {
      if (name === undefined) return { maxVersion: version, servername: 'a.test' };
      const { cert, key } = readPair(name);
      return { maxVersion: version, servername: 'a.test', cert, key };
    };
    const seen = async (name: string | undefined): Promise<Record<string, string>> =>
      JSON.parse((await ask(optional.port, 'a.test', asWho(name))).text) as Record<string, string>;
    const good = await seen('ada');
    deepEqual(
      [good['verify'], good['subject'], good['san']],
      ['SUCCESS', 'CN=ada,O=Example', 'DNS:ada.test, email:ada@example.org'],
    );
    match(good['serial'] ?? '', /^[0-9A-F]+$/);
    match(good['fingerprint'] ?? '', /^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    equal((await seen('late'))['verify'], 'FAILED:CERT_HAS_EXPIRED');
    match(
      (await seen('eve'))['verify'] ?? '',
      /^FAILED:(?:UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT)/,
    );
    deepEqual(await seen(undefined), { verify: 'NONE' });
    equal((await ask(required.port, 'a.test', asWho('ada'))).status, 200);
    for (const name of ['late', 'eve', undefined])
      equal((await ask(required.port, 'a.test', asWho(name))).status, 0, `${version} ${name}`);
  }
});

test('No ticket lets a client in whose certificate was refused, or who had none', async () => {
  const required = await start({ clients: [{ ...clientAuthority, verify: 'require' }] });
  const optional = await start({ clients: [clientAuthority] });
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const name of ['eve', undefined]) {
      const who = name === undefined ? {} : readPair(name);
      const options = { minVersion: version, maxVersion: version, servername: 'a.test', ...who };
      const { session } = await resume(required.port, options);
      if (session !== undefined)
        equal((await ask(required.port, 'a.test', { ...options, session })).status, 0, `${version} ${name}`);
      const first = await resume(optional.port, options);
      const again = await ask(optional.port, 'a.test', {
        ...options,
        ...(first.session && { session: first.session }),
      });
      const { verify } = JSON.parse(again.text) as { verify: string };
      match(verify, name === undefined ? /^NONE$/ : /^FAILED:/, `${version} ${name}`);
    }
    const good = { minVersion: version, maxVersion: version, servername: 'a.test', ...readPair('ada') };
    const { session } = await resume(required.port, good);
    const again = await ask(required.port, 'a.test', { ...good, ...(session && { session }) });
    equal((JSON.parse(again.text) as { verify: string }).verify, 'SUCCESS', version);
  }
});

test('A refused certificate of a client is counted and told', async () => {
  const front = await start({ clients: [{ ...clientAuthority, verify: 'require' }] });
  await ask(front.port, 'a.test', { servername: 'a.test', ...readPair('eve') });
  await waitFor(() => front.counters.get('handshakesFailedTotal') === 1, 'the failure to be counted');
  match(
    front.logLines.join('\n'),
    /TLS handshake failed .*certificate of the client is not taken: UNABLE_TO_/,
  );
});
