/** What RFC 9111 and RFC 5861 say of a shared cache, a line each: an answer, what time passes, and whether the next request gets it again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BackendAnswer, CacheWorld } from '../support/cache-world.ts';

interface Row {
  /** Section of RFC 9111, if not said otherwise. */
  readonly section: string;
  readonly rule: string;
  readonly answer: BackendAnswer | (() => BackendAnswer);
  /** Fields of the first request. */
  readonly first?: readonly string[];
  /** Seconds until the second one. */
  readonly after?: number;
  /** Fields of the second request. */
  readonly second?: readonly string[];
  /** What the second one gets: what is kept, or what the server says then. */
  readonly isHit: boolean;
}

const cacheControl = (value: string, ...more: string[]): BackendAnswer => ({
  fields: ['cache-control', value, ...more],
});

const ROWS: readonly Row[] = [
  // 3: what may be kept
  { section: '3', rule: 'a fresh answer is kept', answer: cacheControl('max-age=60'), isHit: true },
  { section: '3', rule: 'nothing is said of it: not kept', answer: {}, isHit: false },
  {
    section: '3',
    rule: 'a status that is not understood',
    answer: { ...cacheControl('max-age=60'), status: 299 },
    isHit: false,
  },
  {
    section: '3',
    rule: 'an error is not kept',
    answer: { ...cacheControl('max-age=60'), status: 500 },
    isHit: false,
  },
  {
    section: '3',
    rule: '404 with a lifetime is kept',
    answer: { ...cacheControl('max-age=60'), status: 404 },
    isHit: true,
  },
  {
    section: '3',
    rule: '302 with a lifetime is kept',
    answer: { ...cacheControl('max-age=60'), status: 302 },
    isHit: true,
  },
  {
    section: '3',
    rule: 'a part is not kept',
    answer: { status: 206, fields: ['cache-control', 'max-age=60', 'content-range', 'bytes 0-6/9'] },
    isHit: false,
  },
  {
    section: '3',
    rule: 'no-store of the request',
    answer: cacheControl('max-age=60'),
    first: ['cache-control', 'no-store'],
    isHit: false,
  },
  {
    section: '3.5',
    rule: 'Authorization: not kept',
    answer: cacheControl('max-age=60'),
    first: ['authorization', 'Basic x'],
    isHit: false,
  },
  {
    section: '3.5',
    rule: 'Authorization with public: kept',
    answer: cacheControl('public, max-age=60'),
    first: ['authorization', 'Basic x'],
    isHit: true,
  },
  {
    section: '3.5',
    rule: 'Authorization with s-maxage: kept',
    answer: cacheControl('s-maxage=60'),
    first: ['authorization', 'Basic x'],
    isHit: true,
  },
  {
    section: '3.5',
    rule: 'what is not public is no answer to Authorization',
    answer: cacheControl('max-age=60'),
    second: ['authorization', 'Basic x'],
    isHit: false,
  },
  {
    section: '3.5',
    rule: 'the same for cookies, which say who asks',
    answer: cacheControl('max-age=60'),
    second: ['cookie', 'id=1'],
    isHit: false,
  },
  {
    section: '3.5',
    rule: 'an answer to a cookie is not kept',
    answer: cacheControl('max-age=60'),
    first: ['cookie', 'id=1'],
    isHit: false,
  },
  {
    section: '3.5',
    rule: 'what is public goes to those with cookies',
    answer: cacheControl('public, max-age=60'),
    second: ['cookie', 'id=1'],
    isHit: true,
  },
  {
    section: '7.3',
    rule: 'Set-Cookie: not kept',
    answer: cacheControl('public, max-age=60', 'set-cookie', 'id=1'),
    isHit: false,
  },
  // 4.1: Vary
  {
    section: '4.1',
    rule: 'the same values',
    answer: cacheControl('max-age=60', 'vary', 'Accept-Language'),
    first: ['accept-language', 'de'],
    second: ['Accept-Language', 'de'],
    isHit: true,
  },
  {
    section: '4.1',
    rule: 'other values',
    answer: cacheControl('max-age=60', 'vary', 'Accept-Language'),
    first: ['accept-language', 'de'],
    second: ['accept-language', 'en'],
    isHit: false,
  },
  {
    section: '4.1',
    rule: 'absent is not empty',
    answer: cacheControl('max-age=60', 'vary', 'X-A'),
    second: ['x-a', ''],
    isHit: false,
  },
  {
    section: '4.1',
    rule: 'blanks in lists mean nothing',
    answer: cacheControl('max-age=60', 'vary', 'Accept-Encoding'),
    first: ['accept-encoding', 'gzip, br'],
    second: ['accept-encoding', 'gzip,BR'],
    isHit: true,
  },
  { section: '4.1', rule: 'Vary: * never', answer: cacheControl('max-age=60', 'vary', '*'), isHit: false },
  {
    section: '4.1',
    rule: 'Vary: * in a list never',
    answer: cacheControl('max-age=60', 'vary', 'accept, *'),
    isHit: false,
  },
  {
    section: '4.1',
    rule: 'several Vary are one list',
    answer: cacheControl('max-age=60', 'vary', 'x-a', 'vary', 'x-b'),
    first: ['x-b', '1'],
    second: ['x-b', '2'],
    isHit: false,
  },
  // 4.2: freshness
  { section: '4.2', rule: 'not fresh any more', answer: cacheControl('max-age=60'), after: 60, isHit: false },
  { section: '4.2', rule: 'still fresh', answer: cacheControl('max-age=60'), after: 59, isHit: true },
  {
    section: '4.2.1',
    rule: 's-maxage before max-age',
    answer: cacheControl('max-age=600, s-maxage=10'),
    after: 11,
    isHit: false,
  },
  {
    section: '4.2.1',
    rule: 'max-age before Expires',
    answer: () => cacheControl('max-age=10', 'expires', CacheWorld.date(600)),
    after: 11,
    isHit: false,
  },
  {
    section: '4.2.1',
    rule: 'Expires',
    answer: () => ({ fields: ['date', CacheWorld.date(), 'expires', CacheWorld.date(60)] }),
    after: 59,
    isHit: true,
  },
  {
    section: '4.2.1',
    rule: 'Expires is over',
    answer: () => ({ fields: ['date', CacheWorld.date(), 'expires', CacheWorld.date(60)] }),
    after: 61,
    isHit: false,
  },
  { section: '5.3', rule: 'Expires: 0 is in the past', answer: { fields: ['expires', '0'] }, isHit: false },
  {
    section: '5.3',
    rule: 'Expires that is a year alone is no date',
    answer: { fields: ['expires', '2099'] },
    isHit: false,
  },
  {
    section: '4.2.1',
    rule: 'two values that differ',
    answer: cacheControl('max-age=60, max-age=90'),
    isHit: false,
  },
  {
    section: '4.2.2',
    rule: 'no heuristics',
    answer: () => ({ fields: ['last-modified', CacheWorld.date(-1e6)] }),
    isHit: false,
  },
  {
    section: '4.2.3',
    rule: 'Age of the server counts',
    answer: cacheControl('max-age=60', 'age', '50'),
    after: 11,
    isHit: false,
  },
  {
    section: '4.2.3',
    rule: 'Date of the server counts',
    answer: () => cacheControl('max-age=60', 'date', CacheWorld.date(-50)),
    after: 11,
    isHit: false,
  },
  {
    section: '4.2.3',
    rule: 'a Date in the future makes nothing younger',
    answer: () => cacheControl('max-age=60', 'date', CacheWorld.date(50)),
    after: 61,
    isHit: false,
  },
  // 5.2.1: what requests say
  {
    section: '5.2.1.1',
    rule: 'max-age of the request',
    answer: cacheControl('max-age=60'),
    after: 20,
    second: ['cache-control', 'max-age=10'],
    isHit: false,
  },
  {
    section: '5.2.1.1',
    rule: 'max-age that is enough',
    answer: cacheControl('max-age=60'),
    after: 20,
    second: ['cache-control', 'max-age=30'],
    isHit: true,
  },
  {
    section: '5.2.1.2',
    rule: 'max-stale',
    answer: cacheControl('max-age=60'),
    after: 70,
    second: ['cache-control', 'max-stale=20'],
    isHit: true,
  },
  {
    section: '5.2.1.2',
    rule: 'max-stale that is too little',
    answer: cacheControl('max-age=60'),
    after: 90,
    second: ['cache-control', 'max-stale=20'],
    isHit: false,
  },
  {
    section: '5.2.1.3',
    rule: 'min-fresh',
    answer: cacheControl('max-age=60'),
    after: 50,
    second: ['cache-control', 'min-fresh=20'],
    isHit: false,
  },
  {
    section: '5.2.1.4',
    rule: 'no-cache',
    answer: cacheControl('max-age=60'),
    second: ['cache-control', 'no-cache'],
    isHit: false,
  },
  {
    section: '5.4',
    rule: 'Pragma: no-cache',
    answer: cacheControl('max-age=60'),
    second: ['pragma', 'no-cache'],
    isHit: false,
  },
  {
    section: '5.4',
    rule: 'Pragma behind Cache-Control',
    answer: cacheControl('max-age=60'),
    second: ['pragma', 'no-cache', 'cache-control', 'max-age=60'],
    isHit: true,
  },
  {
    section: '5.2.1.7',
    rule: 'only-if-cached is answered',
    answer: cacheControl('max-age=60'),
    second: ['cache-control', 'only-if-cached'],
    isHit: true,
  },
  // 5.2.2: what answers say
  {
    section: '5.2.2.2',
    rule: 'must-revalidate is fresh at first',
    answer: cacheControl('max-age=60, must-revalidate'),
    after: 59,
    isHit: true,
  },
  {
    section: '5.2.2.2',
    rule: 'must-revalidate before max-stale',
    answer: cacheControl('max-age=60, must-revalidate'),
    after: 61,
    second: ['cache-control', 'max-stale'],
    isHit: false,
  },
  {
    section: '5.2.2.8',
    rule: 'proxy-revalidate before max-stale',
    answer: cacheControl('max-age=60, proxy-revalidate'),
    after: 61,
    second: ['cache-control', 'max-stale'],
    isHit: false,
  },
  {
    section: '5.2.2.4',
    rule: 'no-cache',
    answer: cacheControl('no-cache, max-age=60', 'etag', '"a"'),
    isHit: false,
  },
  {
    section: '5.2.2.4',
    rule: 'no-cache for a field counts for all',
    answer: cacheControl('max-age=60, no-cache="x-a"'),
    isHit: false,
  },
  { section: '5.2.2.5', rule: 'no-store', answer: cacheControl('no-store, max-age=60'), isHit: false },
  { section: '5.2.2.7', rule: 'private', answer: cacheControl('private, max-age=60'), isHit: false },
  {
    section: '5.2.2.7',
    rule: 'private for fields counts for all',
    answer: cacheControl('max-age=60, private="x-a, x-b"'),
    isHit: false,
  },
  { section: '5.2', rule: 'names in any case', answer: cacheControl('Max-Age=60, PRIVATE'), isHit: false },
  { section: '5.2', rule: 'a value in quotes', answer: cacheControl('max-age="60"'), isHit: true },
  {
    section: '5.2',
    rule: 'a quoted text hides no directive',
    answer: cacheControl('max-age=60, x="a, no-store"'),
    isHit: true,
  },
  {
    section: '5.2',
    rule: 'what is not well-formed is not kept',
    answer: cacheControl('max-age=60, "'),
    isHit: false,
  },
  { section: '1.2.2', rule: 'a number that is none', answer: cacheControl('max-age=1e3'), isHit: false },
  {
    section: '1.2.2',
    rule: 'a huge number is a long time',
    answer: cacheControl('max-age=99999999999'),
    after: 1e6,
    isHit: true,
  },
  {
    section: 'RFC 5861 3',
    rule: 'stale-while-revalidate',
    answer: cacheControl('max-age=60, stale-while-revalidate=30'),
    after: 80,
    isHit: true,
  },
  {
    section: 'RFC 5861 3',
    rule: 'stale for too long',
    answer: cacheControl('max-age=60, stale-while-revalidate=30'),
    after: 91,
    isHit: false,
  },
  {
    section: '5.2.2.2',
    rule: 'must-revalidate before stale-while-revalidate',
    answer: cacheControl('max-age=60, must-revalidate, stale-while-revalidate=30'),
    after: 61,
    isHit: false,
  },
];

