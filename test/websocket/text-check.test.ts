/** Text that comes in parts: what cannot become UTF-8 any more is found at the part that shows it, and nothing else is. */
import { ok, strictEqual } from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import { TextCheck } from '../../src/websocket/text-check.ts';

const MASK = [0x37, 0xfa, 0x21, 0x3d] as const;

/** Says at which of the parts, each a frame with a head of two bytes, the text is found to be wrong; -1: at none. */
function foundAt(parts: readonly (readonly number[])[]): number {
  const check = new TextCheck();
  check.beginMessage();
  return parts.findIndex((part) => {
    check.beginFrame((i) => MASK[i as 0]);
    const masked = part.map((byte, i) => byte ^ MASK[(i & 3) as 0]);
    return !check.take(Uint8Array.from([0x81, 0x80, ...masked]), 2);
  });
}

/** True when some bytes behind these make UTF-8 of them. */
function mayBecomeText(bytes: readonly number[]): boolean {
  const tails = [[], [0x80], [0xbf], [0x80, 0x80], [0xbf, 0xbf], [0x80, 0x80, 0x80], [0xbf, 0x80, 0x80]];
  return tails.some((tail) => isUtf8(Uint8Array.from([...bytes, ...tail])));
}

test('A beginning of a character is wrong exactly where no end makes UTF-8 of it', () => {
  const interesting = [
    ...[0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee],
    ...[0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff],
  ];
  for (const a of interesting) {
    strictEqual(foundAt([[a]]) === -1, mayBecomeText([a]), `${a}`);
    for (const b of interesting) {
      strictEqual(foundAt([[a, b]]) === -1, mayBecomeText([a, b]), `${[a, b]}`);
      for (const c of interesting) {
        const fine = mayBecomeText([a, b, c]);
        strictEqual(foundAt([[a, b, c]]) === -1, fine, `${[a, b, c]}`);
        strictEqual(foundAt([[a], [b], [c]]) === -1, fine, `${[a, b, c]} one by one`);
      }
    }
  }
});

test('Text that is cut anywhere is text, and the first part that is wrong is found', () => {
  const text = [...Buffer.from('aé€😀z\u{10ffff}')];
  for (let i = 0; i <= text.length; i++)
    for (let j = i; j <= text.length; j++)
      strictEqual(foundAt([text.slice(0, i), text.slice(i, j), text.slice(j)]), -1, `${i} ${j}`);
  strictEqual(foundAt([[0xce, 0xba], [0xf4], [0x90], [0x80, 0x80]]), 2);
  strictEqual(foundAt([[0x61], [0x62], [0xed, 0xa0]]), 2);
  strictEqual(foundAt([[0xc3], [0x28]]), 1);
  ok(foundAt([[0xc3], [], [0xa9]]) === -1);
});
