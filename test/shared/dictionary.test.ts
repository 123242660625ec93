/** A dictionary behaves like a plain Map with expiry, byte for byte, and removes the least recently used entries for room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blocksFor } from '../../src/shared/block-chains.ts';
import { Dictionary } from '../../src/shared/dictionary.ts';
import { HEADER, layoutOf, viewsOf } from '../../src/shared/layout.ts';
import type { SharedValue } from '../../src/shared/plain-values.ts';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { inForm } from '../support/test-form.ts';
import { checkDictionary } from './check-dictionary.ts';

const RUNS = inForm(80, 400);
/** Some fifty blocks, so that most sequences of commands have to remove entries. */
const SMALL_BYTES = 4096;

interface World {
  readonly buffer: SharedArrayBuffer;
  readonly dictionary: SharedDictionary;
  now: number;
}

function createWorld(bytes = SMALL_BYTES): World {
  const buffer = new SharedArrayBuffer(bytes);
  const views = viewsOf(buffer);
  views.words[HEADER.seed0] = 12345;
  const world: World = {
    buffer,
    dictionary: new SharedDictionary(new Dictionary(views, 1, () => world.now)),
    now: 1000,
  };
  return world;
}

interface Entry {
  readonly value: SharedValue;
  /** ms; 0 = does not expire. */
  readonly expires: number;
}

/** The model: entries in the order of use, the most recently used at the end. It never removes an entry for room. */
class Model {
  readonly entries = new Map<string, Entry>();

  find(key: string, now: number): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.expires === 0 || entry.expires > now) return entry;
    this.entries.delete(key);
    return undefined;
  }

  put(key: string, value: SharedValue, expires: number): void {
    this.entries.delete(key);
    this.entries.set(key, { value, expires });
  }

  /** Keys that have not expired, the most recently used first. */
  keys(now: number): string[] {
    return [...this.entries.keys()].filter((key) => this.find(key, now) !== undefined).reverse();
  }
}

type Command =
  | {
      readonly kind: 'set' | 'add' | 'replace';
      readonly key: string;
      readonly value: SharedValue;
      readonly ttl: number;
    }
  | { readonly kind: 'get' | 'delete' | 'ttl'; readonly key: string }
  | { readonly kind: 'expire'; readonly key: string; readonly ttl: number }
  | {
      readonly kind: 'incr';
      readonly key: string;
      readonly by: number;
      readonly init: number | undefined;
      readonly ttl: number;
    }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'flush' };

const bytesOf = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const keys = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 30 }).map((n) => `key${n}`) },
  // lengths around the end of the first block
  { weight: 3, arbitrary: fc.integer({ min: 20, max: 30 }).map((n) => 'k'.repeat(n)) },
  { weight: 1, arbitrary: fc.integer({ min: 80, max: 95 }).map((n) => 'k'.repeat(n)) },
  { weight: 1, arbitrary: bytesOf(40) },
);
const values = fc.oneof<fc.Arbitrary<SharedValue>[]>(
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double(),
  bytesOf(10),
  bytesOf(300),
  fc.integer({ min: 900, max: 2000 }).map((n) => '\0ÿ'.repeat(n / 2)),
);
const numbers = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ noNaN: true }));
const mortal = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 }));

function commands(ttl: fc.Arbitrary<number>): fc.Arbitrary<Command[]> {
  const command = fc.oneof<fc.Arbitrary<Command>[]>(
    fc.record({ kind: fc.constant('set'), key: keys, value: values, ttl }),
    fc.record({ kind: fc.constantFrom('set', 'add', 'replace'), key: keys, value: values, ttl }),
    fc.record({ kind: fc.constantFrom('get', 'get', 'delete', 'ttl'), key: keys }),
    fc.record({ kind: fc.constant('expire'), key: keys, ttl }),
    fc.record({
      kind: fc.constant('incr'),
      key: keys,
      by: numbers,
      init: fc.option(numbers, { nil: undefined }),
      ttl,
    }),
    fc.record({ kind: fc.constant('wait'), ms: fc.integer({ min: 0, max: 60_000 }) }),
  );
  const rare = fc.constant<Command>({ kind: 'flush' });
  return fc.array(fc.oneof({ weight: 60, arbitrary: command }, { weight: 1, arbitrary: rare }), {
    minLength: 20,
    maxLength: 150,
  });
}

