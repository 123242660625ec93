/** Values written as bytes are the texts that they are elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { putMs, putNumber, putTime, replaceBase36 } from '../../src/access/access-bytes.ts';
import { clfTime, isoTime, msText } from '../../src/access/access-text.ts';

function written(put: (bytes: Uint8Array, at: number) => number): string {
  const bytes = Buffer.alloc(64, 0xff);
  const end = put(bytes, 3);
  assert.equal(bytes.toString('latin1', 0, 3), '\xff\xff\xff');
  return bytes.toString('latin1', 3, end);
}

test('putNumber() writes whole numbers of any size as toString() does', () => {
  const values = [0, 1, 9, 10, 35, 36, 37, 1295, 1296, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 45 + 7];
  for (const value of values)
    for (const radix of [10, 36])
      assert.equal(
        written((bytes, at) => putNumber(bytes, at, value, radix)),
        value.toString(radix),
      );
});

test('replaceBase36() writes over a number of as many digits, and refuses others', () => {
  const replaced = (digits: number, value: number): string | undefined => {
    const bytes = Buffer.from('#'.repeat(digits + 2));
    if (!replaceBase36(bytes, 1, digits, value)) return undefined;
    const text = bytes.toString('latin1');
    assert.equal(text[0] + (text.at(-1) ?? ''), '##');
    return text.slice(1, -1);
  };
  for (let i = 0; i < 2000; i++) {
    const value = Math.floor(Math.random() * 36 ** (i % 6));
    const text = value.toString(36);
    assert.equal(replaced(text.length, value), text);
    assert.equal(replaced(text.length + 1, value), undefined);
    if (text.length > 1) assert.equal(replaced(text.length - 1, value), undefined);
  }
  for (const value of [0, 35, 36, 1295, 1296, 2 ** 31 - 1])
    assert.equal(replaced(value.toString(36).length, value), value.toString(36));
  assert.equal(replaced(6, 2 ** 31), undefined);
});

test('putMs() writes milliseconds as msText() does, also those that a clock cannot give', () => {
  const values = [
    0, 0.0004, 0.0005, 0.001, 0.0999, 0.1, 0.9996, 1, 9.9999, 10, 12.0305, 123.456, 99_999.9994,
  ];
  const odd = [-1, Number.NaN, 999_999.9999, 1e6, 1e9, 86_400_000 * 30.5];
  for (let i = 0; i < 1000; i++) values.push(Math.random() * 10 ** (i % 6));
  for (const value of [...values, ...odd])
    assert.equal(
      written((bytes, at) => putMs(bytes, at, value)),
      msText(value),
      String(value),
    );
});

test('putTime() writes each form, and another one with the next millisecond', () => {
  const time = Date.parse('2026-01-02T03:04:05.678Z');
  for (const at of [time, time + 0.9, time + 1, time + 400, time]) {
    assert.equal(
      written((bytes, start) => putTime(bytes, start, at, 'time')),
      isoTime(at),
    );
    assert.equal(
      written((bytes, start) => putTime(bytes, start, at, 'clf')),
      clfTime(at),
    );
    assert.equal(
      written((bytes, start) => putTime(bytes, start, at, 'unix')),
      String(Math.floor(at)),
    );
  }
});
