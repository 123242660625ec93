/** Values come out of a store as they went in, and what no dictionary has written is told apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeValue,
  encodeBoolean,
  encodeFloat,
  encodeInteger,
  encodeString,
} from '../../src/store/stored-value.ts';

const decode = (text: string): unknown => {
  const value = decodeValue(Buffer.from(text, 'latin1'));
  return Buffer.isBuffer(value) ? value.toString('latin1') : value;
};

test('Integers of 64 bits, floats, booleans and strings of bytes come back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) => decode(encodeInteger(n)) === n),
  );
  fc.assert(fc.property(fc.double(), (n) => Object.is(decode(encodeFloat(n)), n)));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10_000 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      return decode(encodeString(text)) === text;
    }),
  );
  assert.deepEqual([decode(encodeBoolean(true)), decode(encodeBoolean(false))], [true, false]);
});

test('Other values are none of ours', () => {
  const foreign = [
    '',
    'x',
    'b',
    'b2',
    'b11',
    'f',
    'fx',
    'f0x10',
    'hello',
    '01',
    '-',
    '1.5',
    '9223372036854775808',
    '+1',
    ' 1',
  ];
  assert.deepEqual(
    foreign.map(decode).filter((value) => value !== undefined),
    [],
  );
});
