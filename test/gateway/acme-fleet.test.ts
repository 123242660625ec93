/** Three gateways with one store behind a balancer: one is killed in the middle of its order, another obtains the certificate, and all serve with it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { freePorts } from '../support/free-ports.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';

const NAMES = ['fleet.example.test', 'two.fleet.example.test'];
const ASKS = /Obtaining a certificate for/;

const folder = new GatewayFolder();
const gateways: GatewayProcess[] = [];
let redis: RedisProcess;
let pebble: Pebble;
/** Connections of the authority; without a machine they wait. */
let choose: () => GatewayProcess | undefined = () => undefined;
const waiting = new Set<Socket>();
const reached: GatewayProcess[] = [];
const balancer = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('close', () => waiting.delete(socket));
  const gateway = choose();
  if (gateway === undefined) return void waiting.add(socket);
  reached.push(gateway);
  const behind = connectTcp(gateway.port, '127.0.0.1');
  behind.on('error', () => socket.destroy());
  socket.pipe(behind).pipe(socket);
});

before(async () => {
  const [tlsPort = 0] = await freePorts(1);
  balancer.listen(tlsPort, '127.0.0.1');
  writeFileSync(folder.file('secret'), `${'5'.repeat(64)}\n`);
  [redis, pebble] = await Promise.all([RedisProcess.start(), startPebble({ tlsPort })]);
});
after(async () => {
  for (const socket of waiting) socket.destroy();
  balancer.close();
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  await Promise.all([redis?.stop(), pebble?.stop()]);
  folder.remove();
});

function start(
  name: string,
  more: readonly string[] = ['--store-secret', folder.file('secret')],
): GatewayProcess {
  const gateway = new GatewayProcess(folder, [
    ...['-p', '0', '-a', '127.0.0.1', '-w', '1', '--store', redis.address, ...more],
    ...['--acme', NAMES.join(','), '--acme-directory', pebble.directory, '--acme-ca', folder.certificate],
    ...['--acme-folder', folder.file(name)],
  ]);
  gateways.push(gateway);
  return gateway;
}

/** Serial number and issuer of the certificate that a client gets. */
function servedBy({ port }: GatewayProcess): Promise<{ serial: string; issuer: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: NAMES[1], rejectUnauthorized: false };
    const socket = connect(options, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      resolve({ serial: certificate?.serialNumber ?? '', issuer: certificate?.issuer ?? '' });
    });
    socket.on('error', reject);
  });
}

test('A gateway that is killed while it asks is replaced by another, any gateway answers the challenges, all serve with the certificate, and a newcomer from its first handshake on', async () => {
  // the authority gives up a challenge that nobody answers within 5 s, and gateways take longer to start on a busy machine
  pebble.freeze();
  const all = ['first', 'second', 'third'].map((name) => start(name));
  await Promise.all(all.map((gateway) => gateway.ready()));
  await eventually(() => assert.equal(all.filter(({ stderr }) => ASKS.test(stderr)).length, 1));
  pebble.thaw();
  await eventually(() => assert.ok(waiting.size > 0));
  const first = all.find(({ stderr }) => ASKS.test(stderr)) as GatewayProcess;
  const others = all.filter((gateway) => gateway !== first);
  // what the authority still asks for the order of the first reaches nobody
  choose = () =>
    others.some(({ stderr }) => ASKS.test(stderr))
      ? others.find(({ stderr }) => !ASKS.test(stderr))
      : undefined;
  first.signal('SIGKILL');
  await first.ended;
  for (const socket of waiting) socket.destroy();
  // what is left of its lease passes
  redis.cli('hset', 'lg::lease:acme', 'until', '1');
  await eventually(() => {
    for (const { stderr } of others)
      assert.match(
        stderr,
        /ertificate for .+ serves; it is renewed on|has come from another machine and serves/,
      );
  });
  const asked = others.filter(({ stderr }) => ASKS.test(stderr));
  assert.equal(asked.length, 1);
  assert.ok(reached.length >= NAMES.length && !reached.includes(asked[0] as GatewayProcess));
  const [one, two] = await Promise.all(others.map(servedBy));
  assert.match(one?.issuer ?? '', /Pebble/);
  assert.deepEqual(two, one);
  // one that a store which stands still keeps waiting begins without the certificate, and says so
  for (let number = 4; ; number++) {
    const newcomer = await start(`number ${number}`).ready();
    const served = await servedBy(newcomer);
    assert.doesNotMatch(newcomer.stderr, ASKS);
    if (/Certificates are not shared with the other machines now/.test(newcomer.stderr)) continue;
    assert.deepEqual(served, one);
    break;
  }
});

test('Without --store-secret a gateway says that its certificates are its own', async () => {
  const alone = await start('alone', []).ready();
  await alone.until(() => ASKS.test(alone.stderr));
  assert.match(
    alone.stderr,
    /those of this machine alone, though there is a --store: machines share them with --store-secret/,
  );
});