/** Adds as a dictionary does: whole numbers are integers, and 5.0 reads as 5. */
function sum(a: SharedValue, b: number): SharedValue | undefined {
  const isInteger = (n: SharedValue): n is number | bigint =>
    typeof n === 'bigint' || (Number.isSafeInteger(n) && !Object.is(n, -0));
  if (isInteger(a) && isInteger(b)) {
    const exact = BigInt(a) + BigInt(b);
    if (BigInt.asIntN(64, exact) !== exact) return undefined;
    return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
  }
  return Number(a) + b;
}

function codeOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return (error as { luaCode?: string }).luaCode ?? String(error);
  }
}

/** Runs one command on both and compares the results. */
function step({ dictionary, now }: World, model: Model, command: Command): void {
  if (command.kind === 'wait') return;
  if (command.kind === 'flush') {
    dictionary.flush();
    model.entries.clear();
    return;
  }
  const { key } = command;
  const entry = model.find(key, now);
  const deadline = (ttl: number): number => (ttl === 0 ? 0 : now + ttl * 1000);
  switch (command.kind) {
    case 'get':
      assert.deepEqual(dictionary.get(key), entry?.value);
      if (entry !== undefined) model.put(key, entry.value, entry.expires);
      return;
    case 'set':
    case 'add':
    case 'replace': {
      const done = dictionary[command.kind](key, command.value, command.ttl);
      const expected = command.kind === 'set' || (command.kind === 'add') === (entry === undefined);
      if (command.kind !== 'set') assert.equal(done, expected);
      if (expected) model.put(key, fromModel(command.value), deadline(command.ttl));
      return;
    }
    case 'delete':
      assert.equal(dictionary.delete(key), entry !== undefined);
      model.entries.delete(key);
      return;
    case 'ttl':
      assert.equal(
        dictionary.ttl(key),
        entry === undefined ? undefined : entry.expires === 0 ? 0 : (entry.expires - now) / 1000,
      );
      return;
    case 'expire':
      assert.equal(dictionary.expire(key, command.ttl), entry !== undefined);
      if (entry !== undefined) model.put(key, entry.value, deadline(command.ttl));
      return;
    case 'incr': {
      const { by, init, ttl } = command;
      const start = init === undefined ? undefined : { init, ttl };
      const result = codeOf(() => dictionary.incr(key, by, start));
      const before = entry?.value ?? init;
      if (before === undefined) assert.equal(result, 'notfound');
      else if (typeof before !== 'number' && typeof before !== 'bigint') assert.equal(result, 'invalid');
      else {
        const expected = sum(before, by);
        assert.deepEqual(result, expected ?? 'limit');
        if (expected !== undefined) model.put(key, expected, entry?.expires ?? deadline(ttl));
      }
    }
  }
}

