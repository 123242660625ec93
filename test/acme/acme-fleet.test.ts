/**
 * Machines that have certificates in common over a store: one asks Pebble, all answer its challenges, and all serve with what it has signed.
 * Long because all of them ask one Pebble, which costs more than a test.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AccountKey } from '../../src/acme/account-key.ts';
import type { ObtainedCertificate } from '../../src/acme/acme-client.ts';
import { AcmeConnection } from '../../src/acme/acme-connection.ts';
import { readDirectory } from '../../src/acme/acme-documents.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { AcmeMachine, type AcmeMachineOptions, FLEET_SECRET, Front } from '../support/acme-machine.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';
import { type RedisCluster, RedisProcess, startCluster, startWatchedPair } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient } from '../support/test-store.ts';

const DAY_MS = 86_400_000;
/** Until a machine that may not ask looks again. */
const AGAIN_MS = 200;
/** Of a script of Redis. */
const CUT = "redis.call('set', KEYS[1], redis.call('getrange', KEYS[1], 0, -10))";

let redis: RedisProcess;
let cluster: RedisCluster;
let pebble: Pebble;
/** Where Pebble looks, for each protocol: each connection goes on to a machine. */
let fronts: readonly Front[];
const machines: AcmeMachine[] = [];

type Options = Omit<AcmeMachineOptions, 'address' | 'pebble'> & { readonly address?: string };

async function start(options: Options): Promise<AcmeMachine> {
  const machine = await AcmeMachine.start({ address: redis.address, pebble, ...options });
  machines.push(machine);
  return machine;
}

before(async () => {
  fronts = [new Front(({ host }) => host.tlsPort), new Front(({ host }) => host.httpPort)];
  const [tlsPort = 0, httpPort = 0] = await Promise.all(fronts.map((front) => front.listen()));
  [redis, cluster, pebble] = await Promise.all([
    RedisProcess.start(),
    // no server is to be given up because the machine is busy
    startCluster(['--cluster-node-timeout', '60000']),
    startPebble({ tlsPort, httpPort }),
  ]);
});
after(async () => {
  await Promise.all(machines.map((machine) => machine.stop()));
  await Promise.all([redis?.stop(), cluster?.stop(), pebble?.stop()]);
  for (const { server } of fronts ?? []) server.close();
});

/** All of them together, as after a power cut. */
async function startAll(count: number, options: Options): Promise<AcmeMachine[]> {
  return await Promise.all(Array.from({ length: count }, () => start(options)));
}

/** A machine that the store does not know yet is not waited for by the one that asks. */
async function untilAllHear(all: readonly AcmeMachine[]): Promise<void> {
  await eventually(async () => assert.equal(await all[0]?.channel.publish('?'), all.length));
}

