import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { fieldKind } from '../../../src/http/h2/field-kind.ts';
import { checkTrailers, parseRequestHead } from '../../../src/http/h2/parse-request-head.ts';

/** Makes a well-formed request with changes; undefined removes a pseudo-header field. */
function head(
  pseudo: Readonly<Record<string, string | undefined>> = {},
  fields: readonly string[] = [],
): readonly string[] {
  const all = { ':method': 'GET', ':scheme': 'https', ':authority': 'a.example', ':path': '/', ...pseudo };
  const list: string[] = [];
  for (const [name, value] of Object.entries(all)) if (value !== undefined) list.push(name, value);
  return [...list, ...fields];
}

/** Returns what the decoder makes of a list of fields. */
function section(fields: readonly string[]): Parameters<typeof parseRequestHead>[0] {
  const kinds: number[] = [];
  for (let i = 0; i < fields.length; i += 2)
    kinds.push(fieldKind(fields[i] as string, fields[i + 1] as string));
  return { fields, kinds };
}

test('parseRequestHead() makes a GET of an extended CONNECT', () => {
  const parsed = parseRequestHead(section(head({ ':method': 'CONNECT', ':protocol': 'websocket' })));
  ok(typeof parsed === 'object');
  deepStrictEqual([parsed.method, parsed.target, parsed.connectProtocol], ['GET', '/', 'websocket']);
});

test('parseRequestHead() tells pseudo-header fields and fields apart', () => {
  const fields = ['cookie', 'a=1', 'content-length', '12', 'expect', '100-Continue', 'priority', 'u=1'];
  deepStrictEqual(parseRequestHead(section(head({ ':path': '/x?y' }, fields))), {
    method: 'GET',
    connectProtocol: undefined,
    target: '/x?y',
    authority: 'a.example',
    fields,
    declaredLength: 12,
    scheme: 'https',
    expect: '100-continue',
    priority: 'u=1',
    bytes: head({ ':path': '/x?y' }, fields).join('').length + 8 * 32,
  });
});

const FINE: Readonly<Record<string, readonly string[]>> = {
  'host in place of :authority': head({ ':authority': undefined }, ['host', 'b.example:1']),
  'host that says the same': head({}, ['host', 'A.example']),
  'host with the default port of https': head({}, ['host', 'a.example:443']),
  ':authority with the default port, host without': head({ ':authority': 'A.example:443' }, [
    'host',
    'a.example',
  ]),
  'host with the default port of http': head({ ':scheme': 'http' }, ['host', 'a.example:80']),
  'host with an empty port': head({}, ['host', 'a.example:']),
  'an IPv6 host with the default port': head({ ':authority': '[::1]' }, ['host', '[::1]:443']),
  'te: trailers': head({}, ['te', 'trailers']),
  'OPTIONS *': head({ ':method': 'OPTIONS', ':path': '*' }),
  TRACE: head({ ':method': 'TRACE' }),
  CONNECT: head({ ':method': 'CONNECT', ':scheme': undefined, ':path': undefined, ':authority': 'a:1' }),
  'an empty value': head({}, ['x-empty', '']),
  'bytes above 0x7f': head({ ':path': '/\xe4' }, ['x-name', '\x80\xff']),
  'a tab inside a value': head({}, ['x-name', 'a\tb c']),
  'the same field twice': head({}, ['x-name', '1', 'x-name', '2']),
  'another scheme': head({ ':scheme': 'coap+tcp' }),
  'an IPv6 authority': head({ ':authority': '[::1]:8443' }),
};

for (const [what, list] of Object.entries(FINE)) {
  test(`parseRequestHead() takes ${what}`, () => {
    const parsed = parseRequestHead(section(list));
    strictEqual(typeof parsed, 'object', String(parsed));
  });
}

