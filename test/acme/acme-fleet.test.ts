/** Machines that have certificates in common over a store: one asks Pebble, all answer its challenges, and all serve with what it has signed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ObtainedCertificate } from '../../src/acme/acme-client.ts';
import { AcmeFleet } from '../../src/acme/acme-fleet.ts';
import { AcmeFolder } from '../../src/acme/acme-folder.ts';
import { AcmeKeeper, type KeeperSettings } from '../../src/acme/acme-keeper.ts';
import { createLogger } from '../../src/base/logger.ts';
import { FleetChannel } from '../../src/fleet/fleet-channel.ts';
import { Leases } from '../../src/fleet/leases.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { type ChallengeServer, startChallengeServer } from '../support/challenge-server.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient, TestStore } from '../support/test-store.ts';

const SECRET = 's'.repeat(32);
const CHANNEL = 'lg:events:0:acme';
const DAY_MS = 86_400_000;
/** Of a script of Redis. */
const CUT = "redis.call('set', KEYS[1], redis.call('getrange', KEYS[1], 0, -10))";
/** So long that a busy machine does not lose one that it holds. */
const LONG = { leaseMs: 50_000, renewMs: 10_000 };

let redis: RedisProcess;
let pebble: Pebble;
/** Where Pebble looks, for each protocol: each connection goes on to a machine. */
let fronts: readonly Front[];
let machines: Machine[] = [];
let lastId = 0;

/** A balancer. */
class Front {
  readonly server: Server;
  /** The machine that the next connection goes to. */
  choose: () => Machine | undefined = () => undefined;
  readonly reached: Machine[] = [];

  constructor(portOf: (machine: Machine) => number) {
    this.server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const machine = this.choose();
      if (machine === undefined) return void socket.destroy();
      this.reached.push(machine);
      const behind: Socket = connect(portOf(machine), '127.0.0.1');
      behind.on('error', () => socket.destroy());
      socket.pipe(behind).pipe(socket);
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }
}

/** Counts how often another machine had the lease. */
class SeenLeases extends Leases {
  refusals = 0;

  override take(...[name, ageMs, done, lost]: Parameters<Leases['take']>): void {
    const seen: typeof done = (outcome) => {
      if (outcome === 'held') this.refusals += 1;
      done(outcome);
    };
    super.take(name, ageMs, seen, lost);
  }
}

interface MachineOptions {
  readonly names: readonly string[];
  readonly address?: string;
  readonly secret?: string;
  readonly settings?: Partial<KeeperSettings>;
  /** What its folder has. */
  readonly kept?: ObtainedCertificate;
}

class Machine {
  readonly names: readonly string[];
  readonly path: string = mkdtempSync(join(tmpdir(), 'lgateway-acme-fleet-'));
  readonly store: TestStore;
  readonly host: ChallengeServer;
  readonly folder: AcmeFolder;
  readonly keeper: AcmeKeeper;
  readonly installed: ObtainedCertificate[] = [];
  readonly log: string[] = [];
  /** The workers give the answers only then. */
  held: Promise<void> | undefined;
  readonly leases: SeenLeases;

  private constructor(options: MachineOptions, host: ChallengeServer) {
    const { names, address = redis.address, secret = SECRET, settings, kept } = options;
    this.names = names;
    this.host = host;
    let channel: FleetChannel | undefined;
    this.store = new TestStore(address, undefined, {
      channels: [CHANNEL],
      received: (_channel, bytes) => channel?.received(bytes),
      refused: (reason) => this.log.push(reason),
    });
    const client = patientClient(this.store.client);
    channel = new FleetChannel(CHANNEL, client);
    this.leases = new SeenLeases(client, LONG);
    lastId += 1;
    const share = {
      entries: new SealedEntries(client, secret),
      leases: this.leases,
      channel,
      id: lastId.toString(16).padStart(16, '0'),
    };
    const logger = createLogger('debug', 'acme', (line) => this.log.push(line));
    const directory = settings?.authority?.directory ?? pebble.directory;
    this.folder = new AcmeFolder(this.path, directory);
    if (kept !== undefined) this.folder.write(names, kept);
    const authority = { directory, trust: pebble.trust, email: undefined, externalAccount: undefined };
    this.keeper = new AcmeKeeper(
      { authority, orders: [names], challengeTypes: ['tls-alpn-01'], ...settings },
      this.folder,
      this,
      logger,
      new AcmeFleet(share, directory, this, logger),
    );
  }