for (const { section, rule, answer, first = [], second = [], after = 0, isHit } of ROWS)
  test(`${section.startsWith('RFC') ? section : `§${section}`}: ${rule}`, () => {
    const world = new CacheWorld();
    let number = 0;
    world.backend = () => {
      number += 1;
      return { ...(typeof answer === 'function' ? answer() : answer), body: `answer ${number}` };
    };
    const before = world.get(...first);
    assert.equal(before.text, 'answer 1');
    CacheWorld.pass(after);
    const again = world.get(...second);
    assert.equal(
      again.text,
      isHit ? 'answer 1' : 'answer 2',
      `${again.status} ${again.field('cache-status')}`,
    );
    assert.equal(again.field('cache-status')?.includes('; hit') === true, isHit);
  });

test('§4: the answer says how old it is, and what the cache has done', () => {
  const world = new CacheWorld();
  world.backend = () => cacheControl('max-age=60', 'age', '5');
  assert.equal(world.get().field('cache-status'), 'lgateway; fwd=uri-miss; fwd-status=200; stored');
  CacheWorld.pass(10.5);
  const again = world.get();
  assert.equal(again.field('age'), '15');
  assert.equal(again.field('cache-status'), 'lgateway; hit; ttl=44');
  assert.equal(again.field('content-length'), '7');
  assert.equal(world.get().responseFields, again.responseFields);
});

