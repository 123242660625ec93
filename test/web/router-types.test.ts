/** What the compiler knows of routes and middleware: parameters by the text of a pattern, the state by its router. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Middleware, type ParamNames, type Params, Router, testContext } from '../../src/index.ts';

/** Compiles only where both types are the same. */
function same<A, B>(..._: [A] extends [B] ? ([B] extends [A] ? [] : [never]) : [never]): void {}

test('Types: the names of a pattern are those of its parameters', () => {
  same<ParamNames<'/a/{x}/b/{y}'>, 'x' | 'y'>();
  same<ParamNames<'/a/{rest...}'>, 'rest'>();
  same<ParamNames<'/{x}/{rest...}'>, 'x' | 'rest'>();
  same<ParamNames<'/a'>, never>();
  same<ParamNames<string>, string>();
  // @ts-expect-error: x is no name of it
  same<ParamNames<'/a/{y}'>, 'x'>();
  same<Params<'/a/{x}'>, Readonly<Record<'x', string>>>();
});

test('Types: handlers, middleware and mounted functions get the parameters of their text, and no others', async () => {
  const router = new Router()
    .get('/users/{id}', (_request, params) => {
      // @ts-expect-error: the pattern has no such name
      assert.equal(params.name, undefined);
      return new Response(params.id);
    })
    .use('/orgs/{org}', (_request, next, _context, params) => {
      // @ts-expect-error: nor has this path
      assert.equal(params.id, undefined);
      assert.equal(params.org, 'o');
      return next();
    })
    .mount('/orgs/{org}/files', (_request, { org, path }) => new Response(`${org} ${path}`));
  assert.equal(await (await router.fetch(new Request('http://a.test/users/7'))).text(), '7');
  assert.equal(await (await router.fetch(new Request('http://a.test/orgs/o/files/a/b'))).text(), 'o a/b');
  // @ts-expect-error: a handler returns a Response
  router.get('/text', () => 'text');
  // @ts-expect-error: and so does middleware
  router.use('/text', () => undefined);
  // @ts-expect-error: next() takes a Request
  const wrong: Middleware = (_request, next) => next(new Error('x'));
  assert.equal(typeof wrong, 'function');
});

test('Types: the state of a router is what its handlers and middleware see, and a mounted router has its own', async () => {
  interface Signed {
    user: { readonly name: string };
  }
  const signed = new Router<Signed>().get('/name', (_request, _params, { state }) => {
    // @ts-expect-error: no such field
    assert.equal(state.other, undefined);
    return new Response(state.user.name);
  });
  const router = new Router<Signed & { count?: number }>()
    .use((_request, next, { state }) => {
      state.user = { name: 'ali' };
      state.count = 1;
      return next();
    })
    .mount('/me', signed)
    .get('/count', (_request, _params, { state }) => new Response(String(state.count)));
  assert.equal(await (await router.fetch(new Request('http://a.test/me/name'))).text(), 'ali');
  assert.equal(await (await router.fetch(new Request('http://a.test/count'))).text(), '1');
  const context = testContext<Signed>({ state: { user: { name: 'eve' } } });
  assert.equal(await (await signed.fetch(new Request('http://a.test/name'), context)).text(), 'eve');
  const plain = new Router().get('/', (_request, _params, { state }) => new Response(typeof state['user']));
  assert.equal(await (await plain.fetch(new Request('http://a.test/'))).text(), 'undefined');
});
