/** Cases of WebSocket messages: fragments, UTF-8, closing, sizes (RFC 6455 §5.4, §7, §8.1). */
import {
  binary,
  close,
  continuation,
  fragments,
  frame,
  OPCODE,
  ping,
  pong,
  text,
} from '../websocket-frames.ts';
import {
  asBinary,
  asText,
  bad,
  type CaseDraft,
  draft,
  good,
  INVALID_DATA,
  MESSAGE_BYTES_MAX,
  NORMAL,
  PROTOCOL_ERROR,
  section,
  TOO_BIG,
  type WebSocketCase,
} from './websocket-case.ts';

const HELLO = 'Hello-µ@ßöäüàá-UTF-8!!';

const fragmented: readonly CaseDraft[] = [
  bad('a continuation of nothing, the last', [continuation('nothing')], PROTOCOL_ERROR),
  bad('a continuation of nothing, more follow', [continuation('nothing', { fin: false })], PROTOCOL_ERROR),
  bad('a continuation of nothing without a payload', [continuation('')], PROTOCOL_ERROR),
  bad('a continuation behind a whole message', [text('whole'), continuation('more')], PROTOCOL_ERROR, {
    echoes: [asText('whole')],
  }),
  bad(
    'a continuation behind the last fragment',
    [...fragments(OPCODE.text, 'onetwo', [3]), continuation('three')],
    PROTOCOL_ERROR,
    { echoes: [asText('onetwo')] },
  ),
  bad('a text within a text', [text('one', { fin: false }), text('two')], PROTOCOL_ERROR),
  bad('a binary within a text', [text('one', { fin: false }), binary('two')], PROTOCOL_ERROR),
  bad('a text within a binary', [binary('one', { fin: false }), text('two')], PROTOCOL_ERROR),
  bad('a first fragment twice', [text('a', { fin: false }), text('b', { fin: false })], PROTOCOL_ERROR),
  good('a text in two fragments', fragments(OPCODE.text, HELLO, [7]), { echoes: [asText(HELLO)] }),
  good('bytes in two fragments', fragments(OPCODE.binary, HELLO, [7]), { echoes: [asBinary(HELLO)] }),
  good('fragments of a byte', fragments(OPCODE.text, HELLO, Array(Buffer.byteLength(HELLO) - 1).fill(1)), {
    echoes: [asText(HELLO)],
  }),
  good('empty fragments', fragments(OPCODE.text, '', [0, 0, 0]), { echoes: [asText('')] }),
  good('an empty first fragment', fragments(OPCODE.text, 'rest', [0]), { echoes: [asText('rest')] }),
  good('an empty last fragment', fragments(OPCODE.binary, 'rest', [4]), { echoes: [asBinary('rest')] }),
  good('an empty fragment in the middle', fragments(OPCODE.text, 'onetwo', [3, 0]), {
    echoes: [asText('onetwo')],
  }),
  good(
    'two messages of fragments',
    [...fragments(OPCODE.text, 'firsttext', [5]), ...fragments(OPCODE.binary, 'secondbytes', [6, 2])],
    { echoes: [asText('firsttext'), asBinary('secondbytes')] },
  ),
  good('a ping between two fragments', [text('one ', { fin: false }), ping('between'), continuation('two')], {
    echoes: [asText('one two')],
    pongs: ['between'],
  }),
  good('a pong between two fragments', [text('one ', { fin: false }), pong('between'), continuation('two')], {
    echoes: [asText('one two')],
  }),
  good(
    'a ping behind each of five fragments',
    fragments(OPCODE.text, 'abcdefghij', [2, 2, 2, 2]).flatMap((one, i) => [one, ping(`${i}`)]),
    { echoes: [asText('abcdefghij')], pongs: ['0', '1', '2', '3', '4'] },
  ),
  draft('a close between two fragments', [text('one', { fin: false }), close(NORMAL)], [NORMAL], {}),
  good('a thousand fragments', fragments(OPCODE.binary, Buffer.alloc(1000, 'f'), Array(999).fill(1)), {
    echoes: [asBinary(Buffer.alloc(1000, 'f'))],
  }),
  good('a fragment whose length has 16 bits', fragments(OPCODE.text, 'x'.repeat(600), [300]), {
    echoes: [asText('x'.repeat(600))],
  }),
];

