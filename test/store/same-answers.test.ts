/** A dictionary answers alike in memory, in one Redis, and in a cluster: the same random calls, the same results. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/base/errors.ts';
import type { SharedValue } from '../../src/shared/plain-values.ts';
import type { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { SharedDictionary as MemoryDictionary } from '../../src/shared/shared-dictionary.ts';
import { createSharedMemory } from '../../src/shared/shared-memory.ts';
import { SharedStore } from '../../src/shared/shared-store.ts';
import { encodeBoolean, encodeFloat, encodeInteger, encodeString } from '../../src/store/stored-value.ts';
import { type RedisCluster, RedisProcess, startCluster } from '../support/redis-process.ts';
import { type TestDictionary, TestStore } from '../support/test-store.ts';

const RUNS = process.env['LGATEWAY_TEST_LONG'] === undefined ? 25 : 500;
/** Long enough that nothing ends while a call is on its way. */
const TTL_SECONDS = 3600;

let redis: RedisProcess;
let cluster: RedisCluster;
before(async () => {
  [redis, cluster] = await Promise.all([RedisProcess.start(), startCluster()]);
});
after(async () => {
  await Promise.all([redis?.stop(), cluster?.stop()]);
});

type Number64 = bigint | number;
type Step =
  | { readonly call: 'get' | 'delete' | 'ttl'; readonly key: string }
  | {
      readonly call: 'set' | 'add' | 'replace';
      readonly key: string;
      readonly value: SharedValue;
      readonly ttl: number;
    }
  | {
      readonly call: 'incr';
      readonly key: string;
      readonly by: Number64;
      readonly begin?: Number64 | undefined;
      readonly floor?: Number64 | undefined;
      readonly ttl: number;
    }
  | { readonly call: 'expire'; readonly key: string; readonly ttl: number }
  | { readonly call: 'keys' | 'flush' };

const key = fc.constantFrom(
  'a',
  'b',
  'c',
  'ä{b}c'.replace('ä', '\xe4'),
  '',
  ' *?[x]',
  'k'.repeat(1024),
  'k'.repeat(1025),
);
const integer = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(
    0n,
    1n,
    -1n,
    2n ** 53n,
    2n ** 53n + 1n,
    -(2n ** 53n) - 1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    9_000_000_000_000_001n,
  ),
);
// sums of finite floats; what Lua 5.1 and JavaScript print for a NaN is no matter
const float = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(0.5, -0, 0.1, 1e15, 5e-324));
const number: fc.Arbitrary<Number64> = fc.oneof(integer, float);
const value: fc.Arbitrary<SharedValue> = fc.oneof(
  number,
  fc.boolean(),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
const ttl = fc.constantFrom(0, TTL_SECONDS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constantFrom('get' as const, 'delete' as const, 'ttl' as const), key }),
  fc.record({ call: fc.constantFrom('set' as const, 'add' as const, 'replace' as const), key, value, ttl }),
  fc.record({
    call: fc.constant('incr' as const),
    key,
    by: number,
    begin: fc.option(number, { nil: undefined }),
    floor: fc.option(number, { nil: undefined }),
    ttl,
  }),
  fc.record({ call: fc.constant('expire' as const), key, ttl }),
  fc.record({ call: fc.constantFrom('keys' as const, 'keys' as const, 'flush' as const) }),
);

/** The result as text: what it is, or the code that scripts see. */
async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    return show(await run());
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return `${error.luaCode}: ${error.message}`;
  }
}

function show(result: unknown): string {
  if (Array.isArray(result)) return JSON.stringify([...result].sort());
  // the type of a number is a part of it
  if (typeof result === 'number') return Object.is(result, -0) ? 'float -0' : `float ${result}`;
  return `${typeof result} ${String(result)}`;
}

const EXISTS = 'refused: There is an entry';

