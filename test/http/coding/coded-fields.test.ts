/** The fields of answers that are compressed, or could have been. */
import { deepEqual, equal, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import {
  codedFields,
  fieldsOfUnchanged,
  readFacts,
  variedFields,
} from '../../../src/http/coding/coded-fields.ts';

test('Vary gets accept-encoding as a further member, once', () => {
  deepEqual(variedFields([]), ['vary', 'accept-encoding']);
  deepEqual(variedFields(['Vary', 'Origin']), ['Vary', 'Origin, accept-encoding']);
  deepEqual(variedFields(['vary', '']), ['vary', 'accept-encoding']);
  deepEqual(variedFields(['vary', 'a', 'x', 'y', 'vary', 'b']), [
    ...['vary', 'a', 'x', 'y', 'vary', 'b, accept-encoding'],
  ]);
  for (const value of ['Accept-Encoding', 'origin, ACCEPT-ENCODING', '*', 'a, *'])
    deepEqual(variedFields(['vary', value]), ['vary', value]);
});

test('A frozen list of fields gets the same list with Vary each time', () => {
  const fields = Object.freeze(['content-type', 'text/plain']);
  strictEqual(variedFields(fields), variedFields(fields));
});

test('A coded answer has no length and no ranges, and a weak tag', () => {
  deepEqual(
    codedFields(
      ['Content-Type', 'text/plain', 'Content-Length', '5', 'Accept-Ranges', 'bytes', 'ETag', '"a"'],
      'gzip',
    ),
    [
      ...['Content-Type', 'text/plain', 'ETag', 'W/"a"'],
      ...['vary', 'accept-encoding', 'content-encoding', 'gzip'],
    ],
  );
  deepEqual(codedFields(['etag', 'W/"a"'], 'br').slice(0, 2), ['etag', 'W/"a"']);
});

test('What is coded, a part, not to be changed or has a digest is final', () => {
  const final = [
    ['content-encoding', 'br'],
    ['Content-Encoding', 'identity'],
    ['content-range', 'bytes 0-1/5'],
    ['cache-control', 'no-transform'],
    ['Cache-Control', 'public, No-Transform'],
    ['content-digest', 'sha-256=:AA==:'],
    ['Repr-Digest', 'sha-256=:AA==:'],
    ['digest', 'sha-256=AA=='],
    ['Content-MD5', 'AA=='],
  ];
  for (const fields of final) equal(readFacts(fields).isFinal, true, fields.join());
  const open = [['cache-control', 'no-cache'], ['content-language', 'en'], []];
  for (const fields of open) equal(readFacts(fields).isFinal, false, fields.join());
  equal(readFacts(['Content-Type', 'text/css']).contentType, 'text/css');
});

test('A 304 has the weak tag for a client that has the coded form', () => {
  const fields = ['etag', '"a"'];
  deepEqual(fieldsOfUnchanged(fields, 'W/"a"'), ['etag', 'W/"a"', 'vary', 'accept-encoding']);
  for (const value of ['"a"', '"b"', '*', undefined]) strictEqual(fieldsOfUnchanged(fields, value), fields);
  const weak = ['etag', 'W/"a"'];
  strictEqual(fieldsOfUnchanged(weak, 'W/"a"'), weak);
});
