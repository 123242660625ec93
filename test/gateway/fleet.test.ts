/** Two gateways with one store: what scripts publish on one reaches the subscribers of both, once. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { EventReader } from '../support/event-reader.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { askAdmin, type GatewayFolder } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';
import { TestGateway, WAIT_MAX_MS } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/publish', function(env) httpd.write(nil, httpd.publish('news', env.QUERY_INFO)) end)
httpd.register_handler('/events', function()
    local sub = assert(httpd.subscribe('news'))
    local s = assert(httpd.sse())
    s:send{event = 'hello', data = 'x'}
    for text in sub:messages() do s:send{data = text} end
end)
local count = 0
httpd.register_handler('/value', function()
    httpd.write(nil, httpd.cache('k', {ttl = 3600, tags = {'t'}}, function() count = count + 1 return 'value ' .. count end))
end)
httpd.register_handler('/answer', function()
    count = count + 1
    httpd.header{[':status'] = 200, ['cache-control'] = 'max-age=3600', ['cache-tag'] = 'u'}
    httpd.write(nil, 'answer ' .. count)
end, {cache = true})
httpd.register_handler('/purge', function(env) httpd.cache.purge{tag = env.QUERY_INFO} end)
local session = require 'lgateway.session'
local sessions = session.new {keys = {('k'):rep(32)}, store = 'shared'}
httpd.register_handler('/visit', function(_, header)
    local found, why = sessions:open(header)
    found.data.visits = (found.data.visits or 0) + 1
    local cookie, message, code = found:save()
    httpd.header {[':status'] = cookie and 200 or 503, ['set-cookie'] = cookie}
    httpd.write(nil, ('%s %s %s'):format(found.data.visits, why, code))
end)`;

/** A window that no test is longer than, and a bucket that fills up as slowly. */
const LIMITED = `local ratelimit = require 'lgateway.ratelimit'
ratelimit.use {OPTIONS, key = function(_, header) return header['x-key'] end}
require 'httpd'.register_handler('/run', function() require 'httpd'.write(nil, 'done') end)`;
const SCRIPTS = {
  '/': SCRIPT,
  '/window': LIMITED.replace('OPTIONS', 'limit = 20, window = 86400'),
  '/bucket': LIMITED.replace('OPTIONS', 'limit = 1, window = 86400, burst = 20'),
};

/** The secret that all machines have. */
function prepare(folder: GatewayFolder): void {
  writeFileSync(folder.file('secret'), `${'5'.repeat(64)}\n`);
}

let redis: RedisProcess;
let gateways: readonly TestGateway[];
before(async () => {
  redis = await RedisProcess.start();
  const words = [
    ...['--store', redis.address, '--store-secret', '$FOLDER/secret'],
    ...['--admin', 'unix:$FOLDER/admin.sock'],
  ];
  gateways = await Promise.all([1, 2].map(() => TestGateway.start(SCRIPTS, { keeps: true, words, prepare })));
});
after(async () => {
  await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
  await redis?.stop();
});

async function publish(gateway: TestGateway | undefined, text: string): Promise<string | undefined> {
  return (await gateway?.ask('h2', `/publish?${text}`))?.text;
}

test('A message reaches the subscribers of both gateways once, and the metrics count it', async () => {
  const readers = await Promise.all(
    gateways.map(async (gateway) => {
      const reader = new EventReader();
      const stream = (await gateway.session()).request({ ':path': '/events' });
      stream.setEncoding('latin1').on('data', (piece: string) => reader.read(piece));
      stream.on('error', () => undefined);
      return reader;
    }),
  );
  const heard = (): string[][] => readers.map(({ events }) => events.map(({ data }) => data));
  await eventually(() => assert.deepEqual(heard(), [['x'], ['x']]));
  const [one, two] = gateways;
  // both hear each other as soon as each is connected to the store
  await publishUntilHeard(one, 'first', () => heard()[1]?.includes('first') === true);
  await publishUntilHeard(two, 'second', () => heard()[0]?.includes('second') === true);
  // what came to be heard at all may come late
  for (const text of ['a', 'b', 'c']) assert.equal(await publish(one, text), '1');
  await eventually(() =>
    assert.deepEqual(
      heard().map((texts) => texts.filter((text) => text.length === 1 && text !== 'x')),
      [
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
      ],
    ),
  );
});

