import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import hpack from 'hpack.js';
import { HpackDecoder, HpackError } from '../../../src/http/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../../src/http/h2/hpack-encoder.ts';
import {
  huffmanDecode,
  huffmanDecodedMax,
  huffmanEncode,
  huffmanLength,
} from '../../../src/http/h2/huffman.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 16_384, fieldsMax: 100 };
const FUZZ_RUNS = 20_000;

function decodeHex(decoder: HpackDecoder, hex: string): string {
  const bytes = Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
  const { fields } = decoder.decode(bytes, 0, bytes.length);
  const lines: string[] = [];
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
  return lines.join('\n');
}

function decodeAll(hexes: readonly string[], tableBytesMax = 4096): string[] {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax });
  return hexes.map((hex) => decodeHex(decoder, hex));
}

function fails(hex: string, message: RegExp, limits: Partial<typeof LIMITS> = {}): void {
  const decoder = new HpackDecoder({ ...LIMITS, ...limits });
  assert.throws(
    () => decodeHex(decoder, hex),
    (error) => error instanceof HpackError && message.test(error.message),
  );
}

const REQUESTS = [
  ':method: GET\n:scheme: http\n:path: /\n:authority: www.example.com',
  ':method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache',
  ':method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value',
];
const RESPONSES = [
  ':status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com',
  ':status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com',
  ':status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
];

test('RFC 7541 C.2: literal and indexed fields decode as in the examples', () => {
  assert.deepEqual(decodeAll(['400a637573746f6d2d6b65790d637573746f6d2d686561646572']), [
    'custom-key: custom-header',
  ]);
  assert.deepEqual(decodeAll(['040c2f73616d706c652f70617468']), [':path: /sample/path']);
  assert.deepEqual(decodeAll(['100870617373776f726406736563726574']), ['password: secret']);
  assert.deepEqual(decodeAll(['82']), [':method: GET']);
});

test('RFC 7541 C.3 and C.4: requests of one connection decode, without and with the Huffman code', () => {
  const plain = [
    '828684410f7777772e6578616d706c652e636f6d',
    '828684be58086e6f2d6361636865',
    '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
  ];
  const coded = [
    '828684418cf1e3c2e5f23a6ba0ab90f4ff',
    '828684be5886a8eb10649cbf',
    '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
  ];
  assert.deepEqual(decodeAll(plain), REQUESTS);
  assert.deepEqual(decodeAll(coded), REQUESTS);
});

