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
