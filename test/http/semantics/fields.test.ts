import { doesNotThrow, strictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkFields,
  fieldValue,
  hasListMember,
  parseContentLength,
} from '../../../src/http/semantics/fields.ts';

test('checkFields() refuses control characters and names the field', () => {
  for (const value of ['a\r\nb', 'a\rb', 'a\nb', 'a\0b', '\x7f', '\u0100']) {
    throws(() => checkFields(['x-good', 'fine', 'x-bad', value]), /"x-bad"/);
  }
});

test('checkFields() refuses names that are no tokens', () => {
  for (const name of ['', 'a b', 'a:b', ':status', 'a\r\nb', 'ä', 'a\0']) {
    throws(() => checkFields([name, 'value']), /is not a token/);
  }
});

test('checkFields() accepts every legal byte of a value', () => {
  let value = '\t';
  for (let code = 0x20; code <= 0xff; code++) if (code !== 0x7f) value += String.fromCharCode(code);
  doesNotThrow(() => checkFields(['x', value, 'y', '']));
});

test('fieldValue() joins repeated fields, cookie with its own separator (24)', () => {
  const fields = ['Cookie', 'a=1', 'Accept', 'x', 'cookie', 'b=2', 'ACCEPT', 'y'];
  strictEqual(fieldValue(fields, 'cookie'), 'a=1; b=2');
  strictEqual(fieldValue(fields, 'accept'), 'x, y');
  strictEqual(fieldValue(fields, 'host'), undefined);
});

test('hasListMember() finds a member in any case and place', () => {
  strictEqual(hasListMember('Close', 'close'), true);
  strictEqual(hasListMember('TE,  close ,x', 'close'), true);
  strictEqual(hasListMember('closed, x-close', 'close'), false);
});

test('parseContentLength() takes plain digits only', () => {
  strictEqual(parseContentLength('0012'), 12);
  for (const text of ['', '+1', '-1', '1.0', '0x1', '1, 1', ' 1', '9'.repeat(16)]) {
    strictEqual(parseContentLength(text), undefined);
  }
});
