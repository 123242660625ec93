/** Holds the house rules a linter cannot see: who may import whom, what a file begins with, what never stands in one. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

const HTTP = ['http/semantics', 'http/exchange'];
const OF_RUNS = ['script/run', 'script/objects'];

/** What Node does not promise, for whoever needs some of it; it knows only base. */
const NODE = 'native/node-internals.ts';

/** The table of ARCHITECTURE.md: room → rooms and files it may import. A room inside another is one of its own. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  metrics: [],
  admin: ['base', 'metrics'],
  mapping: ['base', 'metrics', 'http/semantics'],
  settings: ['base'],
  access: ['base', 'settings', ...HTTP],
  config: ['mapping', 'base', 'settings'],
  'config/file': ['mapping', 'base', 'settings', 'config'],
  events: ['mapping', 'base'],
  native: ['base'],
  opener: ['base', 'native'],
  tls: ['base', 'settings'],
  acme: ['base', 'settings', 'tls', 'fleet'],
  ocsp: ['base', 'tls'],
  crypto: ['base'],
  file: ['mapping', 'metrics', 'base', NODE],
  outbound: ['mapping', 'metrics', 'base'],
  lua: ['base', NODE],
  shared: ['base', NODE],
  store: ['metrics', 'base', 'lua/lua-source.ts', 'shared'],
  fleet: ['base', 'settings', 'events', 'store'],
  forms: ['base', 'http/semantics'],
  'http/semantics': ['base'],
  'http/coding': ['metrics', 'base', 'settings', 'http/semantics'],
  'http/exchange': ['metrics', 'base', NODE, 'http/semantics', 'http/coding'],
  'http/routing': ['base', ...HTTP],
  'http/h1': ['base', NODE, ...HTTP],
  'http/h2': ['metrics', 'base', NODE, 'settings', ...HTTP],
  'http/front': [
    'metrics',
    'base',
    NODE,
    'settings',
    ...HTTP,
    'http/coding',
    'http/routing',
    'http/h1',
    'http/h2',
  ],
  'script/run': ['metrics', 'base', 'file', 'lua', 'http/exchange'],
  'script/objects': ['base', 'file', 'lua', 'http/exchange', 'script/run'],
  'script/context': [
    'cache/purge-answers.ts',
    'cache/purge-marks.ts',
    'mapping',
    'metrics',
    'base',
    'events',
    'file',
    'http/exchange',
    'http/routing',
    'lua',
    'outbound',
    'proxy',
    'shared',
    'store',
    ...OF_RUNS,
  ],
  static: ['mapping', 'base', 'file', ...HTTP],
  cache: ['metrics', 'base', ...HTTP, 'shared/sip-hash.ts'],
  'proxy/upstreams': [],
  proxy: [
    'proxy/upstreams',
    'mapping',
    'metrics',
    'base',
    NODE,
    ...HTTP,
    'http/h1/http1-fields.ts',
    'http/h1/http1-chunks.ts',
    'outbound/connect-policy.ts',
    'outbound/failure-reason.ts',
  ],
  websocket: ['mapping', 'base', NODE, ...HTTP],
  libraries: ['base', NODE, 'file', 'lua', ...OF_RUNS],
  httpd: [
    'cache/purge-marks.ts',
    'mapping',
    'base',
    'crypto',
    'events',
    NODE,
    'file',
    'forms',
    ...HTTP,
    'http/coding',
    'lua',
    'outbound',
    'proxy',
    'shared',
    'store',
    'static',
    'websocket',
    ...OF_RUNS,
    'script/context',
  ],
  script: [
    'mapping',
    'metrics',
    'base',
    'events',
    'file',
    ...HTTP,
    'http/routing',
    'lua',
    'outbound',
    'proxy',
    'shared',
    'store',
    'libraries',
    'httpd',
    ...OF_RUNS,
    'script/context',
  ],
  web: [
    'cache/purge-answers.ts',
    'mapping',
    'metrics',
    'base',
    'events',
    NODE,
    'file',
    'forms',
    ...HTTP,
    'http/routing',
    'shared',
    'store',
    'static',
    'websocket',
  ],
  worker: [
    'access',
    'mapping',
    'metrics',
    'base',
    'settings',
    'config',
    'events',
    'native',
    'tls',
    'file',
    ...HTTP,
    'http/coding',
    'http/routing',
    'http/front',
    'lua',
    'outbound',
    'proxy',
    'proxy/upstreams',
    'cache',
    'script',
    'script/context',
    'web',
    'shared',
    'store',
    'static',
    'websocket',
  ],
  supervisor: [
    'acme',
    'ocsp',
    'admin',
    'mapping',
    'metrics',
    'base',
    'settings',
    'config',
    'events',
    'fleet',
    'native',
    'opener',
    'tls',
    'shared',
    'proxy/upstreams',
    'cache/common-marks.ts',
    'cache/purge-marks.ts',
    'worker/messages.ts',
  ],
  command: [
    'base',
    'config',
    'config/file',
    'file',
    'mapping',
    'metrics/worker-metrics.ts',
    'supervisor',
    'lua',
    'libraries',
    'tls',
  ],
  embed: [
    'access',
    'cache/lazy-cache.ts',
    'cache/purge-marks.ts',
    'mapping',
    'metrics',
    'base',
    'events',
    'settings',
    'config',
    ...HTTP,
    'http/coding',
    'http/routing',
    'http/front',
    'lua/wasm-module.ts',
    'proxy',
    'proxy/upstreams',
    'websocket',
    'web',
    'native',
    'shared',
    'supervisor',
    'tls',
    'worker/listen-target.ts',
    'worker/request-metrics.ts',
  ],
};

const SOURCE = join(PACKAGE_ROOT, 'src');

interface SourceFile {
  /** Relative to the folder that was read, with `/`. */
  readonly name: string;
  readonly text: string;
  /** Files of the same folder it imports, types included. */
  readonly imports: readonly string[];
}