test('§4: another method, scheme, host, path or query has answers of its own', () => {
  const world = new CacheWorld();
  world.backend = ({ target, authority }) => ({
    ...cacheControl('max-age=60'),
    body: `${authority}${target}`,
  });
  for (const [target, authority] of [
    ['/a', 'example.test'],
    ['/A', 'example.test'],
    ['/a?', 'example.test'],
    ['/a?b', 'example.test'],
    ['/%61', 'example.test'],
    ['/a', 'other.test'],
    ['/a', 'example.test:8443'],
  ] as const)
    assert.equal(world.ask(target, { authority }).text, `${authority}${target}`);
  assert.equal(world.asked.length, 7);
  assert.equal(world.ask('/a', { authority: 'EXAMPLE.test:443' }).text, 'example.test/a');
  world.ask('/a', { method: 'OPTIONS' });
  assert.equal(world.asked.length, 8);
});

test('§4: HEAD is answered by what GET has got, and fetches the whole where there is none', () => {
  const world = new CacheWorld();
  world.backend = () => cacheControl('max-age=60');
  const head = world.ask('/', { method: 'HEAD' });
  assert.deepEqual([head.status, head.text, world.asked[0]?.method], [200, '', 'GET']);
  assert.equal(world.get().text, 'content');
  const again = world.ask('/', { method: 'HEAD' });
  assert.deepEqual([again.text, again.field('content-length'), world.asked.length], ['', '7', 1]);
});