async function publishUntilHeard(
  gateway: TestGateway | undefined,
  text: string,
  isHeard: () => boolean,
): Promise<void> {
  while (!isHeard()) {
    await publish(gateway, text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One request over a connection of its own; its session, and whether it went on with `session`. */
function visit(
  { port }: TestGateway,
  version: 'TLSv1.2' | 'TLSv1.3',
  session?: Buffer,
): Promise<{ readonly session: Buffer | undefined; readonly isReused: boolean }> {
  return new Promise((resolve, reject) => {
    const versions = { minVersion: version, maxVersion: version } as const;
    const socket = connect({
      ...{ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false },
      ...versions,
      ...(session === undefined ? {} : { session }),
    });
    let given: Buffer | undefined;
    let isReused = false;
    socket.on('session', (ticket: Buffer) => {
      given = ticket;
    });
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      isReused = socket.isSessionReused();
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    });
    socket.on('close', () => resolve({ session: given, isReused }));
    socket.resume();
  });
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`A session of one gateway is resumed by the other, in both directions: ${version}`, async () => {
    const [one, two] = gateways as [TestGateway, TestGateway];
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      // the first tickets of a start may be made with keys of the machine's own
      let isReused = false;
      for (const limit = performance.now() + WAIT_MAX_MS; !isReused; ) {
        assert.ok(performance.now() < limit, 'a session is resumed elsewhere');
        const { session } = await visit(from, version);
        isReused = (await visit(to, version, session)).isReused;
      }
      const { session } = await visit(from, version);
      assert.equal((await visit(to, version, session)).isReused, true);
    }
  });

for (const kind of ['window', 'bucket'] as const)
  test(`A limit admits exactly as many as it says of ten times as many at once from two gateways: ${kind}`, async () => {
    for (let rounds = 0, key = 0; rounds < 3; key++) {
      const before = await storeFailures();
      const crowd = Array.from({ length: 200 }, (_, i) =>
        gateways[i % 2]?.ask('h2', `/${kind}/run`, { headers: { 'x-key': `key ${key}` } }),
      );
      const statuses = (await Promise.all(crowd)).map((answer) => answer?.status);
      // requests that a store keeps waiting for more than a second are not limited
      if ((await storeFailures()) > before) continue;
      rounds += 1;
      assert.equal(statuses.filter((status) => status === 200).length, 20);
      assert.equal(statuses.filter((status) => status === 429).length, 180);
    }
  });

/** Calls that the store has not answered in time, or not as it should. */
async function storeFailures(): Promise<number> {
  const counters = await Promise.all(gateways.map((gateway) => gateway.counters()));
  return counters.reduce((sum, { storeFailuresTotal }) => sum + storeFailuresTotal, 0);
}

test('What one gateway purges the other does not use any more: a value, and an answer of a handler', async () => {
  const [one, two] = gateways as [TestGateway, TestGateway];
  const text = async (gateway: TestGateway, path: string): Promise<string> =>
    (await gateway.ask('h2', path)).text;
  for (const [path, tag] of [
    ['/value', 't'],
    ['/answer', 'u'],
  ] as const) {
    const [before, kept] = [await text(one, path), await text(two, path)];
    assert.equal(await text(two, path), kept);
    await one.ask('h2', `/purge?${tag}`);
    assert.notEqual(await text(one, path), before);
    await eventually(async () => assert.notEqual(await text(two, path), kept));
  }
});

test('An answer that one gateway has made answers the other, too', async () => {
  const [one, two] = gateways as [TestGateway, TestGateway];
  // by the name that clients know the fleet by, whatever port a machine listens on
  const headers = { ':authority': 'fleet.test' };
  let number = 0;
  // it comes to the store a moment later, and a busy one may answer too late
  await eventually(async () => {
    number += 1;
    const made = await one.ask('h2', `/answer?${number}`, { headers });
    assert.match(made.headers['cache-status'] ?? '', /stored/);
    const found = await two.ask('h2', `/answer?${number}`, { headers });
    assert.match(found.headers['cache-status'] ?? '', /hit/);
    assert.equal(found.text, made.text);
  });
});

