/** The development certificate: how clients treat it, when it is kept, when it is renewed, and who may read it. */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  type DevelopmentCertificate,
  developmentCertificateFolders,
  loadDevelopmentCertificate,
} from '../../src/tls/development-certificate.ts';
import { createSecureOptions } from '../../src/tls/secure-options.ts';
import { loadServerCertificate } from '../../src/tls/server-certificate.ts';
import { createTicketKeys } from '../../src/tls/ticket-keys.ts';

const run = promisify(execFile);
const MODULE = new URL('../../src/tls/development-certificate.js', import.meta.url).href;
const DAY_MS = 86_400_000;
const NOW = Date.now();
const root = mkdtempSync(join(tmpdir(), 'lgw-development-'));
let folders = 0;

/** Names a folder that does not exist yet. */
function newFolder(): string {
  folders += 1;
  return join(root, `store-${folders}`);
}

function load(folder: string, hostName = 'box', now = NOW): Promise<DevelopmentCertificate> {
  return loadDevelopmentCertificate({ folders: [folder], hostName, now });
}

after(() => rmSync(root, { recursive: true, force: true }));

describe('a development certificate', () => {
  let made: DevelopmentCertificate;
  let port = 0;
  const server = createServer((_request, response) => response.end('trusted'));
  before(async () => {
    made = await load(newFolder());
    server.setSecureContext(createSecureOptions({ ...made, ticketKeys: createTicketKeys() }));
    server.listen(0);
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => server.close());

  const curl = (url: string, ...more: string[]): Promise<{ stdout: string }> =>
    run('curl', [
      '-sS',
      '--noproxy',
      '*',
      '--max-time',
      '10',
      '--cacert',
      made.certificatePath,
      ...more,
      url,
    ]);

  test('is trusted by curl for localhost, both loopback addresses and the host name', async () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]'])
      equal((await curl(`https://${host}:${port}/`)).stdout, 'trusted', host);
    equal((await curl(`https://box:${port}/`, '--resolve', `box:${port}:127.0.0.1`)).stdout, 'trusted');
  });

  test('is refused by curl for another name, and without --cacert', async () => {
    await rejects(
      curl(`https://other:${port}/`, '--resolve', `other:${port}:127.0.0.1`),
      /no alternative certificate subject name/,
    );
    await rejects(
      run('curl', ['-sS', '--noproxy', '*', `https://localhost:${port}/`]),
      /self-signed certificate/,
    );
  });

  test('is trusted by Node with itself as authority', async () => {
    const request = get({ host: 'localhost', port, ca: made.certificate });
    const [response] = await once(request, 'response');
    equal(response.socket.authorized, true);
    response.resume();
  });

  test('passes the strict verification of OpenSSL as a server certificate', async () => {
    const path = made.certificatePath;
    const { stdout } = await run('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-CAfile',
      path,
      path,
    ]);
    equal(stdout, `${path}: OK\n`);
  });

  test('has the extensions of a server that signs nothing else', async () => {
    const { stdout } = await run('openssl', ['x509', '-noout', '-text', '-in', made.certificatePath]);
    match(stdout, /Version: 3/);
    match(stdout, /Signature Algorithm: ecdsa-with-SHA256/);
    match(stdout, /ASN1 OID: prime256v1/);
    match(stdout, /Basic Constraints: critical\s+CA:FALSE/);
    match(stdout, /Key Usage: critical\s+Digital Signature\n/);
    match(stdout, /Extended Key Usage:\s+TLS Web Server Authentication\n/);
    match(stdout, /DNS:localhost, DNS:box, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1\n/);
    match(stdout, /Subject Key Identifier/);
  });

  test('is valid from yesterday, for 397 days in all', () => {
    const { validFrom, validTo, serialNumber } = new X509Certificate(made.certificate);
    ok(Math.abs(Date.parse(validFrom) - (NOW - DAY_MS)) <= 1000);
    equal(Date.parse(validTo) - Date.parse(validFrom), 397 * DAY_MS);
    match(serialNumber, /^[4-7][0-9A-F]{31}$/);
  });

  test('can be given as -c and -k', () => {
    const key = join(made.certificatePath, '..', 'key.pem');
    const loaded = loadServerCertificate({ certificate: made.certificatePath, key });
    deepEqual([loaded.keyKind, loaded.fingerprint256], ['EC', made.fingerprint256]);
  });
});

