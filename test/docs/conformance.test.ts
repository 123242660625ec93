/** The tests that docs/conformance.md names exist, under the titles that it names. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

const HELD_BY = /`(test\/[\w./-]+\.ts)`(?:: "([^"]+)")?/g;
const ROWS_MIN = 120;

/** Returns the cells of each row with a requirement. */
function rows(): readonly (readonly string[])[] {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs/conformance.md'), 'utf8');
  return text
    .split('\n')
    .filter((line) => /^\| (?:§|RFC)/.test(line))
    .map((line) => line.split(' | '));
}

test('Every requirement that docs/conformance.md calls done names a test that is there', () => {
  assert.ok(rows().length >= ROWS_MIN, `${rows().length} rows`);
  for (const cells of rows()) {
    const row = cells.join(' | ');
    const named = [...row.matchAll(HELD_BY)];
    if (/^done/.test(cells.at(-2) ?? '')) assert.ok(named.length > 0, row);
    for (const [, file = '', title] of named) {
      assert.ok(existsSync(join(PACKAGE_ROOT, file)), `${file}: ${row}`);
      if (title !== undefined)
        assert.ok(readFileSync(join(PACKAGE_ROOT, file), 'utf8').includes(title), `${file}: ${title}`);
    }
  }
});

test('Every requirement that docs/conformance.md does not call done has a reason', () => {
  for (const cells of rows()) {
    const outcome = cells.at(-2) ?? '';
    if (/^not /.test(outcome)) assert.match(outcome, /^not (?:done|needed): .{20,}/, cells.join(' | '));
  }
});