function inMemory(dictionary: SharedDictionary, one: Step): unknown {
  switch (one.call) {
    case 'get':
      return typed(dictionary.get(one.key));
    case 'delete':
      return dictionary.delete(one.key);
    case 'ttl':
      return remaining(dictionary.ttl(one.key));
    case 'set':
      dictionary.set(one.key, one.value, one.ttl);
      return true;
    case 'add':
    case 'replace':
      return dictionary[one.call](one.key, one.value, one.ttl);
    case 'incr':
      return typed(
        dictionary.incr(
          one.key,
          one.by,
          one.begin === undefined
            ? undefined
            : {
                init: one.begin,
                ttl: one.ttl,
                ...(one.floor === undefined ? {} : { floor: one.floor }),
              },
        ),
      );
    case 'expire':
      return dictionary.expire(one.key, one.ttl);
    case 'keys':
      return dictionary.keys();
    case 'flush':
      dictionary.flush();
      return true;
  }
}

/** As the store gives it: whole numbers of 53 bits are numbers here. */
function typed(found: SharedValue | undefined): unknown {
  return typeof found === 'number' && Number.isSafeInteger(found) && !Object.is(found, -0)
    ? BigInt(found)
    : found;
}

function remaining(seconds: number | undefined): string {
  if (seconds === undefined) return 'notfound';
  return seconds === 0 ? 'never' : `about ${Math.round(seconds / TTL_SECONDS)} hours`;
}

function inStore(dictionary: TestDictionary, one: Step): unknown {
  switch (one.call) {
    case 'get':
      return dictionary.get(one.key).then(asMemory);
    case 'delete':
      return dictionary.delete(one.key);
    case 'ttl':
      return dictionary.ttl(one.key).then(
        (ms) => remaining(ms / 1000),
        (error: GatewayError) => error.luaCode,
      );
    case 'set':
    case 'add':
    case 'replace':
      return dictionary
        .store(one.call, one.key, encoded(one.value), one.ttl * 1000)
        .catch((error: GatewayError) => {
          // JavaScript's dictionary in memory says so by false
          if (one.call === 'set' || error.luaCode === 'limit') throw error;
          assert.ok(error.message.startsWith('There is'));
          return false;
        });
    case 'incr':
      return dictionary
        .incr(
          one.key,
          asInteger(one.by),
          one.begin === undefined ? undefined : asInteger(one.begin),
          one.ttl * 1000,
          // in memory JavaScript says so with the begin
          one.begin === undefined || one.floor === undefined ? undefined : asInteger(one.floor),
        )
        .then(asMemory);
    case 'expire':
      return dictionary.expire(one.key, one.ttl * 1000).catch((error: GatewayError) => {
        if (error.luaCode !== 'notfound') throw error;
        return false;
      });
    case 'keys':
      return dictionary.keys();
    case 'flush':
      return dictionary.flush();
  }
}

function asInteger(given: Number64): Number64 {
  return typeof given === 'number' && Number.isSafeInteger(given) && !Object.is(given, -0)
    ? BigInt(given)
    : given;
}

/** A float with a whole value is an integer for JavaScript's dictionary in memory. */
function asMemory(found: unknown): unknown {
  return typed(found as SharedValue | undefined);
}

function encoded(given: SharedValue): string {
  switch (typeof given) {
    case 'boolean':
      return encodeBoolean(given);
    case 'bigint':
      return encodeInteger(given);
    case 'string':
      return encodeString(given);
    default:
      return Number.isSafeInteger(given) && !Object.is(given, -0)
        ? encodeInteger(BigInt(given))
        : encodeFloat(given);
  }
}

for (const near of [false, true]) {
  test(`The same calls have the same results in memory, in Redis and in a cluster${near ? ', with values kept near' : ''}`, async () => {
    const memory = createSharedMemory([{ name: 'd', bytes: 1024 * 1024 }]);
    const dictionary = new MemoryDictionary(new SharedStore({ memory, owner: 1 }).open('d'));
    const stores = [new TestStore(redis.address), new TestStore(cluster.address)];
    const stored = stores.map((store) => store.dictionary('d', { near }));
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          dictionary.flush();
          await Promise.all(stored.map((one) => one.flush()));
          for (const [i, one] of steps.entries()) {
            const expected = await outcomeOf(() => inMemory(dictionary, one));
            const found = await Promise.all(stored.map((other) => outcomeOf(() => inStore(other, one))));
            assert.deepEqual(found, [expected, expected], `step ${i + 1}: ${one.call}`);
            assert.ok(!expected.startsWith(EXISTS));
          }
        }),
        { numRuns: RUNS },
      );
    } finally {
      for (const store of stores) store.close();
    }
  });
}
