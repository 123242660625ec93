/** Responses of a file to conditions and ranges: RFC 9110 §13.2.2 row by row. */
import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { type Representation, select } from '../../../src/http/semantics/representation.ts';

const MODIFIED = 'Thu, 29 Feb 2024 12:00:00 GMT';
const BEFORE = 'Thu, 29 Feb 2024 11:59:59 GMT';
const AFTER = 'Thu, 29 Feb 2024 12:00:01 GMT';
/** The same time in the two obsolete formats. */
const RFC850 = 'Thursday, 29-Feb-24 12:00:00 GMT';
const ASCTIME = 'Thu Feb 29 12:00:00 2024';
const modifiedMs = Date.parse(MODIFIED) + 400;
const STRONG: Representation = { size: 100, modifiedMs, etag: '"a"', ranges: true };
const WEAK: Representation = { ...STRONG, etag: 'W/"a"' };
const UNTAGGED: Representation = { ...STRONG, etag: undefined };

type Row = readonly [
  file: Representation,
  fields: Readonly<Record<string, string>>,
  status: number,
  method?: string,
];

const TABLE: readonly Row[] = [
  // If-Match: strong comparison
  [STRONG, { 'if-match': '"a"' }, 200],
  [STRONG, { 'if-match': '"b", "a"' }, 200],
  [STRONG, { 'if-match': ' , "b",, "a" ,' }, 200],
  [STRONG, { 'if-match': '*' }, 200],
  [STRONG, { 'if-match': '"nope"' }, 412],
  [STRONG, { 'if-match': '"nope"' }, 412, 'HEAD'],
  [STRONG, { 'if-match': 'W/"a"' }, 412],
  [STRONG, { 'if-match': 'a' }, 412],
  [STRONG, { 'if-match': '' }, 412],
  [STRONG, { 'if-match': '"a", *' }, 412],
  [WEAK, { 'if-match': 'W/"a"' }, 412],
  [WEAK, { 'if-match': '"a"' }, 412],
  [WEAK, { 'if-match': '*' }, 200],
  [UNTAGGED, { 'if-match': '"a"' }, 412],
  [UNTAGGED, { 'if-match': '*' }, 200],
  // If-Unmodified-Since: only where If-Match is absent
  [STRONG, { 'if-unmodified-since': MODIFIED }, 200],
  [STRONG, { 'if-unmodified-since': AFTER }, 200],
  [STRONG, { 'if-unmodified-since': BEFORE }, 412],
  [STRONG, { 'if-unmodified-since': RFC850 }, 200],
  [STRONG, { 'if-unmodified-since': ASCTIME }, 200],
  [STRONG, { 'if-unmodified-since': 'yesterday' }, 200],
  [STRONG, { 'if-unmodified-since': `${BEFORE}, ${BEFORE}` }, 200],
  [STRONG, { 'if-match': '"a"', 'if-unmodified-since': BEFORE }, 200],
  [STRONG, { 'if-match': '"b"', 'if-unmodified-since': AFTER }, 412],
  // If-None-Match: weak comparison, after the two before
  [STRONG, { 'if-none-match': '"a"' }, 304],
  [STRONG, { 'if-none-match': 'W/"a"' }, 304],
  [WEAK, { 'if-none-match': '"a"' }, 304],
  [WEAK, { 'if-none-match': '"b", W/"a"' }, 304, 'HEAD'],
  [STRONG, { 'if-none-match': '*' }, 304],
  [UNTAGGED, { 'if-none-match': '*' }, 304],
  [UNTAGGED, { 'if-none-match': '"a"' }, 200],
  [STRONG, { 'if-none-match': '"b"' }, 200],
  [STRONG, { 'if-none-match': '"A"' }, 200],
  [STRONG, { 'if-match': '"b"', 'if-none-match': '"a"' }, 412],
  [STRONG, { 'if-match': '"a"', 'if-none-match': '"a"' }, 304],
  // If-Modified-Since: only where If-None-Match is absent
  [STRONG, { 'if-modified-since': MODIFIED }, 304],
  [STRONG, { 'if-modified-since': RFC850 }, 304],
  [STRONG, { 'if-modified-since': ASCTIME }, 304, 'HEAD'],
  [STRONG, { 'if-modified-since': BEFORE }, 200],
  [STRONG, { 'if-modified-since': 'Thu, 31 Feb 2024 12:00:00 GMT' }, 200],
  [STRONG, { 'if-modified-since': '2024-03-01' }, 200],
  [STRONG, { 'if-none-match': '"b"', 'if-modified-since': MODIFIED }, 200],
  // Range and If-Range: last, for GET alone
  [STRONG, { range: 'bytes=0-9' }, 206],
  [STRONG, { range: 'bytes=0-9' }, 200, 'HEAD'],
  [STRONG, { range: 'bytes=100-' }, 416],
  [STRONG, { range: 'bytes=0-9, 20-29' }, 200],
  [STRONG, { range: 'bytes=0-9', 'if-range': '"a"' }, 206],
  [STRONG, { range: 'bytes=0-9', 'if-range': '"b"' }, 200],
  [STRONG, { range: 'bytes=0-9', 'if-range': 'W/"a"' }, 200],
  [WEAK, { range: 'bytes=0-9', 'if-range': 'W/"a"' }, 200],
  [WEAK, { range: 'bytes=0-9', 'if-range': MODIFIED }, 206],
  [STRONG, { range: 'bytes=0-9', 'if-range': AFTER }, 200],
  [STRONG, { range: 'bytes=0-9', 'if-range': 'never' }, 200],
  [STRONG, { range: 'bytes=100-', 'if-range': '"b"' }, 200],
  [STRONG, { 'if-range': '"b"' }, 200],
  [STRONG, { range: 'bytes=0-9', 'if-match': '"nope"' }, 412],
  [STRONG, { range: 'bytes=0-9', 'if-none-match': '"a"' }, 304],
  [STRONG, { range: 'bytes=0-9', 'if-match': '"a"', 'if-range': '"a"' }, 206],
  [{ ...STRONG, ranges: false }, { range: 'bytes=0-9' }, 200],
  [{ ...STRONG, size: 0 }, { range: 'bytes=0-9' }, 200],
  // other methods: the request has already been carried out
  [STRONG, { 'if-match': '"nope"' }, 200, 'POST'],
  [STRONG, { 'if-none-match': '*' }, 200, 'POST'],
  [STRONG, { range: 'bytes=0-9' }, 200, 'OPTIONS'],
];

test('select() follows the order of RFC 9110 §13.2.2', () => {
  for (const [file, fields, status, method = 'GET'] of TABLE) {
    const flat = Object.entries(fields).flat();
    strictEqual(
      select(method, flat, file).status,
      status,
      `${method} ${file.etag} ${JSON.stringify(fields)}`,
    );
  }
});

test('select() looks at a long list of tags once', () => {
  const list = '"x", '.repeat(10_000);
  const start = performance.now();
  strictEqual(select('GET', ['if-none-match', `${list}?`], STRONG).status, 200);
  strictEqual(select('GET', ['if-none-match', `${list}"a"`], STRONG).status, 304);
  strictEqual(performance.now() - start < 20_000, true);
});
