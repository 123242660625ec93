/** Answers that machines share in a store: who gets them, what is never read as one, and that nothing waits for the store for long. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { cacheClock } from '../../src/cache/cache-clock.ts';
import {
  COMMON_ENTRY_BYTES_MAX,
  COMMON_READ_MS_MAX,
  COMMON_WRITE_BYTES_MAX,
  COMMON_WRITES_MAX,
} from '../../src/cache/cache-limits.ts';
import type { CommonEntries, FoundEntry } from '../../src/cache/common-entries.ts';
import { CommonMarks } from '../../src/cache/common-marks.ts';
import { purgeAnswers } from '../../src/cache/purge-answers.ts';
import { createPurgeMemory } from '../../src/cache/purge-marks.ts';
import { SharedPurges } from '../../src/fleet/shared-purges.ts';
import type { Fields } from '../../src/http/semantics/fields.ts';
import { StoreEntries } from '../../src/worker/store-entries.ts';
import { CacheWorld, type CacheWorldOptions } from '../support/cache-world.ts';
import type { FakeExchange, FakeRequest } from '../support/fake-exchange.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient, TestStore } from '../support/test-store.ts';

const FRESH: Fields = ['cache-control', 'max-age=60'];

/** No test but that of the limit depends on how busy the machine is. */
const PATIENT_MS = 20_000;

let redis: RedisProcess;
let one: Machine;
let two: Machine;
before(async () => {
  redis = await RedisProcess.start();
  [one, two] = [new Machine(redis.address), new Machine(redis.address)];
  await Promise.all([one.joined(), two.joined()]);
});
after(async () => {
  one?.close();
  two?.close();
  await redis?.stop();
});

/** Each has a name, as no two machines give the same answer. */
let machines = 0;
let path = '';
let number = 0;
/** Tests share a store, and each has a path of its own. */
beforeEach(() => {
  number += 1;
  path = `/${number}`;
});

/** A worker of a gateway on a machine of its own. */
class Machine {
  readonly store: TestStore;
  readonly purges: SharedPurges;
  readonly table: CommonMarks;
  readonly entries: CommonEntries;
  readonly world: CacheWorld;
  isThere = true;

  constructor(address: string, options: Pick<CacheWorldOptions, 'entryKey' | 'space' | 'readMs'> = {}) {
    this.store = new TestStore(address);
    const client = options.readMs === undefined ? patientClient(this.store.client) : this.store.client;
    const memory = createPurgeMemory(true);
    this.table = new CommonMarks(memory);
    const logger = createLogger('debug', 'test', () => undefined);
    this.purges = new SharedPurges({ client, channel: 'purges', table: this.table, logger });
    this.entries = new StoreEntries(client, () => this.isThere);
    this.world = new CacheWorld({ readMs: PATIENT_MS, ...options, purges: memory, entries: this.entries });
    this.world.cache.marks.onPurge = (mark, epoch) => this.purges.take([mark], epoch);
    machines += 1;
    const name = `machine ${machines}`;
    this.world.backend = () => ({ fields: FRESH, body: `${name}, request ${this.asked}` });
  }

  async joined(): Promise<void> {
    await this.store.until(/^available/);
    await eventually(() => assert.notEqual(this.table.epoch, ''));
  }

  get asked(): number {
    return this.world.asked.length;
  }

  get written(): number {
    return this.world.counters.get('cacheStoreWritesTotal');
  }

  /** The answer, once it is whole. */
  async ask(target: string = path, request: FakeRequest = {}): Promise<FakeExchange> {
    const exchange = this.world.ask(target, request);
    await eventually(() => assert.ok(exchange.finished));
    return exchange;
  }

  /** As `ask`; the answer has got to the store. */
  async share(request: FakeRequest = {}, entries = 1): Promise<FakeExchange> {
    const before = this.written;
    const exchange = await this.ask(path, request);
    await eventually(() => assert.equal(this.written, before + entries));
    return exchange;
  }

  close(): void {
    this.purges.close();
    this.store.close();
  }
}

/** The one key that was written since these were there. */
function newKey(before: readonly string[]): string {
  const [key, ...more] = keys().filter((one) => !before.includes(one));
  assert.ok(key !== undefined && more.length === 0);
  return key;
}

function keys(): string[] {
  return redis.cli('keys', 'lg::answer:*').split('\n');
}

function status(exchange: FakeExchange): string {
  return exchange.field('cache-status') ?? '';
}

