/** Cases of WebSocket framing: lengths, masks, ping and pong, reserved bits, opcodes (RFC 6455 §5.1, §5.2, §5.5). */
import {
  binary,
  close,
  continuation,
  type FrameShape,
  frame,
  OPCODE,
  ping,
  pong,
  RSV1,
  text,
} from '../websocket-frames.ts';
import {
  asBinary,
  asText,
  bad,
  type CaseDraft,
  good,
  PROTOCOL_ERROR,
  section,
  TOO_BIG,
  type WebSocketCase,
} from './websocket-case.ts';

/** Around each place where the form of the length changes. */
const LENGTHS = [0, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537];
const LETTERS = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(1500));
const BYTES = Buffer.from(Array.from({ length: 66_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));

const MASKS: Readonly<Record<string, Buffer>> = {
  'zeros, which changes nothing': Buffer.alloc(4),
  'ones, which changes each bit': Buffer.alloc(4, 0xff),
  'four bytes that differ': Buffer.from([1, 2, 3, 4]),
  'a first byte only': Buffer.from([0x80, 0, 0, 0]),
  'a last byte only': Buffer.from([0, 0, 0, 0x80]),
};

/** A frame of each kind that a server takes, by name. */
const KINDS: Readonly<Record<string, FrameShape>> = {
  text: { opcode: OPCODE.text, payload: 'text' },
  'an empty text': { opcode: OPCODE.text },
  binary: { opcode: OPCODE.binary, payload: 'bytes' },
  ping: { opcode: OPCODE.ping, payload: 'ping' },
  pong: { opcode: OPCODE.pong, payload: 'pong' },
  close: { opcode: OPCODE.close, payload: Buffer.from([0x03, 0xe8]) },
};

const lengths: readonly CaseDraft[] = LENGTHS.flatMap((length) => {
  const letters = LETTERS.subarray(0, length);
  const bytes = BYTES.subarray(0, length);
  return [
    good(`a text of ${length} bytes`, [text(letters)], { echoes: [asText(letters)] }),
    good(`${length} bytes`, [binary(bytes)], { echoes: [asBinary(bytes)] }),
  ];
});

const longerForms: readonly CaseDraft[] = [
  ['5 bytes in the form of 16 bits', text('short', { lengthBits: 16 }), 'short'],
  ['5 bytes in the form of 64 bits', text('short', { lengthBits: 64 }), 'short'],
  ['300 bytes in the form of 64 bits', text('x'.repeat(300), { lengthBits: 64 }), 'x'.repeat(300)],
].map(([what, bytes, echo]) =>
  // §5.2 forbids the longer form to who sends, and does not say what a receiver makes of it
  good(`a length of ${what as string} is taken`, [bytes as Buffer], { echoes: [asText(echo as string)] }),
);

const masks: readonly CaseDraft[] = [
  ...Object.entries(MASKS).map(([what, mask]) =>
    good(`a mask of ${what}`, [text('masked text', { mask }), binary(BYTES.subarray(0, 301), { mask })], {
      echoes: [asText('masked text'), asBinary(BYTES.subarray(0, 301))],
    }),
  ),
  ...Object.entries(KINDS).map(([what, shape]) =>
    bad(`${what} without a mask`, [frame({ ...shape, mask: false })], PROTOCOL_ERROR),
  ),
  bad(
    'a continuation without a mask',
    [text('first', { fin: false }), continuation('second', { mask: false })],
    PROTOCOL_ERROR,
  ),
];

const announced: readonly CaseDraft[] = [
  bad(
    'a length with its first bit set',
    [text('x', { announces: 1n << 63n, lengthBits: 64 })],
    [PROTOCOL_ERROR, TOO_BIG],
  ),
  bad(
    'the largest length that can be written',
    [text('x', { announces: (1n << 64n) - 1n, lengthBits: 64 })],
    [PROTOCOL_ERROR, TOO_BIG],
  ),
  bad('a length of 2⁵³ bytes', [binary('x', { announces: 1n << 53n, lengthBits: 64 })], TOO_BIG),
  bad('a length of 4 GiB', [binary('x', { announces: 1n << 32n, lengthBits: 64 })], TOO_BIG),
];

const series: readonly CaseDraft[] = [
  good('a hundred messages at once', [...Array.from({ length: 100 }, (_, i) => text(`message ${i}`))], {
    echoes: Array.from({ length: 100 }, (_, i) => asText(`message ${i}`)),
  }),
  good('texts and bytes in turns', [text('one'), binary('two'), text('three'), binary('four')], {
    echoes: [asText('one'), asBinary('two'), asText('three'), asBinary('four')],
  }),
  good('empty messages among others', [text(''), text('x'), binary(''), binary('y'), text('')], {
    echoes: [asText(''), asText('x'), asBinary(''), asBinary('y'), asText('')],
  }),
  good('nothing but a close', []),
];

const PING_BYTES = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0x80, 0x00]);
const MOST = BYTES.subarray(0, 125);
const MANY_NUMBERS = Array.from({ length: 200 }, (_, i) => `ping ${i}`);
const NUMBERS = Array.from({ length: 10 }, (_, i) => `ping ${i}`);

