/** Holds the house rules a linter cannot see: who may import whom, what a file begins with, what never stands in one. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

/** The table of ARCHITECTURE.md: room → rooms and files it may import. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: ['base'],
  native: ['base'],
  tls: ['base'],
  file: ['base'],
  outbound: ['base'],
  http: ['base', 'tls'],
  lua: ['base'],
  shared: ['base'],
  api: ['base', 'http', 'lua', 'file', 'outbound', 'shared'],
  module: ['base', 'http', 'shared'],
  worker: ['base', 'config', 'native', 'tls', 'file', 'http', 'lua', 'outbound', 'api', 'module', 'shared'],
  supervisor: ['base', 'config', 'native', 'tls', 'shared', 'worker/messages.ts'],
  embed: [
    'base',
    'config',
    'http',
    'lua/wasm-module.ts',
    'module',
    'native',
    'shared',
    'supervisor',
    'tls',
    'worker/access-log.ts',
  ],
};

const SOURCE = join(PACKAGE_ROOT, 'src');

interface SourceFile {
  /** Relative to src/, with `/`. */
  readonly name: string;
  readonly text: string;
  /** Files of src/ it imports. */
  readonly imports: readonly string[];
}

const files: readonly SourceFile[] = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  .map((name) => {
    const text = readFileSync(join(SOURCE, name), 'utf8');
    const imports = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target = '']) =>
      relative(SOURCE, normalize(join(SOURCE, dirname(name), target))),
    );
    return { name, text, imports };
  });

function roomOf(name: string): string | undefined {
  return name.includes('/') ? name.slice(0, name.indexOf('/')) : undefined;
}

test('Every room imports only what the table of ARCHITECTURE.md allows', () => {
  const wrong: string[] = [];
  for (const { name, imports } of files) {
    const room = roomOf(name);
    if (room === undefined) continue;
    const allowed = MAY_IMPORT[room];
    assert.ok(allowed !== undefined, `src/${room} is in the table`);
    for (const target of imports) {
      const other = roomOf(target);
      if (other !== room && !allowed.includes(other ?? '') && !allowed.includes(target))
        wrong.push(`${name} → ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(files.length > 80, 'the files were found');
});

test('Nobody below worker reads the configuration', () => {
  const readers = files.filter(({ imports }) => imports.some((target) => roomOf(target) === 'config'));
  const rooms = new Set(readers.map(({ name }) => roomOf(name)));
  for (const room of rooms)
    assert.ok([undefined, 'config', 'worker', 'supervisor', 'embed'].includes(room), String(room));
});

test('Every source file begins with a comment that says what it is responsible for', () => {
  const without = files.filter(({ text }) => !/^(?:#![^\n]*\n)?\/\*\*/.test(text)).map(({ name }) => name);
  assert.deepEqual(without, []);
});

test('http never says Lua, and lua never says HTTP', () => {
  for (const { name, text } of files) {
    // a script is also a file with a media type
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|.*text\/x-lua.*/g, '');
    if (name.startsWith('http/')) assert.doesNotMatch(code, /\blua(?!Code)/i, name);
    if (name.startsWith('lua/')) assert.doesNotMatch(code, /\bhttp/i, name);
  }
});

test('Nothing is left to be done in the source, and no private key lies in it', () => {
  for (const { name, text } of files) {
    assert.doesNotMatch(text, /\b(?:TODO|FIXME|XXX)\b/, name);
    assert.doesNotMatch(text, /-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{16}/, name);
  }
});
