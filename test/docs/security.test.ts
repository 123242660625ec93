/** The tests that SECURITY.md names exist, under the titles that it names. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

/** Matches the tests at the end of a table row: a path `test/…` and an optional title. */
const HELD_BY = /`(test\/[\w./-]+\.ts)`(?:: "([^"]+)")?/g;
const PROMISES_MIN = 20;

test('Every test that SECURITY.md names is there', () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'SECURITY.md'), 'utf8');
  const named = [...text.matchAll(HELD_BY)];
  assert.ok(named.length >= PROMISES_MIN, `${named.length} tests are named`);
  for (const [, file = '', title] of named) {
    assert.ok(existsSync(join(PACKAGE_ROOT, file)), file);
    if (title !== undefined)
      assert.ok(readFileSync(join(PACKAGE_ROOT, file), 'utf8').includes(title), `${file}: ${title}`);
  }
});

test('Every promise of SECURITY.md names a test', () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'SECURITY.md'), 'utf8');
  const promises = text
    .split('\n## ')
    .filter((section) => /^What (?:clients|operators|tenants)/.test(section));
  assert.equal(promises.length, 3);
  for (const section of promises)
    for (const row of section.split('\n').filter((line) => /^\| (?!promise)/.test(line)))
      assert.match(row, /`test\/[^`]+`/, row);
});
