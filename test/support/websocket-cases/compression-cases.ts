/** Cases of permessage-deflate: what is agreed, contexts, windows, sizes, fragments, and what is no deflate (RFC 7692). Long because it is a table. */
import { createHash } from 'node:crypto';
import { constants, deflateRawSync } from 'node:zlib';
import {
  binary,
  close,
  continuation,
  fragments,
  frame,
  OPCODE,
  ping,
  RSV1,
  text,
} from '../websocket-frames.ts';
import {
  asBinary,
  asText,
  bad,
  type CaseDraft,
  type Compression,
  good,
  INVALID_DATA,
  MESSAGE_BYTES_MAX,
  type Message,
  PROTOCOL_ERROR,
  section,
  TOO_BIG,
  type WebSocketCase,
} from './websocket-case.ts';

const { Z_SYNC_FLUSH } = constants;
/** What a flush ends with; it is left out of messages (RFC 7692 §7.2.1). */
const FLUSH_BYTES = 4;
const WINDOW_BYTES_MAX = 32_768;
const USUAL: Compression = { offer: 'permessage-deflate', agreed: [] };
const DEFLATE = { path: '/deflate', compression: USUAL } as const;
const COMPRESSED = { rsv: RSV1 } as const;

interface Deflating {
  /** What was compressed before in the same context. */
  readonly before?: Buffer;
  readonly windowBits?: number;
  readonly level?: number;
}

/** Compresses one message as it stands in frames. */
function deflate(payload: Buffer | string, { before, windowBits = 15, level = 6 }: Deflating = {}): Buffer {
  const bytes = Buffer.from(payload as string);
  // one block with nothing stored (RFC 7692 §7.2.3.6), which zlib would write in no bytes at all
  if (bytes.length === 0) return Buffer.from([0]);
  const dictionary = before?.length ? { dictionary: before.subarray(-WINDOW_BYTES_MAX) } : {};
  const flushed = deflateRawSync(bytes, { finishFlush: Z_SYNC_FLUSH, windowBits, level, ...dictionary });
  return flushed.subarray(0, -FLUSH_BYTES);
}

/** Messages compressed in one context. */
function series(messages: readonly Message[], windowBits = 15): Buffer[] {
  let before: Buffer = Buffer.alloc(0);
  return messages.map(({ opcode, payload }) => {
    const bytes = deflate(payload, { before, windowBits });
    before = Buffer.concat([before, payload]);
    return frame({ opcode, payload: bytes, ...COMPRESSED });
  });
}

const PROSE = Buffer.from(
  'It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. ',
);
const prose = (size: number): Buffer => Buffer.alloc(size, PROSE);
const NOISE = Buffer.concat(
  Array.from({ length: 4096 }, (_, i) => createHash('sha256').update(String(i)).digest()),
);

const OFFERS: readonly Compression[] = [
  USUAL,
  { offer: 'permessage-deflate; client_max_window_bits', agreed: [] },
  { offer: 'permessage-deflate; client_no_context_takeover', agreed: ['client_no_context_takeover'] },
  { offer: 'permessage-deflate; server_no_context_takeover', agreed: ['server_no_context_takeover'] },
  {
    offer: 'permessage-deflate; client_no_context_takeover; server_no_context_takeover',
    agreed: ['client_no_context_takeover', 'server_no_context_takeover'],
  },
  ...[9, 10, 12, 15].map((bits) => ({
    offer: `permessage-deflate; server_max_window_bits=${bits}`,
    agreed: [`server_max_window_bits=${bits}`],
  })),
  {
    offer: 'permessage-deflate; server_max_window_bits="11"',
    agreed: ['server_max_window_bits=11'],
  },
  {
    offer: 'permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits',
    agreed: ['server_no_context_takeover', 'server_max_window_bits=9'],
  },
  { offer: 'x-unknown, permessage-deflate', agreed: [] },
  {
    offer: 'x-unknown; x=1; y="2", permessage-deflate ; client_no_context_takeover',
    agreed: ['client_no_context_takeover'],
  },
  {
    offer: 'permessage-deflate; server_max_window_bits=10, permessage-deflate',
    agreed: ['server_max_window_bits=10'],
  },
];

/** Sizes of the messages that go over each offer: below and above what is worth compressing, and beyond the windows. */
const OFFER_SIZES = [0, 16, 1100, 3000, 40_000];