const pings: readonly CaseDraft[] = [
  good('a ping without a payload', [ping()], { pongs: [''] }),
  good('a ping with a text', [ping('Hello, world!')], { pongs: ['Hello, world!'] }),
  good('a ping with bytes that are no text', [ping(PING_BYTES)], { pongs: [PING_BYTES] }),
  good('a ping of 125 bytes', [ping(MOST)], { pongs: [MOST] }),
  bad('a ping of 126 bytes', [ping(BYTES.subarray(0, 126))], PROTOCOL_ERROR),
  bad('a ping of 65,536 bytes', [ping(BYTES.subarray(0, 65_536))], PROTOCOL_ERROR),
  bad('a ping whose length has 16 bits', [ping('x', { lengthBits: 16 })], PROTOCOL_ERROR),
  bad('a ping in fragments', [ping('one', { fin: false }), continuation('two')], PROTOCOL_ERROR),
  good('a pong nobody asked for', [pong()]),
  good('a pong nobody asked for, with a payload', [pong('unasked'), pong(MOST)]),
  bad('a pong of 126 bytes', [pong(BYTES.subarray(0, 126))], PROTOCOL_ERROR),
  bad('a pong in fragments', [pong('one', { fin: false }), continuation('two')], PROTOCOL_ERROR),
  good('a pong nobody asked for before a ping', [pong('unasked'), ping('asked')], { pongs: ['asked'] }),
  good(
    'ten pings at once',
    NUMBERS.map((one) => ping(one)),
    { pongs: NUMBERS },
  ),
  good(
    'a ping behind each message',
    NUMBERS.flatMap((one) => [text(one), ping(one)]),
    {
      pongs: NUMBERS,
      echoes: NUMBERS.map(asText),
    },
  ),
  good(
    'two hundred pings at once',
    MANY_NUMBERS.map((one) => ping(one)),
    { pongs: MANY_NUMBERS },
  ),
];

const RESERVED = [1, 2, 3, 4, 5, 6, 7];

const reserved: readonly CaseDraft[] = RESERVED.flatMap((rsv) => [
  ...Object.entries(KINDS).map(([what, shape]) =>
    bad(`${what} with the reserved bits ${rsv}`, [frame({ ...shape, rsv })], PROTOCOL_ERROR),
  ),
  bad(
    `the reserved bits ${rsv} behind a message`,
    [text('before'), text('faulty', { rsv })],
    PROTOCOL_ERROR,
    { echoes: [asText('before')] },
  ),
  bad(
    `a continuation with the reserved bits ${rsv}`,
    [text('one', { fin: false }), continuation('two', { rsv })],
    PROTOCOL_ERROR,
  ),
  bad(`the reserved bits ${rsv} behind a ping`, [ping('before'), text('x', { rsv })], PROTOCOL_ERROR, {
    pongs: ['before'],
  }),
]);

const UNKNOWN_OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];

const opcodes: readonly CaseDraft[] = UNKNOWN_OPCODES.flatMap((opcode) => [
  bad(`opcode ${opcode} without a payload`, [frame({ opcode })], PROTOCOL_ERROR),
  bad(`opcode ${opcode} with a payload`, [frame({ opcode, payload: 'payload' })], PROTOCOL_ERROR),
  bad(`opcode ${opcode} as the first fragment`, [frame({ opcode, fin: false })], PROTOCOL_ERROR),
  bad(`opcode ${opcode} behind a message`, [text('before'), frame({ opcode })], PROTOCOL_ERROR, {
    echoes: [asText('before')],
  }),
  bad(
    `opcode ${opcode} between two fragments`,
    [text('one', { fin: false }), frame({ opcode, payload: 'x' }), continuation('two')],
    PROTOCOL_ERROR,
  ),
]);

const reservedWithOpcodes: readonly CaseDraft[] = [
  bad('all first bits set', [frame({ opcode: 15, rsv: 7, payload: 'x' })], PROTOCOL_ERROR),
  bad('RSV1 and an opcode nobody knows', [frame({ opcode: 3, rsv: RSV1 })], PROTOCOL_ERROR),
  bad('HTTP in place of frames', [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')], PROTOCOL_ERROR),
  bad('zeros in place of frames', [Buffer.alloc(64)], PROTOCOL_ERROR),
  bad('ones in place of frames', [Buffer.alloc(64, 0xff)], PROTOCOL_ERROR),
  bad('a close with RSV1 and a code', [close(1000, 'why', { rsv: RSV1 })], PROTOCOL_ERROR),
];

export const FRAMING_CASES: readonly WebSocketCase[] = [
  ...section('1.1', lengths),
  ...section('1.2', longerForms),
  ...section('1.3', masks),
  ...section('1.4', announced),
  ...section('1.5', series),
  ...section('2', pings),
  ...section('3', reserved),
  ...section('4.1', opcodes),
  ...section('4.2', reservedWithOpcodes),
];
