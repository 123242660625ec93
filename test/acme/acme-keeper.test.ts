import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { ObtainedCertificate } from '../../src/acme/acme-client.ts';
import { AcmeFolder } from '../../src/acme/acme-folder.ts';
import { AcmeKeeper, type KeeperSettings } from '../../src/acme/acme-keeper.ts';
import { renewalIdentifier, renewalTime } from '../../src/acme/renewal-time.ts';
import { createLogger, type Logger } from '../../src/base/logger.ts';
import type { ChallengeAnswer } from '../../src/tls/challenge-answer.ts';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { testCertificate } from '../support/certificate.ts';
import { type ChallengeServer, startChallengeServer } from '../support/challenge-server.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';

const NAMES = ['kept.example.test', 'other.example.test'];
const DAY_MS = 86_400_000;

/** What a gateway does with certificates: here they are counted, and waited for. */
class Installed {
  readonly certificates: ObtainedCertificate[] = [];
  readonly lines: string[] = [];
  readonly logger: Logger = createLogger('debug', 'acme', (line) => {
    this.lines.push(line);
    this.#changed();
  });
  readonly #host: ChallengeServer;
  #changed: () => void = () => undefined;
  /** Runs when the authority has looked. */
  looked: () => void = () => undefined;

  constructor(host: ChallengeServer) {
    this.#host = host;
  }

  answer(answers: readonly ChallengeAnswer[]): Promise<void> {
    if (answers.length === 0) this.looked();
    return this.#host.answer(answers);
  }

  install(_names: readonly string[], certificate: ObtainedCertificate): Promise<void> {
    this.certificates.push(certificate);
    return Promise.resolve();
  }

  async logged(pattern: RegExp, count = 1): Promise<void> {
    while (this.lines.filter((line) => pattern.test(line)).length < count)
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
  }
}

function selfSigned(daysOld: number, days: number): ObtainedCertificate {
  return makeCertificate({
    hostNames: NAMES,
    addresses: [],
    organization: 'test',
    notBefore: new Date(Date.now() - daysOld * DAY_MS),
    notAfter: new Date(Date.now() + (days - daysOld) * DAY_MS),
  });
}