describe('loadDevelopmentCertificate()', () => {
  test('keeps the key to its owner', async () => {
    const folder = newFolder();
    await load(folder);
    const modeOf = (...names: string[]): number => statSync(join(folder, ...names)).mode & 0o777;
    deepEqual([modeOf('development'), modeOf('development', 'key.pem')], [0o700, 0o600]);
    deepEqual(readdirSync(folder), ['development']);
    deepEqual(readdirSync(join(folder, 'development')).sort(), ['certificate.pem', 'key.pem']);
  });

  test('returns what lies in the files, and the same the next time', async () => {
    const folder = newFolder();
    const first = await load(folder);
    equal(readFileSync(first.certificatePath, 'utf8'), first.certificate);
    equal(new X509Certificate(first.certificate).checkPrivateKey(createPrivateKey(first.key)), true);
    deepEqual(await load(folder), first);
  });

  test('renews 30 days before the end and not a day earlier', async () => {
    const folder = newFolder();
    const first = await load(folder);
    const end = Date.parse(new X509Certificate(first.certificate).validTo);
    deepEqual(await load(folder, 'box', end - 31 * DAY_MS), first);
    const renewed = await load(folder, 'box', end - 30 * DAY_MS);
    notEqual(renewed.fingerprint256, first.fingerprint256);
    deepEqual(readdirSync(folder), ['development']);
  });

  test('renews when the machine got another name', async () => {
    const folder = newFolder();
    const first = await load(folder, 'old');
    const renewed = await load(folder, 'new');
    equal(new X509Certificate(renewed.certificate).checkHost('new'), 'new');
    notEqual(renewed.fingerprint256, first.fingerprint256);
  });

  test('leaves out a host name that is not a DNS name', async () => {
    for (const name of ['under_score', '10.0.0.1', 'localhost', '', `${'a'.repeat(64)}`]) {
      const { certificate } = await load(newFolder(), name);
      match(new X509Certificate(certificate).subjectAltName ?? '', /^DNS:localhost, IP/, name);
    }
  });

  test('renews when a file is missing or damaged, the two do not fit, or others may read the key', async () => {
    const strange = await load(newFolder());
    const damages: Readonly<Record<string, (certificate: string, key: string) => void>> = {
      'no key': (_certificate, key) => unlinkSync(key),
      'no certificate': (certificate) => unlinkSync(certificate),
      'damaged certificate': (certificate) => writeFileSync(certificate, 'x'),
      'cut key': (_certificate, key) => writeFileSync(key, readFileSync(key).subarray(0, 100)),
      'key of another certificate': (_certificate, key) => writeFileSync(key, strange.key),
      'readable key': (_certificate, key) => chmodSync(key, 0o640),
    };
    for (const [name, damage] of Object.entries(damages)) {
      const folder = newFolder();
      const first = await load(folder);
      damage(first.certificatePath, join(folder, 'development', 'key.pem'));
      const renewed = await load(folder);
      notEqual(renewed.fingerprint256, first.fingerprint256, name);
      deepEqual(await load(folder), renewed, name);
      deepEqual(readdirSync(folder), ['development'], name);
    }
  });

  test('gives all processes that start at once the same pair, fresh and over a damaged one', async () => {
    for (const isDamaged of [false, true]) {
      const folder = newFolder();
      if (isDamaged) {
        mkdirSync(join(folder, 'development'), { recursive: true });
        writeFileSync(join(folder, 'development', 'key.pem'), 'damaged');
      }
      const script = `import(${JSON.stringify(MODULE)})
        .then((m) => m.loadDevelopmentCertificate({ folders: [${JSON.stringify(folder)}], hostName: 'box' }))
        .then((pair) => console.log(pair.fingerprint256))`;
      const started = Array.from({ length: 6 }, () =>
        run(process.execPath, ['-e', script], { timeout: 60_000 }),
      );
      const printed = (await Promise.all(started)).map(({ stdout }) => stdout.trim());
      equal(new Set(printed).size, 1, printed.join('\n'));
      equal((await load(folder)).fingerprint256, printed[0]);
      deepEqual(readdirSync(folder), ['development']);
    }
  });

  test('goes on to the next folder only when one cannot be written to', async () => {
    const blocked = join(root, 'a-file');
    writeFileSync(blocked, '');
    const [first, second] = [newFolder(), newFolder()];
    const made = await loadDevelopmentCertificate({ folders: [join(blocked, 'x'), second], hostName: 'box' });
    ok(made.certificatePath.startsWith(second));
    const again = await loadDevelopmentCertificate({
      folders: [join(blocked, 'x'), second],
      hostName: 'box',
    });
    equal(again.fingerprint256, made.fingerprint256);
    // the certificate in certs/ is used, as README.md says, and not one that an installed lgateway has kept for its user
    const own = await loadDevelopmentCertificate({ folders: [first, second], hostName: 'box' });
    ok(own.certificatePath.startsWith(first));
  });

  test('says where it tried when nothing can be written', async () => {
    const blocked = join(root, 'another-file');
    writeFileSync(blocked, '');
    await rejects(load(join(blocked, 'x')), {
      code: 'LGW_CERTIFICATE_STORE',
      message:
        /^Cannot keep a development certificate \(ENOTDIR: .*another-file.*\): give one with -c and -k/,
    });
  });
});

describe('developmentCertificateFolders()', () => {
  test('starts with certs/ of a checkout', () => {
    deepEqual(developmentCertificateFolders('/src/lgateway/', { XDG_DATA_HOME: '/data' }), [
      '/src/lgateway/certs',
      '/data/lgateway',
    ]);
  });

  test('leaves an installed package alone, and ignores a relative XDG_DATA_HOME', () => {
    deepEqual(
      developmentCertificateFolders('/usr/lib/node_modules/lgateway/', {
        XDG_DATA_HOME: 'x',
        HOME: '/home/u',
      }),
      ['/home/u/.local/share/lgateway'],
    );
  });
});