/** Converts a BigInt to a number where a number can hold it. */
function fromModel(value: SharedValue): SharedValue {
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Removes from the model what the dictionary has evicted; these have to be the least recently used entries. */
function comparePushedOut(world: World, model: Model): { kept: number; pushedOut: string[] } {
  const living = model.keys(world.now);
  const kept = world.dictionary.keys(65_536);
  assert.deepEqual(kept, living.slice(0, kept.length), 'what was used last stays');
  const pushedOut = living.slice(kept.length);
  return { kept: kept.length, pushedOut };
}

function blocksOf(model: Model, key: string): number {
  const value = model.entries.get(key)?.value;
  return blocksFor(key.length, typeof value === 'string' ? value.length : 0);
}

test('A dictionary does what a plain model does, with expiry, order of use and bounds', () => {
  fc.assert(
    fc.property(commands(mortal), (sequence) => {
      const world = createWorld();
      const model = new Model();
      for (const command of sequence) {
        if (command.kind === 'wait') world.now += command.ms;
        step(world, model, command);
        for (const key of comparePushedOut(world, model).pushedOut) model.entries.delete(key);
        checkDictionary(world.buffer);
      }
    }),
    { numRuns: RUNS },
  );
});

test('A dictionary pushes out no more than it has to', () => {
  const capacity = layoutOf(SMALL_BYTES).blocks;
  fc.assert(
    fc.property(commands(fc.constant(0)), (sequence) => {
      const world = createWorld();
      const model = new Model();
      for (const command of sequence) {
        step(world, model, command);
        const { kept, pushedOut } = comparePushedOut(world, model);
        const [first] = pushedOut;
        if (first === undefined) continue;
        const keptBlocks = checkDictionary(world.buffer).reduce((total, { blocks }) => total + blocks, 0);
        assert.ok(kept === 0 || keptBlocks + blocksOf(model, first) > capacity, 'there was no room for it');
        for (const key of pushedOut) model.entries.delete(key);
      }
    }),
    { numRuns: RUNS },
  );
});

test('A value that fills the whole dictionary is stored, and one byte more is not', () => {
  const { dictionary, buffer } = createWorld();
  const size = layoutOf(SMALL_BYTES).blocks * 64 - 40 - 'key'.length;
  dictionary.set('other', 1);
  dictionary.set('key', 'x'.repeat(size));
  assert.deepEqual(dictionary.keys(), ['key']);
  assert.equal(dictionary.get('key'), 'x'.repeat(size));
  assert.throws(() => dictionary.set('key', 'x'.repeat(size + 1)), {
    luaCode: 'limit',
    message: `Cannot store "key": a value of ${size + 1} bytes is larger than the dictionary`,
  });
  assert.equal(dictionary.get('key'), 'x'.repeat(size));
  checkDictionary(buffer);
});

test('A key of 1024 bytes is stored, and one of 1025 is not', () => {
  const { dictionary } = createWorld();
  dictionary.set('k'.repeat(1024), 7);
  assert.equal(dictionary.get('k'.repeat(1024)), 7);
  assert.throws(() => dictionary.set('k'.repeat(1025), 7), {
    luaCode: 'limit',
    message: 'Cannot store a value: its key has 1025 bytes and the limit is 1024',
  });
  assert.equal(dictionary.get('k'.repeat(1025)), undefined);
});

test('Expired entries give way to new ones before any living entry does', () => {
  const world = createWorld();
  const { dictionary } = world;
  dictionary.set('living', 1);
  for (let i = 0; i < 40; i++) dictionary.set(`short ${i}`, 1, 1);
  world.now += 2000;
  // each new entry checks two of the 32 buckets
  for (let i = 0; i < 20; i++) dictionary.set(`new ${i}`, 1);
  assert.equal(checkDictionary(world.buffer).length, 21);
  assert.equal(dictionary.get('living'), 1);
});

test('An entry is there until its time is over and not a moment longer', () => {
  const world = createWorld();
  const { dictionary } = world;
  dictionary.set('key', 1, 2);
  world.now += 1999;
  assert.equal(dictionary.ttl('key'), 0.001);
  assert.equal(dictionary.get('key'), 1);
  world.now += 1;
  assert.equal(dictionary.ttl('key'), undefined);
  assert.equal(dictionary.get('key'), undefined);
  assert.throws(() => dictionary.incr('key'), { luaCode: 'notfound' });
});

test('Keys of one bucket are told apart', () => {
  const { dictionary, buffer } = createWorld();
  // 50 blocks and 32 buckets: some entries share a bucket
  for (let i = 0; i < 50; i++) dictionary.set(`k${i}`, i);
  for (let i = 49; i >= 0; i--) {
    assert.equal(dictionary.get(`k${i}`), i);
    if (i % 3 === 0) assert.equal(dictionary.delete(`k${i}`), true);
    checkDictionary(buffer);
  }
  assert.equal(dictionary.keys().length, 33);
});

test('Values of JavaScript that no dictionary holds are misuse', () => {
  const { dictionary } = createWorld();
  assert.throws(() => dictionary.set('key', '€'), TypeError);
  assert.throws(() => dictionary.set('€', 1), TypeError);
  assert.throws(() => dictionary.set('key', 2n ** 63n), RangeError);
  assert.throws(() => dictionary.set('key', 1, -1), RangeError);
  assert.throws(() => dictionary.set('key', 1, Number.NaN), RangeError);
  assert.throws(() => dictionary.set('key', undefined as never), TypeError);
  assert.throws(() => dictionary.keys(0), RangeError);
  assert.deepEqual(dictionary.keys(), []);
});
