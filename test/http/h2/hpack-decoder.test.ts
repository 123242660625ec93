import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KIND } from '../../../src/http/h2/field-kind.ts';
import { HpackDecoder, HpackError } from '../../../src/http/h2/hpack-decoder.ts';
import { huffmanEncode, huffmanLength } from '../../../src/http/h2/huffman.ts';
import {
  hpackInteger,
  hpackString,
  indexed,
  literalIndexed,
  literalNever,
  tableSizeUpdate,
} from '../../support/h2-bytes.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 16_384, fieldsMax: 100 };
const FIRST_DYNAMIC = 62;
/** The decoder does not keep longer lists. */
const REMEMBERED_LIST_BYTES_MAX = 4096;

function decode(decoder: HpackDecoder, ...parts: readonly Uint8Array[]): ReturnType<HpackDecoder['decode']> {
  const bytes = Buffer.concat(parts);
  return decoder.decode(bytes, 0, bytes.length);
}

function coded(text: string): Buffer {
  const bytes = Buffer.alloc(huffmanLength(text));
  huffmanEncode(text, bytes, 0);
  return Buffer.concat([hpackInteger(bytes.length, 7, 0x80), bytes]);
}

/** A literal without indexing whose strings are given. */
function plainLiteral(name: Uint8Array, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0]), name, value]);
}

function refuses(decoder: HpackDecoder, message: RegExp, ...parts: readonly Uint8Array[]): void {
  assert.throws(
    () => decode(decoder, ...parts),
    (error) => error instanceof HpackError && message.test(error.message),
  );
}

test('RFC 7541 §4.2: a table that has to be smaller is confirmed before the next field', () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literalIndexed('a', 'b'));
  decode(decoder, indexed(FIRST_DYNAMIC));
  decoder.setTableBytesMax(100);
  refuses(decoder, /has to shrink to 100 bytes/, indexed(FIRST_DYNAMIC));
  refuses(decoder, /may hold 100 bytes, not 101/, tableSizeUpdate(101), indexed(2));
  assert.deepEqual(decode(decoder, tableSizeUpdate(100), indexed(FIRST_DYNAMIC)).fields, ['a', 'b']);
  assert.deepEqual(decode(decoder, indexed(FIRST_DYNAMIC)).fields, ['a', 'b']);
});

test('RFC 7541 §4.2: a section without fields need not confirm, and a larger table never has to be', () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax: 100 });
  decoder.setTableBytesMax(200);
  assert.deepEqual(decode(decoder, indexed(2)).fields, [':method', 'GET']);
  decoder.setTableBytesMax(50);
  assert.deepEqual(decode(decoder).fields, []);
  refuses(decoder, /has to shrink/, indexed(2));
});

test('RFC 7541 §4.4: a name may come from the entry that its own field evicts', () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax: 64 });
  decode(decoder, literalIndexed('name', '1'));
  const section = decode(decoder, literalIndexed(FIRST_DYNAMIC, 'x'.repeat(28)));
  assert.deepEqual(section.fields, ['name', 'x'.repeat(28)]);
  assert.equal(decoder.tableBytes, 64);
});

test('RFC 7541 §2.3.2: the ring of a table keeps its order while it grows and wraps', () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytesMax: 40 * 36 });
  const kept: string[] = [];
  for (let i = 0; i < 300; i++) {
    const value = String(i).padStart(3, '0');
    decode(decoder, literalIndexed('n', value));
    kept.unshift(value);
    kept.length = Math.min(kept.length, 40);
    const last = kept.length - 1;
    assert.deepEqual(decode(decoder, indexed(FIRST_DYNAMIC), indexed(FIRST_DYNAMIC + last)).fields, [
      'n',
      kept[0],
      'n',
      kept[last],
    ]);
    refuses(decoder, /beyond the tables/, indexed(FIRST_DYNAMIC + kept.length));
  }
});

test('RFC 7541 §5.2: a broken code is an error in a section that is too large already, too', () => {
  const decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 40 });
  const long = plainLiteral(hpackString('x'), hpackString('y'.repeat(100)));
  assert.equal(decode(decoder, long).tooLarge, true);
  refuses(decoder, /Huffman/, long, plainLiteral(hpackString('x'), Buffer.from([0x81, 0x00])));
});

test('HpackDecoder takes a list at its limits and not one byte or field beyond', () => {
  const size = 'name'.length + 'value'.length + 32;
  const field = plainLiteral(coded('name'), coded('value'));
  const atLimit = new HpackDecoder({ ...LIMITS, listBytesMax: 2 * size });
  assert.equal(decode(atLimit, field, field).tooLarge, false);
  assert.equal(decode(atLimit, field, field, field).tooLarge, true);
  const below = new HpackDecoder({ ...LIMITS, listBytesMax: 2 * size - 1 });
  assert.deepEqual(decode(below, field, field).fields, ['name', 'value']);
  assert.equal(decode(below, field, field).tooLarge, true);
  const few = new HpackDecoder({ ...LIMITS, fieldsMax: 2 });
  assert.equal(decode(few, field, field).tooLarge, false);
  assert.equal(decode(few, field, field, field).tooLarge, true);
});

