/** Chunked coding as it reaches the parser: whatever the client made of it, one chunk for what came together. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkDecoder } from '../../../src/http/h1/http1-chunks.ts';

const TRAILER_BYTES_MAX = 1000;

/** What comes out for `text`, cut at `cuts`. */
function decode(text: string, cuts: readonly number[] = []): { coded: string[]; decoder: ChunkDecoder } {
  const decoder = new ChunkDecoder(TRAILER_BYTES_MAX);
  const coded: string[] = [];
  const ends = [...new Set(cuts.map((cut) => cut % text.length)), text.length].sort((a, b) => a - b);
  let from = 0;
  for (const end of ends) {
    const bytes = Buffer.from(text.slice(from, end), 'latin1');
    if (decoder.done || decoder.refusal !== 0) break;
    strictEqual(decoder.decode(bytes, 0), bytes.length);
    coded.push(decoder.coded.toString('latin1'));
    from = end;
  }
  return { coded, decoder };
}

test('Chunks of one byte that came together are one chunk', () => {
  const { coded, decoder } = decode(`${'1\r\nx\r\n'.repeat(5000)}0\r\n\r\n`);
  deepStrictEqual(coded, [`1388\r\n${'x'.repeat(5000)}\r\n0\r\n\r\n`]);
  ok(decoder.done);
});

test('What belongs to no content is left out, and trailers stay as they are', () => {
  deepStrictEqual(decode('3;a=b\r\nabc\r\n000A\r\n0123456789\r\n0;last\r\nt: u\r\nv: w\r\n\r\n').coded, [
    'd\r\nabc0123456789\r\n0\r\nt: u\r\nv: w\r\n\r\n',
  ]);
  deepStrictEqual(decode('3\r\nabc\r\n0\r\nt: u\r\n\r\n', [1, 4, 9, 13, 16]).coded, [
    '',
    '1\r\na\r\n',
    '2\r\nbc\r\n',
    '0\r\nt:',
    ' u\r',
    '\n\r\n',
  ]);
});

test('However a body is chunked and cut, the same content comes out', () => {
  const piece = fc.string({ minLength: 1, maxLength: 100, unit: fc.constantFrom('a', '0', '\r', '\n', ';') });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 20 }), (pieces, cuts) => {
      const body = pieces.map((text) => `${text.length.toString(16)};x\r\n${text}\r\n`).join('');
      const { coded, decoder } = decode(`${body}0\r\nt: u\r\n\r\n`, cuts);
      ok(decoder.done);
      const again = decode(coded.join(''));
      const all = pieces.join('');
      const whole = all === '' ? '' : `${all.length.toString(16)}\r\n${all}\r\n`;
      deepStrictEqual(again.coded, [`${whole}0\r\nt: u\r\n\r\n`]);
    }),
  );
});

test('A fault comes behind the content before it', () => {
  for (const [text, content, refusal] of [
    ['1\r\na\r\nx', '1\r\na\r\n', 400],
    ['2\r\nab1\r\nc', '2\r\nab\r\n', 400],
    ['1\r\na\r\n0\r\n folded', '1\r\na\r\n0\r\n', 400],
    [`1;${'e'.repeat(16 * 1024 + 1)}\r\na`, '', 413],
    [`0\r\n${'t'.repeat(TRAILER_BYTES_MAX + 1)}`, `0\r\n${'t'.repeat(TRAILER_BYTES_MAX)}`, 431],
  ] as const) {
    const decoder = new ChunkDecoder(TRAILER_BYTES_MAX);
    decoder.decode(Buffer.from(text, 'latin1'), 0);
    strictEqual(decoder.coded.toString('latin1'), content);
    strictEqual(decoder.refusal, refusal);
  }
});
