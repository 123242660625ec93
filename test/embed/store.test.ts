/** Handlers in TypeScript with dictionaries in a store, and what a program may say of stores. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer } from '../../src/embed/server.ts';
import { type Gateway, startGateway } from '../../src/embed/start-gateway.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { TestStore } from '../support/test-store.ts';

/** Tells what each call gives, in memory and in the store. */
const MODULE = `
const show = async (run) => {
  try {
    const value = await run();
    return typeof value === 'bigint' ? value + 'n' : JSON.stringify(value) ?? 'undefined';
  } catch (error) {
    return error.luaCode ?? error.name;
  }
};
const all = async (d) => {
  const out = [];
  for (const run of [
    () => d.flush(), () => d.get('x'), () => d.incr('x'), () => d.incr('x', 2, { init: 5, ttl: 3600 }), () => d.incr('x', 1, { init: 0, floor: 20 }),
    () => d.incr('x', 0.5), async () => Math.round((await d.ttl('x')) / 3600), () => d.ttl('none'), () => d.set('s', 'a\\0b\\xff'), () => d.get('s'),
    () => d.add('s', 1), () => d.add('t', false), () => d.get('t'), () => d.replace('none', 1), () => d.replace('s', 2n ** 62n), () => d.get('s'),
    () => d.incr('s', 2n ** 62n), () => d.incr('t'), () => d.expire('t', 0), () => d.ttl('t'), () => d.expire('none', 1), () => d.delete('t'),
    () => d.delete('t'), async () => (await d.keys()).sort(), () => d.set('k'.repeat(1025), 1), () => d.get('\u20ac'), () => d.set('u', '\u20ac'),
    () => d.set('v', 1, -1), () => d.keys(0), () => d.incr('x', 2n ** 64n),
    () => d.set('w', {}), () => d.set('w', null), () => d.set('w', Symbol('w')), () => d.add('w', []), () => d.replace('w', () => 1), () => d.get('w'),
  ]) out.push(await show(run));
  return out;
};
export default async (request, context) => {
  const { pathname } = new URL(request.url);
  if (pathname === '/all') {
    const stored = await all(context.dictionary('stored', { near: true, timeout: 30 }));
    return Response.json([await all(context.dictionary('sized')), stored]);
  }
  if (pathname === '/shared') return new Response(await show(() => context.shared('stored').get('x')));
  if (pathname === '/options') return new Response(await show(() => context.dictionary('stored', { timeout: 61 })));
  const d = context.dictionary('away', { stale: true, timeout: 30 });
  if (pathname === '/set') await d.set('a', 'kept');
  return new Response((await show(() => d.get('a'))) + ' ' + (await show(() => d.incr('n', 1, { init: 0 }))));
};
`;

const SECRET = 'ä'.repeat(16);

let folder: string;
let redis: RedisProcess;
let gateway: Gateway;
const log: string[] = [];
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-embed-store-'));
  const module = join(folder, 'handler.mjs');
  writeFileSync(module, MODULE);
  redis = await RedisProcess.start();
  gateway = await startGateway({
    mappings: [{ prefix: '/', module }],
    listen: { address: '127.0.0.1', port: 0 },
    cleartext: { address: '127.0.0.1', port: 0 },
    workers: 1,
    shared: [{ name: 'sized', bytes: 64 * 1024 }],
    store: redis.address,
    storeSecret: SECRET,
    log: (line) => log.push(line),
  });
});
after(async () => {
  await gateway?.stop();
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function textOf(path: string): Promise<string> {
  const { port } = gateway.addresses.find(({ scheme }) => scheme === 'http') ?? { port: 0 };
  return await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

test('Every call means in a store what it means in memory, and is a promise', async () => {
  const [memory, stored] = JSON.parse(await textOf('/all')) as readonly [string[], string[]];
  assert.deepEqual(stored, memory);
  assert.deepEqual(stored.slice(0, 9), [
    ...['undefined', 'undefined', 'notfound', '7', '21', '21.5', '1', 'undefined', 'undefined'],
  ]);
  assert.deepEqual(stored.slice(10), [
    ...['false', 'true', 'false', 'false', 'true', `${2n ** 62n}n`, 'limit', 'invalid', 'true', '0', 'false'],
    ...[
      'true',
      'false',
      '["s","x"]',
      'limit',
      'TypeError',
      'TypeError',
      'RangeError',
      'RangeError',
      'RangeError',
    ],
    // values of types that no dictionary has change nothing
    ...['TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'undefined'],
  ]);
});

test('With a secret the keys of tickets are sealed as a file with it would seal them', async () => {
  const store = new TestStore(redis.address);
  const entries = new SealedEntries(store.client, Buffer.from(SECRET).toString('latin1'));
  await eventually(async () => {
    const [name = ''] = redis.cli('--scan', '--pattern', 'lg::sealed:tickets:*').split('\n');
    assert.ok((await entries.get(name.replace('lg::sealed:', ''))) !== undefined);
  });
  store.close();
});

test('Without promises a dictionary in a store cannot be had, and wrong options are refused', async () => {
  assert.equal(await textOf('/shared'), 'invalid');
  assert.equal(await textOf('/options'), 'RangeError');
});

test('While the store is away old values are read where that is wanted, and other calls reject', async () => {
  assert.equal(await textOf('/set'), '"kept" 1');
  await redis.kill();
  await eventually(() => assert.match(log.join('\n'), /is away/));
  assert.match(await textOf('/away'), /^"kept" (refused|timeout)$/);
  await redis.restart();
});

test('A reload keeps the store, and refuses another one', async () => {
  await gateway.reload({});
  await assert.rejects(gateway.reload({ store: 'redis://127.0.0.1:1' }), /stores|--store|store/);
});

test('What a program says of a store is checked, and no message shows its password', async () => {
  for (const [options, pattern] of [
    [{ store: 'http://user:secret@host' }, /^Option store has to be the address of a Redis/],
    [{ storeAuthorities: 'x' }, /goes with the option store/],
    [{ storeSecret: SECRET }, /goes with the option store/],
    [{ store: 'redis://host', storeSecret: 'secret of 19 bytes' }, /^Option storeSecret holds 18 bytes/],
    [{ store: 'redis://host', storeAuthorities: 'x' }, /rediss:/],
  ] as const)
    await assert.rejects(startGateway({ ...options, listen: { port: 0 } }), (error: Error) => {
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes('secret'));
      return true;
    });
  await assert.rejects(
    createServer({ address: '127.0.0.1:0', store: 'redis://127.0.0.1:1' }, () => new Response('x')).start(),
    /Option store is for handlers in workers/,
  );
});
