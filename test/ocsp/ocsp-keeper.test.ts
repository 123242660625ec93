/** OcspKeeper: when it asks, what it keeps over failures and reloads, and when it lets go. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { fetchOcsp } from '../../src/ocsp/ocsp-fetch.ts';
import { OcspKeeper } from '../../src/ocsp/ocsp-keeper.ts';
import { stapleKey } from '../../src/tls/staple-key.ts';
import { answerOf, writeIndex } from '../support/ocsp-responder.ts';
import { Authority } from '../tls/authority.ts';
import { CertificateFolder } from '../tls/openssl.ts';

const HOUR_MS = 3_600_000;

const folder = new CertificateFolder();
const chains: Record<string, string> = {};

before(() => {
  const authority = new Authority(folder, 'ca');
  const extensions = ['authorityInfoAccess=OCSP;URI:http://ocsp.test/'];
  for (const name of ['a', 'b', 'revoked']) authority.issue(name, `DNS:${name}.test`, { extensions });
  authority.issue('silent', 'DNS:silent.test');
  const issuer = readFileSync(folder.file('ca.pem'), 'latin1');
  for (const name of ['a', 'b', 'revoked', 'silent'])
    chains[name] = readFileSync(folder.file(`${name}.pem`), 'latin1') + issuer;
  chains['alone'] = readFileSync(folder.file('a.pem'), 'latin1');
  writeIndex(folder, { '65': 'V', '66': 'V', '67': 'R' });
});
const keepers: OcspKeeper[] = [];
afterEach(() => {
  for (const keeper of keepers.splice(0)) keeper.stop();
});
after(() => folder.remove());

/** A keeper whose clock the test moves, and whose authority answers as openssl does, unless it is down. */
class World {
  readonly lines: string[] = [];
  readonly keeper: OcspKeeper;
  now: number = Date.now();
  isDown = false;
  asked = 0;
  changes = 0;
  waitMs = 0;
  #call: () => void = () => undefined;
  #armed: (() => void) | undefined;

  constructor() {
    const write = (line: string): void => void this.lines.push(line);
    this.keeper = new OcspKeeper(createLogger('info', 'supervisor', write), {
      now: () => this.now,
      later: (call, waitMs) => {
        [this.#call, this.waitMs] = [call, waitMs];
        this.#armed?.();
        return setTimeout(() => undefined, 0);
      },
      fetch: async (_url, request) => {
        this.asked += 1;
        if (this.isDown) throw new Error('nobody is there');
        return answerOf(folder, request);
      },
    });
    keepers.push(this.keeper);
  }

  use(...names: readonly string[]): void {
    this.keeper.use(names.map((name) => ({ certificate: chains[name] ?? '', name })));
  }

  /** Resolves when the keeper waits for its clock. */
  async settled(act: () => void): Promise<void> {
    const armed = new Promise<void>((resolve) => {
      this.#armed = resolve;
    });
    act();
    await armed;
  }

  async pass(ms: number): Promise<void> {
    this.now += ms;
    await this.settled(() => this.#call());
  }

  get stapled(): string[] {
    return Object.keys(chains).filter((name) => this.keeper.staples.has(stapleKey(chains[name] ?? '')));
  }
}

test('Responses are fetched one after the other, and renewed at half of their life', async () => {
  const world = new World();
  world.use('a', 'b', 'silent');
  equal(world.asked, 0);
  await world.settled(() => world.keeper.start(() => (world.changes += 1)));
  deepEqual(world.stapled, ['a', 'b']);
  equal(world.asked, 2);
  equal(world.changes, 2);
  // an hour at most, since clocks are set
  equal(world.waitMs, HOUR_MS);
  for (let i = 0; i < 10; i++) await world.pass(HOUR_MS);
  equal(world.asked, 2);
  for (let i = 0; i < 5; i++) await world.pass(HOUR_MS);
  equal(world.asked, 4);
});

test('While the authority is down the response stays until its end, and the next tries come later and later', async () => {
  const world = new World();
  world.use('a');
  await world.settled(() => world.keeper.start(() => undefined));
  const [first] = world.keeper.staples.values();
  world.isDown = true;
  await world.pass(14 * HOUR_MS);
  match(world.lines.at(-1) ?? '', /nobody is there; this was for a, and is tried again in 60 s/);
  equal(world.keeper.staples.values().next().value, first);
  const waits: number[] = [];
  // the limit of an hour, and the look that comes each hour, are behind these
  for (let i = 0; i < 4; i++) {
    waits.push(world.waitMs);
    await world.pass(world.waitMs + 1);
  }
  ok(
    waits.every((wait, i) => i === 0 || wait > 2 * (waits[i - 1] ?? 0)),
    waits.join(),
  );
  while (world.stapled.length > 0) await world.pass(HOUR_MS);
  ok(world.lines.some((line) => /The OCSP response for a holds no more/.test(line)));
});

test('A reload keeps the responses of certificates that stay, and drops those of others', async () => {
  const world = new World();
  world.use('a');
  await world.settled(() => world.keeper.start(() => (world.changes += 1)));
  await world.settled(() => world.use('a', 'b'));
  equal(world.asked, 2);
  deepEqual(world.stapled, ['a', 'b']);
  await world.settled(() => world.use('b'));
  equal(world.asked, 2);
  deepEqual(world.stapled, ['b']);
});

test('Nothing is stapled for a revoked certificate, and for one whose issuer is not known', async () => {
  const world = new World();
  world.use('revoked', 'alone');
  await world.settled(() => world.keeper.start(() => undefined));
  deepEqual(world.stapled, []);
  ok(
    world.lines.some((line) =>
      /says that the certificate of revoked is revoked: nothing is stapled/.test(line),
    ),
  );
  ok(
    world.lines.some((line) =>
      /No OCSP response is stapled for alone: the certificate of its issuer/.test(line),
    ),
  );
});

test('fetchOcsp() refuses answers that are too long, of another status or cut, and follows nowhere', async () => {
  const server: Server = createServer((request, response) => {
    request.resume();
    if (request.url === '/long') response.end(Buffer.alloc(16 * 1024 + 1));
    else if (request.url === '/fits') response.end(Buffer.alloc(16 * 1024));
    else if (request.url === '/away') response.writeHead(302, { location: '/fits' }).end();
    else {
      response.writeHead(200, { 'content-length': 100 }).write('x');
      setImmediate(() => response.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { signal } = new AbortController();
  const fetch = (path: string): Promise<string> =>
    fetchOcsp(new URL(`http://127.0.0.1:${port}${path}`), Buffer.from('x'), signal).then(
      (bytes) => `${bytes.length}`,
      (error: Error) => error.message,
    );
  equal(await fetch('/fits'), '16384');
  match(await fetch('/long'), /it is longer than 16384 bytes/);
  match(await fetch('/away'), /the status is 302/);
  match(await fetch('/cut'), /gives no OCSP response/);
  server.close();
});
