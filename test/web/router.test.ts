/** The router of handler modules and the builder of responses: matching, parameters, and refusals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method, Reason, ResponseBuilder, Router } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';

async function ask(router: Router, path: string, method = 'GET'): Promise<string> {
  const response = await router.fetch(new Request(`http://example.test${path}`, { method }));
  return response.status === 200 ? await response.text() : String(response.status);
}

const says = (text: string) => (): Response => new Response(text);

test('A5: Router finds routes by path and method, and answers 404 for other paths, 405 for other methods', async () => {
  const router = new Router().get('/', says('root')).get('/a/b', says('ab')).post('/a/b', says('posted'));
  assert.equal(await ask(router, '/'), 'root');
  assert.equal(await ask(router, '/a/b'), 'ab');
  assert.equal(await ask(router, '/a/b', 'POST'), 'posted');
  assert.equal(await ask(router, '/a/b', 'PUT'), '405');
  for (const path of ['/a', '/a/b/c', '/A/b', '/a//b']) assert.equal(await ask(router, path), '404', path);
});

test('A5: Router ignores the query and one slash at the end', async () => {
  const router = new Router().get('/a/b', says('found')).get('/', says('root'));
  for (const path of ['/a/b/', '/a/b?x=/y', '/a/b/?x', '/a/b?'])
    assert.equal(await ask(router, path), 'found', path);
  assert.equal(await ask(router, '/?x'), 'root');
  assert.equal(await ask(router, '/a/b//'), '404');
});

test('A5: {param} matches one segment, decoded, and names are typed', async () => {
  const router = new Router()
    .get('/users/{id}', (_request, { id }) => new Response(`user ${id}`))
    .get('/users/{id}/{part}/end', (_request, params) => new Response(`${params.id} ${params.part}`));
  assert.equal(await ask(router, '/users/7'), 'user 7');
  assert.equal(await ask(router, '/users/a%2Fb%20%C3%A9'), 'user a/b é');
  assert.equal(await ask(router, '/users/%E9%'), 'user %E9%');
  assert.equal(await ask(router, '/users/7/x/end'), '7 x');
  assert.equal(await ask(router, '/users/7//end'), '404');
  assert.equal(await ask(router, '/users/'), '404');
  assert.equal(await ask(router, '/users/7/x'), '404');
});

test('A5: static segments are compared decoded, and no character of them is special', async () => {
  const router = new Router()
    .get('/a.b+c', says('dots'))
    .get('/%C3%A9', says('accent'))
    .get('/__proto__/{__proto__}', (_r, p) => new Response(String(Reflect.get(p, '__proto__'))));
  assert.equal(await ask(router, '/a.b+c'), 'dots');
  assert.equal(await ask(router, '/%61.b%2Bc'), 'dots');
  assert.equal(await ask(router, '/aXb+c'), '404');
  assert.equal(await ask(router, '/é'), 'accent');
  assert.equal(await ask(router, '/__proto__/x'), 'x');
});

test('A5: an exact segment goes before a parameter, this before the rest, and any() takes every method that is left', async () => {
  const router = new Router()
    .any('/a/{rest...}', (_request, { rest }) => new Response(`rest ${rest}`))
    .any('/a/{x}', says('any'))
    .get('/a/{x}', says('get'))
    .get('/a/first', says('first'))
    .add('PURGE', '/b', says('purged'));
  assert.equal(await ask(router, '/a/first'), 'first');
  assert.equal(await ask(router, '/a/second'), 'get');
  assert.equal(await ask(router, '/a/second/third'), 'rest second/third');
  for (const method of [Method.POST, Method.DELETE, Method.PATCH, Method.OPTIONS, 'ODD'])
    assert.equal(await ask(router, '/a/second', method), 'any', method);
  assert.equal(await ask(router, '/a/first', Method.POST), '405');
  assert.equal(await ask(router, '/b', 'PURGE'), 'purged');
});

test('{rest...} takes all that is left, decoded, with the slash at its end, and never nothing', async () => {
  const router = new Router().get('/files/{path...}', (_request, { path }) => new Response(`<${path}>`));
  const cases: readonly (readonly [path: string, expected: string])[] = [
    ['/files/a', '<a>'],
    ['/files/a/b.txt?x=/y', '<a/b.txt>'],
    ['/files/a/', '<a/>'],
    ['/files/a//b', '<a//b>'],
    ['/files/%C3%A9/%25/%7Bx%7D', '<é/%/{x}>'],
    ['/files/a%2F..%2Fb', '<a/../b>'],
    ['/files', '404'],
    ['/files/', '404'],
  ];
  for (const [path, expected] of cases) assert.equal(await ask(router, path), expected, path);
});

test('A path that has no route for the method gets 405, or 204 for OPTIONS, with the methods it has', async () => {
  const router = new Router()
    .get('/a/{x}', says('got'))
    .post('/a/{y}', says('posted'))
    .options('/b', says('own'))
    .put('/b', says('put'));
  const allowOf = async (path: string, method: string): Promise<[number, string | null, string]> => {
    const response = await router.fetch(new Request(`http://example.test${path}`, { method }));
    const text = await response.text();
    return [response.status, response.headers.get('allow'), /<h1>(.*)<\/h1>/.exec(text)?.[1] ?? text];
  };
  assert.deepEqual(await allowOf('/a/1', 'DELETE'), [
    405,
    'GET, HEAD, OPTIONS, POST',
    '405 Method Not Allowed',
  ]);
  assert.deepEqual(await allowOf('/a/1', 'OPTIONS'), [204, 'GET, HEAD, OPTIONS, POST', '']);
  assert.deepEqual(await allowOf('/b', 'GET'), [405, 'OPTIONS, PUT', '405 Method Not Allowed']);
  assert.deepEqual(await allowOf('/b', 'OPTIONS'), [200, null, 'own']);
  assert.deepEqual(await allowOf('/c', 'OPTIONS'), [404, null, '404 Not Found']);
});

test('The 404 and 405 of a router are pages in the form that the client wants', async () => {
  const router = new Router().get('/a', says('got'));
  const of = async (path: string, method: string, accept: string): Promise<unknown[]> => {
    const response = await router.fetch(
      new Request(`http://example.test${path}`, { method, headers: { accept } }),
    );
    const { headers } = response;
    return [response.status, headers.get('content-type'), headers.get('vary'), await response.text()];
  };
  assert.deepEqual(await of('/b', 'GET', 'application/json'), [
    404,
    'application/problem+json',
    'accept',
    '{"type":"about:blank","title":"Not Found","status":404}\n',
  ]);
  assert.deepEqual(await of('/a', 'PUT', 'text/plain'), [
    405,
    'text/plain; charset=utf-8',
    'accept',
    '405 Method Not Allowed\n',
  ]);
});

test('A5: HEAD goes to a route of its own, else to that of GET', async () => {
  const router = new Router()
    .get('/a', says('get'))
    .head('/a', says('head'))
    .get('/b', says('get'))
    .put('/b', says('put'))
    .patch('/b', says('patch'))
    .delete('/b', says('delete'));
  assert.equal(await ask(router, '/a', 'HEAD'), 'head');
  assert.equal(await ask(router, '/b', 'HEAD'), 'get');
  for (const method of ['PUT', 'PATCH', 'DELETE'])
    assert.equal(await ask(router, '/b', method), method.toLowerCase());
});

test('A5: notFound() answers what no route fits', async () => {
  const router = new Router()
    .get('/a', says('a'))
    .notFound((request) => new Response(`nothing at ${new URL(request.url).pathname}`));
  assert.equal(await ask(router, '/b'), 'nothing at /b');
  assert.equal(await ask(router, '/a', 'POST'), '405');
});

test('A5: Router refuses bad patterns and handlers with a typed error', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['a', /Route "a" is not a path that starts with "\/"/],
    ['', /is not a path/],
    ['/a?b', /is not a path/],
    ['/a#b', /is not a path/],
    ['/{}', /"\{\}" has to be \{name\} or \{name\.\.\.\} and nothing else/],
    ['/x{a}', /"x\{a\}" has to be/],
    ['/{a}{b}', /has to be \{name\}/],
    ['/{a-b}', /has to be \{name\}/],
    ['/{a}/{a}', /the name "a" stands in it twice/],
    ['/{a...}/b', /\{a\.\.\.\} has to be its last segment/],
    ['/a'.repeat(33), /it has 33 segments and the limit is 32/],
  ];
  for (const [pattern, message] of cases)
    assert.throws(() => new Router().any(pattern, says('')), { code: 'LGW_ROUTE', message }, pattern);
  new Router().any('/a'.repeat(32), says(''));
  const missing: unknown = undefined;
  assert.throws(() => new Router().get('/a', missing as () => Response), { code: 'LGW_ROUTE' });
});

test('A route that is there already is refused, whatever its parameters are called', () => {
  const router = new Router().get('/a/{x}', says('')).any('/a/{x}', says('')).get('/%61', says(''));
  for (const add of [
    () => router.get('/a/{y}', says('')),
    () => router.any('/a/{x}/', says('')),
    () => router.get('/a', says('')),
  ])
    assert.throws(add, { code: 'LGW_ROUTE', message: /is there already: names of parameters make no/ });
  router.post('/a/{y}', says(''));
});

test('Patterns that overlap so often that a path could take hundreds of steps are refused', () => {
  const router = new Router();
  assert.throws(
    () => {
      for (let bits = 0; bits < 1024; bits++) {
        const parts = Array.from({ length: 10 }, (_, i) => ((bits >> i) & 1 ? 'a' : `{p${i}}`));
        router.get(`/${parts.join('/')}`, says(''));
      }
    },
    { code: 'LGW_ROUTE', message: /matching a path may take \d+ steps and the limit is 256/ },
  );
});

test('A5: a Router serves over real connections, and a route that returns nothing gives 500', async () => {
  const nothing: unknown = () => undefined;
  const router = new Router()
    .get('/router/parametrized/{param}', (_request, { param }) => new Response(param))
    .get('/nothing', nothing as () => Response);
  const server = await EmbeddedServer.start(router);
  const answer = await fetch(`${server.url}/router/parametrized/myParam`);
  assert.equal(await answer.text(), 'myParam');
  assert.equal((await fetch(`${server.url}/router/parametrized/myParam`, { method: 'POST' })).status, 405);
  assert.equal((await fetch(`${server.url}/nothing`)).status, 500);
  await server.stop();
});

test('A3: ResponseBuilder builds what it was told', async () => {
  const response = new ResponseBuilder()
    .code(201)
    .reason('Made')
    .header('X-One', '1')
    .header('x-one', '2')
    .headers({ 'x-two': '3' })
    .headers(new Headers([['x-three', '4']]))
    .appendHeader('set-cookie', 'a=1')
    .appendHeader('set-cookie', 'b=2')
    .contentType('text/css')
    .body('p {}')
    .build();
  assert.deepEqual([response.status, response.statusText], [201, 'Made']);
  assert.deepEqual(Object.fromEntries(response.headers), {
    'content-type': 'text/css',
    'set-cookie': 'b=2',
    'x-one': '2',
    'x-three': '4',
    'x-two': '3',
  });
  assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
  assert.equal(await response.text(), 'p {}');
});

test('A3: ResponseBuilder has empty answers, bytes and streams as bodies, and builds again', async () => {
  const empty = [
    ResponseBuilder.empty200(),
    ResponseBuilder.empty400(),
    ResponseBuilder.empty404(),
    ResponseBuilder.empty500(),
  ].map((builder) => builder.build());
  assert.deepEqual(
    empty.map(({ status }) => status),
    [200, 400, 404, 500],
  );
  assert.ok(empty.every(({ body }) => body === null));
  const bytes = Uint8Array.of(1, 2, 255);
  const builder = new ResponseBuilder().status(Reason.ok200).body(bytes);
  const first = builder.build();
  bytes.fill(0);
  assert.deepEqual(new Uint8Array(await first.arrayBuffer()), Uint8Array.of(1, 2, 255));
  const second = builder.body(new Blob(['streamed']).stream()).build();
  assert.equal(await second.text(), 'streamed');
});

test('A3: ResponseBuilder says what is missing and what is wrong', () => {
  assert.throws(() => new ResponseBuilder().body('x').build(), {
    code: 'LGW_RESPONSE_INCOMPLETE',
    message: 'The response has no status code',
  });
  for (const code of [199, 600, 200.5, Number.NaN])
    assert.throws(() => new ResponseBuilder().code(code), { code: 'LGW_RESPONSE_INVALID' });
  for (const code of [200, 599]) assert.equal(new ResponseBuilder().code(code).build().status, code);
  const invalid = { code: 'LGW_RESPONSE_INVALID' };
  assert.throws(() => new ResponseBuilder().header('a b', 'x'), invalid);
  assert.throws(() => new ResponseBuilder().header('a', 'x\r\nb: c'), invalid);
  assert.throws(() => new ResponseBuilder().reason('x\r\ny'), invalid);
  assert.throws(() => new ResponseBuilder().code(204).body('x').build(), invalid);
});
