import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PageForm, pageFormOf } from '../../../src/http/exchange/page-form.ts';

const ROWS: readonly (readonly [accept: string, form: PageForm])[] = [
  ['*/*', 'html'],
  ['', 'html'],
  ['text/html', 'html'],
  ['text/*', 'html'],
  ['application/*', 'problem'],
  ['application/json', 'problem'],
  ['Application/JSON; charset=utf-8', 'problem'],
  ['application/problem+json', 'problem'],
  ['application/vnd.api+json', 'problem'],
  ['text/plain', 'text'],
  // what browsers, axios and jQuery send
  ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8', 'html'],
  ['application/json, text/plain, */*', 'problem'],
  ['application/json, text/javascript, */*; q=0.01', 'problem'],
  ['image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5', 'html'],
  // weights decide before names, names before ranges, and the order of the list does not count
  ['text/plain, text/html', 'html'],
  ['application/json, text/html', 'html'],
  ['text/html;q=0.5, application/json', 'problem'],
  ['application/json;q=0.5, */*', 'html'],
  ['application/json;q=0.2, text/plain;q=0.3', 'text'],
  ['text/html;q=0, */*', 'problem'],
  ['text/*;q=0, */*', 'problem'],
  ['text/html;level=1;q=0.4, application/json;q=0.6', 'problem'],
  ['text/html ; q=0.4 , application/json ; q=0.6', 'problem'],
  // of several ranges that name a form the highest weight counts
  ['application/json;q=0.1, application/problem+json, text/html;q=0.9', 'problem'],
  // none of the forms, or no list of types: what a reader can look at
  ['image/png', 'html'],
  ['text/html;q=0', 'html'],
  ['*/*;q=0', 'html'],
  ['json', 'html'],
  ['*/json', 'html'],
  ['application/json;q=2', 'html'],
  ['application/json;q=0.1234', 'html'],
  ['application/json\u0000', 'html'],
  [',,application/json,', 'problem'],
];

for (const [accept, form] of ROWS)
  test(`A client that accepts ${JSON.stringify(accept)} gets pages as ${form}`, () => {
    assert.equal(pageFormOf(['accept', accept]), form);
  });

test('Fields of the same name are one list, and one that is too long or missing means HTML', () => {
  assert.equal(pageFormOf(['Accept', 'text/html;q=0.1', 'accept', 'application/json']), 'problem');
  assert.equal(pageFormOf(['accept-language', 'application/json']), 'html');
  const list = (length: number): string => 'application/json'.padEnd(length, ', image/png');
  assert.equal(pageFormOf(['accept', list(1024)]), 'problem');
  assert.equal(pageFormOf(['accept', list(1025)]), 'html');
});

test('A hostile list of types is read in no time', () => {
  const started = process.cpuUsage();
  for (const part of ['a/b;;;;;', 'a/b; ; ; ', ';q=1;q=1', '\t ', 'a/b;q=0.'])
    for (let i = 0; i < 20; i++) pageFormOf(['accept', `a/b${part.repeat(1020 / part.length)}`]);
  const { user, system } = process.cpuUsage(started);
  assert.ok(user + system < 1_000_000, `${user + system} µs for 100 lists`);
});
