import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldFault, fieldKind, KIND } from '../../../src/http/h2/field-kind.ts';

test('fieldKind() names the fields that a request is read by', () => {
  equal(fieldKind(':method', 'GET'), KIND.method);
  equal(fieldKind(':scheme', 'https'), KIND.scheme);
  equal(fieldKind(':authority', 'a.example:1'), KIND.authority);
  equal(fieldKind(':path', '/'), KIND.path);
  equal(fieldKind(':path', '*'), KIND.path);
  equal(fieldKind(':protocol', 'websocket'), KIND.protocol);
  equal(fieldKind('host', 'a.example'), KIND.host);
  equal(fieldKind('content-length', '1'), KIND.contentLength);
  equal(fieldKind('expect', '100-continue'), KIND.expect);
  equal(fieldKind('priority', 'u=1'), KIND.priority);
  equal(fieldKind('x-name', 'x'), KIND.plain);
  equal(fieldKind('te', 'trailers'), KIND.plain);
});

test('fieldKind() finds malformed what fieldFault() has words for, and nothing else', () => {
  const name = fc.oneof(
    fc.constantFrom(':method', ':scheme', ':authority', ':path', ':status', 'te', 'upgrade', 'host', 'x', ''),
    fc.string({ unit: 'binary-ascii', maxLength: 4 }),
  );
  fc.assert(
    fc.property(name, fc.string({ unit: 'binary-ascii', maxLength: 6 }), (name, value) => {
      equal(fieldKind(name, value) === KIND.malformed, fieldFault(name, value) !== undefined);
    }),
    { numRuns: 1000 },
  );
});

test('fieldFault() does not take names of objects for names it knows', () => {
  equal(fieldKind('constructor', 'x'), KIND.plain);
  match(fieldFault('__proto__:', 'x') ?? '', /lower-case/);
});
