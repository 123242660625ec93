import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Pattern, PatternTree, readPattern } from '../../../src/http/routing/pattern-tree.ts';

/** What is better comes first: exact, parameter, rest, segment by segment. */
function rank({ segments }: Pattern): string {
  return segments.map(({ kind }) => ({ exact: '0', parameter: '1', rest: '2' })[kind]).join('');
}

function fits({ segments }: Pattern, name: string): boolean {
  const parts = name.slice(1).split('/');
  const isOpen = segments.at(-1)?.kind === 'rest';
  if (isOpen ? parts.length < segments.length : parts.length !== segments.length) return false;
  return segments.every(
    ({ kind, text }, i) =>
      (kind === 'exact' && parts[i] === text) ||
      (kind === 'parameter' && parts[i] !== '') ||
      (kind === 'rest' && parts.slice(i).join('/') !== ''),
  );
}

test('PatternTree.match() finds what a plain model finds, for random patterns and names', () => {
  const segment = fc.constantFrom('a', 'b', '', '{}');
  const path = fc.array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 6 });
  const shape = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 5 }), fc.boolean());
  fc.assert(
    fc.property(
      fc.array(shape, { maxLength: 12 }),
      fc.array(path, { minLength: 1, maxLength: 8 }),
      (shapes, paths) => {
        const tree = new PatternTree<string>();
        const patterns: Pattern[] = [];
        for (const [parts, isOpen] of shapes) {
          const texts = parts.map((part, i) => (part === '{}' ? `{p${i}}` : part));
          const pattern = readPattern(`/${[...texts, ...(isOpen ? ['{rest...}'] : [])].join('/')}`);
          assert.ok(typeof pattern !== 'string');
          if (tree.get(pattern) !== undefined) continue;
          assert.equal(tree.excess(pattern), undefined);
          tree.set(pattern, pattern.text);
          patterns.push(pattern);
        }
        for (const parts of paths) {
          const name = `/${parts.join('/')}`;
          const [best] = patterns
            .filter((one) => fits(one, name))
            .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
          const match = tree.match(name);
          assert.equal(match?.leaf, best?.text, name);
          const values = best?.segments.flatMap(({ kind }, i) =>
            kind === 'exact' ? [] : [kind === 'rest' ? parts.slice(i).join('/') : parts[i]],
          );
          assert.deepEqual(match?.values, values, name);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('PatternTree.excess() refuses patterns that would let a path take too many steps', () => {
  const tree = new PatternTree<number>();
  let refused: string | undefined;
  for (let bits = 0; bits < 1024 && refused === undefined; bits++) {
    const parts = Array.from({ length: 10 }, (_, i) => ((bits >> i) % 2 === 0 ? 'a' : `{p${i}}`));
    const pattern = readPattern(`/${parts.join('/')}`);
    assert.ok(typeof pattern !== 'string');
    refused = tree.excess(pattern);
    if (refused === undefined) tree.set(pattern, bits);
  }
  assert.match(refused ?? '', /may take \d+ steps and the limit is 256/);
});

/** What a match did, whatever it took on the clock. */
interface Work {
  /** Nodes whose exact segments were looked through. */
  readonly lookups: number;
  /** Characters of all texts that were cut from the name. */
  readonly cutBytes: number;
}

/** Counts what `PatternTree.match` asks of the engine. */
function workOf(tree: PatternTree<string>, name: string): Work {
  const { get } = Map.prototype;
  const { slice } = String.prototype;
  let lookups = 0;
  let cutBytes = 0;
  Map.prototype.get = function (this: Map<unknown, unknown>, key: unknown): unknown {
    lookups += 1;
    return get.call(this, key);
  };
  String.prototype.slice = function (this: string, start?: number, end?: number): string {
    const part = slice.call(this, start, end);
    cutBytes += part.length;
    return part;
  };
  try {
    tree.match(name);
  } finally {
    Map.prototype.get = get;
    String.prototype.slice = slice;
  }
  return { lookups, cutBytes };
}

/** As many of the patterns as the tree takes. */
function treeOf(patterns: Iterable<string>): { tree: PatternTree<string>; count: number } {
  const tree = new PatternTree<string>();
  let count = 0;
  for (const text of patterns) {
    const pattern = readPattern(text);
    assert.ok(typeof pattern !== 'string', text);
    if (tree.excess(pattern) !== undefined) continue;
    tree.set(pattern, text);
    count += 1;
  }
  return { tree, count };
}

test('PatternTree.match() takes a bounded number of steps, and cuts a name once, where patterns overlap at each segment', () => {
  const texts = function* (): Generator<string> {
    for (let bits = 0; bits < 2 ** 12; bits++)
      yield `/${Array.from({ length: 12 }, (_, i) => ((bits >> i) % 2 === 0 ? 'a' : `{p${i}}`)).join('/')}/end`;
  };
  const { tree, count } = treeOf(texts());
  assert.ok(count > 10, `${count} patterns`);
  // every branch is tried, and leads nowhere
  const { lookups, cutBytes } = workOf(tree, `/${'a/'.repeat(12)}nowhere`);
  assert.ok(lookups > 50 && lookups <= 256, `${lookups} lookups`);
  assert.ok(cutBytes <= 2 * 12 + 'nowhere'.length, `${cutBytes} bytes`);
  // a segment of the size of a head is hashed once, not by each node that looks for it
  const long = 'x'.repeat(30_000);
  for (const name of [
    `/${'a/'.repeat(11)}${long}/nowhere`,
    `/${long}${'/a'.repeat(12)}`,
    `/${'a/'.repeat(15_000)}`,
  ])
    assert.ok(workOf(tree, name).cutBytes <= name.length, name.slice(0, 30));
});

test('PatternTree.match() of one of 2,000 patterns, with a parameter at each level, looks at a node for each segment', () => {
  const texts = Array.from({ length: 2000 }, (_, i) => `/{a}/x${i}/{b}/y${i}/{rest...}`);
  const { tree, count } = treeOf(texts);
  assert.equal(count, 2000);
  assert.deepEqual(tree.match('/1/x1999/2/y1999/3/4')?.values, ['1', '2', '3/4']);
  assert.ok(workOf(tree, '/1/x1999/2/y1999/3/4').lookups <= 4);
  assert.ok(workOf(tree, '/1/x1999/2/y1998/3/4').lookups <= 4);
  assert.ok(workOf(tree, `/${'1/'.repeat(10_000)}`).lookups <= 2);
});

test('PatternTree.match() looks no deeper than its patterns, however many segments a name has', () => {
  const { tree } = treeOf([`/${Array.from({ length: 32 }, (_, i) => `{p${i}}`).join('/')}`, '/a/{rest...}']);
  const name = `/b${'/'.repeat(30_000)}`;
  assert.equal(tree.match(name), undefined);
  // one segment more than the pattern has
  assert.ok(workOf(tree, `/${'b/'.repeat(15_000)}`).cutBytes <= 33);
  assert.deepEqual(tree.match(`/a/${'b/'.repeat(10_000)}`)?.values, ['b/'.repeat(10_000)]);
});