/** Texts that are UTF-8, by name. */
const VALID: Readonly<Record<string, string>> = {
  'U+0000': '\0',
  'U+007F, the last of one byte': '\x7f',
  'U+0080, the first of two bytes': '\x80',
  'U+07FF, the last of two bytes': '\u07ff',
  'U+0800, the first of three bytes': '\u0800',
  'U+D7FF, before the surrogates': '\ud7ff',
  'U+E000, behind the surrogates': '\ue000',
  'U+FEFF, a byte order mark': '\ufeffmarked',
  'U+FFFD, the replacement': '\ufffd',
  'U+FFFE and U+FFFF': '\ufffe\uffff',
  'U+10000, the first of four bytes': '\u{10000}',
  'U+10FFFF, the last of all': '\u{10ffff}',
  'the last two of each plane': Array.from({ length: 17 }, (_, plane) =>
    String.fromCodePoint(plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff),
  ).join(''),
  Greek: 'κόσμε',
  Chinese: '漢字かな交じり文',
  'combined characters': 'e\u0301 n\u0303 \u1112\u1161\u11ab',
  'faces and families': '👩‍👩‍👧‍👦 🏳️‍🌈',
  'text from right to left': 'שָׁלוֹם مرحبا',
};

const valid: readonly CaseDraft[] = Object.entries(VALID).flatMap(([what, payload]) => {
  const bytes = Buffer.from(payload);
  const cases = [good(`a text with ${what}`, [text(bytes)], { echoes: [asText(bytes)] })];
  if (bytes.length > 1)
    cases.push(
      good(
        `${what}, a byte in each fragment`,
        fragments(OPCODE.text, bytes, Array(bytes.length - 1).fill(1)),
        {
          echoes: [asText(bytes)],
        },
      ),
    );
  return cases;
});

/** Bytes that are no UTF-8, by name (Unicode 3.9, table 3-7). */
const INVALID: Readonly<Record<string, readonly number[]>> = {
  'a continuation byte alone': [0x80],
  'the last continuation byte alone': [0xbf],
  'two continuation bytes alone': [0x80, 0xbf],
  'a start of two bytes alone': [0xc2],
  'a start of two bytes before a letter': [0xc2, 0x41],
  'a start of three bytes alone': [0xe2],
  'a character of three bytes without the last': [0xe2, 0x82],
  'a character of three bytes, cut by a letter': [0xe2, 0x82, 0x41],
  'a start of four bytes alone': [0xf0],
  'a character of four bytes without the last': [0xf0, 0x9f, 0x98],
  'a character of four bytes, cut by a letter': [0xf0, 0x9f, 0x41, 0x80],
  'a slash in two bytes': [0xc0, 0xaf],
  'a slash in three bytes': [0xe0, 0x80, 0xaf],
  'a slash in four bytes': [0xf0, 0x80, 0x80, 0xaf],
  'U+0000 in two bytes': [0xc0, 0x80],
  'U+007F in two bytes': [0xc1, 0xbf],
  'U+07FF in three bytes': [0xe0, 0x9f, 0xbf],
  'U+FFFF in four bytes': [0xf0, 0x8f, 0xbf, 0xbf],
  'the first surrogate': [0xed, 0xa0, 0x80],
  'the last of the first surrogates': [0xed, 0xaf, 0xbf],
  'the last surrogate': [0xed, 0xbf, 0xbf],
  'a pair of surrogates': [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80],
  'U+110000': [0xf4, 0x90, 0x80, 0x80],
  'a start of four bytes that is too large': [0xf5, 0x80, 0x80, 0x80],
  'five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
  'six bytes': [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
  'the byte FE': [0xfe],
  'the byte FF': [0xff],
  'FE and FF': [0xfe, 0xfe, 0xff, 0xff],
};

const AROUND = Buffer.from('κό');

const invalid: readonly CaseDraft[] = Object.entries(INVALID).flatMap(([what, values]) => {
  const bytes = Buffer.from(values);
  const whole = Buffer.concat([AROUND, bytes, Buffer.from('end')]);
  return [
    bad(`a text of ${what}`, [text(bytes)], INVALID_DATA),
    bad(`a text with ${what} in the middle`, [text(whole)], INVALID_DATA),
    bad(
      `a text in fragments with ${what} in the second`,
      fragments(OPCODE.text, whole, [4, bytes.length]),
      INVALID_DATA,
    ),
    good(`bytes that are ${what}`, [binary(bytes)], { echoes: [asBinary(bytes)] }),
  ];
});

const furtherTexts: readonly CaseDraft[] = [
  bad('an end in the middle of a character', [text(Buffer.from('ab€').subarray(0, 4))], INVALID_DATA),
  bad(
    'a character that begins in one message and ends in the next',
    [text(Buffer.from([0xe2, 0x82])), text(Buffer.from([0xac]))],
    INVALID_DATA,
  ),
  good(
    'a character that is cut by a ping',
    [
      text(Buffer.from([0xe2, 0x82]), { fin: false }),
      ping(Buffer.from([0xff])),
      continuation(Buffer.from([0xac])),
    ],
    { echoes: [asText('€')], pongs: [Buffer.from([0xff])] },
  ),
  bad('no UTF-8 behind a message', [text('before'), text(Buffer.from([0xff]))], INVALID_DATA, {
    echoes: [asText('before')],
  }),
  bad(
    'no UTF-8 at the end of a large text',
    [text(Buffer.concat([Buffer.alloc(70_000, 'a'), Buffer.from([0xff])]))],
    INVALID_DATA,
  ),
];

const VALID_CODES = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];
const INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, 65_535];
const LONGEST_REASON = 'r'.repeat(123);

