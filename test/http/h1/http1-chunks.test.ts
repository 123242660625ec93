/** Decoding of chunked coding: however the client divided the content, content that arrived together becomes one piece. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkDecoder } from '../../../src/http/h1/http1-chunks.ts';

const TRAILER_BYTES_MAX = 1000;

/** The bytes before the body in the buffer of a read. */
const BEFORE = 'POST / HTTP/1.1\r\n\r\n';

function contentOf(decoder: ChunkDecoder, bytes: Buffer): string {
  return bytes.toString('latin1', decoder.contentStart, decoder.contentEnd);
}

/** Decodes `text`, cut at `cuts`; returns the content of each piece. */
function decode(text: string, cuts: readonly number[] = []): { contents: string[]; decoder: ChunkDecoder } {
  const decoder = new ChunkDecoder(TRAILER_BYTES_MAX, Number.POSITIVE_INFINITY);
  const contents: string[] = [];
  const ends = [...new Set(cuts.map((cut) => cut % text.length)), text.length].sort((a, b) => a - b);
  let from = 0;
  for (const end of ends) {
    const bytes = Buffer.from(BEFORE + text.slice(from, end), 'latin1');
    if (decoder.done || decoder.refusal !== 0) break;
    strictEqual(decoder.decode(bytes, BEFORE.length), bytes.length);
    contents.push(contentOf(decoder, bytes));
    strictEqual(bytes.toString('latin1', 0, BEFORE.length), BEFORE);
    from = end;
  }
  return { contents, decoder };
}

test('Chunks of one byte that came together are one piece', () => {
  const { contents, decoder } = decode(`${'1\r\nx\r\n'.repeat(5000)}0\r\n\r\n`);
  deepStrictEqual(contents, ['x'.repeat(5000)]);
  ok(decoder.done);
});

test('Sizes, extensions and trailers are no content', () => {
  const text = '3;a=b\r\nabc\r\n000A\r\n0123456789\r\n0;last\r\nt: u\r\nv: w\r\n\r\n';
  deepStrictEqual(decode(text).contents, ['abc0123456789']);
  deepStrictEqual(decode('3\r\nabc\r\n0\r\nt: u\r\n\r\n', [1, 4, 9, 13, 16]).contents, [
    '',
    'a',
    'bc',
    '',
    '',
    '',
  ]);
});

test('Extensions of every form are taken, and so are trailers that say nothing of the body', () => {
  for (const extension of [
    ';a',
    ';a=b',
    '; a = b',
    ';a="b;\\"\r"',
    ';a=""',
    ';a\t=\t"\xff";b;c=d',
    `;a=${'b'.repeat(1000)}`,
  ]) {
    const { contents, decoder } = decode(
      `2${extension.replace('\r', '')}\r\nab\r\n0\r\nContent-Length-X: 1\r\n\r\n`,
    );
    deepStrictEqual(contents, ['ab'], extension);
    ok(decoder.done);
  }
});

test('The decoder stops at the end of the body, and leaves what follows as it is', () => {
  const bytes = Buffer.from('1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET /next', 'latin1');
  const decoder = new ChunkDecoder(TRAILER_BYTES_MAX, Number.POSITIVE_INFINITY);
  const end = decoder.decode(bytes, 0);
  ok(decoder.done);
  strictEqual(bytes.toString('latin1', end), 'GET /next');
  strictEqual(contentOf(decoder, bytes), 'abc');
});

test('However a body is chunked and cut, the same content comes out', () => {
  const piece = fc.string({ minLength: 1, maxLength: 100, unit: fc.constantFrom('a', '0', '\r', '\n', ';') });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 20 }), (pieces, cuts) => {
      const body = pieces.map((text) => `${text.length.toString(16)};x\r\n${text}\r\n`).join('');
      const { contents, decoder } = decode(`${body}0\r\nt: u\r\n\r\n`, cuts);
      ok(decoder.done);
      strictEqual(contents.join(''), pieces.join(''));
    }),
  );
});

test('A fault comes behind the content before it', () => {
  for (const [text, content, refusal] of [
    ['1\r\na\r\nx', 'a', 400],
    ['2\r\nab1\r\nc', 'ab', 400],
    ['1\r\na\r\n0\r\n folded', 'a', 400],
    ['1\r\na\r\n0\r\n: u', 'a', 400],
    ['1\r\na\r\n0\r\nt : u', 'a', 400],
    ['1\r\na\r\n0\r\nt\r\n', 'a', 400],
    ['1\r\na\r\n0\r\nt: \0', 'a', 400],
    ['1\r\na\r\n0\r\nContent-length: 3', 'a', 400],
    ['1\r\na\r\n0\r\nTransfer-Encoding: chunked', 'a', 400],
    ...[
      ';',
      ';a;',
      ';a ',
      ';a="',
      ';a="b',
      ';a="b"c',
      ';a=b ',
      ';a=',
      ';=b',
      ';a="\\',
      ';a="\x7f"',
      ';a=b=c',
      ' ;a',
    ].map((extension) => [`1\r\na\r\n2${extension}\r\nbc`, 'a', 400] as const),
    [`1;${'e'.repeat(16 * 1024 + 1)}\r\na`, '', 413],
    [`0\r\n${'t'.repeat(TRAILER_BYTES_MAX + 1)}`, '', 431],
    [`0\r\nt:${'u'.repeat(TRAILER_BYTES_MAX - 1)}`, '', 431],
  ] as const) {
    const bytes = Buffer.from(text, 'latin1');
    const decoder = new ChunkDecoder(TRAILER_BYTES_MAX, Number.POSITIVE_INFINITY);
    decoder.decode(bytes, 0);
    strictEqual(contentOf(decoder, bytes), content, text.slice(0, 40));
    strictEqual(decoder.refusal, refusal, text.slice(0, 40));
  }
});

test('A size that goes beyond the limit of a body is refused before its content comes', () => {
  for (const [text, content] of [
    ['b\r\n', ''],
    ['a\r\n0123456789\r\n1\r\n', '0123456789'],
    ['fffffffffffff\r\n', ''],
  ] as const) {
    const bytes = Buffer.from(`${text}never looked at`, 'latin1');
    const decoder = new ChunkDecoder(TRAILER_BYTES_MAX, 10);
    strictEqual(decoder.decode(bytes, 0), text.length - 1);
    deepStrictEqual([decoder.refusal, decoder.isTooLarge], [413, true]);
    strictEqual(contentOf(decoder, bytes), content);
  }
  const decoder = new ChunkDecoder(TRAILER_BYTES_MAX, 10);
  const whole = Buffer.from('4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n', 'latin1');
  decoder.decode(whole, 0);
  deepStrictEqual([decoder.done, decoder.isTooLarge], [true, false]);
});