test('What one machine has fetched the other has without its server, with its age', async () => {
  one.world.backend = () => ({
    fields: [...FRESH, 'age', '10', 'x-a', '\xe9'],
    body: '\x00\xff'.repeat(5000),
  });
  const before = keys();
  const first = await one.share();
  const ttl = Number(redis.cli('pttl', newKey(before)));
  assert.ok(ttl > 20_000 && ttl <= 50_000);
  // 20 seconds pass
  redis.cli('pexpire', newKey(before), String(ttl - 20_000));
  const askedBefore = two.asked;
  const found = await two.ask();
  assert.equal(two.asked, askedBefore);
  assert.equal(found.text, first.text);
  assert.equal(found.field('x-a'), '\xe9');
  assert.match(status(found), /^lgateway; hit; ttl=[1-3]\d$/);
  assert.ok(Number(found.field('age')) >= 30);
  // and now it is in its memory
  redis.cli('del', newKey(before));
  assert.equal((await two.ask()).text, first.text);
  assert.equal(two.asked, askedBefore);
  one.world.backend = () => ({ fields: FRESH, body: `from ${one.asked}` });
});

test('Answers that differ by fields of requests are found by these, also where Vary is not known yet', async () => {
  one.world.backend = ({ fields }) => ({ fields: [...FRESH, 'vary', 'x-a'], body: `for ${fields.at(-1)}` });
  for (const value of ['1', '2']) await one.share({ fields: ['x-a', value] }, 2);
  const askedBefore = two.asked;
  for (const value of ['2', '1', '2'])
    assert.equal((await two.ask(path, { fields: ['x-a', value] })).text, `for ${value}`);
  assert.equal(two.asked, askedBefore);
  await two.ask(path, { fields: ['x-a', '3'] });
  assert.equal(two.asked, askedBefore + 1);
  one.world.backend = () => ({ fields: FRESH, body: `from ${one.asked}` });
});

test('What one machine purges neither the memory of the other nor the store gives any more', async () => {
  for (const kind of ['tag', 'url', 'all'] as const) {
    const purge =
      kind === 'tag'
        ? { tag: 'news' }
        : kind === 'url'
          ? { url: `https://example.test${path}` }
          : { all: true as const };
    one.world.backend = () => ({ fields: [...FRESH, 'cache-tag', 'news'], body: `from ${one.asked}` });
    const first = await one.share();
    const kept = await two.ask();
    assert.equal(kept.text, first.text);
    assert.ok(purgeAnswers(one.world.cache.marks, purge));
    const askedBefore = one.asked;
    const again = await one.ask();
    assert.notEqual(again.text, first.text);
    assert.equal(one.asked, askedBefore + 1);
    await eventually(async () => assert.notEqual((await two.ask()).text, first.text));
    const three = new Machine(redis.address);
    await three.joined();
    assert.notEqual((await three.ask()).text, first.text);
    three.close();
    // what was written behind the purge counts
    await eventually(() => assert.equal(one.table.known, two.table.known));
    path += 'x';
  }
});

test('An unsafe request to one machine makes the answers of its target invalid on both', async () => {
  const first = await one.share();
  assert.equal((await two.ask()).text, first.text);
  await one.ask(path, { method: 'POST' });
  assert.notEqual((await one.ask()).text, first.text);
  await eventually(async () => assert.notEqual((await two.ask()).text, first.text));
});

test('A damaged entry is a miss, and so is one of another name, another key, or another length', async () => {
  const damages: readonly ((key: string) => string)[] = [
    (key) => redis.cli('setrange', key, '0', 'x'),
    (key) => redis.cli('setrange', key, '16', '\x02'),
    (key) => redis.cli('setrange', key, '60', 'x'),
    (key) => redis.cli('append', key, 'x'),
    (key) => redis.cli('set', key, '', 'keepttl'),
    (key) => redis.cli('set', key, 'x', 'keepttl'),
    (key) => redis.cli('persist', key),
    (key) => `${redis.cli('del', key)}${redis.cli('lpush', key, 'x')}${redis.cli('pexpire', key, '10000')}`,
  ];
  for (const damage of damages) {
    const before = keys();
    const { text } = await one.share();
    damage(newKey(before));
    const askedBefore = two.asked;
    assert.notEqual((await two.ask()).text, text);
    assert.equal(two.asked, askedBefore + 1);
    path += 'x';
  }
  const before = keys();
  const { text } = await one.share();
  const key = newKey(before);
  path += 'y';
  const others = keys();
  await one.share();
  redis.cli('copy', key, newKey(others), 'replace');
  assert.notEqual((await two.ask()).text, text);
  // of machines with a secret
  path += 'z';
  const secret = new Uint8Array(32).fill(7);
  const [three, four] = [
    new Machine(redis.address, { entryKey: secret }),
    new Machine(redis.address, { entryKey: secret }),
  ];
  await Promise.all([three.joined(), four.joined()]);
  await one.share();
  const own = await three.share();
  assert.equal(three.asked, 1);
  assert.equal((await four.ask()).text, own.text);
  assert.equal(four.asked, 0);
  three.close();
  four.close();
});