describe('AcmeKeeper', () => {
  let host: ChallengeServer;
  let pebble: Pebble;
  let path: string;
  let installed: Installed;
  let settings: KeeperSettings;
  let folder: AcmeFolder;

  before(async () => {
    host = await startChallengeServer();
    pebble = await startPebble({ tlsPort: host.tlsPort });
  });
  after(async () => {
    await pebble?.stop();
    await host?.stop();
    rmSync(path, { recursive: true, force: true });
  });
  beforeEach(() => {
    if (path !== undefined) rmSync(path, { recursive: true, force: true });
    path = mkdtempSync(join(tmpdir(), 'lgateway-acme-'));
    installed = new Installed(host);
    const authority = {
      directory: pebble.directory,
      trust: pebble.trust,
      email: undefined,
      externalAccount: undefined,
    };
    settings = { authority, orders: [NAMES], challengeTypes: ['tls-alpn-01'] };
    folder = new AcmeFolder(path, pebble.directory);
  });
  const keep = (changed: Partial<KeeperSettings> = {}): AcmeKeeper =>
    new AcmeKeeper({ ...settings, ...changed }, folder, installed, installed.logger);

  it('obtains what is missing, keeps it for its owner alone, and takes it from there at the next start', async () => {
    const first = keep();
    assert.deepEqual(first.kept(), [{ names: NAMES, certificate: undefined }]);
    first.start();
    await installed.logged(/serves; it is renewed on/);
    await first.stop();
    const [obtained] = installed.certificates;
    assert.deepEqual(keep().kept(), [{ names: NAMES, certificate: obtained }]);
    const [server = ''] = readdirSync(path);
    const files = readdirSync(join(path, server));
    assert.deepEqual(
      files.filter((name) => !name.endsWith('.pem')),
      [],
      'no lock or half file stays',
    );
    for (const name of files) assert.equal(statSync(join(path, server, name)).mode & 0o077, 0, name);
    const again = keep();
    again.start();
    await again.stop();
    assert.equal(installed.certificates.length, 1, 'a certificate that is young is not asked for again');
  });

  it('renews at two thirds of the life, and hands over the new one', async () => {
    folder.write(NAMES, selfSigned(61.5, 90));
    const keeper = keep();
    assert.ok(keeper.kept()[0]?.certificate, 'the old one serves meanwhile');
    keeper.start();
    await installed.logged(/serves; it is renewed on/);
    await keeper.stop();
    const own = new X509Certificate(installed.certificates[0]?.certificate ?? '');
    assert.match(own.issuer, /Pebble/);
  });

  it('keeps the old one when the authority fails, says why, and asks again later and later', async () => {
    const old = selfSigned(80, 90);
    folder.write(NAMES, old);
    const authority = { ...settings.authority, directory: `${pebble.directory}-nowhere` };
    const keeper = keep({ authority, retryMs: 1 });
    keeper.start();
    await installed.logged(
      /No certificate for kept\.example\.test, other\.example\.test: .+; the one before stays/,
      3,
    );
    await keeper.stop();
    assert.deepEqual(folder.read(NAMES), old);
    assert.equal(installed.certificates.length, 0);
  });

  it('leaves an authority alone as long as it says', async () => {
    const { cert, key } = testCertificate();
    const server = createServer({ cert, key }, (_request, response) => {
      response.writeHead(503, { 'retry-after': '86400', 'content-type': 'application/problem+json' });
      response.end('{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const directory = `https://localhost:${(server.address() as AddressInfo).port}/`;
    const keeper = keep({ authority: { ...settings.authority, directory }, retryMs: 1 });
    keeper.start();
    await installed.logged(/too many \(rateLimited\)/);
    await keeper.stop();
    server.close();
    const [, time = ''] = /asking again at (\S+)/.exec(installed.lines.at(-1) ?? '') ?? [];
    assert.ok(Date.parse(time) > Date.now() + DAY_MS - 3_600_000, time);
  });

  it('asks the authority when it wants a certificate renewed', async () => {
    const names = ['ari.example.test'];
    const { cert, key } = testCertificate();
    const asked: string[] = [];
    const server = createServer({ cert, key }, (request, response) => {
      asked.push(request.url ?? '');
      const base = `https://localhost:${(server.address() as AddressInfo).port}`;
      const window = { start: '2020-01-01T00:00:00Z', end: '2020-01-02T00:00:00Z' };
      const documents: Record<string, object> = {
        '/dir': {
          newNonce: `${base}/n`,
          newAccount: `${base}/a`,
          newOrder: `${base}/o`,
          renewalInfo: `${base}/ari`,
        },
      };
      response.end(JSON.stringify(documents[request.url ?? ''] ?? { suggestedWindow: window }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const directory = `https://localhost:${(server.address() as AddressInfo).port}/dir`;
    // a certificate of Pebble has an AuthorityKeyIdentifier
    const first = keep({ orders: [names] });
    first.start();
    await installed.logged(/serves; it is renewed on/);
    await first.stop();
    const [obtained] = installed.certificates;
    assert.ok(obtained);
    folder = new AcmeFolder(path, directory);
    folder.write(names, obtained);
    const keeper = keep({ orders: [names], authority: { ...settings.authority, directory } });
    keeper.start();
    // the window is over: the certificate is asked for at once, which this server cannot do
    await installed.logged(/No certificate for ari\.example\.test/);
    await keeper.stop();
    server.close();
    assert.equal(asked[1], `/ari/${renewalIdentifier(obtained.certificate)}`);
  });

  it('serves with a certificate that the folder cannot keep, and says so', async () => {
    installed.looked = () => mkdirSync(folder.fileOf(NAMES));
    const keeper = keep({ retryMs: 1 });
    keeper.start();
    await installed.logged(/serves; it is renewed on/);
    await keeper.stop();
    assert.equal(installed.certificates.length, 1);
    const all = installed.lines.join('\n');
    assert.match(all, /error acme Cannot write ".+" \(.+\): give another folder with --acme-folder/);
    assert.equal(all.match(/Obtaining a certificate/g)?.length, 1, 'the authority is not asked again');
  });

  it('lets one process ask at a time, and takes over the lock of one that is gone', async () => {
    const other = new AcmeFolder(path, pebble.directory);
    assert.equal(other.lock(), true);
    const keeper = keep();
    keeper.start();
    await installed.logged(/Another process obtains certificates/);
    await keeper.stop();
    const lock = join(path, readdirSync(path)[0] ?? '', 'lock');
    utimesSync(lock, 0, 0);
    assert.equal(folder.lock(), true, 'a lock that is old');
    writeFileSync(lock, '4194303\n');
    assert.equal(folder.lock(), true, 'a lock of a process that does not run');
    folder.unlock();
  });

  it('takes a damaged certificate for none, and says which file of the account is damaged', async () => {
    writeFileSync(folder.fileOf(NAMES), 'rubbish');
    assert.equal(keep().kept()[0]?.certificate, undefined);
    const account = join(path, readdirSync(path)[0] ?? '', 'account.pem');
    writeFileSync(account, 'rubbish');
    const keeper = keep();
    keeper.start();
    await installed.logged(/Cannot use ".+account\.pem" \(.+\): give another folder with --acme-folder/);
    await keeper.stop();
    assert.equal(readFileSync(account, 'utf8'), 'rubbish', 'an account is never thrown away');
  });
});

describe('renewalTime()', () => {
  it('is about two thirds of the life, never twice the same for two certificates', () => {
    const pair = selfSigned(0, 90);
    const from = Date.parse(new X509Certificate(pair.certificate).validFrom);
    const days = [0, 0.5, 1].map((chance) => (renewalTime(pair.certificate, chance) - from) / DAY_MS);
    assert.deepEqual(
      days.map((day) => Math.round(day * 10) / 10),
      [59.1, 60, 60.9],
    );
  });
});
