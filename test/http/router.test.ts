import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { Dispatcher } from '../../src/http/dispatcher.ts';
import { splitTarget } from '../../src/http/path.ts';
import { Router } from '../../src/http/router.ts';
import { functionMapping } from '../support/test-front-end.ts';

const NAMES = ['/', '/bar', '/bar/baz', '/js', '/foo'];
const mapping = (prefix: string, names: readonly string[]) =>
  functionMapping(prefix, Object.fromEntries(names.map((name) => [name, () => {}])));

/** `prefix : handler ?query`, or `404`. */
function describe(router: Router, target: string): string {
  const split = splitTarget(target);
  const route = split === undefined ? undefined : router.match(split.path, split.query);
  if (route === undefined) return '404';
  return `${route.prefix} : ${route.handlerName}${route.query === undefined ? '' : ` ?${route.query}`}`;
}

// lhttpd's own lookup, run by hand: mappings `/`, `/foo`, `/a/b`, each with the same five handlers. Rows marked [bug]
// there show the repaired result, and rows where it gives its built-in 404 show what the extensions make of them.
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
  const router = new Router(['/', '/foo', '/a/b'].map((prefix) => mapping(prefix, NAMES)));
  const actual = TABLE.map(([target]) => [target, describe(router, target)]);
  deepStrictEqual(actual, TABLE);
});

test('Router.match() falls to the /notfound handler of the mapping that owns the prefix', () => {
  const router = new Router([mapping('/', ['/', '/notfound']), mapping('/foo', ['/bar', '/notfound'])]);
  strictEqual(describe(router, '/foo/BAR?q'), '/foo : /notfound ?q');
  strictEqual(describe(router, '/nope'), '/ : /notfound');
  strictEqual(describe(router, '/x/y'), '404');
});

test('Router.match() takes the first mapping of a prefix only', () => {
  const router = new Router([mapping('/foo', ['/a']), mapping('/foo', ['/b'])]);
  strictEqual(describe(router, '/foo/a'), '/foo : /a');
  strictEqual(describe(router, '/foo/b'), '404');
});

test('Router.match() prefers the longest of several deep prefixes', () => {
  const router = new Router([mapping('/a/b', ['/c/d', '/x']), mapping('/a/b/c', ['/d'])]);
  strictEqual(describe(router, '/a/b/c/d'), '/a/b/c : /d');
  strictEqual(describe(router, '/a/b/x'), '/a/b : /x');
  strictEqual(describe(router, '/a/bc'), '404');
});

test('Router.match() prefers an exact one-segment mapping to a deep prefix', () => {
  const router = new Router([mapping('/a/b', ['/c']), mapping('/a', ['/b/c'])]);
  strictEqual(describe(router, '/a/b/c'), '/a : /b/c');
});

test('Router.match() gives /foo to the mapping /foo only where the mapping / has no answer', () => {
  strictEqual(describe(new Router([mapping('/foo', ['/'])]), '/foo'), '/foo : /');
  strictEqual(describe(new Router([mapping('/foo', ['/']), mapping('/', ['/foo'])]), '/foo'), '/ : /foo');
  strictEqual(
    describe(new Router([mapping('/foo', ['/']), mapping('/', ['/notfound'])]), '/foo'),
    '/ : /notfound',
  );
});

test('Router.match() finds deep handler names of the mapping / after everything else', () => {
  const router = new Router([mapping('/', ['/x/y', '/foo/z', '/notfound']), mapping('/foo', ['/bar'])]);
  strictEqual(describe(router, '/x/y'), '/ : /x/y');
  strictEqual(describe(router, '/foo/z'), '/ : /foo/z');
  strictEqual(describe(router, '/foo/bar'), '/foo : /bar');
});

test('Router.replace() swaps the whole list', () => {
  const router = new Router([mapping('/', ['/old'])]);
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
  const router = new Router([mapping('/', ['/js'])]);
  const dispatcher = new Dispatcher(
    router,
    createLogger('error', 'test', () => {}),
  );
  strictEqual(dispatcher.resolves('/js?x'), true);
  strictEqual(dispatcher.resolves('/nope'), false);
  strictEqual(dispatcher.resolves('/%00'), false);
});
