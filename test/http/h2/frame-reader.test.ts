import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { FrameReader, type FrameSink, PREFACE } from '../../../src/http/h2/frame-reader.ts';

/** Records the frames; joins DATA that arrived in pieces. */
class Listener implements FrameSink {
  readonly heard: string[] = [];
  deaf = false;
  #content = '';

  takeFrame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    this.heard.push(`${type}/${flags}/${id} ${bytes.toString('latin1', start, end)}`);
  }
  beginData(id: number, flags: number, length: number): void {
    this.heard.push(`begin ${id}/${flags} ${length}`);
    this.#content = '';
  }
  takeData(bytes: Buffer, start: number, end: number): void {
    ok(end > start, 'a piece holds something');
    this.#content += bytes.toString('latin1', start, end);
  }
  endData(id: number, _flags: number, paddingBytes: number): void {
    this.heard.push(`end ${id} ${this.#content} ${paddingBytes}`);
  }
  skipFrame(type: number): void {
    this.heard.push(`skip ${type}`);
  }
  readFailed(code: number): void {
    this.heard.push(`failed ${code}`);
    this.deaf = true;
  }
}

function frame(type: number, flags: number, id: number, payload: string, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, Buffer.from(payload, 'latin1')]);
}

function readAll(bytes: Buffer, sizes: readonly number[] = []): string[] {
  const listener = new Listener();
  const reader = new FrameReader(listener);
  let at = 0;
  let i = 0;
  while (at < bytes.length) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i++ % sizes.length] as number);
    // a chunk in its own memory, overwritten after the read: the reader must not read it again
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    reader.read(chunk);
    chunk.fill(0xee);
    at += size;
  }
  ok(reader.bytesHeld <= 16 * 1024 + 9);
  return listener.heard;
}

const ALL = Buffer.concat([
  PREFACE,
  frame(4, 0, 0, ''),
  frame(1, 5, 1, 'block'),
  frame(0, 0, 3, 'content'),
  frame(0, 9, 3, '\x03content\0\0\0'),
  frame(0, 8, 3, '\x00'),
  frame(0, 8, 3, '\x02\0\0'),
  frame(0, 1, 5, ''),
  frame(0xaa, 255, 7, 'unknown'),
  frame(0xab, 0, 7, ''),
  frame(0x10, 0, 0, '\0\0\0\x01u=1'),
  frame(8, 0, 0x80000001, '\0\0\0\x01'),
]);
const HEARD = [
  '4/0/0 ',
  '1/5/1 block',
  'begin 3/0 7',
  'end 3 content 0',
  'begin 3/9 11',
  'end 3 content 4',
  'begin 3/8 1',
  'end 3  1',
  'begin 3/8 3',
  'end 3  3',
  'begin 5/1 0',
  'end 5  0',
  'skip 170',
  'skip 171',
  '16/0/0 \0\0\0\x01u=1',
  // the reserved bit is ignored
  '8/0/1 \0\0\0\x01',
];

test('FrameReader.read() hears the same frames however their bytes are cut', () => {
  deepStrictEqual(readAll(ALL), HEARD);
  deepStrictEqual(readAll(ALL, [1]), HEARD);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (sizes) => {
      deepStrictEqual(readAll(ALL, sizes), HEARD);
    }),
  );
});

test('FrameReader.read() refuses whatever does not begin with the preface, at its first wrong byte', () => {
  const wrong = [`failed ${ERROR_CODE.protocolError}`];
  deepStrictEqual(readAll(Buffer.from('GET / HTTP/1.1\r\n')), wrong);
  deepStrictEqual(readAll(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\rx'), [5]), wrong);
  deepStrictEqual(readAll(Buffer.from('PRI * HTTP/2.0\r\n')), []);
});

test('FrameReader.read() takes frames of 16,384 bytes and refuses longer ones by their head alone', () => {
  const largest = 'x'.repeat(16_384);
  deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(1, 4, 1, largest)])), [`1/4/1 ${largest}`]);
  for (const type of [0, 1, 4, 0xaa]) {
    deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(type, 4, 1, '', 16_385)])), [
      `failed ${ERROR_CODE.frameSizeError}`,
    ]);
  }
});

test('FrameReader.read() refuses padding that is as long as its frame, or has no length', () => {
  deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(0, 8, 1, '\x02\0\0')])), ['begin 1/8 3', 'end 1  3']);
  deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(0, 8, 1, '\x03\0\0')])), [
    'begin 1/8 3',
    `failed ${ERROR_CODE.protocolError}`,
  ]);
  deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(0, 8, 1, '')])), [
    `failed ${ERROR_CODE.frameSizeError}`,
  ]);
});

test('FrameReader.read() hears nothing more once its listener is deaf', () => {
  deepStrictEqual(readAll(Buffer.concat([PREFACE, frame(4, 0, 0, '', 20_000), ALL])), [
    `failed ${ERROR_CODE.frameSizeError}`,
  ]);
});

test('FrameReader.read() never throws and holds one frame at most, whatever it is fed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }),
      fc.boolean(),
      (chunks, hasPreface) => {
        const reader = new FrameReader(new Listener());
        if (hasPreface) reader.read(PREFACE);
        for (const chunk of chunks) {
          reader.read(Buffer.from(chunk));
          ok(reader.bytesHeld <= 16 * 1024 + 9);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('FrameReader.isAmidFrame tells a frame that came in part from one that waits for a body', () => {
  const reader = new FrameReader(new Listener());
  const amid = (bytes: Buffer): boolean => {
    reader.read(bytes);
    return reader.isAmidFrame;
  };
  strictEqual(reader.isAmidFrame, true);
  strictEqual(amid(PREFACE), false);
  strictEqual(amid(Buffer.from([0, 0])), true);
  strictEqual(amid(Buffer.from([4, 8, 0, 0, 0, 0, 0])), true);
  strictEqual(amid(Buffer.from([0, 0, 0, 1])), false);
  strictEqual(amid(frame(0, 0, 1, 'part', 10)), false);
});