async function stopAll(): Promise<void> {
  await Promise.all(machines.splice(0).map((machine) => machine.stop()));
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
function sendToOthers(all: readonly AcmeMachine[]): void {
  let turn = 0;
  for (const front of fronts)
    front.choose = () => {
      const others = all.filter(({ asked }) => !asked);
      turn += 1;
      return others[turn % others.length];
    };
}

for (const [type, kind] of [
  ['tls-alpn-01', 'one server'],
  ['http-01', 'a cluster'],
] as const)
  test(`One machine asks, the others answer its challenges by ${type}, all serve with the certificate, and a newcomer takes it from the store, which is ${kind}`, async () => {
    const options = {
      names: [`${type}.example.test`, `two-${type}.example.test`],
      address: kind === 'a cluster' ? cluster.address : redis.address,
      settings: { challengeTypes: [type], unledAgainMs: AGAIN_MS },
    };
    const all = await startAll(3, options);
    sendToOthers(all);
    await untilAllHear(all);
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
    const [newcomer] = (await startAll(1, options)) as [AcmeMachine];
    await newcomer.keeper.takeShared();
    assert.deepEqual(newcomer.installed, [first]);
    newcomer.keeper.start();
    await newcomer.keeper.stop();
    assert.ok(!newcomer.asked);
    await stopAll();
  });

test('Machines have one account: the store has it, sealed, and so has the folder of whoever asks', async () => {
  const one = await start({ names: ['account.example.test'] });
  for (const front of fronts) front.choose = () => one;
  one.keeper.start();
  await eventually(() => assert.equal(one.installed.length, 1));
  await one.keeper.stop();
  const pem = one.folder.accountKey().toPem();
  one.store.close();
  const later = await start({ names: ['later.example.test'] });
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
  const options = { names: ['gone.example.test'], settings: { unledAgainMs: AGAIN_MS } };
  const [first, second] = (await startAll(2, options)) as [AcmeMachine, AcmeMachine];
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  first.answering = () => released;
  first.keeper.start();
  await eventually(() => assert.ok(first.asked));
  for (const front of fronts) front.choose = () => second;
  second.keeper.start();
  // as long as its machine lives nobody else asks
  await eventually(() => assert.ok(second.leases.refusals >= 3));
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

test('An account that the authority has forgotten is made once more, with the same key, and all machines use it', async () => {
  const settings = { unledAgainMs: AGAIN_MS };
  const all = await Promise.all(
    ['forgotten', 'also-forgotten'].map((name) => start({ names: [`${name}.example.test`], settings })),
  );
  const [one] = all as [AcmeMachine];
  const key = AccountKey.make();
  const forgotten = new URL('/my-account/forgotten', pebble.directory).href;
  await one.records.putAccount({ key, url: forgotten });
  for (const front of fronts) front.choose = () => one;
  await untilAllHear(all);
  for (const { keeper } of all) keeper.start();
  await eventually(() => {
    for (const { installed, log } of all) assert.equal(installed.length, 1, log.join('\n'));
  });
  await Promise.all(all.map(({ keeper }) => keeper.stop()));
  const account = await one.records.account();
  assert.notEqual(account?.url, forgotten);
  // whoever has the key gets the same account
  const connection = new AcmeConnection(key, pebble.trust);
  const { newAccount, newNonce } = readDirectory(await connection.get(pebble.directory));
  connection.newNonceUrl = newNonce;
  const { location } = await connection.post(newAccount, { onlyReturnExisting: true });
  assert.equal(location, account?.url);
  connection.close();
  for (const { folder } of all) assert.equal(folder.accountKey().toPem(), key.toPem());
  await stopAll();
});

test('An account, a certificate and answers to challenges survive a failover behind sentinels', async () => {
  const { master, replica, sentinel, address, stop } = await startWatchedPair();
  const settings = { unledAgainMs: AGAIN_MS };
  const names = ['sentinel.example.test'];
  const [first, second] = (await startAll(2, { names, address, settings })) as [AcmeMachine, AcmeMachine];
  sendToOthers([first, second]);
  await untilAllHear([first, second]);
  for (const { keeper } of [first, second]) keeper.start();
  await eventually(() => assert.ok(first.installed.length === 1 && second.installed.length === 1));
  await Promise.all([first.keeper.stop(), second.keeper.stop()]);
  const account = await first.records.account();
  const sealed = (server: RedisProcess): string[] =>
    server.cli('--scan', '--pattern', 'lg::sealed:acme:*').split('\n').sort();
  assert.ok(sealed(master).length >= 3);
  await eventually(() => {
    assert.deepEqual(sealed(replica), sealed(master));
    assert.equal(replica.cli('hget', 'lg::lease:acme', 'until'), '0');
  });
  await master.kill();
  sentinel.hurry('set');
  const [newcomer, later] = await Promise.all([
    start({ names, address, settings }),
    start({ names: ['later-sentinel.example.test'], address, settings }),
  ]);
  await eventually(async () => {
    await newcomer.keeper.takeShared();
    assert.deepEqual(newcomer.installed, first.installed);
  });
  for (const { store } of [first, second]) store.close();
  newcomer.keeper.start();
  await untilAllHear([newcomer, later]);
  for (const front of fronts) front.choose = () => newcomer;
  later.keeper.start();
  await eventually(() => assert.equal(later.installed.length, 1, later.log.join('\n')));
  assert.equal((await later.records.account())?.url, account?.url);
  assert.equal(later.folder.accountKey().toPem(), account?.key.toPem());
  await stopAll();
  await stop();
});

test('A certificate that was issued while the store was frozen serves at once, and is shared when the store answers', async () => {
  const own = await RedisProcess.start();
  const names = ['frozen.example.test'];
  const one = await start({ names, address: own.address, isPatient: false });
  for (const front of fronts) front.choose = () => one;
  // the authority has looked, and signs next
  one.answering = (answers) => {
    return answers.length === 0 ? own.freeze() : undefined;
  };
  one.keeper.start();
  await eventually(() => assert.equal(one.installed.length, 1, one.log.join('\n')));
  assert.ok(one.has(/Certificates are not shared with the other machines now/));
  own.thaw();
  const newcomer = await start({ names, address: own.address });
  await eventually(async () => {
    await one.keeper.takeShared();
    await newcomer.keeper.takeShared();
    assert.deepEqual(newcomer.installed, one.installed);
  });
  await stopAll();
  await own.stop();
});

test('A machine that stood still while another got a later certificate leaves that one in the store, and takes it', async () => {
  const names = ['late-holder.example.test'];
  const later = selfSigned(names, 0, 10_000);
  const [slow] = (await startAll(1, { names })) as [AcmeMachine];
  for (const front of fronts) front.choose = () => slow;
  slow.answering = async (answers) => {
    if (answers.length === 0) await slow.records.putCertificate(names, later);
  };
  slow.keeper.start();
  await eventually(() => assert.equal(slow.host.given.at(-1)?.length, 0, slow.log.join('\n')));
  // the order is over when its lease is
  await eventually(() => assert.equal(redis.cli('hget', 'lg::lease:acme', 'until'), '0'));
  await slow.keeper.stop();
  assert.deepEqual(slow.installed, [later]);
  assert.deepEqual((await slow.records.certificate(names)).certificate, later);
  assert.deepEqual(slow.folder.read(names), later);
  await stopAll();
});

test('Without the store a machine keeps what it has, asks for itself only when it is high time, and shares that later', async () => {
  const other = await RedisProcess.start();
  await other.kill();
  const away = { address: other.address, settings: { aloneAfterMs: 0 } };
  const young = await start({
    ...away,
    names: ['away.example.test'],
    kept: selfSigned(['away.example.test'], 61.5, 90),
  });
  const old = selfSigned(['late.example.test'], 80, 90);
  const late = await start({ ...away, names: ['late.example.test'], kept: old });
  const patient = await start({ address: other.address, names: ['late.example.test'], kept: old });
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
  const newcomer = await start({ address: other.address, names: ['late.example.test'] });
  await eventually(async () => {
    await late.keeper.takeShared();
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
  const first = await start({ names, kept: older });
  await first.keeper.takeShared();
  const [key = ''] = certificateKeys();
  assert.ok(Number(redis.cli('pttl', key)) > 70 * DAY_MS);
  redis.cli('copy', key, 'replayed');
  const second = await start({ names, kept: newer });
  await second.keeper.takeShared();
  await first.keeper.takeShared();
  assert.deepEqual(first.installed, [newer]);
  redis.cli('copy', 'replayed', key, 'replace');
  await first.keeper.takeShared();
  assert.deepEqual(first.installed, [newer]);
  redis.cli('unlink', key);
  await second.keeper.takeShared();
  const newcomer = await start({ names });
  await newcomer.keeper.takeShared();
  assert.deepEqual(newcomer.installed, [newer]);
  await stopAll();
});

test('An entry that was changed, cut, moved or sealed with another secret, or that is out of its time, is refused, and told of', async () => {
  redis.cli('flushall');
  const names = ['refused.example.test'];
  const own = await start({ names, kept: selfSigned(names, 0, 90) });
  await own.keeper.takeShared();
  const [key = ''] = certificateKeys();
  const elsewhere = await start({
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
    const newcomer = await start({ names });
    await newcomer.keeper.takeShared();
    assert.equal(newcomer.installed.length, 0, fault);
    const pattern = fault === 'long' ? /is longer than \d+ bytes/ : /was sealed with another secret/;
    assert.match(newcomer.log.join('\n'), pattern, fault);
    redis.cli('copy', 'sound', key, 'replace');
  }
  const stranger = await start({ names, secret: 'another secret of 32 bytes or more' });
  await stranger.keeper.takeShared();
  assert.equal(stranger.installed.length, 0);
  assert.match(stranger.log.join('\n'), /was sealed with another secret than that of --store-secret/);
  assert.doesNotMatch(stranger.log.join('\n'), /another secret of 32/);
  const entries = new SealedEntries(patientClient(own.store.client), FLEET_SECRET);
  const { certificate, key: secretKey } = selfSigned(names, 100, 90);
  await entries.put(key.replace('lg::sealed:', ''), Buffer.from(`${secretKey}${certificate}`));
  const late = await start({ names });
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
  const [first, second] = (await startAll(2, { names, settings: { authority } })) as [
    AcmeMachine,
    AcmeMachine,
  ];
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
