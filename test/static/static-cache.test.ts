/** What is kept of files: bounded in bytes and in number, what is used stays longest, and what slow answers hold is counted. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { LentContent, Loans } from '../../src/base/lent-content.ts';
import { type Cached, StaticCache } from '../../src/static/static-cache.ts';

/** What an entry counts for beside its bytes. */
const OVERHEAD = 2048;

function entriesOf(names: string, gone: string[]): Map<string, Cached & { bytes: number }> {
  return new Map(
    [...names].map((name) => [name, { bytes: 100, isUsed: false, forget: () => void gone.push(name) }]),
  );
}

test('StaticCache keeps no more entries than its limit, and drops what nobody has used since', () => {
  const gone: string[] = [];
  const entries = entriesOf('abcd', gone);
  const cache = new StaticCache({ bytesMax: Number.POSITIVE_INFINITY, entriesMax: 2 });
  const keep = (name: string): void => cache.keep(entries.get(name) as Cached);
  keep('a');
  keep('b');
  deepEqual(gone, []);
  (entries.get('a') as Cached).isUsed = true;
  keep('c');
  deepEqual(gone, ['b']);
  keep('d');
  equal(cache.entries, 2);
  equal(gone.length, 2);
});

test('StaticCache counts the bytes anew when an entry grows, and keeps below its limit', () => {
  const gone: string[] = [];
  const entries = entriesOf('ab', gone);
  const [a, b] = [...entries.values()] as [Cached & { bytes: number }, Cached];
  const cache = new StaticCache({ bytesMax: 2 * OVERHEAD + 250, entriesMax: 10 });
  cache.keep(a);
  cache.keep(b);
  equal(cache.bytes, 2 * OVERHEAD + 200);
  a.bytes = 150;
  cache.keep(a);
  deepEqual(gone, []);
  a.bytes = 151;
  cache.keep(a);
  deepEqual(gone, ['a']);
  cache.drop(b);
  equal(cache.bytes, 0);
});

test('StaticCache ends when all entries are in use', () => {
  const gone: string[] = [];
  const entries = [...entriesOf('abcde', gone).values()];
  const cache = new StaticCache({ bytesMax: 3 * OVERHEAD, entriesMax: 10 });
  for (const entry of entries) {
    entry.isUsed = true;
    cache.keep(entry);
  }
  equal(cache.bytes <= 3 * OVERHEAD, true);
});

test('Loans count content that is sent and not kept any more, once for all its answers', () => {
  const loans = new Loans(1000);
  const content = new LentContent(Buffer.alloc(600), loans);
  content.lend();
  content.lend();
  equal(loans.bytes, 0);
  content.drop();
  content.drop();
  equal(loans.bytes, 600);
  equal(loans.reserve(401), false);
  equal(loans.reserve(400), true);
  loans.add(-400);
  content.giveBack();
  equal(loans.bytes, 600);
  content.giveBack();
  equal(loans.bytes, 0);
  content.lend();
  equal(loans.bytes, 600);
  content.giveBack();
  equal(loans.bytes, 0);
});
