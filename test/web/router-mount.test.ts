/** Routers, services and functions below a prefix of another router. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Middleware, Router } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';

const says = (text: string) => (): Response => new Response(text);

async function ask(router: Router, path: string, method = 'GET'): Promise<string> {
  const response = await router.fetch(new Request(`http://example.test${path}`, { method }));
  const text = await response.text();
  const way = response.headers.get('way');
  // the gateway's own page says no more than the status
  const own = text.startsWith('<!DOCTYPE') ? '' : text;
  return [response.status === 200 ? '' : response.status, own, way].filter(Boolean).join(' ');
}

function mark(name: string): Middleware {
  return async (_request, next) => {
    const response = await next();
    response.headers.append('way', name);
    return response;
  };
}

test('mount() puts the routes of a router below a prefix, at any depth, with parameters of the prefix', async () => {
  const posts = new Router()
    .get('/', says('posts'))
    .get('/{post}', (_request, params) => new Response(JSON.stringify({ ...params })));
  const users = new Router().get('/', says('users')).mount('/{user}/posts', posts);
  const api = new Router().mount('/users', users).get('/', says('api'));
  const router = new Router().mount('/api', api).get('/', says('root'));
  assert.equal(await ask(router, '/'), 'root');
  assert.equal(await ask(router, '/api'), 'api');
  assert.equal(await ask(router, '/api/users/'), 'users');
  assert.equal(await ask(router, '/api/users/7/posts'), 'posts');
  assert.equal(await ask(router, '/api/users/7/posts/a%20b'), '{"user":"7","post":"a b"}');
  assert.equal(await ask(router, '/users'), '404');
  assert.equal(await ask(router, '/apis'), '404');
});

test('A router may be mounted twice, and routes of several routers make one path', async () => {
  const items = new Router().get('/items', says('items'));
  const more = new Router().post('/items', says('posted'));
  const router = new Router().mount('/a', items).mount('/b', items).mount('/a', more);
  assert.equal(await ask(router, '/a/items'), 'items');
  assert.equal(await ask(router, '/b/items'), 'items');
  assert.equal(await ask(router, '/a/items', 'POST'), 'posted');
  assert.equal(await ask(router, '/b/items', 'POST'), '405');
});

test('The option base stands before all paths of a router, those of its middleware and mounts too', async () => {
  const router = new Router({ base: '/api/v1/' })
    .use('/private', mark('private'))
    .get('/', says('root'))
    .get('/private/{x}', says('x'))
    .mount('/sub', new Router().get('/y', says('y')));
  assert.equal(await ask(router, '/api/v1'), 'root');
  assert.equal(await ask(router, '/api/v1/private/7'), 'x private');
  assert.equal(await ask(router, '/api/v1/sub/y'), 'y');
  assert.equal(await ask(router, '/private/7'), '404');
  for (const base of ['api', '', '/a?', '/{x...}'])
    assert.throws(() => new Router({ base }), { code: 'LGW_ROUTE' });
  const outer = new Router().mount('/outer', router);
  assert.equal(await ask(outer, '/outer/api/v1/private/7'), 'x private');
});

test('Middleware, notFound and onError of a mounted router hold for its requests, those of the outer router stand around', async () => {
  const inner = new Router()
    .use(mark('inner'))
    .notFound(says('no inner'))
    .get('/ok', says('ok'))
    .get('/bad', () => {
      throw new Error('bad');
    });
  const deep = new Router().onError(says('deep error')).get('/bad', () => {
    throw new Error('bad');
  });
  inner.mount('/deep', deep);
  const router = new Router()
    .use(mark('outer'))
    .notFound(says('no outer'))
    .onError(says('outer error'))
    .mount('/in', inner)
    .get('/in/other', says('other'));
  assert.equal(await ask(router, '/in/ok'), 'ok inner, outer');
  assert.equal(await ask(router, '/in/none'), 'no inner inner, outer');
  assert.equal(await ask(router, '/in/deep/none'), 'no inner inner, outer');
  assert.equal(await ask(router, '/none'), 'no outer outer');
  assert.equal(await ask(router, '/in/bad'), 'outer error inner, outer');
  assert.equal(await ask(router, '/in/deep/bad'), 'deep error inner, outer');
  assert.equal(await ask(router, '/in/other'), 'other outer', 'a route belongs to the router that has it');
  assert.equal(await ask(router, '/in/ok', 'POST'), '405 inner, outer');
});

test('An error of a mounted router’s onError goes to that of the outer router', async () => {
  const inner = new Router()
    .onError((error) => {
      throw error;
    })
    .get('/', () => {
      throw new Error('on its way');
    });
  const router = new Router()
    .onError((error) => new Response(error instanceof Error ? error.message : ''))
    .mount('/in', inner);
  assert.equal(await ask(router, '/in'), 'on its way');
});

test('mount() takes functions and objects with fetch, for all methods at and below the prefix', async () => {
  const service = {
    text: 'service',
    fetch(request: Request): Response {
      return new Response(`${this.text} ${request.method} ${new URL(request.url).pathname}`);
    },
  };
  const router = new Router()
    .mount('/files', (request, { path }) => new Response(`${request.method} <${path}>`))
    .mount('/service', service)
    .mount('/{tenant}/files', (_request, { tenant, path }) => new Response(`${tenant} <${path}>`));
  assert.equal(await ask(router, '/files'), 'GET <>');
  assert.equal(await ask(router, '/files/'), 'GET <>');
  assert.equal(await ask(router, '/files/a/b/', 'PUT'), 'PUT <a/b/>');
  assert.equal(await ask(router, '/service/x', 'POST'), 'service POST /service/x');
  assert.equal(await ask(router, '/t1/files/a'), 't1 <a>');
  const root = new Router().mount('/', (_request, { path }) => new Response(`<${path}>`));
  assert.equal(await ask(root, '/'), '<>');
  assert.equal(await ask(root, '/a/b'), '<a/b>');
});

test('mount() refuses itself, what is nothing to mount, and routes that are there', () => {
  const router = new Router().get('/in/a', says(''));
  const refusals: readonly (readonly [() => unknown, RegExp])[] = [
    [() => router.mount('/in', router), /cannot be mounted into itself/],
    [() => router.mount('/in', new Router().get('/a', says(''))), /"GET \/in\/a" is there already/],
    [() => router.mount('in', new Router()), /is not a path/],
    [() => router.mount('/{x...}', new Router()), /takes no \{name\.\.\.\}/],
    [() => router.mount('/x', {} as Router), /an object of class "Object": a router, a function/],
    [() => router.mount('/x', undefined as unknown as Router), /undefined: a router, a function/],
  ];
  for (const [mount, message] of refusals) assert.throws(mount, { code: 'LGW_ROUTE', message });
});

test('A router that is mounted takes nothing more, because nobody would see it', () => {
  const inner = new Router().get('/a', says(''));
  new Router().mount('/in', inner);
  const message = 'The router is mounted into another: give it all it has to have before that';
  for (const change of [
    () => inner.get('/b', says('')),
    () => inner.use(mark('')),
    () => inner.mount('/b', says('')),
    () => inner.notFound(says('')),
    () => inner.onError(says('')),
  ])
    assert.throws(change, { code: 'LGW_ROUTE', message });
});

test('A mounted router serves over real connections below the prefix of a mapping', async () => {
  const router = new Router({ base: '/api' }).mount('/v1', new Router().get('/hello', says('hello')));
  const server = await EmbeddedServer.start(router);
  assert.equal(await (await fetch(`${server.url}/api/v1/hello`)).text(), 'hello');
  assert.equal(
    (await fetch(`${server.url}/api/v1/hello`, { method: 'PUT' })).headers.get('allow'),
    'GET, HEAD, OPTIONS',
  );
  await server.stop();
});