test('§5.2.1.7: only-if-cached gets 504 where nothing is kept', () => {
  const world = new CacheWorld();
  assert.equal(world.get('cache-control', 'only-if-cached').status, 504);
  assert.equal(world.asked.length, 0);
});

test('§4.3.2: conditions and ranges are answered by what is kept', () => {
  const world = new CacheWorld();
  const date = CacheWorld.date(-1000);
  world.backend = () =>
    cacheControl('max-age=60', 'etag', '"a"', 'last-modified', date, 'content-type', 'text/plain');
  // what is kept is the whole, whatever this client has
  assert.equal(world.get('if-none-match', '"a"').status, 304);
  const unchanged = world.get('if-none-match', 'W/"a"');
  assert.deepEqual([unchanged.status, unchanged.text, unchanged.field('etag')], [304, '', '"a"']);
  assert.equal(unchanged.field('content-type'), undefined);
  assert.equal(world.get('if-none-match', '"b"').text, 'content');
  assert.equal(world.get('if-modified-since', date).status, 304);
  assert.equal(world.get('if-match', '"b"').status, 412);
  const part = world.get('range', 'bytes=1-3');
  assert.deepEqual(
    [part.status, part.text, part.field('content-range'), part.field('content-length')],
    [206, 'ont', 'bytes 1-3/7', '3'],
  );
  assert.equal(world.get('range', 'bytes=9-').status, 416);
  assert.equal(world.get('range', 'bytes=1-3', 'if-range', '"b"').text, 'content');
  assert.equal(world.asked.length, 1);
});

test('§3.3: a range of what is not kept is passed on, and its answer is not kept', () => {
  const world = new CacheWorld();
  world.backend = ({ fields }) =>
    fields.includes('range')
      ? { status: 206, fields: ['cache-control', 'max-age=60'] }
      : cacheControl('max-age=60');
  assert.equal(world.get('range', 'bytes=0-1').status, 206);
  assert.equal(world.get().status, 200);
  assert.equal(world.asked.length, 2);
});

test('§4.4: what has changed something makes what is kept of its target invalid', () => {
  for (const [status, isInvalid] of [
    [204, true],
    [303, true],
    [400, false],
    [500, false],
  ] as const) {
    const world = new CacheWorld();
    world.backend = ({ method }) => (method === 'GET' ? cacheControl('max-age=60') : { status, body: '' });
    world.get();
    assert.equal(world.ask('/', { method: 'DELETE', body: '' }).status, status);
    world.get();
    assert.equal(world.asked.length, isInvalid ? 3 : 2);
  }
});