  static async start(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(options, await startChallengeServer());
    machines.push(machine);
    return machine;
  }

  async answer(...given: Parameters<ChallengeServer['answer']>): Promise<void> {
    await this.held;
    await this.host.answer(...given);
  }

  install(_names: readonly string[], certificate: ObtainedCertificate): Promise<void> {
    this.installed.push(certificate);
    return Promise.resolve();
  }

  has(pattern: RegExp): boolean {
    return this.log.some((line) => pattern.test(line));
  }

  get asked(): boolean {
    return this.has(/Obtaining a certificate/);
  }

  async stop(): Promise<void> {
    await this.keeper.stop();
    this.store.close();
    await this.host.stop();
    rmSync(this.path, { recursive: true, force: true });
  }
}

before(async () => {
  fronts = [new Front(({ host }) => host.tlsPort), new Front(({ host }) => host.httpPort)];
  const [tlsPort = 0, httpPort = 0] = await Promise.all(fronts.map((front) => front.listen()));
  [redis, pebble] = await Promise.all([RedisProcess.start(), startPebble({ tlsPort, httpPort })]);
});
after(async () => {
  await Promise.all(machines.map((machine) => machine.stop()));
  await Promise.all([redis?.stop(), pebble?.stop()]);
  for (const { server } of fronts ?? []) server.close();
});

/** All of them together, as after a power cut. */
async function startAll(count: number, options: MachineOptions): Promise<Machine[]> {
  return await Promise.all(Array.from({ length: count }, () => Machine.start(options)));
}

async function stopAll(): Promise<void> {
  await Promise.all(machines.splice(0).map((machine) => machine.stop()));
  machines = [];
}

function selfSigned(names: readonly string[], daysOld: number, days: number): ObtainedCertificate {
  return makeCertificate({
    hostNames: names,
    addresses: [],
    organization: 'test',
    notBefore: new Date(Date.now() - daysOld * DAY_MS),
    notAfter: new Date(Date.now() + (days - daysOld) * DAY_MS),
  });
}

function certificateKeys(): string[] {
  return redis.cli('--scan', '--pattern', 'lg::sealed:acme:certificate:*').trim().split('\n').filter(Boolean);
}

/** Connections of the authority go to the machines in turns, but never to the one that has asked. */
function sendToOthers(all: readonly Machine[]): void {
  let turn = 0;
  for (const front of fronts)
    front.choose = () => {
      const others = all.filter(({ asked }) => !asked);
      turn += 1;
      return others[turn % others.length];
    };
}

for (const type of ['tls-alpn-01', 'http-01'] as const)
  test(`One machine asks, the others answer its challenges by ${type}, all serve with the certificate, and a newcomer takes it from the store`, async () => {
    const options = {
      names: [`${type}.example.test`, `two-${type}.example.test`],
      settings: { challengeTypes: [type] },
    };
    const all = await startAll(3, options);
    sendToOthers(all);
    for (const front of fronts) front.reached.length = 0;
    for (const { keeper } of all) keeper.start();
    await eventually(() =>
      assert.deepEqual(
        all.map(({ installed }) => installed.length),
        [1, 1, 1],
        all.map(({ log }) => log.join('\n')).join('\n\n'),
      ),
    );
    const [first, ...rest] = all.map(({ installed }) => installed[0]);
    for (const other of rest) assert.deepEqual(other, first);
    for (const { folder, names } of all) assert.deepEqual(folder.read(names), first);
    assert.equal(all.filter(({ asked }) => asked).length, 1);
    const asker = all.find(({ asked }) => asked);
    const reached = fronts.flatMap((front) => front.reached);
    assert.ok(reached.length >= 2 && !reached.some((machine) => machine === asker));
    // nobody answers any longer
    await eventually(() =>
      assert.deepEqual(
        all.map(({ host }) => host.given.at(-1)?.length),
        [0, 0, 0],
      ),
    );
    const [newcomer] = (await startAll(1, options)) as [Machine];
    await newcomer.keeper.takeShared();
    assert.deepEqual(newcomer.installed, [first]);
    newcomer.keeper.start();
    await newcomer.keeper.stop();
    assert.ok(!newcomer.asked);
    await stopAll();
  });

