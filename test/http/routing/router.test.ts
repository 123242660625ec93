import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLogger } from '../../../src/base/logger.ts';
import type { Mapping } from '../../../src/http/exchange/handler.ts';
import { Dispatcher } from '../../../src/http/routing/dispatcher.ts';
import { HostRouter } from '../../../src/http/routing/host-router.ts';
import { splitTarget } from '../../../src/http/semantics/path.ts';
import { functionMapping } from '../../support/test-front-end.ts';

const NAMES = ['/', '/bar', '/bar/baz', '/js', '/foo'];
const mapping = (prefix: string, names: readonly string[]) =>
  functionMapping(prefix, Object.fromEntries(names.map((name) => [name, () => {}])));

/** Returns `prefix : handler ?query`, or `404`. */
function describe(router: HostRouter, target: string): string {
  const split = splitTarget(target);
  const route = split === undefined ? undefined : router.of('').match(split.path, split.query, 'GET');
  if (route === undefined) return '404';
  return `${route.prefix} : ${route.handlerName}${route.query === undefined ? '' : ` ?${route.query}`}`;
}

// results of lhttpd's own lookup with the mappings `/`, `/foo` and `/a/b`, each with the same five handlers. Rows marked [bug]
// there have the corrected result. Where lhttpd sends its built-in 404, the row has the result of our extensions.
const TABLE: readonly (readonly [string, string])[] = [
  ['/', '/ : /'],
  ['/js', '/ : /js'],
  ['/js?x=1', '/ : /js ?x=1'],
  ['/js?', '/ : /js ?'],
  ['/foo', '/ : /foo'],
  ['/foo?x', '/ : /foo ?x'],
  ['/foo/', '/foo : /'],
  ['/foo/?x', '/foo : / ?x'],
  ['/foo/bar', '/foo : /bar'],
  ['/foo/BAR', '404'],
  ['/foo/bar/', '404'],
  ['/foo/bar/baz', '/foo : /bar/baz'],
  ['/foo/bar?u=/a/b', '/foo : /bar ?u=/a/b'],
  ['/js?u=a/b', '/ : /js ?u=a/b'],
  ['/?u=/x', '/ : / ?u=/x'],
  ['/foo?u=/bar', '/ : /foo ?u=/bar'],
  ['//foo/bar', '/foo : /bar'],
  ['/foo//bar', '404'],
  ['/a/b', '/a/b : /'],
  ['/a/b/js', '/a/b : /js'],
  ['/x/y', '404'],
  ['/FOO/bar', '404'],
  ['*', '404'],
  ['foo/bar', '404'],
  ['/foo/bar#f', '404'],
];

test('Router.match() resolves every row of the lhttpd table (25)', () => {
  const router = new HostRouter(['/', '/foo', '/a/b'].map((prefix) => mapping(prefix, NAMES)));
  const actual = TABLE.map(([target]) => [target, describe(router, target)]);
  deepStrictEqual(actual, TABLE);
});

test('Router.match() falls to the /notfound of the longest prefix that has one, for every path below it', () => {
  const names = ['/', '/notfound'];
  const router = new HostRouter([
    mapping('/', names),
    mapping('/foo', ['/bar', '/notfound']),
    mapping('/a/b', []),
  ]);
  strictEqual(describe(router, '/foo/BAR?q'), '/foo : /notfound ?q');
  strictEqual(describe(router, '/foo/'), '/foo : /notfound');
  strictEqual(describe(router, '/foo?q'), '/foo : /notfound ?q');
  strictEqual(describe(router, '/nope'), '/ : /notfound');
  for (const path of ['/x/y', '/x/', '/x/y/z', '/a/b', '/a/b/c', '/a']) {
    strictEqual(describe(router, path), '/ : /notfound', path);
  }
});