const offers: readonly CaseDraft[] = OFFERS.flatMap((compression) => {
  const messages = OFFER_SIZES.map((size) => asText(prose(size)));
  const noise = [700, 9000, 40_000].map((size) => asBinary(NOISE.subarray(0, size)));
  const where = { path: '/deflate', compression } as const;
  const isFresh = compression.agreed?.includes('client_no_context_takeover') === true;
  const frames = (all: readonly Message[]): Buffer[] =>
    isFresh ? all.flatMap((one) => series([one])) : series(all);
  return [
    good(`texts of many sizes, ${compression.offer}`, frames(messages), { ...where, echoes: messages }),
    good(`noise and again the same, ${compression.offer}`, frames([...noise, ...noise]), {
      ...where,
      echoes: [...noise, ...noise],
    }),
    good(
      `messages that are not compressed, ${compression.offer}`,
      messages.map(({ payload }) => text(payload)),
      {
        ...where,
        echoes: messages,
      },
    ),
  ];
});

const NO_EXTENSION: readonly Compression[] = [
  { offer: 'x-webkit-deflate-frame', agreed: undefined },
  { offer: 'x-unknown; client_max_window_bits', agreed: undefined },
  { offer: 'permessage-bzip2, deflate-frame', agreed: undefined },
];

const notAgreed: readonly CaseDraft[] = NO_EXTENSION.flatMap((compression) => {
  const where = { path: '/deflate', compression } as const;
  return [
    good(`texts are plain after ${compression.offer}`, [text(prose(2000))], {
      ...where,
      echoes: [asText(prose(2000))],
    }),
    bad(`RSV1 is a fault after ${compression.offer}`, series([asText('x')]), PROTOCOL_ERROR, where),
  ];
});

const withoutDeflate: readonly CaseDraft[] = [
  good('an offer to a handler that does not compress', [text(prose(3000))], {
    path: '/echo',
    compression: { offer: 'permessage-deflate', agreed: undefined },
    echoes: [asText(prose(3000))],
  }),
  bad('RSV1 to a handler that does not compress', series([asText('x')]), PROTOCOL_ERROR, {
    path: '/echo',
    compression: { offer: 'permessage-deflate', agreed: undefined },
  }),
];

const SIZES = [0, 1, 2, 3, 4, 64, 125, 126, 256, 1023, 1024, 1025, 4096, 16_384, 32_768, 65_536, 131_072];

const sizes: readonly CaseDraft[] = SIZES.flatMap((size) => {
  const letters = asText(prose(size));
  const noise = asBinary(NOISE.subarray(0, size));
  const bytes = deflate(letters.payload);
  const third = Math.floor(bytes.length / 3);
  return [
    good(`a compressed text of ${size} bytes, four times`, series([letters, letters, letters, letters]), {
      ...DEFLATE,
      echoes: [letters, letters, letters, letters],
    }),
    good(`compressed noise of ${size} bytes`, series([noise]), { ...DEFLATE, echoes: [noise] }),
    good(
      `a compressed text of ${size} bytes in three fragments`,
      fragments(OPCODE.text, bytes, [third, third], COMPRESSED),
      {
        ...DEFLATE,
        echoes: [letters],
      },
    ),
  ];
});

const LINE = 'the same line is in each message';
const AS_ONES = Array.from({ length: 20 }, (_, i) => asText(`${LINE} ${i}`));
const COMPRESSED_LINE = deflate(LINE);

const contexts: readonly CaseDraft[] = [
  good('twenty messages in one context', series(AS_ONES), { ...DEFLATE, echoes: AS_ONES }),
  good(
    'twenty messages, each in a context of its own',
    AS_ONES.flatMap((one) => series([one])),
    {
      ...DEFLATE,
      echoes: AS_ONES,
    },
  ),
  good(
    'messages in and out of the context',
    [
      ...series([asText(LINE)]),
      text('plain'),
      frame({ opcode: OPCODE.text, payload: deflate(LINE, { before: Buffer.from(LINE) }), ...COMPRESSED }),
    ],
    { ...DEFLATE, echoes: [asText(LINE), asText('plain'), asText(LINE)] },
  ),
  bad(
    'a message that refers to a context that was given up',
    [
      ...series([asText(LINE)]),
      frame({ opcode: OPCODE.text, payload: deflate(LINE, { before: Buffer.from(LINE) }), ...COMPRESSED }),
    ],
    INVALID_DATA,
    {
      path: '/deflate',
      compression: {
        offer: 'permessage-deflate; client_no_context_takeover',
        agreed: ['client_no_context_takeover'],
      },
      echoes: [asText(LINE)],
    },
  ),
  bad(
    'a first message that refers to what never was',
    [frame({ opcode: OPCODE.text, payload: deflate(LINE, { before: Buffer.from(LINE) }), ...COMPRESSED })],
    INVALID_DATA,
    DEFLATE,
  ),
];