test('Machines have one account: the store has it, sealed, and so has the folder of whoever asks', async () => {
  const one = await Machine.start({ names: ['account.example.test'] });
  for (const front of fronts) front.choose = () => one;
  one.keeper.start();
  await eventually(() => assert.equal(one.installed.length, 1));
  await one.keeper.stop();
  const pem = one.folder.accountKey().toPem();
  one.store.close();
  const later = await Machine.start({ names: ['later.example.test'] });
  for (const front of fronts) front.choose = () => later;
  // from a time before the fleet
  const hadOne = later.folder.accountKey().toPem();
  later.keeper.start();
  await eventually(() => assert.equal(later.installed.length, 1));
  assert.equal(later.folder.accountKey().toPem(), pem);
  assert.notEqual(hadOne, pem);
  for (const key of redis.cli('--scan', '--pattern', 'lg::sealed:acme:*').trim().split('\n')) {
    const text = redis.cli('--no-raw', 'get', key);
    assert.ok(!text.includes('PRIVATE KEY') && !text.includes('BEGIN CERT'), key);
  }
  assert.equal(
    redis.cli('pttl', redis.cli('--scan', '--pattern', 'lg::sealed:acme:account:*').trim()).trim(),
    '-1',
  );
  await stopAll();
});

test('When the machine that asks is gone, another asks as soon as its lease has ended', async () => {
  const names = ['gone.example.test'];
  const [first, second] = (await startAll(2, { names })) as [Machine, Machine];
  let release = (): void => undefined;
  first.held = new Promise((resolve) => {
    release = resolve;
  });
  first.keeper.start();
  await eventually(() => assert.ok(first.asked));
  second.keeper.start();
  for (const front of fronts) front.choose = () => second;
  // as long as its machine lives nobody else asks
  await eventually(() => assert.ok(second.leases.refusals > 0));
  assert.ok(!second.asked);
  // nothing that could prolong the lease is on its way
  await first.store.dictionary('d').get('nothing');
  first.store.close();
  // its time passes
  redis.cli('hset', 'lg::lease:acme', 'until', '1');
  await eventually(() => assert.equal(second.installed.length, 1, second.log.join('\n')));
  release();
  await stopAll();
});

test('Without the store a machine keeps what it has, asks for itself only when it is high time, and shares that later', async () => {
  const other = await RedisProcess.start();
  await other.kill();
  const away = { address: other.address, settings: { aloneAfterMs: 0 } };
  const young = await Machine.start({
    ...away,
    names: ['away.example.test'],
    kept: selfSigned(['away.example.test'], 61.5, 90),
  });
  const old = selfSigned(['late.example.test'], 80, 90);
  const late = await Machine.start({ ...away, names: ['late.example.test'], kept: old });
  const patient = await Machine.start({ address: other.address, names: ['late.example.test'], kept: old });
  for (const front of fronts) front.choose = () => late;
  for (const { keeper } of [young, late, patient]) keeper.start();
  await eventually(() => assert.equal(late.installed.length, 1, late.log.join('\n')));
  assert.ok(late.has(/The other machines do not know the answers to challenges/));
  for (const machine of [young, patient]) {
    await eventually(() => assert.ok(machine.has(/Certificates are not shared with the other machines now/)));
    await machine.keeper.stop();
    assert.ok(!machine.asked && machine.installed.length === 0);
  }
  await other.restart();
  const newcomer = await Machine.start({ address: other.address, names: ['late.example.test'] });
  await eventually(async () => {
    await newcomer.keeper.takeShared();
    assert.deepEqual(newcomer.installed, late.installed);
  });
  await stopAll();
  await other.stop();
});

