/** readCookies() and makeCookie() of TypeScript handlers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CookieOptions, makeCookie, Router, readCookies } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';

test('readCookies() gives the first cookie of each name, as it was sent, of a request or its fields', () => {
  const cookie = 'a=1; b="x y"; a=2; __proto__=3; e=%41; f=g=h';
  const expected = [
    ['a', '1'],
    ['b', '"x y"'],
    ['__proto__', '3'],
    ['e', '%41'],
    ['f', 'g=h'],
  ];
  const request = new Request('http://a.test/', { headers: { cookie } });
  assert.deepEqual([...readCookies(request)], expected);
  assert.deepEqual([...readCookies(request.headers)], expected);
  assert.equal(readCookies(new Headers()).size, 0);
});

test('readCookies() reads 500 cookies of 64 KiB and no more, and clients that send more get 431', async () => {
  const named = (count: number): Headers =>
    new Headers({ cookie: Array.from({ length: count }, (_, i) => `c${i}=1`).join(';') });
  assert.equal(readCookies(named(500)).size, 500);
  assert.throws(() => readCookies(named(501)), {
    code: 'LGW_FIELD_LIMIT',
    message: /501 and the limit is 500/,
  });
  const long = (bytes: number): Headers => new Headers({ cookie: `a=${'x'.repeat(bytes - 2)}` });
  assert.equal(readCookies(long(65_536)).size, 1);
  assert.throws(() => readCookies(long(65_537)), { code: 'LGW_FIELD_LIMIT', status: 431 });
  const router = new Router().get('/', (request) => new Response(String(readCookies(request).size)));
  const server = await EmbeddedServer.start(router);
  const session = await connectH2(server.port, 'http');
  assert.equal((await fetchH2(session, { ':path': '/', cookie: ['a=1', 'b=2'] })).body.toString(), '2');
  session.destroy();
  const cookie = named(501).get('cookie') ?? '';
  assert.equal((await fetch(server.url, { headers: { cookie } })).status, 431);
  await server.untilLog(/warn server Cannot read the cookies: the request has 501/);
  await server.stop();
});

test('makeCookie() makes safe cookies, unless options say otherwise', () => {
  const cases: readonly (readonly [CookieOptions, string])[] = [
    [{}, 'a=b; Path=/; HttpOnly; Secure; SameSite=Lax'],
    [{ maxAge: 0, sameSite: 'Strict' }, 'a=b; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict'],
    [
      { expires: new Date(1_623_233_894_000), secure: false, httpOnly: false },
      'a=b; Path=/; Expires=Wed, 09 Jun 2021 10:18:14 GMT; SameSite=Lax',
    ],
    [
      { domain: 'a.test', path: '/docs', sameSite: 'None', partitioned: true },
      'a=b; Domain=a.test; Path=/docs; HttpOnly; Secure; Partitioned; SameSite=None',
    ],
  ];
  for (const [options, expected] of cases) assert.equal(makeCookie('a', 'b', options), expected);
  assert.equal(makeCookie('__Host-a', ''), '__Host-a=; Path=/; HttpOnly; Secure; SameSite=Lax');
  assert.equal(
    makeCookie('a', 'x'.repeat(4095)).length,
    4095 + 'a=; Path=/; HttpOnly; Secure; SameSite=Lax'.length,
  );
});

test('makeCookie() refuses what a browser would drop, and whatever could begin another field or attribute', () => {
  const cases: readonly (readonly [name: unknown, value: unknown, options: unknown, message: RegExp])[] = [
    ['a b', '', {}, /its name "a b" is no token/],
    ['', '', {}, /its name "" is no token/],
    [undefined, '', {}, /its name undefined is no token/],
    ['a', 'b; domain=evil.test', {}, /a value has visible ASCII characters/],
    ['a', 'b\r\nset-cookie: x=y', {}, /a value has visible ASCII/],
    ['a', 'é', {}, /a value has visible ASCII/],
    ['a', 1, {}, /a value has visible ASCII/],
    ['a', 'x'.repeat(4096), {}, /name and value have 4097 bytes and the limit is 4096/],
    ['a', '', { path: 'docs' }, /option "path" is "docs" \(a path that begins with "\/"/],
    ['a', '', { path: '/;x' }, /option "path"/],
    ['a', '', { path: `/${'x'.repeat(1024)}` }, /option "path".*of at most 1024 bytes/],
    ['a', '', { domain: 'a..test' }, /option "domain" is "a..test" \(the name of a host/],
    ['a', '', { maxAge: 1.5 }, /option "maxAge" is 1.5 \(a whole number of seconds, at most 315360000/],
    ['a', '', { maxAge: 315_360_001 }, /option "maxAge"/],
    ['a', '', { expires: new Date(Number.NaN) }, /option "expires" is an object of class "Date"/],
    ['a', '', { secure: 'yes' }, /option "secure" is "yes" \(a boolean was expected\)/],
    ['a', '', { sameSite: 'Loose' }, /option "sameSite" is "Loose" \("Strict", "Lax" or "None"/],
    ['a', '', { max_age: 1 }, /there is no option "max_age"/],
    ['a', '', { toString: 1 }, /there is no option "toString"/],
    [
      'a',
      '',
      { sameSite: 'None', secure: false },
      /option "secure" is false, and samesite = "None" needs it/,
    ],
    ['__Secure-a', '', { secure: false }, /a name with this prefix needs it/],
    ['__Host-a', '', { path: '/x' }, /option "path" has to be "\/" for a name that begins with "__Host-"/],
    ['__host-a', '', { domain: 'a.test' }, /takes no option "domain"/],
  ];
  for (const [name, value, options, message] of cases)
    assert.throws(() => makeCookie(name as string, value as string, options as CookieOptions), {
      code: 'LGW_RESPONSE_INVALID',
      message,
    });
});