test('RFC 7541 C.5 and C.6: responses decode where entries are evicted from a table of 256 bytes', () => {
  const plain = [
    `4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54
     6e1768747470733a2f2f7777772e6578616d706c652e636f6d`,
    '4803333037c1c0bf',
    `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48
     514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31`,
  ];
  const coded = [
    `488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3`,
    '4883640effc1c0bf',
    `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27
     087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
  ];
  assert.deepEqual(decodeAll(plain, 256), RESPONSES);
  assert.deepEqual(decodeAll(coded, 256), RESPONSES);
});

test('RFC 7541 §2.3.3 and §6.1: index 0 and indices beyond the tables are errors', () => {
  fails('80', /index 0/);
  fails('be', /beyond/);
  fails('ff80808001', /beyond/);
  fails('7f0000', /beyond/);
});

test('RFC 7541 §5.1: integers that are cut off or too large are errors', () => {
  fails('ff', /cut off/);
  fails('ff80', /cut off/);
  fails('ffffffffffff7f', /too large/);
  fails('3fffffffffff0f', /too large/);
});

test('RFC 7541 §5.2: strings that are cut off, and codes that are broken, are errors', () => {
  fails('00', /missing/);
  fails('0005616263', /longer/);
  fails('007fffffff7f', /longer/);
  // padding of eight bits, padding of zeros, EOS
  fails('00820fff00', /Huffman/);
  fails('00811000', /Huffman/);
  fails('0084fffffffc00', /Huffman/);
});

test('RFC 7541 §4.2 and §6.3: size updates stand at the beginning, and do not pass what was announced', () => {
  assert.deepEqual(decodeAll(['203fe11f82']), [':method: GET']);
  fails('8220', /size update/);
  fails('3fe21f', /may hold 4096/);
});

test('RFC 7541 §4.3 and §4.4: a smaller table and a large entry evict what was there', () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax: 64 });
  assert.equal(decodeHex(decoder, '4001610162'), 'a: b');
  assert.equal(decodeHex(decoder, 'be'), 'a: b');
  assert.equal(decodeHex(decoder, `40016321${'78'.repeat(33)}`), `c: ${'x'.repeat(33)}`);
  assert.equal(decoder.tableBytes, 0);
  assert.throws(() => decodeHex(decoder, 'be'), HpackError);
  assert.equal(decodeHex(decoder, '4001610162'), 'a: b');
  assert.equal(decodeHex(decoder, '20'), '');
  assert.equal(decoder.tableBytes, 0);
});

test('HpackDecoder gives the same section for the same bytes, and another once the table has changed', () => {
  const decoder = new HpackDecoder(LIMITS);
  decodeHex(decoder, '4001610162');
  const bytes = Buffer.from('82be', 'hex');
  const first = decoder.decode(bytes, 0, 2);
  assert.equal(decoder.decode(Buffer.from('ff82be', 'hex'), 1, 3), first);
  decodeHex(decoder, '4001630164');
  const later = decoder.decode(bytes, 0, 2);
  assert.deepEqual(first.fields, [':method', 'GET', 'a', 'b']);
  assert.deepEqual(later.fields, [':method', 'GET', 'c', 'd']);
});

test('HpackDecoder keeps no more of a section than its limits, and its table stays right', () => {
  const decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 1000, fieldsMax: 5 });
  decodeHex(decoder, `4001617ff502${'78'.repeat(500)}`);
  const bomb = Buffer.alloc(5000, 0xbe);
  const section = decoder.decode(bomb, 0, bomb.length);
  assert.equal(section.tooLarge, true);
  assert.ok(section.fields.join('').length <= 1000);
  const many = Buffer.alloc(6, 0x82);
  assert.equal(decoder.decode(many, 0, 5).tooLarge, false);
  assert.equal(decoder.decode(many, 0, 6).tooLarge, true);
  assert.equal(decodeHex(decoder, '82'), ':method: GET');
});

test('The Huffman code gives back every octet, and its length is known before', () => {
  const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i));
  for (const text of [...all, all.join(''), all.reverse().join(''), '', 'www.example.com']) {
    const bytes = Buffer.alloc(huffmanLength(text) + 1, 0xaa);
    const end = huffmanEncode(text, bytes, 0);
    assert.equal(end, huffmanLength(text));
    const target = Buffer.alloc(huffmanDecodedMax(end));
    const size = huffmanDecode(bytes, 0, end, target);
    assert.equal(target.toString('latin1', 0, size), text);
  }
});

// ---- oracles ----

interface Oracle {
  write(data: unknown): void;
  execute(): void;
  read(): unknown;
}

function oracleDecoder(): (bytes: Buffer) => string[] {
  const decompressor = hpack.decompressor.create({
    table: { size: 4096, maxSize: 4096 },
  } as never) as unknown as Oracle;
  return (bytes) => {
    decompressor.write(Buffer.from(bytes));
    decompressor.execute();
    const fields: string[] = [];
    for (let field = decompressor.read(); field; field = decompressor.read()) {
      const { name, value } = field as { name: string; value: string };
      fields.push(name, value);
    }
    return fields;
  };
}

function oracleEncoder(): (fields: readonly string[], huffman: boolean, incremental: boolean) => Buffer {
  const compressor = hpack.compressor.create({
    table: { size: 4096, maxSize: 4096 },
  } as never) as unknown as Oracle;
  return (fields, huffman, incremental) => {
    const rows: unknown[] = [];
    for (let i = 0; i < fields.length; i += 2)
      rows.push({ name: fields[i], value: fields[i + 1], huffman, incremental });
    compressor.write(rows);
    const parts: Buffer[] = [];
    for (let part = compressor.read(); part; part = compressor.read()) parts.push(part as Buffer);
    return Buffer.concat(parts);
  };
}

const name = fc.constantFrom(
  ':status',
  ':path',
  'content-type',
  'x-a',
  'x-b',
  'set-cookie',
  'date',
  'etag',
  'cache-control',
  'x-long-name-of-a-field',
);
const value = fc.oneof(
  fc.constantFrom('200', '404', 'text/plain', 'a', '', 'no-cache', 'x'.repeat(300), 'y'.repeat(1500)),
  // hpack.js looks values up in plain objects, where it treats "valueOf" as a known value
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }).filter((text) => !(text in {})),
);
const section = fc.array(fc.tuple(name, value), { maxLength: 8 }).map((fields) => fields.flat());

function encode(encoder: HpackEncoder, fields: readonly string[]): Buffer {
  encoder.begin();
  for (let i = 0; i < fields.length; i += 2) encoder.field(fields[i] as string, fields[i + 1] as string);
  return Buffer.from(encoder.bytes.subarray(0, encoder.size));
}

test('What HpackEncoder encodes, hpack.js and HpackDecoder decode, at every size of the table', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(section, fc.option(fc.constantFrom(0, 40, 100, 4096, 65_536), { freq: 4 })), {
        maxLength: 12,
      }),
      (sections) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(LIMITS);
        const oracle = oracleDecoder();
        for (const [fields, size] of sections) {
          if (size !== null) encoder.setTableBytesMax(size);
          const bytes = encode(encoder, fields);
          assert.deepEqual(decoder.decode(bytes, 0, bytes.length).fields, fields);
          assert.deepEqual(oracle(bytes), fields);
          assert.ok(decoder.tableBytes <= 4096);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('What hpack.js encodes, HpackDecoder decodes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(section, fc.boolean(), fc.boolean()), { maxLength: 12 }), (sections) => {
      const encoder = oracleEncoder();
      const decoder = new HpackDecoder(LIMITS);
      for (const [fields, huffman, incremental] of sections) {
        const bytes = encoder(fields, huffman, incremental);
        assert.deepEqual(decoder.decode(bytes, 0, bytes.length).fields, fields);
      }
    }),
    { numRuns: 300 },
  );
});

test('A length that HpackEncoder adds, and a section that it repeats, decode as they were', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(LIMITS);
  const fields = [':status', '200', 'content-type', 'text/plain', 'x-a', 'b'];
  for (let round = 0; round < 3; round++) {
    const bytes = encode(encoder, fields);
    encoder.begin();
    encoder.repeat(bytes);
    encoder.contentLength(1234567);
    if (round === 0) decoder.decode(bytes, 0, bytes.length);
    else {
      const both = Buffer.from(encoder.bytes.subarray(0, encoder.size));
      assert.deepEqual(decoder.decode(both, 0, both.length).fields, [...fields, 'content-length', '1234567']);
    }
  }
});

test('Secrets are never indexed', () => {
  const encoder = new HpackEncoder();
  const { tableState } = encoder;
  const bytes = encode(encoder, ['set-cookie', 'a=b', 'authorization', 'Basic x']);
  assert.equal(encoder.tableState, tableState);
  assert.equal((bytes[0] as number) & 0xf0, 0x10);
});

test('Random and damaged bytes raise nothing but HpackError, and hold no more than the limits', () => {
  const seeds = [
    '828684410f7777772e6578616d706c652e636f6d',
    '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27',
  ].map((hex) => Buffer.from(hex, 'hex'));
  const damaged = fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    )
    .map(([seed, changes]) => {
      const bytes = Buffer.from(seed);
      for (const [at, octet] of changes) bytes[at % bytes.length] = octet;
      return bytes;
    });
  const random = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
  let decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 512 });
  fc.assert(
    fc.property(fc.oneof(damaged, random), (bytes) => {
      try {
        const { fields } = decoder.decode(bytes, 0, bytes.length);
        assert.ok(fields.join('').length + fields.length * 16 <= 512);
        assert.ok(decoder.tableBytes <= 4096);
      } catch (error) {
        if (!(error instanceof HpackError)) throw error;
        decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 512 });
      }
    }),
    { numRuns: FUZZ_RUNS },
  );
});
