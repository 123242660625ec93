/** Accept-Encoding: which coding is chosen for each shape of the field (RFC 9110 §12.5.3). */
import { deepEqual, equal, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { acceptsCoding, preferredCodings } from '../../../src/http/semantics/accept-encoding.ts';

const OFFERED = ['zstd', 'br', 'gzip'] as const;
type Choice = (typeof OFFERED)[number] | undefined;

/** Longer than what is read. */
const LONG = `gzip${', gzip'.repeat(200)}`;

const TABLE: readonly (readonly [value: string | undefined, choice: Choice])[] = [
  [undefined, undefined],
  ['', undefined],
  [' ', undefined],
  [',,,', undefined],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['x-gzip', 'gzip'],
  ['X-GZip', 'gzip'],
  ['br', 'br'],
  ['zstd', 'zstd'],
  ['deflate', undefined],
  ['compress', undefined],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip, deflate, br', 'br'],
  ['gzip,br', 'br'],
  ['\tgzip\t, \tbr\t', 'br'],
  [', gzip,, ', 'gzip'],
  ['*', 'zstd'],
  ['*;q=0', undefined],
  ['gzip, *;q=0', 'gzip'],
  ['zstd;q=0, *', 'br'],
  ['zstd;q=0, br;q=0, *', 'gzip'],
  ['zstd;q=0, br;q=0, gzip;q=0, *', undefined],
  ['gzip;q=1.0, br;q=0.9', 'gzip'],
  ['gzip;q=0.5, br;q=0.5, zstd;q=0.5', 'zstd'],
  ['gzip;q=0.001', 'gzip'],
  ['gzip;q=0', undefined],
  ['gzip;q=0.', undefined],
  ['gzip;q=0.000', undefined],
  ['gzip;q=1.', 'gzip'],
  ['gzip;q=1.000', 'gzip'],
  ['gzip;Q=0.5', 'gzip'],
  ['gzip ; q=0.5', 'gzip'],
  ['gzip;\tq=0', undefined],
  ['identity', undefined],
  ['identity;q=0', undefined],
  ['identity;q=0, gzip', 'gzip'],
  ['identity;q=0, *', 'zstd'],
  ['identity, gzip', 'gzip'],
  ['identity;q=1, gzip;q=0.5', undefined],
  ['identity;q=0.5, gzip;q=1', 'gzip'],
  ['identity, *;q=0.5', undefined],
  ['gzip;q=0.3, *;q=0.1', 'gzip'],
  ['gzip;q=0, gzip;q=1', undefined],
  ['gzip;q=0.9, x-gzip;q=0.2, br;q=0.5', 'br'],
  // what is no list of codings
  ['gzip;q=2', undefined],
  ['gzip;q=1.001', undefined],
  ['gzip;q=0.1234', undefined],
  ['gzip;q=-1', undefined],
  ['gzip;q=abc', undefined],
  ['gzip;q=', undefined],
  ['gzip;q', undefined],
  ['gzip;', undefined],
  ['gzip;q = 1', undefined],
  ['gzip;level=9', undefined],
  ['gzip;q=1;q=1', undefined],
  ['gzip br', undefined],
  ['"gzip"', undefined],
  ['gzip, \xa0br', undefined],
  ['gz\x00ip', undefined],
  ['gzip; q=1, ;q=1', undefined],
  ['gzipped', undefined],
  [LONG, undefined],
  [LONG.slice(0, 1024), 'gzip'],
];

for (const [value, choice] of TABLE) {
  const shown =
    value === undefined ? 'No Accept-Encoding' : `Accept-Encoding ${JSON.stringify(value.slice(0, 50))}`;
  test(`${shown} (${value?.length ?? 0}) chooses ${choice ?? 'none'}`, () => {
    strictEqual(preferredCodings(value, OFFERED)[0], choice);
  });
}

test('All codings that the client takes come in its order, then in that given', () => {
  deepEqual(preferredCodings('gzip, br;q=0.5, zstd', OFFERED), ['zstd', 'gzip', 'br']);
  deepEqual(preferredCodings('gzip;q=0.5, *;q=0.1, identity;q=0.2', OFFERED), ['gzip']);
});

test('A coding is taken where it or * is named without q=0', () => {
  for (const value of ['gzip', 'x-gzip;q=0.1', '*', 'identity, gzip;q=0.5'])
    equal(acceptsCoding(value, 'gzip'), true, value);
  for (const value of [undefined, '', 'br', '*, gzip;q=0', 'gzip;q=x', LONG])
    equal(acceptsCoding(value, 'gzip'), false, value);
});