test('Router.match() prefers a handler of any mapping to a /notfound of whatever prefix', () => {
  const nf = ['/notfound'];
  const onlyRoot = new HostRouter([mapping('/', nf)]);
  for (const path of ['/a/b', '/a/', '/a/b/c', '/', '/a'])
    strictEqual(describe(onlyRoot, path), '/ : /notfound');
  const onlyDeep = new HostRouter([mapping('/s', nf)]);
  for (const path of ['/s', '/s/', '/s/t']) strictEqual(describe(onlyDeep, path), '/s : /notfound');
  strictEqual(describe(onlyDeep, '/st'), '404');
  const handlerBelow = new HostRouter([mapping('/', nf), mapping('/s', ['/'])]);
  strictEqual(describe(handlerBelow, '/s'), '/s : /');
  strictEqual(describe(handlerBelow, '/s/x'), '/ : /notfound');
  const deeper = new HostRouter([mapping('/s', nf), mapping('/s/t', ['/', '/u'])]);
  strictEqual(describe(deeper, '/s/t'), '/s/t : /');
  strictEqual(describe(deeper, '/s/t/u'), '/s/t : /u');
  strictEqual(describe(deeper, '/s/t/v'), '/s : /notfound');
  const ofTheShorter = new HostRouter([mapping('/', ['/s/x']), mapping('/s', nf)]);
  strictEqual(describe(ofTheShorter, '/s/x'), '/ : /s/x');
});

test('Router.match() gives all below its prefix to a mapping that answers every path', () => {
  const all = (prefix: string): Mapping => ({ prefix, answersAll: true, find: () => ({ handle: () => {} }) });
  const router = new HostRouter([all('/'), mapping('/s', ['/', '/x', '/notfound']), mapping('/t', ['/x'])]);
  strictEqual(describe(router, '/s'), '/s : /');
  strictEqual(describe(router, '/s/x'), '/s : /x');
  strictEqual(describe(router, '/s/y'), '/s : /notfound');
  strictEqual(describe(router, '/t/x'), '/t : /x');
  strictEqual(describe(router, '/t/y'), '/ : /t/y');
  strictEqual(describe(router, '/u'), '/ : /u');
  const below = new HostRouter([mapping('/', ['/s/x', '/notfound']), all('/s'), mapping('/s/t', ['/u'])]);
  strictEqual(describe(below, '/s/x'), '/s : /x');
  strictEqual(describe(below, '/s'), '/s : /');
  strictEqual(describe(below, '/s/t/u'), '/s/t : /u');
  strictEqual(describe(below, '/s/t/v'), '/s : /t/v');
  strictEqual(describe(below, '/q/r'), '/ : /notfound');
});

/** The rule of routing without any optimization: looks for every path in every mapping. */
function plainRoute(
  mappings: readonly Mapping[],
  names: Map<Mapping, readonly string[]>,
  path: string,
): string {
  const first = mappings.filter((one, i) => mappings.findIndex((other) => other.prefix === one.prefix) === i);
  const fits = first
    .filter(({ prefix }) => prefix === '/' || path === prefix || path.startsWith(`${prefix}/`))
    .sort((a, b) => (a.prefix === '/' ? 1 : b.prefix === '/' ? -1 : b.prefix.length - a.prefix.length));
  const has = (one: Mapping, name: string): boolean => names.get(one)?.includes(name) === true;
  const nameIn = ({ prefix }: Mapping): string => (prefix === '/' ? path : path.slice(prefix.length) || '/');
  const root = fits.find(({ prefix }) => prefix === '/');
  if (root !== undefined && path.split('/').length === 2 && has(root, path)) return `/ : ${path}`;
  const real = fits.find((one) => has(one, nameIn(one)));
  const everything = fits.findIndex((one) => one.answersAll);
  const last = fits.findIndex((one) => one.answersAll || has(one, '/notfound'));
  if (real !== undefined && (everything === -1 || fits.indexOf(real) < everything))
    return `${real.prefix} : ${nameIn(real)}`;
  const owner = fits[last];
  if (owner === undefined) return '404';
  return `${owner.prefix} : ${owner.answersAll ? nameIn(owner) : '/notfound'}`;
}