const closing: readonly CaseDraft[] = [
  good('a message and a close', [text('last')], { echoes: [asText('last')] }),
  draft('a close twice', [close(NORMAL), close(NORMAL)], [NORMAL], {}),
  draft('a text behind a close', [close(NORMAL), text('late')], [NORMAL], {}),
  draft('a ping behind a close', [close(NORMAL), ping('late')], [NORMAL], {}),
  draft('a fault behind a close', [close(NORMAL), frame({ opcode: 15, rsv: 7, mask: false })], [NORMAL], {}),
  draft('a close without a code', [close()], ['none', NORMAL], {}),
  draft('a message and a close without a code', [text('last'), close()], ['none', NORMAL], {
    echoes: [asText('last')],
  }),
  bad('a close of one byte', [frame({ opcode: OPCODE.close, payload: Buffer.from([3]) })], PROTOCOL_ERROR),
  draft('a close with a reason', [close(NORMAL, 'Until then')], [NORMAL], {}),
  draft('a close with a reason beyond ASCII', [close(NORMAL, HELLO)], [NORMAL], {}),
  draft('a close of 125 bytes', [close(NORMAL, LONGEST_REASON)], [NORMAL], {}),
  bad('a close of 126 bytes', [close(NORMAL, `${LONGEST_REASON}r`)], PROTOCOL_ERROR),
  bad(
    'a close in fragments',
    [close(NORMAL, 'why', { fin: false }), continuation('because')],
    PROTOCOL_ERROR,
  ),
  bad('a close whose length has 16 bits', [close(NORMAL, '', { lengthBits: 16 })], PROTOCOL_ERROR),
  ...[
    'a continuation byte alone',
    'the first surrogate',
    'U+110000',
    'a character of three bytes without the last',
  ].map((what) =>
    bad(
      `a close with ${what} as its reason`,
      [close(NORMAL, Buffer.from(INVALID[what] ?? []))],
      INVALID_DATA,
    ),
  ),
  bad(
    'a close whose reason ends in a character',
    [close(NORMAL, Buffer.concat([Buffer.from('good bye '), AROUND.subarray(0, 1)]))],
    INVALID_DATA,
  ),
  ...VALID_CODES.map((code) => draft(`a close with the code ${code}`, [close(code)], [code], {})),
  ...VALID_CODES.filter((code) => code % 2 === 0).map((code) =>
    draft(`a close with the code ${code} and a reason`, [close(code, 'reason')], [code], {}),
  ),
  ...INVALID_CODES.map((code) => bad(`a close with the code ${code}`, [close(code)], PROTOCOL_ERROR)),
  bad('a close with the code 1005 and a reason', [close(1005, 'none')], PROTOCOL_ERROR),
];