const forms: readonly CaseDraft[] = [
  good(
    'stored blocks',
    [frame({ opcode: OPCODE.text, payload: deflate(LINE, { level: 0 }), ...COMPRESSED })],
    {
      ...DEFLATE,
      echoes: [asText(LINE)],
    },
  ),
  good('the sample of RFC 7692 §7.2.3.1', [text(Buffer.from('f248cdc9c90700', 'hex'), COMPRESSED)], {
    ...DEFLATE,
    echoes: [asText('Hello')],
  }),
  good(
    'the stored sample of RFC 7692 §7.2.3.3',
    [text(Buffer.from('000500faff48656c6c6f00', 'hex'), COMPRESSED)],
    {
      ...DEFLATE,
      echoes: [asText('Hello')],
    },
  ),
  good('the final block of RFC 7692 §7.2.3.4', [text(Buffer.from('f348cdc9c9070000', 'hex'), COMPRESSED)], {
    ...DEFLATE,
    echoes: [asText('Hello')],
  }),
  good(
    'a message behind a final block',
    [
      text(Buffer.from('f348cdc9c9070000', 'hex'), COMPRESSED),
      text(Buffer.from('f248cdc9c90700', 'hex'), COMPRESSED),
    ],
    { ...DEFLATE, echoes: [asText('Hello'), asText('Hello')] },
  ),
  good(
    'the two blocks of RFC 7692 §7.2.3.5',
    [text(Buffer.from('f24805000000ffffcac9c90700', 'hex'), COMPRESSED)],
    {
      ...DEFLATE,
      echoes: [asText('Hello')],
    },
  ),
  good('an empty message as one block', [text(Buffer.from([0]), COMPRESSED)], {
    ...DEFLATE,
    echoes: [asText('')],
  }),
  good(
    'a compressed text with a ping in its middle',
    [
      text(COMPRESSED_LINE.subarray(0, 9), { ...COMPRESSED, fin: false }),
      ping('between'),
      continuation(COMPRESSED_LINE.subarray(9)),
    ],
    { ...DEFLATE, echoes: [asText(LINE)], pongs: ['between'] },
  ),
  good(
    'a compressed text, a byte in each fragment',
    fragments(OPCODE.text, COMPRESSED_LINE, Array(COMPRESSED_LINE.length - 1).fill(1), COMPRESSED),
    {
      ...DEFLATE,
      echoes: [asText(LINE)],
    },
  ),
  good(
    'a compressed text whose first and last fragments are empty',
    fragments(OPCODE.text, COMPRESSED_LINE, [0, COMPRESSED_LINE.length], COMPRESSED),
    {
      ...DEFLATE,
      echoes: [asText(LINE)],
    },
  ),
  good(
    'characters that are cut by compressed fragments',
    fragments(OPCODE.text, deflate('κόσμε €'.repeat(30)), [5, 5], COMPRESSED),
    {
      ...DEFLATE,
      echoes: [asText('κόσμε €'.repeat(30))],
    },
  ),
];

const misused: readonly CaseDraft[] = [
  bad(
    'RSV1 on a continuation',
    [
      text(COMPRESSED_LINE.subarray(0, 9), { ...COMPRESSED, fin: false }),
      continuation(COMPRESSED_LINE.subarray(9), COMPRESSED),
    ],
    PROTOCOL_ERROR,
    DEFLATE,
  ),
  bad(
    'RSV1 on a continuation alone',
    [text('plain', { fin: false }), continuation(COMPRESSED_LINE, COMPRESSED)],
    PROTOCOL_ERROR,
    DEFLATE,
  ),
  bad('RSV1 on a ping', [ping('x', COMPRESSED)], PROTOCOL_ERROR, DEFLATE),
  bad('RSV1 on a pong', [frame({ opcode: OPCODE.pong, ...COMPRESSED })], PROTOCOL_ERROR, DEFLATE),
  bad('RSV1 on a close', [close(1000, '', COMPRESSED)], PROTOCOL_ERROR, DEFLATE),
  ...[2, 3, 5, 6, 7, 1].map((rsv) =>
    bad(
      `the reserved bits ${rsv} where RSV1 is agreed`,
      [text(COMPRESSED_LINE, { rsv })],
      PROTOCOL_ERROR,
      DEFLATE,
    ),
  ),
];

