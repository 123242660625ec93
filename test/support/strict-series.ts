/** Several requests on one HTTP/1 connection: what keeps the connection open (RFC 9112 §9.3), what ends it, and limits. */
import { ofSeries, type SeriesRow, STRICT_LIMITS, type StrictCase } from './strict-case.ts';

const HEAD_MAX = STRICT_LIMITS.headBytesMax;
/** Largest number of fields of a head, of whatever size. */
const FIELDS_MAX = 1000;

/** Length of a head with a target, without the target. */
const TARGET_REST = 'GET  HTTP/1.1\r\nHost: a\r\n\r\n'.length;
/** Length of a head with a field, without the value of the field. */
const VALUE_REST = 'GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n'.length;

/** Makes a request whose head has a target of this length. */
const targetOf = (size: number): string => `GET /${'x'.repeat(size - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`;
/** Makes the value of a field for a head of this length. */
const xsOf = (size: number): string => 'x'.repeat(size - VALUE_REST);
const headOf = (size: number): string => `GET / HTTP/1.1\r\nHost: a\r\nX: ${xsOf(size)}\r\n\r\n`;

/** Fields that decide whether the connection stays open: `[version, values of Connection, stays open]`. */
const CONNECTIONS: readonly (readonly [version: string, values: readonly string[], kept: boolean])[] = [
  ['1.1', [], true],
  ['1.1', ['keep-alive'], true],
  ['1.1', ['Keep-Alive'], true],
  ['1.1', ['close'], false],
  ['1.1', ['Close'], false],
  ['1.1', ['CLOSE'], false],
  ['1.1', ['foo, close'], false],
  ['1.1', ['close, foo'], false],
  ['1.1', ['foo,close,bar'], false],
  ['1.1', ['foo', 'close'], false],
  ['1.1', ['close', 'foo'], false],
  ['1.1', ['keep-alive, close'], false],
  ['1.1', ['close, keep-alive'], false],
  ['1.1', ['close', 'keep-alive'], false],
  ['1.1', ['keep-alive', 'close'], false],
  ['1.1', [', close'], false],
  ['1.1', ['close,'], false],
  ['1.1', ['close\t'], false],
  ['1.1', ['foo\t,\tclose'], false],
  ['1.1', ['\xa0close'], true],
  ['1.1', ['close\xa0, foo'], true],
  ['1.1', ['foo'], true],
  ['1.1', ['closed'], true],
  ['1.1', ['xclose'], true],
  ['1.1', ['x-close'], true],
  ['1.1', ['Upgrade'], true],
  ['1.1', ['TE'], true],
  ['1.1', [''], true],
  ['1.0', [], false],
  ['1.0', ['keep-alive'], true],
  ['1.0', ['Keep-Alive'], true],
  ['1.0', ['foo, keep-alive'], true],
  ['1.0', ['foo', 'keep-alive'], true],
  ['1.0', ['\xa0keep-alive'], false],
  ['1.0', ['close'], false],
  ['1.0', ['keep-alive, close'], false],
  ['1.0', ['close, keep-alive'], false],
  ['1.0', ['keep-alive', 'close'], false],
  ['1.0', ['foo'], false],
  ['1.0', ['keep-alivex'], false],
  ['1.2', [], true],
  ['1.2', ['close'], false],
];