const MEBIBYTE = 1024 * 1024;
const NO_MASK = { mask: Buffer.alloc(4) };
const large = (size: number): Buffer => Buffer.alloc(size, 'All work and no play makes Jack a dull boy. ');

const sizes: readonly CaseDraft[] = [
  good('a text of 1 MiB', [text(large(MEBIBYTE))], { echoes: [asText(large(MEBIBYTE))] }),
  good('a text of 4 MiB', [text(large(4 * MEBIBYTE), NO_MASK)], { echoes: [asText(large(4 * MEBIBYTE))] }),
  good('4 MiB of bytes', [binary(large(4 * MEBIBYTE), NO_MASK)], { echoes: [asBinary(large(4 * MEBIBYTE))] }),
  good('1 MiB in fragments of 4 KiB', fragments(OPCODE.binary, large(MEBIBYTE), Array(255).fill(4096)), {
    echoes: [asBinary(large(MEBIBYTE))],
  }),
  good('4 MiB in fragments of 1 MiB', fragments(OPCODE.text, large(4 * MEBIBYTE), Array(3).fill(MEBIBYTE)), {
    echoes: [asText(large(4 * MEBIBYTE))],
  }),
  good(
    '64 messages of 16 KiB',
    Array.from({ length: 64 }, () => binary(large(16_384), NO_MASK)),
    {
      echoes: Array.from({ length: 64 }, () => asBinary(large(16_384))),
    },
  ),
  good(
    'a thousand messages of 16 bytes',
    Array.from({ length: 1000 }, () => text(large(16))),
    {
      echoes: Array.from({ length: 1000 }, () => asText(large(16))),
    },
  ),
];

const MOST = MESSAGE_BYTES_MAX['/limit'];
const LIMITED = { path: '/limit' } as const;

const limits: readonly CaseDraft[] = [
  good('a text of the limit', [text(large(MOST))], { ...LIMITED, echoes: [asText(large(MOST))] }),
  bad('a text of one byte above the limit', [text(large(MOST + 1))], TOO_BIG, LIMITED),
  bad('bytes of one above the limit', [binary(large(MOST + 1))], TOO_BIG, LIMITED),
  good('fragments that make the limit', fragments(OPCODE.text, large(MOST), [1000, 2000]), {
    ...LIMITED,
    echoes: [asText(large(MOST))],
  }),
  bad(
    'fragments that make one byte above the limit',
    fragments(OPCODE.text, large(MOST + 1), [1000, 2000]),
    TOO_BIG,
    LIMITED,
  ),
  bad(
    'a head that announces one byte above the limit',
    [text('', { announces: BigInt(MOST + 1) })],
    TOO_BIG,
    LIMITED,
  ),
  good('two messages of the limit', [text(large(MOST)), binary(large(MOST))], {
    ...LIMITED,
    echoes: [asText(large(MOST)), asBinary(large(MOST))],
  }),
  bad('a message of the limit and one above it', [text(large(MOST)), text(large(MOST + 1))], TOO_BIG, {
    ...LIMITED,
    echoes: [asText(large(MOST))],
  }),
  bad(
    'pings that do not count, and a message above the limit',
    [text(large(MOST), { fin: false }), ping('p'.repeat(125)), continuation('x')],
    TOO_BIG,
    { ...LIMITED, pongs: ['p'.repeat(125)] },
  ),
  good(
    'pings between fragments that make the limit',
    [text(large(MOST), { fin: false }), ping('p'.repeat(125)), continuation('')],
    { ...LIMITED, echoes: [asText(large(MOST))], pongs: ['p'.repeat(125)] },
  ),
];

export const MESSAGE_CASES: readonly WebSocketCase[] = [
  ...section('5', fragmented),
  ...section('6.1', valid),
  ...section('6.2', invalid),
  ...section('6.3', furtherTexts),
  ...section('7', closing),
  ...section('9.1', sizes),
  ...section('9.2', limits),
];