/** What is no deflate, by name. */
const BROKEN: Readonly<Record<string, string>> = {
  'a block of the type that does not exist': '06',
  'ones all over': 'ffffffffffff',
  'a stored block whose length does not fit': '000500fafe48656c6c6f00',
  'codes that nobody has defined': '04c0ffffffffffffffff',
  'a copy from before the beginning': '4a4c02deff0f00',
  'a copy with a distance code that does not exist': '4a4c023e00',
  'a text that is not compressed': Buffer.from('}}}}this is no deflate').toString('hex'),
};

const broken: readonly CaseDraft[] = [
  ...Object.entries(BROKEN).flatMap(([what, hex]) => [
    bad(`${what} in place of deflate`, [text(Buffer.from(hex, 'hex'), COMPRESSED)], INVALID_DATA, DEFLATE),
    bad(
      `${what} behind a message`,
      [...series([asText(LINE)]), binary(Buffer.from(hex, 'hex'), COMPRESSED)],
      INVALID_DATA,
      {
        ...DEFLATE,
        echoes: [asText(LINE)],
      },
    ),
  ]),
  bad(
    'a compressed text that is no UTF-8',
    series([asText(Buffer.from([0xc3, 0x28]))]),
    INVALID_DATA,
    DEFLATE,
  ),
  good('compressed bytes that are no UTF-8', series([asBinary(Buffer.from([0xc3, 0x28]))]), {
    ...DEFLATE,
    echoes: [asBinary(Buffer.from([0xc3, 0x28]))],
  }),
  bad(
    'deflate that breaks in its second fragment',
    [
      text(COMPRESSED_LINE.subarray(0, 9), { ...COMPRESSED, fin: false }),
      continuation(Buffer.alloc(40, 0xff)),
    ],
    INVALID_DATA,
    DEFLATE,
  ),
];

const MOST = MESSAGE_BYTES_MAX['/deflate-limit'];
const LIMITED = { path: '/deflate-limit', compression: USUAL } as const;
const BOMB_BYTES = 8 * 1024 * 1024;
const bomb = (): Buffer => deflate(Buffer.alloc(BOMB_BYTES), { level: 9 });

const bombs: readonly CaseDraft[] = [
  good('a message that unfolds to the limit', series([asText(prose(MOST))]), {
    ...LIMITED,
    echoes: [asText(prose(MOST))],
  }),
  bad(
    'a message that unfolds to one byte above the limit',
    series([asText(prose(MOST + 1))]),
    TOO_BIG,
    LIMITED,
  ),
  bad('8 MiB of zeros in 8 KiB', [binary(bomb(), COMPRESSED)], TOO_BIG, {
    path: '/deflate',
    compression: USUAL,
  }),
  bad(
    '8 MiB of zeros in fragments',
    fragments(OPCODE.binary, bomb(), Array(8).fill(900), COMPRESSED),
    TOO_BIG,
    {
      path: '/deflate',
      compression: USUAL,
    },
  ),
  bad(
    'fragments that unfold to one byte above the limit',
    fragments(OPCODE.text, deflate(prose(MOST + 1)), [50, 20], COMPRESSED),
    TOO_BIG,
    LIMITED,
  ),
  bad(
    'a message behind the limit, above the limit in the context of the first',
    series([asText(prose(MOST)), asText(prose(MOST + 1))]),
    TOO_BIG,
    {
      ...LIMITED,
      echoes: [asText(prose(MOST))],
    },
  ),
];

export const COMPRESSION_CASES: readonly WebSocketCase[] = [
  ...section('12.1', sizes),
  ...section('12.2', contexts),
  ...section('12.3', forms),
  ...section('12.4', misused),
  ...section('12.5', broken),
  ...section('12.6', bombs),
  ...section('13.1', offers),
  ...section('13.2', notAgreed),
  ...section('13.3', withoutDeflate),
];