test('A reload keeps the answers that are in the store', async () => {
  const [one, two] = gateways as [TestGateway, TestGateway];
  const headers = { ':authority': 'fleet.test' };
  const hits = async (): Promise<number> => (await one.counters()).cacheStoreHitsTotal;
  const reloads = (): number => one.log.split('Reloaded').length - 1;
  let number = 0;
  // a busy store may take an answer, or give it, too late
  await eventually(async () => {
    number += 1;
    const path = `/answer?reload-${number}`;
    const made = await one.ask('h2', path, { headers });
    assert.match(made.headers['cache-status'] ?? '', /stored/);
    // the other machine has it from the store
    assert.equal((await two.ask('h2', path, { headers })).text, made.text);
    const [reloadsBefore, hitsBefore] = [reloads(), await hits()];
    one.running.signal('SIGHUP');
    await one.running.until(() => reloads() > reloadsBefore);
    const found = await one.ask('h2', path, { headers });
    assert.match(found.headers['cache-status'] ?? '', /hit/);
    assert.equal(found.text, made.text);
    // the memory of the new state was empty
    assert.equal((await hits()) - hitsBefore, 1);
  });
});

test('A session goes around the machines', async () => {
  // a busy store may answer one of the visits too late
  const cookie = await eventually(async () => {
    let kept = '';
    for (let visits = 1; visits <= 4; visits++) {
      const answer = await gateways[visits % 2]?.ask('h2', '/visit', { headers: { cookie: kept } });
      assert.equal(answer?.text, `${visits} ${visits === 1 ? 'absent' : 'nil'} nil`);
      kept = answer?.headers['set-cookie']?.replace(/;.*/, '') ?? '';
    }
    return kept;
  });
  await redis.kill();
  const away = await gateways[0]?.ask('h2', '/visit', { headers: { cookie } });
  assert.match(away?.text ?? '', /^1 unavailable (refused|timeout)$/);
  assert.equal(away?.headers['set-cookie'], undefined);
  await redis.restart();
});

test('Readiness and metrics tell of a store that is away, and the gateway stays ready', async () => {
  const [gateway] = gateways;
  assert.ok(gateway !== undefined);
  const ready = async (): Promise<string> => {
    const { status, body } = await askAdmin(gateway.folder.file('admin.sock'), '/readyz');
    return `${status} ${body}`;
  };
  const sample = async (name: string): Promise<string | undefined> => {
    const { body } = await askAdmin(gateway.folder.file('admin.sock'), '/metrics');
    return body.split('\n').find((line) => line.startsWith(`${name} `));
  };
  // the test before has had it away
  await eventuallyMatches(ready, /^200 ready\n?$/);
  const up = `lgateway_store_up{store="${redis.address}"}`;
  await eventually(async () => assert.equal(await sample(up), `${up} 1`));
  assert.match((await sample('lgateway_store_messages_total{direction="sent"}')) ?? '', / [1-9]\d*$/);
  await redis.kill();
  await eventuallyMatches(ready, /^200 ready, but store redis:\S+ is away: .*refused/);
  await eventually(async () => assert.equal(await sample(up), `${up} 0`));
  await redis.restart();
  await eventuallyMatches(ready, /^200 ready\n?$/);
  // that of the worker comes a moment later
  await eventuallyMatches(
    async () => (await sample('lgateway_store_connections_total')) ?? '',
    / ([4-9]|\d{2,})$/,
  );
});

async function eventuallyMatches(read: () => Promise<string>, pattern: RegExp): Promise<void> {
  for (const limit = performance.now() + WAIT_MAX_MS; ; ) {
    const text = await read();
    if (pattern.test(text)) return;
    assert.ok(performance.now() < limit, text);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