test('HpackDecoder enters fields of a section that is too large, so that later ones are right', () => {
  const decoder = new HpackDecoder({ ...LIMITS, listBytesMax: 100 });
  const bomb = decode(
    decoder,
    plainLiteral(hpackString('x'), hpackString('y'.repeat(200))),
    literalIndexed('a', 'b'),
    literalNever('c', 'd'),
  );
  assert.equal(bomb.tooLarge, true);
  assert.deepEqual(bomb.fields, []);
  assert.deepEqual(decode(decoder, indexed(FIRST_DYNAMIC)).fields, ['a', 'b']);
});

test('HpackDecoder tells kinds: of literals, and of fields in either table', () => {
  const decoder = new HpackDecoder(LIMITS);
  const literals = decode(
    decoder,
    indexed(2),
    literalIndexed(4, '/x'),
    literalIndexed('x', 'a'),
    literalIndexed('X', 'a'),
  );
  assert.deepEqual(literals.kinds, [KIND.method, KIND.path, KIND.plain, KIND.malformed]);
  const [x, plain, path] = [FIRST_DYNAMIC, FIRST_DYNAMIC + 1, FIRST_DYNAMIC + 2];
  assert.deepEqual(decode(decoder, indexed(path), indexed(plain), indexed(x)).kinds, [
    KIND.path,
    KIND.plain,
    KIND.malformed,
  ]);
});

test('HpackDecoder knows a section again as long as it is short and no table has changed', () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literalIndexed('a', 'b'));
  const once = decode(decoder, indexed(FIRST_DYNAMIC), literalNever('c', 'd'));
  assert.equal(decode(decoder, indexed(FIRST_DYNAMIC), literalNever('c', 'd')), once);
  assert.notEqual(decode(decoder, indexed(FIRST_DYNAMIC), literalNever('c', 'e')), once);
  decode(decoder, tableSizeUpdate(0), tableSizeUpdate(4096));
  refuses(decoder, /beyond/, indexed(FIRST_DYNAMIC), literalNever('c', 'd'));
  const long = literalNever('c', 'd'.repeat(100));
  assert.notEqual(decode(decoder, long), decode(decoder, long));
});

test('HpackDecoder does not remember what a few octets blow up', () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literalIndexed('a', 'x'.repeat(1000)));
  const few = Buffer.alloc(3, 0x80 | FIRST_DYNAMIC);
  assert.equal(decode(decoder, few), decode(decoder, few));
  const many = Buffer.alloc(Math.ceil(REMEMBERED_LIST_BYTES_MAX / 1033), 0x80 | FIRST_DYNAMIC);
  assert.equal(decode(decoder, many).tooLarge, false);
  assert.notEqual(decode(decoder, many), decode(decoder, many));
});

test('HpackDecoder says the same of sections that it remembers as a decoder that never saw them', () => {
  const pool: readonly Buffer[] = [
    indexed(2),
    indexed(FIRST_DYNAMIC),
    indexed(FIRST_DYNAMIC + 1),
    Buffer.concat([indexed(2), indexed(FIRST_DYNAMIC)]),
    literalIndexed('a', '1'),
    literalIndexed('b', '2'),
    literalNever('c', '3'),
    Buffer.concat([tableSizeUpdate(34), indexed(2)]),
    Buffer.concat([tableSizeUpdate(4096), indexed(2)]),
  ];
  const outcome = (decoder: HpackDecoder, bytes: Buffer): readonly string[] | string => {
    try {
      return decoder.decode(bytes, 0, bytes.length).fields;
    } catch (error) {
      assert.ok(error instanceof HpackError);
      return error.message;
    }
  };
  fc.assert(
    fc.property(fc.array(fc.nat(pool.length - 1), { maxLength: 30 }), (picks) => {
      const remembering = new HpackDecoder(LIMITS);
      for (let end = 0; end < picks.length; end++) {
        const bytes = pool[picks[end] as number] as Buffer;
        const got = outcome(remembering, bytes);
        // the same sections, each made new by the representation added at its end
        const fresh = new HpackDecoder(LIMITS);
        let last: readonly string[] | string = '';
        for (let i = 0; i <= end; i++) {
          const unique = literalNever('n', `${i}-${'x'.repeat(100)}`);
          last = outcome(fresh, Buffer.concat([pool[picks[i] as number] as Buffer, unique]));
        }
        assert.deepEqual(got, typeof last === 'string' ? last : last.slice(0, -2));
      }
    }),
    { numRuns: 200 },
  );
});
