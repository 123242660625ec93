/** The PROXY protocol: each head whole, cut at every byte and spoilt at every byte. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type ProxiedEnds, parseProxyHead, V2_REST_BYTES_MAX } from '../../../src/http/front/proxy-head.ts';
import { proxyHeadV2 } from '../../support/proxy-head-v2.ts';

const IPV4: ProxiedEnds = { address: '192.0.2.7', port: 56324, localAddress: '198.51.100.1', localPort: 443 };
const IPV6: ProxiedEnds = { address: '2001:db8::7', port: 1, localAddress: '::1', localPort: 65535 };
const V4_BYTES = [192, 0, 2, 7, 198, 51, 100, 1, 220, 4, 1, 187];
const V6_BYTES = [
  ...Buffer.from('20010db8000000000000000000000007', 'hex'),
  ...Buffer.alloc(15),
  1,
  0,
  1,
  255,
  255,
];
const TLV = [3, 0, 4, 1, 2, 3, 4];

const longest = `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`;
const unknown = `PROXY UNKNOWN ${'x'.repeat(107 - 16)}\r\n`;

const ACCEPTED: readonly (readonly [string, Buffer | string, ProxiedEnds | undefined])[] = [
  ['version 1, IPv4', 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n', IPV4],
  ['version 1, IPv6', 'PROXY TCP6 2001:db8::7 ::1 1 65535\r\n', IPV6],
  [
    'version 1, the longest addresses',
    longest,
    {
      address: `${'ffff:'.repeat(7)}ffff`,
      port: 65535,
      localAddress: `${'ffff:'.repeat(7)}ffff`,
      localPort: 65535,
    },
  ],
  ['version 1, UNKNOWN', 'PROXY UNKNOWN\r\n', undefined],
  ['version 1, UNKNOWN with 107 bytes', unknown, undefined],
  ['version 2, IPv4', proxyHeadV2(0x21, 0x11, V4_BYTES), IPV4],
  ['version 2, IPv4 and TLVs', proxyHeadV2(0x21, 0x11, [...V4_BYTES, ...TLV]), IPV4],
  ['version 2, IPv6', proxyHeadV2(0x21, 0x21, V6_BYTES), IPV6],
  ['version 2, unix socket', proxyHeadV2(0x21, 0x31, Buffer.alloc(216, 'x')), undefined],
  ['version 2, LOCAL', proxyHeadV2(0x20, 0x00, []), undefined],
  ['version 2, LOCAL with an address', proxyHeadV2(0x20, 0x11, V4_BYTES), undefined],
  ['version 2, unspecified', proxyHeadV2(0x21, 0x00, TLV), undefined],
  [
    'version 2, as long as it may be',
    proxyHeadV2(0x21, 0x11, [...V4_BYTES, ...Buffer.alloc(V2_REST_BYTES_MAX - 12)]),
    IPV4,
  ],
];

const REFUSED: readonly (readonly [string, Buffer | string])[] = [
  ['a request', 'GET / HTTP/1.1\r\n'],
  ['TLS', Buffer.from([22, 3, 1])],
  ['another case', 'proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n'],
  ['an octet of 256', 'PROXY TCP4 256.0.2.7 198.51.100.1 56324 443\r\n'],
  ['octets with zeros', 'PROXY TCP4 192.000.2.7 198.51.100.1 56324 443\r\n'],
  ['IPv6 as TCP4', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
  ['IPv4 as TCP6', 'PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n'],
  ['a zone', 'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'],
  ['a port of 65536', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n'],
  ['a port with a zero', 'PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n'],
  ['no port', 'PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n'],
  ['three ports', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n'],
  ['two blanks', 'PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n'],
  ['a blank at the end', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n'],
  ['a bare LF', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n'],
  ['another family', 'PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n'],
  ['108 bytes', `PROXY UNKNOWN ${'x'.repeat(108 - 16)}\r\n`],
  ['version 1 in the second form', proxyHeadV2(0x11, 0x11, V4_BYTES)],
  ['a command of 2', proxyHeadV2(0x22, 0x11, V4_BYTES)],
  ['a family of 4', proxyHeadV2(0x21, 0x41, Buffer.alloc(216))],
  ['datagrams', proxyHeadV2(0x21, 0x12, V4_BYTES)],
  ['too short for IPv4', proxyHeadV2(0x21, 0x11, V4_BYTES.slice(1))],
  ['too short for IPv6', proxyHeadV2(0x21, 0x21, V6_BYTES.slice(1))],
  ['too short for a unix socket', proxyHeadV2(0x21, 0x31, Buffer.alloc(215))],
  ['longer than it may be', proxyHeadV2(0x21, 0x11, Buffer.alloc(V2_REST_BYTES_MAX + 1))],
];

test('parseProxyHead() reads each head that is well-formed, and leaves what follows', () => {
  for (const [name, text, ends] of ACCEPTED) {
    const head = Buffer.from(text as string, 'latin1');
    for (const rest of ['', 'GET /', '\0'.repeat(5000)])
      deepEqual(
        parseProxyHead(Buffer.concat([head, Buffer.from(rest)])),
        { kind: 'head', size: head.length, ends },
        name,
      );
  }
});

test('parseProxyHead() wants more of each head that is cut at any byte', () => {
  for (const [name, text] of ACCEPTED) {
    const head = Buffer.from(text as string, 'latin1');
    for (let size = 0; size < head.length; size++)
      deepEqual(parseProxyHead(head.subarray(0, size)), { kind: 'more' }, `${name}, ${size} bytes`);
  }
});

test('parseProxyHead() refuses all else, with a reason, and no later than at its end', () => {
  for (const [name, text] of REFUSED) {
    const head = parseProxyHead(Buffer.from(text as string, 'latin1'));
    ok(head.kind === 'wrong', `${name}: ${JSON.stringify(head)}`);
    match(head.reason, /\bits?\b/, name);
  }
});

test('parseProxyHead() never reads past what has come, whatever a byte of a head is', () => {
  for (const [name, text] of ACCEPTED) {
    const head = Buffer.from(text as string, 'latin1');
    for (let at = 0; at < Math.min(head.length, 240); at++)
      for (const value of [0, 1, 10, 13, 32, 48, 0x7f, 0xff]) {
        const spoilt = Buffer.from(head);
        spoilt[at] = value;
        const found = parseProxyHead(spoilt);
        if (found.kind === 'head') ok(found.size <= head.length, `${name} with ${value} at ${at}`);
        // the same bytes, one at a time, have the same meaning: no beginning is taken that the whole is not
        for (let size = 0; size < spoilt.length && size < 130; size++) {
          const part = parseProxyHead(spoilt.subarray(0, size));
          if (part.kind === 'wrong')
            equal(found.kind, 'wrong', `${name} with ${value} at ${at}, ${size} bytes`);
        }
      }
  }
});