test('Router.match() finds what a plain model of its rule finds, for random mappings and paths', () => {
  const segments = fc.array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 4 });
  const paths = segments.map((parts) => `/${parts.join('/')}`).filter((path) => !path.startsWith('//'));
  const prefixes = fc
    .array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 3 })
    .map((parts) => `/${parts.join('/')}`);
  const name = fc.oneof({ weight: 4, arbitrary: paths }, { weight: 1, arbitrary: fc.constant('/notfound') });
  const one = fc.record({
    prefix: prefixes,
    names: fc.array(name, { maxLength: 6 }),
    answersAll: fc.integer({ max: 5, min: 0 }).map((n) => n === 0),
  });
  fc.assert(
    fc.property(
      fc.array(one, { maxLength: 5 }),
      fc.array(paths, { minLength: 1, maxLength: 8 }),
      (specs, asked) => {
        const names = new Map<Mapping, readonly string[]>();
        const mappings = specs.map((spec) => {
          const plain = mapping(spec.prefix, spec.names);
          const made = spec.answersAll
            ? { prefix: spec.prefix, answersAll: true, find: () => ({ handle: () => {} }) }
            : plain;
          names.set(made, spec.answersAll ? [] : spec.names);
          return made;
        });
        const router = new HostRouter(mappings);
        for (const path of asked)
          strictEqual(describe(router, path), plainRoute(mappings, names, path), path);
      },
    ),
    { numRuns: 2000 },
  );
});

test('Router.match() takes the first mapping of a prefix only', () => {
  const router = new HostRouter([mapping('/foo', ['/a']), mapping('/foo', ['/b'])]);
  strictEqual(describe(router, '/foo/a'), '/foo : /a');
  strictEqual(describe(router, '/foo/b'), '404');
});

test('Router.match() prefers the longest of several deep prefixes', () => {
  const router = new HostRouter([mapping('/a/b', ['/c/d', '/x']), mapping('/a/b/c', ['/d'])]);
  strictEqual(describe(router, '/a/b/c/d'), '/a/b/c : /d');
  strictEqual(describe(router, '/a/b/x'), '/a/b : /x');
  strictEqual(describe(router, '/a/bc'), '404');
});

test('Router.match() prefers the longest prefix to a shorter one with the whole name', () => {
  const router = new HostRouter([mapping('/a/b', ['/c']), mapping('/a', ['/b/c', '/b/d'])]);
  strictEqual(describe(router, '/a/b/c'), '/a/b : /c');
  strictEqual(describe(router, '/a/b/d'), '/a : /b/d');
});

test('Router.match() gives /foo to the mapping /foo only where the mapping / has no handler of that name', () => {
  strictEqual(describe(new HostRouter([mapping('/foo', ['/'])]), '/foo'), '/foo : /');
  strictEqual(describe(new HostRouter([mapping('/foo', ['/']), mapping('/', ['/foo'])]), '/foo'), '/ : /foo');
  strictEqual(
    describe(new HostRouter([mapping('/foo', ['/']), mapping('/', ['/notfound'])]), '/foo'),
    '/foo : /',
  );
});

test('Router.match() finds deep handler names of the mapping / after everything else', () => {
  const router = new HostRouter([mapping('/', ['/x/y', '/foo/z', '/notfound']), mapping('/foo', ['/bar'])]);
  strictEqual(describe(router, '/x/y'), '/ : /x/y');
  strictEqual(describe(router, '/foo/z'), '/ : /foo/z');
  strictEqual(describe(router, '/foo/bar'), '/foo : /bar');
});

test('HostRouter.replace() swaps the whole list', () => {
  const router = new HostRouter([mapping('/', ['/old'])]);
  router.replace([mapping('/', ['/new'])]);
  strictEqual(describe(router, '/old'), '404');
  strictEqual(describe(router, '/new'), '/ : /new');
});

test('splitTarget() splits before it decodes, decodes once, and refuses NUL (26)', () => {
  deepStrictEqual(splitTarget('/a%3Fb?c%3Fd'), { path: '/a?b', query: 'c%3Fd' });
  deepStrictEqual(splitTarget('/%2541'), { path: '/%41', query: undefined });
  deepStrictEqual(splitTarget('/%zz%4'), { path: '/%zz%4', query: undefined });
  deepStrictEqual(splitTarget('/%ff%C3%A9+'), { path: '/\xff\xc3\xa9+', query: undefined });
  deepStrictEqual(splitTarget('/%2F%2ffoo//x'), { path: '/foo//x', query: undefined });
  strictEqual(splitTarget('/a%00b'), undefined);
});

test('Dispatcher.resolves() tells whether a target has a handler', () => {
  const router = new HostRouter([mapping('/', ['/js'])]);
  const dispatcher = new Dispatcher(
    router,
    createLogger('error', 'test', () => {}),
  );
  strictEqual(dispatcher.resolves('/js?x', ''), true);
  strictEqual(dispatcher.resolves('/nope', ''), false);
  strictEqual(dispatcher.resolves('/%00', ''), false);
});
