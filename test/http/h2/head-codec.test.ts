import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResponseHead } from '../../../src/http/exchange/exchange-wire.ts';
import { HeadCodec } from '../../../src/http/h2/head-codec.ts';
import { HpackDecoder } from '../../../src/http/h2/hpack-decoder.ts';

const LIST_BYTES_MAX = 16_384;

class Pair {
  readonly codec = new HeadCodec(LIST_BYTES_MAX);
  readonly decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: LIST_BYTES_MAX, fieldsMax: 100 });

  take(size: number): readonly string[] {
    return this.decoder.decode(Buffer.from(this.codec.bytes.subarray(0, size)), 0, size).fields;
  }

  /** Returns the fields of a head as the peer decodes them, without the added date. */
  send(responseFields: readonly string[], contentLength?: number, status = 200): readonly string[] {
    const fields = this.take(this.codec.encodeHead(responseHead(responseFields, contentLength, status)));
    const at = fields.indexOf('date');
    assert.match(fields[at + 1] as string, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    return [...fields.slice(0, at), ...fields.slice(at + 2)];
  }
}

function responseHead(
  responseFields: readonly string[],
  contentLength: number | undefined,
  status: number,
): ResponseHead {
  return {
    status,
    reason: undefined,
    responseFields,
    contentLength,
    hasDate: false,
    closes: false,
    mayHaveTrailers: false,
    bodyless: false,
  };
}

test('HeadCodec sends a head again in a few octets, with another length each time', () => {
  const pair = new Pair();
  const fields = Object.freeze(['content-type', 'text/plain', 'x-name', 'a']);
  for (let length = 0; length < 20; length++)
    assert.deepEqual(pair.send(fields, length), [':status', '200', ...fields, 'content-length', `${length}`]);
  const size = pair.codec.encodeHead(responseHead(fields, undefined, 200));
  // status, two fields and possibly the date, when a new second has begun
  assert.ok(size <= 3 + 25, `${size} octets`);
});

test('HeadCodec keeps more heads apart than it remembers, and the status with them', () => {
  const pair = new Pair();
  const heads = Array.from({ length: 20 }, (_, i) => Object.freeze(['content-type', `text/x-${i % 10}`]));
  for (let round = 0; round < 4; round++)
    for (const fields of heads)
      for (const status of [200, 404, 418])
        assert.deepEqual(pair.send(fields, 1, status), [
          ':status',
          `${status}`,
          ...fields,
          'content-length',
          '1',
        ]);
});

test('HeadCodec looks again at a list that may change', () => {
  const pair = new Pair();
  const fields = ['x-name', 'a'];
  assert.deepEqual(pair.send(fields), [':status', '200', 'x-name', 'a']);
  fields[1] = 'b';
  assert.deepEqual(pair.send(fields), [':status', '200', 'x-name', 'b']);
});

test('HeadCodec sends a remembered head right after the peer has changed its table', () => {
  const pair = new Pair();
  const fields = Object.freeze(['x-name', 'a', 'x-other', 'b']);
  for (const size of [4096, 100, 0, 4096, 0, 50]) {
    pair.codec.setPeerTableSize(size);
    for (let i = 0; i < 3; i++) assert.deepEqual(pair.send(fields), [':status', '200', ...fields]);
  }
});

test('HeadCodec leaves out what speaks about one connection, and a length of the handler', () => {
  const pair = new Pair();
  const fields = [
    'Connection',
    'close',
    'Content-Length',
    '9',
    'X-Name',
    'a',
    'Transfer-Encoding',
    'chunked',
  ];
  assert.deepEqual(pair.send(fields, 3), [':status', '200', 'x-name', 'a', 'content-length', '3']);
});

test('HeadCodec does not add a date to a head that has one', () => {
  const { codec, decoder } = new Pair();
  const date = 'Mon, 21 Oct 2013 20:13:21 GMT';
  const size = codec.encodeHead({ ...responseHead(['date', date], undefined, 200), hasDate: true });
  assert.deepEqual(decoder.decode(codec.bytes, 0, size).fields, [':status', '200', 'date', date]);
});

test('HeadCodec encodes informational heads, trailers and promises', () => {
  const pair = new Pair();
  assert.deepEqual(pair.take(pair.codec.encodeInformational(103, ['Link', '</a>'])), [
    ':status',
    '103',
    'link',
    '</a>',
  ]);
  assert.deepEqual(pair.take(pair.codec.encodeTrailers(['X-Sum', '1'])), ['x-sum', '1']);
  const promise = {
    method: 'GET',
    scheme: 'https' as const,
    authority: 'a.example',
    target: '/a',
    fields: ['Accept', '*/*'],
  };
  assert.deepEqual(pair.take(pair.codec.encodePromise(promise)), [
    ':method',
    'GET',
    ':scheme',
    'https',
    ':authority',
    'a.example',
    ':path',
    '/a',
    'accept',
    '*/*',
  ]);
});

test('HeadCodec tells what is wrong with a section, without throwing', () => {
  const { codec } = new Pair();
  assert.match(String(codec.decode(Buffer.from([0x80]), 0, 1)), /index 0/);
});
