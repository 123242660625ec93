/**
 * Bytes of a response leave the buffer in the order in which they were written, in chunks that fit a frame, however they were
 * written.
 */
import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNK_BYTES_MAX } from '../../../src/http/exchange/chunk-pool.ts';
import { type Chunk, ResponseBuffer } from '../../../src/http/exchange/response-buffer.ts';

type Write = 'append' | 'appendText' | 'appendOwned';

function write(buffer: ResponseBuffer, how: Write, bytes: Buffer): void {
  if (how === 'appendText') buffer.appendText(bytes.toString('latin1'));
  else buffer[how](bytes);
}

/** Makes a copy, because the buffer may reuse a chunk. */
function bytesOf(chunk: Chunk): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : Buffer.from(chunk);
}

function takeAll(buffer: ResponseBuffer): Buffer[] {
  const chunks: Buffer[] = [];
  while (buffer.length > 0) chunks.push(bytesOf(buffer.take()));
  return chunks;
}

test('ResponseBuffer gives out what was written, in order, in chunks no larger than a frame', () => {
  const size = fc.oneof(fc.nat(100), fc.integer({ min: 4000, max: 4200 }), fc.nat(3 * CHUNK_BYTES_MAX));
  const step = fc.record({
    how: fc.constantFrom<Write>('append', 'appendText', 'appendOwned'),
    size,
    takes: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const buffer = new ResponseBuffer();
      const written: Buffer[] = [];
      const taken: Buffer[] = [];
      for (const [n, { how, size: bytes, takes }] of steps.entries()) {
        const piece = Buffer.alloc(bytes, 65 + n);
        written.push(piece);
        write(buffer, how, piece);
        if (takes && buffer.length > 0) {
          const before = buffer.length;
          const chunk = bytesOf(buffer.take());
          strictEqual(buffer.length, before - chunk.length);
          taken.push(chunk);
        }
      }
      taken.push(...takeAll(buffer));
      ok(taken.every((chunk) => chunk.length <= CHUNK_BYTES_MAX));
      ok(Buffer.concat(taken).equals(Buffer.concat(written)));
    }),
    { numRuns: 200, seed: 1 },
  );
});

test('ResponseBuffer.append() copies, and appendOwned() keeps what is large', () => {
  for (const [how, expected] of [
    ['append', 'x'],
    ['appendOwned', 'y'],
  ] as const) {
    const bytes = Buffer.alloc(CHUNK_BYTES_MAX, 'x');
    const buffer = new ResponseBuffer();
    buffer[how](bytes);
    bytes.fill('y');
    strictEqual((buffer.take() as Buffer).toString('latin1', 0, 1), expected, how);
  }
});

test('ResponseBuffer keeps a lone short write as a byte string, and fills one chunk with those that follow', () => {
  const buffer = new ResponseBuffer();
  buffer.appendText('a\xff');
  strictEqual(buffer.take(), 'a\xff');
  for (const text of ['a', 'b\xff', 'c']) buffer.appendText(text);
  deepStrictEqual(buffer.take(), Buffer.from('ab\xffc', 'latin1'));
  strictEqual(buffer.length, 0);
});

test('ResponseBuffer.clear() leaves nothing, and nothing can be taken of an empty one', () => {
  const buffer = new ResponseBuffer();
  buffer.append(Buffer.alloc(3 * CHUNK_BYTES_MAX, 'x'));
  buffer.clear();
  strictEqual(buffer.length, 0);
  throws(() => buffer.take(), /a chunk is taken only while the buffer holds one/);
  buffer.appendText('fresh');
  strictEqual(buffer.take(), 'fresh');
});
