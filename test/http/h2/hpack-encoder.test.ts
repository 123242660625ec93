import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HpackDecoder } from '../../../src/http/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../../src/http/h2/hpack-encoder.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 1_000_000, fieldsMax: 100 };

class Pair {
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder(LIMITS);

  /** Encodes with `act`; returns the bytes and the fields that the peer decodes. */
  section(act: (encoder: HpackEncoder) => void): { bytes: Buffer; fields: readonly string[] } {
    this.encoder.begin();
    act(this.encoder);
    const bytes = Buffer.from(this.encoder.bytes.subarray(0, this.encoder.size));
    return { bytes, fields: this.decoder.decode(bytes, 0, bytes.length).fields };
  }

  /** Returns the bytes of a section of one field; checks that the peer decodes it unchanged. */
  field(name: string, value: string): Buffer {
    const { bytes, fields } = this.section((encoder) => encoder.field(name, value));
    assert.deepEqual(fields, [name, value]);
    return bytes;
  }
}

const isIndexedField = (bytes: Buffer): boolean => bytes.length === 1 && (bytes[0] as number) >= 0x80;
const pattern = (bytes: Buffer, mask: number): number => (bytes[0] as number) & mask;

test('HpackEncoder indexes a field at its first use and sends one octet from then on', () => {
  const pair = new Pair();
  assert.equal(pattern(pair.field('content-type', 'text/plain'), 0xc0), 0x40);
  assert.ok(isIndexedField(pair.field('content-type', 'text/plain')));
  assert.ok(isIndexedField(pair.field(':status', '404')));
});

test('HpackEncoder gives a name up whose values nobody asks for again', () => {
  const pair = new Pair();
  for (const value of ['1', '2', '3']) assert.equal(pattern(pair.field('x-trace', value), 0xc0), 0x40);
  const { tableState } = pair.encoder;
  assert.equal(pattern(pair.field('x-trace', '4'), 0xf0), 0x00);
  assert.equal(pair.encoder.tableState, tableState);
  // a field that does repeat
  assert.ok(isIndexedField(pair.field('x-trace', '2')));
  assert.equal(pattern(pair.field('x-trace', '5'), 0xc0), 0x40);
});

test('RFC 7541 §7.1.3: HpackEncoder never indexes secrets, and marks them so', () => {
  const names = ['set-cookie', 'cookie', 'authorization', 'proxy-authorization', 'x-csrf-token', 'x-api-key'];
  const pair = new Pair();
  for (const name of [...names, ...names]) assert.equal(pattern(pair.field(name, 'sid=1'), 0xf0), 0x10, name);
  assert.equal(pair.decoder.tableBytes, 0);
});

test('HpackEncoder does not index what varies or would fill the table', () => {
  const pair = new Pair();
  for (const name of ['etag', 'location', 'age', 'content-length', ':path'])
    assert.equal(pattern(pair.field(name, 'v1'), 0xf0), 0, name);
  const largest = 4096 / 4 - 32 - 'x-big'.length;
  assert.equal(pattern(pair.field('x-big', 'x'.repeat(largest + 1)), 0xf0), 0);
  assert.equal(pair.decoder.tableBytes, 0);
  assert.equal(pattern(pair.field('x-big', 'x'.repeat(largest)), 0xc0), 0x40);
});

test('RFC 7541 §4.2: HpackEncoder tells the smallest and the last size at the start of the next section', () => {
  const pair = new Pair();
  pair.field('x-a', 'b');
  pair.encoder.setTableBytesMax(0);
  pair.encoder.setTableBytesMax(100);
  const { bytes, fields } = pair.section((encoder) => encoder.field('x-a', 'b'));
  assert.deepEqual([...bytes.subarray(0, 3)], [0x20, 0x3f, 100 - 31]);
  assert.deepEqual(fields, ['x-a', 'b']);
  pair.encoder.setTableBytesMax(100);
  assert.deepEqual([...pair.section(() => undefined).bytes], []);
});

test('HpackEncoder uses no more than its own share of a huge table', () => {
  const pair = new Pair();
  pair.encoder.setTableBytesMax(2 ** 32 - 1);
  assert.deepEqual([...pair.section(() => undefined).bytes], []);
  for (let i = 0; i < 200; i++) pair.field(`x-${i}`, 'v');
  assert.ok(pair.decoder.tableBytes <= 4096);
  assert.ok(isIndexedField(pair.field('x-199', 'v')));
  assert.equal(pattern(pair.field('x-0', 'v'), 0xc0), 0x40);
});

test('HpackEncoder codes strings of every length by the shorter way', () => {
  const pair = new Pair();
  for (const length of [0, 1, 125, 126, 127, 128, 129, 253, 254, 255, 5000, 100_000]) {
    const short = pair.field('etag', 'a'.repeat(length)).length;
    const plain = pair.field('etag', '\x80'.repeat(length)).length;
    assert.ok(short <= Math.ceil((length * 5) / 8) + 6, `${length} letters take ${short} bytes`);
    assert.ok(plain <= length + 6, `${length} octets take ${plain} bytes`);
  }
});

test('HpackEncoder writes lengths as their digits', () => {
  const pair = new Pair();
  const lengths = [0, 9, 10, 99, 100, 2 ** 31 - 1, 2 ** 31, 10 ** 10, 10 ** 15, Number.MAX_SAFE_INTEGER];
  for (const length of lengths) {
    const { fields } = pair.section((encoder) => encoder.contentLength(length));
    assert.deepEqual(fields, ['content-length', String(length)]);
  }
});

test('HpackEncoder enters a date when a second response of the same second pays for it', () => {
  const pair = new Pair();
  const send = (date: string): Buffer => {
    const { bytes, fields } = pair.section((encoder) => encoder.date(date));
    assert.deepEqual(fields, ['date', date]);
    return bytes;
  };
  const [first, second] = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT'];
  assert.equal(pattern(send(first), 0xf0), 0);
  assert.equal(pair.encoder.tableState, 0);
  assert.equal(pattern(send(first), 0xc0), 0x40);
  assert.ok(isIndexedField(send(first)));
  assert.equal(pattern(send(second), 0xf0), 0);
  assert.equal(pattern(send(second), 0xc0), 0x40);
  assert.ok(isIndexedField(send(second)));
  // other fields evict it, and it is added again
  for (let i = 0; i < 200; i++) pair.field(`x-${i}`, 'v');
  assert.equal(pattern(send(second), 0xc0), 0x40);
  pair.encoder.setTableBytesMax(0);
  assert.equal(send(second)[0], 0x20);
  assert.equal(pattern(send(second), 0xf0), 0);
});

test('Encoders that share their bytes do not share their tables', () => {
  const [one, other] = [new Pair(), new Pair()];
  one.field('x-a', '1');
  other.field('x-b', '2');
  assert.ok(isIndexedField(one.field('x-a', '1')));
  assert.equal(pattern(other.field('x-a', '1'), 0xc0), 0x40);
  assert.ok(isIndexedField(other.field('x-b', '2')));
});