const WRONG: Readonly<Record<string, readonly [list: readonly string[], reason: RegExp]>> = {
  'no :method': [head({ ':method': undefined }), /:method is missing/],
  'no :scheme': [head({ ':scheme': undefined }), /:scheme is missing/],
  'no :path': [head({ ':path': undefined }), /:path is missing/],
  'no authority at all': [head({ ':authority': undefined }), /missing/],
  'an empty :path': [head({ ':path': '' }), /:path is not/],
  'a :path without a slash': [head({ ':path': 'x' }), /:path is not/],
  'a :path in absolute form': [head({ ':path': 'http://a/x' }), /:path is not/],
  'a :path with a blank': [head({ ':path': '/a b' }), /:path is not/],
  'a :path with a line feed': [head({ ':path': '/a\nb' }), /:path is not/],
  'GET *': [head({ ':path': '*' }), /:path is not/],
  'an empty :method': [head({ ':method': '' }), /:method is not/],
  'a :method with a blank': [head({ ':method': 'GET x' }), /:method is not/],
  'an empty :authority': [head({ ':authority': '' }), /:authority is not/],
  'userinfo in :authority': [head({ ':authority': 'u@a.example' }), /:authority is not/],
  'a slash in :authority': [head({ ':authority': 'a/b' }), /:authority is not/],
  'host that says something else': [head({}, ['host', 'b.example']), /differ/],
  'host with another port': [head({}, ['host', 'a.example:8443']), /differ/],
  'host with the default port of another scheme': [head({}, ['host', 'a.example:80']), /differ/],
  'host whose end only looks like a port': [
    head({ ':authority': 'a.example' }, ['host', 'a.example443']),
    /differ/,
  ],
  'host twice': [head({}, ['host', 'a.example', 'host', 'a.example']), /twice/],
  'an unknown pseudo-header field': [head({ ':extra': 'x' }), /unknown/],
  ':status in a request': [head({ ':status': '200' }), /unknown/],
  ':protocol without CONNECT': [head({ ':protocol': 'websocket' }), /only for CONNECT/],
  ':protocol twice': [head({ ':method': 'CONNECT', ':protocol': 'a' }, [':protocol', 'a']), /twice/],
  ':protocol that is no token': [head({ ':method': 'CONNECT', ':protocol': 'a b' }), /:protocol/],
  'CONNECT with :protocol and without :path': [
    head({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': undefined }),
    /:path is missing/,
  ],
  'CONNECT with :path': [head({ ':method': 'CONNECT', ':scheme': undefined }), /CONNECT/],
  'CONNECT without :authority': [[':method', 'CONNECT'], /CONNECT has no/],
  ':method twice': [[':method', 'GET', ...head()], /twice/],
  ':path twice': [[':path', '/', ...head()], /twice/],
  ':scheme twice': [[':scheme', 'https', ...head()], /twice/],
  ':authority twice': [[':authority', 'a.example', ...head()], /twice/],
  'a pseudo-header field behind a field': [[...head(), 'x', 'y', ':path', '/'], /follows/],
  'an upper-case name': [head({}, ['X-Name', 'x']), /lower-case/],
  'an empty name': [head({}, ['', 'x']), /lower-case/],
  'a blank in a name': [head({}, ['x name', 'x']), /lower-case/],
  'a colon in a name': [head({}, ['x:name', 'x']), /lower-case/],
  'a byte above 0x7f in a name': [head({}, ['x-\xe4', 'x']), /lower-case/],
  'NUL in a value': [head({}, ['x', 'a\0b']), /value of x/],
  'CR in a value': [head({}, ['x', 'a\rb']), /value of x/],
  'LF in a value': [head({}, ['x', 'a\nb']), /value of x/],
  'a blank before a value': [head({}, ['x', ' a']), /value of x/],
  'a tab behind a value': [head({}, ['x', 'a\t']), /value of x/],
  connection: [head({}, ['connection', 'close']), /one connection/],
  'keep-alive': [head({}, ['keep-alive', '1']), /one connection/],
  'proxy-connection': [head({}, ['proxy-connection', 'close']), /one connection/],
  'transfer-encoding': [head({}, ['transfer-encoding', 'chunked']), /one connection/],
  upgrade: [head({}, ['upgrade', 'h2c']), /one connection/],
  'te other than trailers': [head({}, ['te', 'gzip']), /te is not/],
  'content-length twice': [head({}, ['content-length', '1', 'content-length', '1']), /twice/],
  'a content-length that is no number': [head({}, ['content-length', '+1']), /not a length/],
  'an empty content-length': [head({}, ['content-length', '']), /not a length/],
};

for (const [what, [list, reason]] of Object.entries(WRONG)) {
  test(`parseRequestHead() refuses ${what}`, () => {
    match(String(parseRequestHead(section(list))), reason);
  });
}

test('parseRequestHead() looks at a long value once', () => {
  const start = performance.now();
  match(String(parseRequestHead(section(head({}, ['x', `a${' '.repeat(1_000_000)}`])))), /value of x/);
  strictEqual(performance.now() - start < 20_000, true);
});

test('checkTrailers() refuses pseudo-header fields and what no field section may hold', () => {
  strictEqual(checkTrailers(section(['x-sum', '1'])), undefined);
  match(checkTrailers(section(['x', '1', ':path', '/'])) ?? '', /pseudo-header/);
  match(checkTrailers(section(['X-Sum', '1'])) ?? '', /lower-case/);
  match(checkTrailers(section(['connection', 'close'])) ?? '', /one connection/);
});