test('Mappings share nothing', async () => {
  await one.share();
  const other = new Machine(redis.address, { space: 'other' });
  await other.joined();
  await other.ask();
  assert.equal(other.asked, 1);
  other.close();
});

test('While the store does not answer, the server is asked within the limit, and nothing when it is known to be away', async () => {
  await one.share();
  const hasty = new Machine(redis.address, { readMs: COMMON_READ_MS_MAX });
  await hasty.joined();
  await redis.freeze();
  const startedAt = performance.now();
  await hasty.ask();
  assert.ok(performance.now() - startedAt >= COMMON_READ_MS_MAX - 20);
  assert.equal(hasty.asked, 1);
  hasty.isThere = false;
  const misses = hasty.world.counters.get('cacheStoreMissesTotal');
  assert.equal(hasty.world.ask(`${path}/other`).finished, true);
  assert.equal(hasty.world.counters.get('cacheStoreMissesTotal'), misses);
  redis.thaw();
  hasty.close();
  // some of the others may have been cut off
  await eventually(async () => {
    path += 'x';
    const { text } = await one.ask();
    assert.equal((await two.ask()).text, text);
  });
});

/** A store in memory, which answers when the test says so. */
class FakeEntries implements CommonEntries {
  isThere = true;
  readonly kept = new Map<string, Buffer>();
  readonly ends = new Map<string, number>();
  readonly reading: (() => void)[] = [];
  readonly writing: (() => void)[] = [];

  read(key: string, _max: number, _timeoutMs: number, done: (found: FoundEntry | undefined) => void): void {
    this.reading.push(() => {
      const bytes = this.kept.get(key);
      const ttlMs = (this.ends.get(key) ?? 0) - cacheClock.now();
      done(bytes !== undefined && ttlMs > 0 ? { bytes, ttlMs } : undefined);
    });
  }

  write(
    key: string,
    bytes: Uint8Array,
    ttlMs: number,
    _timeoutMs: number,
    done: (is: boolean) => void,
  ): void {
    this.ends.set(key, cacheClock.now() + ttlMs);
    this.kept.set(key, Buffer.from(bytes));
    this.writing.push(() => done(true));
  }

  /** Answers what has been asked. */
  answer(): void {
    for (const go of [...this.reading.splice(0), ...this.writing.splice(0)]) go();
  }
}

function fakeWorld(entries: FakeEntries): CacheWorld {
  const memory = createPurgeMemory(true);
  const table = new CommonMarks(memory);
  table.adopt('0123456789abcdef');
  // for as long as a test lets time pass
  table.heard(performance.now() + 1e6);
  const world = new CacheWorld({ purges: memory, entries });
  world.backend = () => ({ fields: FRESH });
  return world;
}

test('What a cache for many must not keep is not in the store either, and what is there goes to nobody who must not have it', () => {
  const entries = new FakeEntries();
  const personal = ['authorization', 'Basic x'];
  for (const [fields, request, isShared] of [
    [['cache-control', 'private, max-age=60'], [], false],
    [['cache-control', 'no-store'], [], false],
    [['cache-control', 'no-cache', 'etag', '"a"'], [], false],
    [['cache-control', 'max-age=60', 'set-cookie', 'a=b'], [], false],
    [['etag', '"a"'], [], false],
    [FRESH, personal, false],
    [FRESH, ['cookie', 'a=b'], false],
    [['cache-control', 'public, max-age=60'], personal, true],
    [['cache-control', 's-maxage=60'], ['cookie', 'a=b'], true],
    [['cache-control', 'max-age=1'], [], false],
    [FRESH, ['cache-control', 'no-store'], false],
    [FRESH, [], true],
  ] as const) {
    entries.kept.clear();
    const world = fakeWorld(entries);
    world.backend = () => ({ fields });
    world.ask('/', { fields: request });
    entries.answer();
    assert.equal(entries.kept.size, isShared ? 1 : 0, `${fields} ${request}`);
  }
  // the last one is there, and is not for those who say who they are
  const world = fakeWorld(entries);
  world.get(...personal);
  assert.equal(entries.reading.length, 0);
  assert.equal(world.asked.length, 1);
  // whoever does not want what is kept asks the server
  const other = fakeWorld(entries);
  other.get('cache-control', 'no-cache');
  entries.answer();
  assert.equal(other.asked.length, 1);
});