const SERIES: readonly SeriesRow[] = [
  // ---- empty lines (§2.2) ----
  ['an empty line before a request', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', [{}], 'kept'],
  [
    'eight empty lines before a request',
    `${'\r\n'.repeat(8)}GET / HTTP/1.1\r\nHost: a\r\n\r\n`,
    [{}],
    'kept',
  ],
  [
    'nine empty lines before a request',
    `${'\r\n'.repeat(9)}GET / HTTP/1.1\r\nHost: a\r\n\r\n`,
    [400],
    'closed',
  ],
  [
    'empty lines between requests',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
    [{}, {}],
    'kept',
  ],
  [
    'an empty line behind a body',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n',
    [{ line: 'POST / HTTP/1.1', fields: ['Content-Length: 2'], body: 'hi' }],
    'kept',
  ],
  ['a bare LF between requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\n', [{}, 400], 'closed'],
  ['a bare CR between requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\r', [{}, 400], 'closed'],
  ['a blank between requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n ', [{}, 400], 'closed'],
  ['a NUL between requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\0', [{}, 400], 'closed'],
  // bytes after the head of a request without a body (§6.3) ----
  [
    'a body that nobody announced',
    'POST / HTTP/1.1\r\nHost: a\r\n\r\n{"a":1}\r\n',
    [{ line: 'POST / HTTP/1.1' }, 400],
    'closed',
  ],
  [
    'chunks that nobody announced',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    [{}, 400],
    'closed',
  ],
  ['a byte above 0x7f behind the head', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\xff', [{}, 400], 'closed'],
  [
    'a request behind GET',
    'GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
    [{ line: 'GET /x HTTP/1.1' }, {}],
    'kept',
  ],
  [
    'a body for GET',
    'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    [{ fields: ['Content-Length: 2'], body: 'hi' }],
    'kept',
  ],
  [
    'chunks for HEAD',
    'HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    [{ line: 'HEAD / HTTP/1.1', fields: ['Transfer-Encoding: chunked'], body: 'hi' }],
    'kept',
  ],
  [
    'a body longer than its length',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nh{',
    [{ line: 'POST / HTTP/1.1', fields: ['Content-Length: 1'], body: 'h' }, 400],
    'closed',
  ],
  [
    'two bodies, the second in chunks',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nhPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ni\r\n0\r\n\r\n',
    [
      { line: 'POST / HTTP/1.1', fields: ['Content-Length: 1'], body: 'h' },
      { line: 'POST / HTTP/1.1', fields: ['Transfer-Encoding: chunked'], body: 'i' },
    ],
    'kept',
  ],
  [
    'a malformed request behind a good one',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n',
    [{}, 400],
    'closed',
  ],
  ['three of the same', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3), [{}, {}, {}], 'kept'],
  // refused methods that keep the connection open ----
  ['an unknown method', 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n', [501], 'kept'],
  ['a method in lower case', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', [501], 'kept'],
  ['a method of one digit', '1 / HTTP/1.1\r\nHost: a\r\n\r\n', [501], 'kept'],
  ['a method that begins like another', 'GETX / HTTP/1.1\r\nHost: a\r\n\r\n', [501], 'kept'],
  [
    'an unknown method with a body',
    'FOO / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    [501],
    'kept',
  ],
  // ---- Expect (RFC 9110 §10.1.1) ----
  ['an expectation that is not known', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n', [417], 'kept'],
  [
    'an expectation in HTTP/1.0 is ignored',
    'GET / HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\n\r\n',
    [{ line: 'GET / HTTP/1.0', fields: ['Expect: wonders'] }],
    'closed',
  ],
  [
    '100-continue in HTTP/1.0 is ignored',
    'POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi',
    [{ line: 'POST / HTTP/1.0', fields: ['Expect: 100-continue', 'Content-Length: 2'], body: 'hi' }],
    'closed',
  ],
  [
    '100-continue with a length of 0',
    'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n',
    [{ line: 'POST / HTTP/1.1', fields: ['Expect: 100-continue', 'Content-Length: 0'] }],
    'kept',
  ],
  [
    'an expectation and a malformed field',
    'GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nX : y\r\n\r\n',
    [400],
    'closed',
  ],
  ['an expectation and no Host', 'GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n', [400], 'closed'],
  // ---- Upgrade (RFC 9110 §7.8) ----
  [
    'an upgrade to HTTP/2 is not taken',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
    [{ fields: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'] }],
    'kept',
  ],
  [
    'an upgrade that nobody knows is not taken',
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo/2, bar\r\nContent-Length: 2\r\n\r\nhi',
    [
      {
        line: 'POST / HTTP/1.1',
        fields: ['Connection: upgrade', 'Upgrade: foo/2, bar', 'Content-Length: 2'],
        body: 'hi',
      },
    ],
    'kept',
  ],
  [
    'Upgrade without Connection',
    'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n',
    [{ fields: ['Upgrade: h2c'] }],
    'kept',
  ],
  [
    'Connection without Upgrade',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n',
    [{ fields: ['Connection: upgrade'] }],
    'kept',
  ],
  ['CONNECT with bytes behind it', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01', [501], 'closed'],
  // ---- HTTP/1.0 (§9.3, §6.1) ----
  [
    'HTTP/1.0 with a body',
    'POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    [{ line: 'POST / HTTP/1.0', fields: ['Content-Length: 2'], body: 'hi' }],
    'closed',
  ],
  [
    'chunks in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    [400],
    'closed',
  ],
  [
    'chunks and a length in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi',
    [400],
    'closed',
  ],
  [
    'another coding in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    [400],
    'closed',
  ],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', [400], 'closed'],
  ['an invalid Host in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a b\r\n\r\n', [400], 'closed'],
  [
    'absolute form in HTTP/1.0',
    'GET http://b/x HTTP/1.0\r\nHost: a\r\n\r\n',
    [{ line: 'GET /x HTTP/1.0', authority: 'b' }],
    'closed',
  ],
  ['absolute form without Host', 'GET http://b/x HTTP/1.1\r\nX: y\r\n\r\n', [400], 'closed'],
  ['absolute form with two Hosts', 'GET http://b/x HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n', [400], 'closed'],
  ['absolute form with an invalid Host', 'GET http://b/x HTTP/1.1\r\nHost: u@b\r\n\r\n', [400], 'closed'],
  // messages that end too early (§8) ----
  ['nothing but a method', 'GET', [400], 'cut'],
  ['a request line alone', 'GET / HTTP/1.1\r\n', [400], 'cut'],
  ['a head without its empty line', 'GET / HTTP/1.1\r\nHost: a\r\n', [400], 'cut'],
  ['a head with half of its empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\r', [400], 'cut'],
  [
    'a body shorter than its length',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nhi',
    [400],
    'cut',
  ],
  ['no body in place of one', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n', [400], 'cut'],
  [
    'chunks without the last one',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n',
    [400],
    'cut',
  ],
  [
    'chunks without the line end of the last',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n',
    [400],
    'cut',
  ],
  [
    'chunks with half of the last line end',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r',
    [400],
    'cut',
  ],
  [
    'trailers without their end',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n',
    [400],
    'cut',
  ],
  [
    'a second request that is incomplete',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost',
    [{}, 400],
    'cut',
  ],
  // ---- limits ----
  ['a method of 64 characters', `${'M'.repeat(64)} / HTTP/1.1\r\nHost: a\r\n\r\n`, [501], 'kept'],
  ['a method of 65 characters', `${'M'.repeat(65)} / HTTP/1.1\r\nHost: a\r\n\r\n`, [501], 'closed'],
  ['a method without end', 'M'.repeat(9_000), [501], 'closed'],
  [
    'a target that fills the head',
    targetOf(HEAD_MAX - TARGET_REST),
    [{ line: `GET /${'x'.repeat(HEAD_MAX - TARGET_REST - 1)} HTTP/1.1` }],
    'kept',
  ],
  ['a target that overfills the head', targetOf(HEAD_MAX - TARGET_REST + 1), [431], 'closed'],
  ['a target longer than a head', targetOf(HEAD_MAX), [414], 'closed'],
  ['a target without end', `GET /${'x'.repeat(20_000)}`, [414], 'closed'],
  ['a head of the limit', headOf(HEAD_MAX), [{ fields: [`X: ${xsOf(HEAD_MAX)}`] }], 'kept'],
  ['a head above the limit', headOf(HEAD_MAX + 1), [431], 'closed'],
  ['a field without end', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}`, [431], 'closed'],
  ['a name without end', `GET / HTTP/1.1\r\nHost: a\r\n${'x'.repeat(20_000)}`, [431], 'closed'],
  [
    'fields of the greatest number',
    `GET / HTTP/1.1\r\nHost: a\r\n${'x:\r\n'.repeat(FIELDS_MAX - 1)}\r\n`,
    [{ fields: Array.from({ length: FIELDS_MAX - 1 }, () => 'x: ') }],
    'kept',
  ],
  ['one field more', `GET / HTTP/1.1\r\nHost: a\r\n${'x:\r\n'.repeat(FIELDS_MAX)}\r\n`, [431], 'closed'],
];

export const STRICT_SERIES: readonly StrictCase[] = [
  ...ofSeries(
    CONNECTIONS.map(([version, values, kept]): SeriesRow => {
      const lines = values.map((value) => `Connection: ${value}\r\n`);
      const fields = values.map((value) => `Connection: ${value.replace(/\t$/, '')}`);
      return [
        `HTTP/${version} with ${JSON.stringify(lines)}`,
        `GET / HTTP/${version}\r\nHost: a\r\n${lines.join('')}\r\n`,
        [{ line: `GET / HTTP/${version === '1.2' ? '1.1' : version}`, fields }],
        kept ? 'kept' : 'closed',
      ];
    }),
  ),
  ...ofSeries(SERIES),
];