function readSources(folder: string): readonly SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      const imports = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target = '']) =>
        relative(folder, normalize(join(folder, dirname(name), target))),
      );
      return { name, text, imports };
    });
}

const files = readSources(SOURCE);

/** A way in the graph that ends where it began; undefined: there is none. */
function findCircle(graph: ReadonlyMap<string, Iterable<string>>): readonly string[] | undefined {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (node: string): readonly string[] | undefined => {
    if (done.has(node)) return undefined;
    const at = way.indexOf(node);
    if (at !== -1) return [...way.slice(at), node];
    way.push(node);
    for (const next of graph.get(node) ?? []) {
      const circle = visit(next);
      if (circle !== undefined) return circle;
    }
    way.pop();
    done.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const circle = visit(node);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function roomOf(name: string): string | undefined {
  const folder = dirname(name);
  return folder === '.' ? undefined : folder;
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

test('Rooms that import each other form no circle', () => {
  const rooms = new Map<string, Set<string>>();
  for (const { name, imports } of files) {
    const room = roomOf(name);
    if (room === undefined) continue;
    const known = rooms.get(room) ?? new Set();
    rooms.set(room, known);
    for (const target of imports) {
      const other = roomOf(target);
      if (other !== undefined && other !== room) known.add(other);
    }
  }
  assert.ok(rooms.size > 20, 'the rooms were found');
  assert.equal(findCircle(rooms)?.join(' → '), undefined);
});

for (const folder of ['src', 'bench', 'test/support']) {
  test(`Files of ${folder}/ that import each other form no circle, not even for types`, () => {
    const graph = new Map(
      readSources(join(PACKAGE_ROOT, folder)).map(({ name, imports }) => [name, imports] as const),
    );
    assert.ok(graph.size > 10, 'the files were found');
    assert.equal(findCircle(graph)?.join(' → '), undefined);
  });
}

test('A circle is found where there is one', () => {
  const graph = new Map([
    ['a', ['b', 'd']],
    ['b', ['c']],
    ['c', ['d', 'b']],
    ['d', []],
  ]);
  assert.deepEqual(findCircle(graph), ['b', 'c', 'b']);
});

test('Nobody below worker reads the configuration', () => {
  const readers = files.filter(({ imports }) => imports.some((target) => roomOf(target) === 'config'));
  const rooms = new Set(readers.map(({ name }) => roomOf(name)));
  for (const room of rooms)
    assert.ok(
      [undefined, 'command', 'config', 'config/file', 'worker', 'supervisor', 'embed'].includes(room),
      String(room),
    );
});

test('Every source file begins with a comment that says what it is responsible for', () => {
  const without = files.filter(({ text }) => !/^(?:#![^\n]*\n)?\/\*\*/.test(text)).map(({ name }) => name);
  assert.deepEqual(without, []);
});

/** Lines of a file. */
const LINES_MAX = 500;
/** From here on the comment at the head of a file has a sentence that begins so. */
const LONG_LINES = 400;
const REASON = /^\/\*\*(?:(?!\*\/)[\s\S])*\bLong because \S/;

test(`No file has more than ${LINES_MAX} lines, and one of more than ${LONG_LINES} says at its head why`, () => {
  const tooLong: string[] = [];
  const withoutReason: string[] = [];
  let count = 0;
  for (const folder of ['src', 'bench', 'test/support']) {
    for (const name of readdirSync(join(PACKAGE_ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const text = readFileSync(join(PACKAGE_ROOT, folder, name), 'utf8');
      const lines = text.split('\n').length - 1;
      count += 1;
      if (lines > LINES_MAX) tooLong.push(`${folder}/${name}: ${lines}`);
      else if (lines > LONG_LINES && !REASON.test(text)) withoutReason.push(`${folder}/${name}: ${lines}`);
    }
  }
  assert.deepEqual([tooLong, withoutReason], [[], []]);
  assert.ok(count > 300, 'the files were found');
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

test('Lua code stands in .lua files, where luacheck sees it', () => {
  const inText = /`\n\s*(?:--|local \w|return function|function )|state\.load\([^;]*Buffer\.from\(/;
  assert.deepEqual(
    files.filter(({ text }) => inText.test(text)).map(({ name }) => name),
    [],
  );
});
