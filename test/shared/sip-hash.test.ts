/** The hash of keys equals that of the reference implementation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEADER } from '../../src/shared/layout.ts';
import { createSharedMemory } from '../../src/shared/shared-memory.ts';
import { sipHash } from '../../src/shared/sip-hash.ts';

/** Of the bytes 0, 1, 2 … and the key 00 01 … 07, by length: vectors of the Linux kernel (HalfSipHash-1-3, 32 bits). */
const VECTORS = [
  0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6, 0x577999b1,
  0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6, 0x16658a7c, 0xd0257b04, 0x8b31d501, 0x2b1cd04b,
];

test('sipHash() gives the reference values for every length of rest', () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
  for (const [size, expected] of VECTORS.entries())
    assert.equal(sipHash(bytes, 0, size, 0x03020100, 0x07060504) >>> 0, expected, `${size} bytes`);
});

test('sipHash() reads from where it is told to', () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i - 7);
  for (const [size, expected] of VECTORS.entries())
    assert.equal(sipHash(bytes, 7, size, 0x03020100, 0x07060504) >>> 0, expected, `${size} bytes`);
});

test('sipHash() with another secret gives another hash', () => {
  const bytes = Buffer.from('counter');
  assert.notEqual(sipHash(bytes, 0, 7, 1, 2), sipHash(bytes, 0, 7, 1, 3));
});

test('Each dictionary has a secret of its own', () => {
  const sizes = ['a', 'b', 'c'].map((name) => ({ name, bytes: 64 * 1024 }));
  const secrets = createSharedMemory(sizes).declared.map(({ buffer }) => {
    const words = new Int32Array(buffer);
    return `${words[HEADER.seed0]} ${words[HEADER.seed1]}`;
  });
  assert.equal(new Set(secrets).size, 3);
  assert.ok(!secrets.includes('0 0'));
});
