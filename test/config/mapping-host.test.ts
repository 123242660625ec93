/** The host of `-l HOST/PREFIX SCRIPT`: what is one, what stays a path, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOSTS_MAX, readHost, splitHost } from '../../src/config/mapping-host.ts';
import { checkHosts, readMappings, withModes } from '../../src/config/mappings.ts';
import { Faults } from '../../src/config/usage-error.ts';

const mappingsOf = (...pairs: (readonly [string, string])[]) => {
  const faults = new Faults();
  const mappings = readMappings(pairs, undefined, faults);
  faults.attempt(() => checkHosts(mappings), undefined);
  faults.throwAny();
  return mappings;
};
const places = (...texts: string[]) =>
  mappingsOf(...texts.map((text) => [text, 'x.lua'] as const)).map(
    ({ host, prefix }) => `${host ?? ''} ${prefix}`,
  );

test('splitHost() takes for a host what only a host looks like', () => {
  for (const [text, place] of [
    ['example.com/', 'example.com /'],
    ['Example.COM/app//x/', 'example.com /app/x'],
    ['*.Example.com/app', '*.example.com /app'],
    ['localhost/', 'localhost /'],
    ['intranet./', 'intranet /'],
    ['example.com./x', 'example.com /x'],
    ['_x.a-b.example/', '_x.a-b.example /'],
    ['127.0.0.1/', '127.0.0.1 /'],
    ['[::1]/', '[::1] /'],
    ['[0:0::1]/x', '[::1] /x'],
    ['xn--bcher-kva.example/', 'xn--bcher-kva.example /'],
    // paths, as ever
    ['/example.com/', ' /example.com'],
    ['example.com', ' /example.com'],
    ['app/', ' /app'],
    ['//app', ' /app'],
    ['v1.0/x', ' /v1.0/x'],
    ['.well-known/', ' /.well-known'],
    ['*/x', ' /*/x'],
    ['a:b/x', ' /a:b/x'],
    ['/', ' /'],
  ] as const)
    assert.deepEqual(places(text), [place], text);
  assert.deepEqual(splitHost('a.b'), { host: undefined, prefix: 'a.b' });
});

test('readMappings() refuses hosts that no request can have, and says what to write', () => {
  for (const [text, message] of [
    ['example.com:8443/', /names the host "example.com:8443": it has a port/],
    ['[::1]:80/', /it has a port/],
    ['bücher.example/', /clients write it as "xn--bcher-kva.example"/],
    ['a..b/', /has to be a name/],
    ['-a.example/', /has to be a name/],
    [`${'a'.repeat(64)}.example/`, /has to be a name/],
    [`${'a.'.repeat(127)}b/`, /has to be a name/],
    ['*.127.0.0.1/', /an address has no names below it/],
    ['[::g]/', /has to be a name/],
    ['*.*.example/', /has to be a name/],
    ['a%62.example/', /has to be a name/],
    ['example.com/a?b', /wants a path as PREFIX.* not "example.com\/a\?b"/],
  ] as const)
    assert.throws(() => places(text), { message }, text);
  assert.deepEqual(readHost('::1'), { fault: 'an IPv6 address stands in brackets, [::1]' });
});

test('readMappings() takes a prefix once for each host, however the host is written', () => {
  assert.deepEqual(places('/x', 'a.test/x', '*.a.test/x', 'b.test/x'), [
    ' /x',
    'a.test /x',
    '*.a.test /x',
    'b.test /x',
  ]);
  assert.throws(() => places('a.test/x', 'A.TEST./x/'), {
    message: /names the prefix "a.test\/x" twice, for "x.lua" and "x.lua"/,
  });
});

test('readMappings() takes so many hosts and no more', () => {
  const hosts = Array.from({ length: HOSTS_MAX }, (_, i) => `h${i}.test/`);
  assert.equal(places(...hosts, 'h0.test/x', '/').length, HOSTS_MAX + 2);
  assert.throws(() => places(...hosts, 'one-more.test/'), {
    message: `Option -l (--lua) names ${HOSTS_MAX + 1} hosts and the limit is ${HOSTS_MAX}`,
  });
});

test('withModes() finds the script of a host', () => {
  const mappings = mappingsOf(['/x', 'a.lua'], ['a.test/x', 'b.lua']);
  assert.deepEqual(
    withModes(mappings, ['A.test/x=luvit']).map(({ mode }) => mode),
    [undefined, 'luvit'],
  );
  assert.throws(() => withModes(mappings, ['b.test/x=luvit']), {
    message: /names the prefix "b.test\/x", which no -l has/,
  });
});
