import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeCodes, ERROR_CODES, LUA_CODES } from '../../src/base/error-codes.ts';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

const DOCUMENT = join(PACKAGE_ROOT, 'docs/errors.md');
const SOURCE = join(PACKAGE_ROOT, 'src');

function sources(): string {
  const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('error-codes.ts'))
    .map((file) => readFileSync(join(SOURCE, file), 'utf8'))
    .join('\n');
}

test('Every code of the list is used', () => {
  const text = sources();
  // the codes of fetches, proxies and connections are formed from the words for Lua
  const made = new Set(
    ['FETCH', 'PROXY', 'CONNECT'].flatMap((part) =>
      Object.keys(LUA_CODES).map((word) => `LGW_${part}_${word.toUpperCase()}`),
    ),
  );
  const unused = Object.keys(ERROR_CODES).filter((code) => !text.includes(`'${code}'`) && !made.has(code));
  assert.deepEqual(unused, []);
});

test('No code stands in the source that is not in the list', () => {
  const used = new Set(sources().match(/\bLGW_[A-Z_]*[A-Z]\b/g));
  assert.deepEqual(
    [...used].filter((code) => !(code in ERROR_CODES) && !/^LGW_(?:FETCH|PROXY|CONNECT)$/.test(code)),
    [],
  );
});

test('docs/errors.md shows the list', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  const start = document.indexOf('| code |');
  const expected = (start === -1 ? document : document.slice(0, start)) + describeCodes();
  if (process.env['LGATEWAY_WRITE_DOCS'] !== undefined) writeFileSync(DOCUMENT, expected);
  else assert.equal(document, expected, 'LGATEWAY_WRITE_DOCS=1 writes it');
});