test('An entry at the limit is written, one above stays on this machine', () => {
  const entries = new FakeEntries();
  const world = fakeWorld(entries);
  // the age stands in the head, too
  const now = performance.now();
  cacheClock.now = () => now;
  cacheClock.wall = () => 1_700_000_000_000;
  world.backend = () => ({ fields: FRESH, body: 'x' });
  world.ask('/1');
  entries.answer();
  const [entry] = entries.kept.values();
  const room = COMMON_ENTRY_BYTES_MAX - (entry?.length ?? 0) + 1;
  // the length of the body stands in the head
  for (const [length, count] of [
    [room - 5, 2],
    [room - 4, 2],
  ] as const) {
    world.backend = () => ({ fields: FRESH, body: 'x'.repeat(length) });
    world.ask(`/${length}`);
    entries.answer();
    assert.equal(entries.kept.size, count);
  }
  assert.ok([...entries.kept.values()].every(({ length }) => length <= COMMON_ENTRY_BYTES_MAX));
  assert.equal(world.cache.store.entries, 3);
});

test('Clients have their answers before the store has, and no more is on its way there than the limits say', () => {
  const entries = new FakeEntries();
  const world = fakeWorld(entries);
  const finish = (): void => {
    for (const go of entries.reading.splice(0)) go();
  };
  for (let i = 0; i <= COMMON_WRITES_MAX; i++) {
    const exchange = world.ask(`/${i}`);
    finish();
    assert.equal(exchange.text, 'content');
  }
  assert.equal(entries.writing.length, COMMON_WRITES_MAX);
  assert.equal(world.counters.get('cacheStoreLostTotal'), 1);
  entries.answer();
  assert.equal(world.counters.get('cacheStoreWritesTotal'), COMMON_WRITES_MAX);
  assert.equal(world.cache.common?.bytesOnTheWay, 0);
  const body = 'x'.repeat(200_000);
  world.backend = () => ({ fields: FRESH, body });
  for (let i = 0; i < COMMON_WRITE_BYTES_MAX / body.length + 2; i++) {
    world.ask(`/large/${i}`);
    finish();
  }
  assert.ok(entries.writing.length === Math.floor(COMMON_WRITE_BYTES_MAX / body.length));
  assert.ok(world.counters.get('cacheStoreLostTotal') > 1);
});

test('Many clients wait for one look into the store, and have what is there', () => {
  const entries = new FakeEntries();
  const [first, second] = [fakeWorld(entries), fakeWorld(entries)];
  first.ask('/');
  entries.answer();
  const exchanges = Array.from({ length: 10 }, () => second.ask('/'));
  const unchanged = second.ask('/', { fields: ['if-modified-since', CacheWorld.date(1e9)] });
  assert.equal(entries.reading.length, 1);
  assert.ok(exchanges.every(({ finished }) => !finished));
  entries.answer();
  assert.ok(exchanges.every(({ text }) => text === 'content'));
  assert.equal(unchanged.status, 304);
  assert.equal(second.asked.length, 0);
  assert.equal(second.counters.get('cacheMissesTotal'), 0);
  assert.equal(second.counters.get('cacheStoreHitsTotal'), 1);
});

test('Who goes while the store is asked costs the server nothing; a mapping that ends waits for no store', () => {
  const entries = new FakeEntries();
  const world = fakeWorld(entries);
  const gone = world.ask('/1');
  gone.abort();
  entries.answer();
  assert.equal(world.asked.length, 0);
  const waiting = world.ask('/2');
  world.handler.retire();
  assert.equal(waiting.text, 'content');
  entries.answer();
  assert.equal(world.asked.length, 1);
  assert.equal(world.ask('/3').text, 'content');
  const other = fakeWorld(entries);
  const cut = other.ask('/4');
  other.handler.close();
  assert.equal(cut.status, 503);
  entries.answer();
  assert.equal(other.asked.length, 0);
});

test('A target whose answers are not kept is not looked for in the store again', () => {
  const entries = new FakeEntries();
  const world = fakeWorld(entries);
  world.backend = () => ({ fields: ['cache-control', 'no-store'] });
  world.ask('/');
  entries.answer();
  assert.equal(world.ask('/').finished, true);
  assert.equal(entries.reading.length, 0);
  assert.equal(world.asked.length, 2);
});

test('A stale answer is looked for in the store before its server is asked whether it is good', () => {
  const entries = new FakeEntries();
  const [first, second] = [fakeWorld(entries), fakeWorld(entries)];
  for (const world of [first, second]) {
    world.ask('/');
    entries.answer();
  }
  const now = performance.now() + 61_000;
  cacheClock.now = () => now;
  first.ask('/');
  entries.answer();
  assert.equal(first.asked.length, 2);
  const found = second.ask('/');
  entries.answer();
  assert.match(found.field('cache-status') ?? '', /hit/);
  assert.equal(second.asked.length, 0);
});
