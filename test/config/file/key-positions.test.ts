/** KeyPositions finds each key that the parser has read, in the text in which it stands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { type KeyPath, KeyPositions } from '../../../src/config/file/key-positions.ts';
import { inForm } from '../../support/test-form.ts';

const RUNS = inForm(400, 4000);

/** A value as text, in one of the ways in which TOML writes it. */
const scalar = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }).map(String),
  fc.constantFrom('true', 'false', '1.5', '1979-05-27', '1979-05-27 07:32:00', '0x1F', 'inf'),
  fc.string({ maxLength: 8 }).map((text) => JSON.stringify(text).replaceAll('\x7f', '\\u007f')),
  fc.constantFrom(
    "'a#b]'",
    "''",
    '""',
    '"""a\n# no comment = 1\n[x]\n"quoted" """',
    `"""two quotes""\\""""""`,
    "'''it's\n[[x]]'''",
    '"}, ]"',
    '""""""',
  ),
);
const bareKey = fc.stringMatching(/^[A-Za-z0-9_-]{1,5}$/);
const key = fc.oneof(
  { weight: 5, arbitrary: bareKey },
  { weight: 1, arbitrary: bareKey.map((name) => `'${name}.x='`) },
  { weight: 1, arbitrary: bareKey.map((name) => `"${name} \\" \\u00e9 # ["`) },
);
const gap = fc.constantFrom('', ' ', '\t');
const comment = fc.constantFrom('', ' # a = 1', '\n# [x]\n\n');

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }).map((all) => `[ ${all.join(' , # ]\n ')}\n ]`),
    fc
      .uniqueArray(fc.tuple(key, gap, tie('value')), { maxLength: 3, selector: ([name]) => name })
      .map((all) => `{ ${all.map(([name, blank, text]) => `${name}${blank}=${blank}${text}`).join(', ')} }`),
  ),
}));

const line = fc
  .tuple(fc.array(key, { minLength: 1, maxLength: 3 }), gap, value, comment)
  .map(([names, blank, text, end]) => `${names.join(`${blank}.${blank}`)}${blank}=${blank}${text}${end}\n`);
const header = fc
  .tuple(fc.array(key, { minLength: 1, maxLength: 2 }), fc.boolean(), comment)
  .map(
    ([names, isList, end]) => `${isList ? '[[' : '['} ${names.join(' . ')} ${isList ? ']]' : ']'}${end}\n`,
  );

/** Lines that are no TOML together, such as a key that is there twice, are left out one by one. */
const document = fc
  .array(fc.oneof({ weight: 4, arbitrary: line }, header), { maxLength: 14 })
  .map((lines) => {
    let text = '';
    for (const next of lines) if (isToml(text + next)) text += next;
    return text;
  });

function isToml(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The way to everything below a value. */
function pathsOf(of: unknown, path: KeyPath = []): KeyPath[] {
  if (typeof of !== 'object' || of === null || of instanceof Date) return [];
  const entries: [string | number, unknown][] = Array.isArray(of) ? [...of.entries()] : Object.entries(of);
  return entries.flatMap(([name, inner]) => [[...path, name], ...pathsOf(inner, [...path, name])]);
}

test('KeyPositions finds every key of a file, and nothing else', () => {
  let checked = 0;
  fc.assert(
    fc.property(document, (text) => {
      const table = parse(text);
      const positions = new KeyPositions(text);
      const lines = text.split('\n');
      const paths = pathsOf(table);
      for (const path of paths) {
        const { line: at, column } = positions.find(path);
        const rest = (lines[at - 1] ?? '').slice(column - 1);
        const name = path.at(-1);
        if (typeof name === 'number') continue;
        const [token = ''] = /^(?:"(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)/.exec(rest) ?? [];
        const written = token.startsWith('"') ? JSON.parse(token) : token.replaceAll("'", '');
        assert.equal(written, name, `${JSON.stringify(path)} at ${at}:${column} of\n${text}`);
        checked += 1;
      }
      assert.equal(positions.count, paths.length, text);
    }),
    { numRuns: RUNS },
  );
  assert.ok(checked > RUNS, `${checked} keys were looked at`);
});

test('KeyPositions counts lines and columns from 1, as editors do', () => {
  const text = 'a = 1\r\n\n[[lua]]\n  prefix = "/"\n[[lua]]\nx.y = { z = [1,\n 2] }\n';
  const positions = new KeyPositions(text);
  for (const [path, line, column] of [
    [['a'], 1, 1],
    [['lua', 0, 'prefix'], 4, 3],
    [['lua', 1], 5, 3],
    [['lua', 1, 'x', 'y'], 6, 3],
    [['lua', 1, 'x', 'y', 'z', 1], 7, 2],
    // what is not there: the table around it
    [['lua', 1, 'nothing'], 5, 3],
    [['nothing'], 1, 1],
  ] as const)
    assert.deepEqual(positions.find(path), { line, column }, path.join('.'));
});

test('KeyPositions ends on any text, however broken', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'[]{}="\'.,#\n a\\') }), (text) => {
      assert.ok(new KeyPositions(text).count >= 0);
    }),
    { numRuns: RUNS },
  );
});
