/** Addresses of stores: what is read, how it is shown, and what is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStoreAddress, showStoreAddress } from '../../src/base/store-address.ts';

const GOOD: readonly (readonly [text: string, shown: string, facts: object])[] = [
  [
    'redis://localhost',
    'redis://localhost:6379',
    { kind: 'single', nodes: [{ host: 'localhost', port: 6379 }], tls: false },
  ],
  ['redis://10.0.0.1:7000/3', 'redis://10.0.0.1:7000/3', { kind: 'single', database: 3 }],
  ['redis://:p%40ss%3A@h', 'redis://h:6379', { password: 'p@ss:' }],
  ['rediss://ann:secret@h:1/', 'rediss://h:1', { user: 'ann', password: 'secret', tls: true }],
  ['redis://a:b@c@h', 'redis://h:6379', { user: 'a', password: 'b@c' }],
  ['redis://[::1]:7000', 'redis://[::1]:7000', { nodes: [{ host: '::1', port: 7000 }] }],
  ['redis://a:1,b:2', 'redis://a:1,b:2', { kind: 'cluster' }],
  ['redis://a:1,', 'redis://a:1,', { kind: 'cluster', nodes: [{ host: 'a', port: 1 }] }],
  ['redis+sentinel://a,b:2/main', 'redis+sentinel://a:26379,b:2/main', { kind: 'sentinel', master: 'main' }],
  ['unix:/run/redis.sock', 'unix:/run/redis.sock', { kind: 'single', nodes: [{ path: '/run/redis.sock' }] }],
  ['unix::secret@/run/r?db=2', 'unix:/run/r?db=2', { password: 'secret', database: 2 }],
];

for (const [text, shown, facts] of GOOD) {
  test(`${text} is an address, shown as ${shown}`, () => {
    const address = readStoreAddress(text);
    assert.ok(address !== undefined);
    for (const [name, value] of Object.entries(facts))
      assert.deepEqual((address as unknown as Record<string, unknown>)[name], value);
    assert.equal(showStoreAddress(address), shown);
  });
}

const BAD = [
  ...['', 'redis', 'redis:', 'redis://', 'http://h', 'redis://h:0', 'redis://h:65536', 'redis://h:x'],
  ...['redis://user@h', 'redis://user:@h', 'redis://h/x', 'redis://h/1/2', 'redis://h/99999', 'redis://a b'],
  ...['redis://a,b/1', 'redis://%zz:x@h', 'redis+sentinel://h', 'redis+sentinel://h/a b', 'redis://a,,b'],
  ...[
    'unix:',
    'unix:run',
    'unix:/a\0b',
    `unix:/${'x'.repeat(200)}`,
    'unix:/a?db=x',
    'unix:/a?x=1',
    'redis://h?x',
  ],
  `redis://${Array.from({ length: 65 }, (_, i) => `h${i}`).join(',')}`,
];

test('What is no address is refused', () => {
  assert.deepEqual(
    BAD.filter((text) => readStoreAddress(text) !== undefined),
    [],
  );
});

test('No address shows its password', () => {
  for (const [text] of GOOD) {
    const address = readStoreAddress(text);
    assert.ok(address !== undefined);
    const { password } = address;
    if (password !== undefined) assert.ok(!showStoreAddress(address).includes(password));
  }
});