test('A certificate that ends sooner never takes the place of one that ends later, and the store gets that again', async () => {
  redis.cli('flushall');
  const names = ['again.example.test'];
  const [older, newer] = [selfSigned(names, 10, 90), selfSigned(names, 0, 90)];
  const first = await Machine.start({ names, kept: older });
  await first.keeper.takeShared();
  const [key = ''] = certificateKeys();
  assert.ok(Number(redis.cli('pttl', key)) > 70 * DAY_MS);
  redis.cli('copy', key, 'replayed');
  const second = await Machine.start({ names, kept: newer });
  await second.keeper.takeShared();
  await first.keeper.takeShared();
  assert.deepEqual(first.installed, [newer]);
  redis.cli('copy', 'replayed', key, 'replace');
  await first.keeper.takeShared();
  assert.deepEqual(first.installed, [newer]);
  redis.cli('unlink', key);
  await second.keeper.takeShared();
  const newcomer = await Machine.start({ names });
  await newcomer.keeper.takeShared();
  assert.deepEqual(newcomer.installed, [newer]);
  await stopAll();
});

test('An entry that was changed, cut, moved or sealed with another secret, or that is out of its time, is refused, and told of', async () => {
  redis.cli('flushall');
  const names = ['refused.example.test'];
  const own = await Machine.start({ names, kept: selfSigned(names, 0, 90) });
  await own.keeper.takeShared();
  const [key = ''] = certificateKeys();
  const elsewhere = await Machine.start({
    names: ['elsewhere.example.test'],
    kept: selfSigned(['elsewhere.example.test'], 0, 90),
  });
  await elsewhere.keeper.takeShared();
  const other = certificateKeys().find((one) => one !== key) ?? '';
  redis.cli('copy', key, 'sound');
  const faults: Record<string, () => void> = {
    changed: () => redis.cli('setrange', key, '100', 'xxxx'),
    cut: () => redis.cli('eval', CUT, '1', key),
    short: () => redis.cli('set', key, 'x'),
    moved: () => redis.cli('copy', other, key, 'replace'),
    long: () => redis.cli('setrange', key, String(300 * 1024), 'x'),
  };
  for (const [fault, make] of Object.entries(faults)) {
    make();
    const newcomer = await Machine.start({ names });
    await newcomer.keeper.takeShared();
    assert.equal(newcomer.installed.length, 0, fault);
    const pattern = fault === 'long' ? /is longer than \d+ bytes/ : /was sealed with another secret/;
    assert.match(newcomer.log.join('\n'), pattern, fault);
    redis.cli('copy', 'sound', key, 'replace');
  }
  const stranger = await Machine.start({ names, secret: 'another secret of 32 bytes or more' });
  await stranger.keeper.takeShared();
  assert.equal(stranger.installed.length, 0);
  assert.match(stranger.log.join('\n'), /was sealed with another secret than that of --store-secret/);
  assert.doesNotMatch(stranger.log.join('\n'), /another secret of 32/);
  const entries = new SealedEntries(patientClient(own.store.client), SECRET);
  const { certificate, key: secretKey } = selfSigned(names, 100, 90);
  await entries.put(key.replace('lg::sealed:', ''), Buffer.from(`${secretKey}${certificate}`));
  const late = await Machine.start({ names });
  await late.keeper.takeShared();
  assert.equal(late.installed.length, 0);
  assert.match(late.log.join('\n'), /The certificate for refused\.example\.test in the store expired on/);
  await stopAll();
});

test('When the authority has refused one machine, the others leave it alone as long', async () => {
  const names = ['nowhere.example.test'];
  const authority = {
    directory: `${pebble.directory}-nowhere`,
    trust: pebble.trust,
    email: undefined,
    externalAccount: undefined,
  };
  const [first, second] = (await startAll(2, { names, settings: { authority } })) as [Machine, Machine];
  first.keeper.start();
  await eventually(() => assert.ok(first.has(/No certificate for nowhere\.example\.test/)));
  await first.keeper.stop();
  second.keeper.start();
  await eventually(() =>
    assert.ok(
      second.has(
        /Another machine has got no certificate for nowhere\.example\.test; the authority is asked again at/,
      ),
    ),
  );
  assert.ok(!second.asked);
  await stopAll();
});
