/** The list of media types that are compressed. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { TypeList } from '../../../src/http/coding/type-list.ts';
import { DEFAULT_COMPRESSION, isTypePattern } from '../../../src/settings/compression.ts';

test('Types are compared without their parameters and in any case', () => {
  const list = new TypeList(DEFAULT_COMPRESSION.types);
  for (let round = 0; round < 2; round++) {
    for (const type of [
      ...['text/html', 'text/html; charset=utf-8', 'TEXT/Plain', ' text/css ;x=y', 'application/json'],
      ...['image/svg+xml', 'application/ld+json', 'application/wasm', 'text/event-stream'],
    ])
      equal(list.has(type), true, type);
    for (const type of [
      ...['image/png', 'application/octet-stream', 'application/gzip', 'application/zip', 'texts/html'],
      ...['', 'text', 'application/json2', 'video/mp4', 'application/x+json/y', undefined],
    ])
      equal(list.has(type), false, String(type));
  }
});

test('What may stand in the list', () => {
  for (const type of ['text/html', 'text/*', '+json', 'application/vnd.a.b+c', 'Text/X'])
    equal(isTypePattern(type), true, type);
  for (const type of [
    '',
    '*',
    '*/*',
    'text',
    'text/',
    '/html',
    'a/b/c',
    '+',
    'a b/c',
    'text/ht*',
    `a/${'b'.repeat(65)}`,
  ])
    equal(isTypePattern(type), false, type);
});
