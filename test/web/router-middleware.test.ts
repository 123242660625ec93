/** Middleware of the router: its order, where it applies, and what becomes of its mistakes. */
import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { type LogFields, type Logger, type Middleware, Router, testContext } from '../../src/index.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { waitFor } from '../support/test-front-end.ts';

let server: EmbeddedServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const says = (text: string) => (): Response => new Response(text);

function at(path: string, init: RequestInit = {}): Request {
  return new Request(`http://example.test${path}`, init);
}

async function ask(router: Router, path: string, method = 'GET'): Promise<string> {
  const response = await router.fetch(at(path, { method }));
  return response.status === 200 ? await response.text() : String(response.status);
}

/** Adds its name to the field `way` on the way back, so that the innermost comes first. */
function mark(name: string): Middleware {
  return async (_request, next) => {
    const response = await next();
    response.headers.append('way', name);
    return response;
  };
}

async function wayOf(router: Router, path: string, method = 'GET'): Promise<string> {
  const { status, headers } = await router.fetch(at(path, { method }));
  return `${status} ${headers.get('way') ?? ''}`;
}

/** Middleware that does what its type forbids. */
function wrong(run: (request: Request, next: (value?: unknown) => Promise<Response>) => unknown): Middleware {
  return run as Middleware;
}

class RecordingLog implements Logger {
  readonly level = 'debug';
  readonly lines: string[] = [];
  readonly error = (message: string, _fields?: LogFields): void => {
    this.lines.push(message);
  };
  readonly warn: Logger['warn'] = this.error;
  readonly info: Logger['info'] = this.error;
  readonly debug: Logger['debug'] = this.error;
}

test('Middleware stands around routes like the skins of an onion, the first added outermost', async () => {
  const steps: string[] = [];
  const step =
    (name: string): Middleware =>
    async (_request, next) => {
      steps.push(`${name} in`);
      // the ones inside are waited for, however long each takes
      await new Promise((resolve) => setImmediate(resolve));
      const response = await next();
      steps.push(`${name} out`);
      return response;
    };
  const router = new Router()
    .use(step('a'))
    .get('/', () => {
      steps.push('route');
      return new Response('answer');
    })
    .use(step('b'));
  assert.equal(await ask(router, '/'), 'answer');
  assert.deepEqual(steps, ['a in', 'b in', 'route', 'b out', 'a out']);
});

test('Middleware with a path runs at and below it, on whole segments, and gets its parameters', async () => {
  const router = new Router()
    .use('/a', mark('a'))
    .use('/a/b%20c/', mark('a/b c'))
    .use('/users/{id}', async (_request, next, _context, { id }) => {
      const response = await next();
      response.headers.set('way', `user ${id}`);
      return response;
    })
    .any('/{rest...}', says(''));
  assert.equal(await wayOf(router, '/a'), '200 a');
  assert.equal(await wayOf(router, '/a/'), '200 a');
  assert.equal(await wayOf(router, '/a/x'), '200 a');
  assert.equal(await wayOf(router, '/%61/b%20c/d'), '200 a/b c, a');
  assert.equal(await wayOf(router, '/ab'), '200 ');
  assert.equal(await wayOf(router, '/users/a%2Fb/posts'), '200 user a/b');
  assert.equal(await wayOf(router, '/users'), '200 ');
  for (const path of ['a', '/a?b', '/{x', '/{rest...}', '/{a}/{a}'])
    assert.throws(() => new Router().use(path, mark('')), { code: 'LGW_ROUTE' }, path);
  assert.throws(() => new Router().use('/a', undefined as unknown as Middleware), { code: 'LGW_ROUTE' });
});

test('Middleware runs where no route fits, for other methods and for OPTIONS, too', async () => {
  const router = new Router().use(mark('a')).get('/x', says(''));
  assert.equal(await wayOf(router, '/y'), '404 a');
  assert.equal(await wayOf(router, '/x', 'POST'), '405 a');
  assert.equal(await wayOf(router, '/x', 'OPTIONS'), '204 a');
});

test('Middleware may answer by itself, and give another request to what is inside', async () => {
  const router = new Router()
    .use('/private', () => new Response('no', { status: 403 }))
    .use('/upper', async (request, next) =>
      next(new Request(request, { body: (await request.text()).toUpperCase(), method: 'POST' })),
    )
    .get('/private', says('secret'))
    .post('/upper', async (request) => new Response(await request.text()));
  assert.equal(await ask(router, '/private'), '403');
  const answer = await router.fetch(at('/upper', { method: 'POST', body: 'quiet' }));
  assert.equal(await answer.text(), 'QUIET');
});

test('Middleware may add fields to responses whose fields are fixed', async () => {
  const router = new Router()
    .use(mark('a'))
    .get('/', () => Response.redirect('http://example.test/there', 303));
  const response = await router.fetch(at('/'));
  assert.deepEqual(
    [response.status, response.headers.get('location'), response.headers.get('way')],
    [303, 'http://example.test/there', 'a'],
  );
});

test('context.state belongs to one request and is what middleware and handlers see of it', async () => {
  const router = new Router<{ user?: string }>()
    .use((request, next, context) => {
      assert.equal(context.state.user, undefined);
      context.state.user = request.headers.get('user') ?? 'nobody';
      return next();
    })
    .get('/', (_request, _params, { state }) => new Response(`${state.user}`));
  server = await EmbeddedServer.start(router);
  assert.equal(await (await fetch(server.url, { headers: { user: 'eve' } })).text(), 'eve');
  assert.equal(await (await fetch(server.url)).text(), 'nobody');
});

test('Middleware that calls next() twice fails, whatever it returns', async () => {
  const offenders: readonly Middleware[] = [
    wrong(async (_request, next) => {
      await next();
      return await next();
    }),
    wrong(async (_request, next) => {
      const response = await next();
      void next();
      return response;
    }),
    wrong((_request, next) => {
      void next();
      return next();
    }),
  ];
  for (const offender of offenders) {
    let calls = 0;
    const router = new Router().use('/x', offender).get('/x', () => {
      calls += 1;
      return new Response('');
    });
    await assert.rejects(async () => await router.fetch(at('/x')), {
      code: 'LGW_MIDDLEWARE',
      message: 'Middleware of "/x" called next() more than once',
    });
    assert.equal(calls, 1);
  }
});

test('Middleware that calls next() again when it has answered is named in the log', async () => {
  const logger = new RecordingLog();
  let again: (() => Promise<Response>) | undefined;
  const router = new Router()
    .use(function late(_request, next) {
      again = next;
      return next();
    })
    .get('/', says('answer'));
  const response = await router.fetch(at('/'), testContext({ logger }));
  assert.equal(await response.text(), 'answer');
  await assert.rejects(async () => await again?.(), { code: 'LGW_MIDDLEWARE' });
  assert.deepEqual(logger.lines, ['Middleware "late" of "/" called next() more than once']);
});

test('Middleware that returns no Response fails, and the message says what it returned', async () => {
  const cases: readonly (readonly [Middleware, string])[] = [
    [wrong(() => undefined), 'undefined'],
    [
      wrong(async (_request, next) => {
        await next();
      }),
      'undefined',
    ],
    [wrong(() => 'text'), 'a string'],
    [wrong(() => ({})), 'an object of class "Object"'],
    [wrong(() => Object.create(null)), 'an object of class "Object"'],
  ];
  for (const [offender, what] of cases) {
    const router = new Router().use(offender).get('/', says(''));
    await assert.rejects(async () => await router.fetch(at('/')), {
      code: 'LGW_MIDDLEWARE',
      message: `Middleware of "/" returned ${what} in the place of a Response: return what next() gives, or an answer`,
    });
  }
  const router = new Router().use(mark('a')).get('/{x}', (() => 1) as unknown as () => Response);
  await assert.rejects(async () => await router.fetch(at('/a')), {
    message: 'The handler of "/{x}" returned a number in the place of a Response',
  });
});

test('Middleware that gives next() something else than a Request fails', async () => {
  const router = new Router()
    .use(wrong((_request, next) => next(new Error('as Express does'))))
    .get('/', says(''));
  await assert.rejects(async () => await router.fetch(at('/')), {
    code: 'LGW_MIDDLEWARE',
    message:
      'Middleware of "/" gave next() an object of class "Error" in the place of a Request: throw what is an error',
  });
});

test('Middleware that answers without waiting for next() leaves nothing open and ends no process', async () => {
  const logger = new RecordingLog();
  let fail: ((error: Error) => void) | undefined;
  const failing = new Router()
    .use(function hasty(_request, next) {
      void next();
      return new Response('at once');
    })
    .get(
      '/',
      () =>
        new Promise((_resolve, reject) => {
          fail = reject;
        }),
    );
  const response = await failing.fetch(at('/'), testContext({ logger }));
  assert.equal(await response.text(), 'at once');
  fail?.(new Error('later'));
  await waitFor(() => logger.lines.length > 0, 'the line');
  assert.deepEqual(logger.lines, [
    'Middleware "hasty" of "/" answered without waiting for next(), which failed: later',
  ]);

  let isCancelled = false;
  let answer: ((response: Response) => void) | undefined;
  const streaming = new Router()
    .use((_request, next) => {
      void next();
      return new Response('at once');
    })
    .get(
      '/',
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
  await streaming.fetch(at('/'));
  const cancel = (): void => {
    isCancelled = true;
  };
  answer?.(new Response(new ReadableStream({ cancel })));
  await waitFor(() => isCancelled, 'the end of the body that nobody takes');
});

test('Without onError next() rejects, so that middleware may catch it, and the gateway answers 500 with the cause in its log', async () => {
  const caught: unknown[] = [];
  const router = new Router()
    .use('/caught', async (_request, next) => {
      try {
        return await next();
      } catch (error) {
        caught.push(error);
        return new Response('caught');
      }
    })
    .use((_request, next) => next())
    .get('/{rest...}', async (request) => {
      throw request.url.endsWith('/error') ? new Error('on purpose') : Object.create(null);
    });
  server = await EmbeddedServer.start(router);
  assert.equal(await (await fetch(`${server.url}/caught/error`)).text(), 'caught');
  assert.match(String(caught[0]), /on purpose/);
  assert.equal((await fetch(`${server.url}/error`)).status, 500);
  assert.equal((await fetch(`${server.url}/nothing`)).status, 500);
  await server.untilLog(/Handler failed: Error: on purpose/);
  await server.untilLog(/Handler failed: it threw an object of class "Object"/);
});

test('Mistakes of middleware are 500 over HTTP/1.1 and HTTP/2, with the cause in the log, and the server goes on', async () => {
  const router = new Router()
    .use(
      '/twice',
      wrong(async (_request, next) => {
        await next();
        return await next();
      }),
    )
    .use('/throws', () => {
      throw new Error('thrown by middleware');
    })
    .use(
      '/text',
      wrong(() => {
        throw 'a text';
      }),
    )
    .use(
      '/response',
      wrong(() => {
        throw new Response('thrown', { status: 200 });
      }),
    )
    .use(
      '/undefined',
      wrong(() => undefined),
    )
    .get('/{rest...}', says('answer'));
  server = await EmbeddedServer.start(router);
  const session = await connectH2(server.port, 'http');
  const paths: Readonly<Record<string, RegExp>> = {
    '/twice': /Handler failed: GatewayError: Middleware of "\/twice" called next\(\) more than once/,
    '/throws': /Handler failed: Error: thrown by middleware/,
    '/text': /Handler failed: a text/,
    '/response': /Handler failed: it threw an object of class "Response"/,
    '/undefined': /Handler failed: GatewayError: Middleware of "\/undefined" returned undefined/,
  };
  for (const [path, line] of Object.entries(paths)) {
    assert.equal((await fetch(server.url + path)).status, 500, path);
    assert.equal((await fetchH2(session, { ':path': path })).status, 500, path);
    await server.untilLog(line);
  }
  assert.equal((await fetchH2(session, { ':path': '/else' })).body.toString(), 'answer');
  session.destroy();
});

test('Middleware that never answers gets 504 at the time limit, and its signal is aborted', async () => {
  let reason: unknown;
  const router = new Router()
    .use((request) => {
      request.signal.addEventListener('abort', () => {
        reason = request.signal.reason;
      });
      return new Promise(() => undefined);
    })
    .get('/', says('never'));
  server = await EmbeddedServer.start(router, { limits: { timeLimitMs: 50 } });
  const answer = await fetch(server.url);
  assert.equal(answer.status, 504);
  await server.untilLog(/Time limit reached: the handler has written nothing/);
  assert.match(String(reason), /has written nothing for 50 ms/);
});

test('onError answers what was thrown, and middleware further out sees that answer', async () => {
  const router = new Router()
    .use(mark('outer'))
    .use('/middleware', () => {
      throw new Error('in middleware');
    })
    .onError((error, request) => {
      const text = `${new URL(request.url).pathname}: ${error instanceof Error ? error.message : String(error)}`;
      return new Response(text, { status: 418 });
    })
    .get('/handler', () => {
      throw new Error('in a handler');
    })
    .get('/rejects', () => Promise.reject('a text'))
    .get('/nothing', (() => undefined) as unknown as () => Response);
  const texts: Readonly<Record<string, string>> = {
    '/handler': 'in a handler',
    '/rejects': 'a text',
    '/middleware': 'in middleware',
    '/nothing': 'The handler of "/nothing" returned undefined in the place of a Response',
  };
  for (const [path, text] of Object.entries(texts)) {
    const response = await router.fetch(at(path));
    assert.equal(await response.text(), `${path}: ${text}`);
    assert.deepEqual([response.status, response.headers.get('way')], [418, 'outer'], path);
  }
});

test('An onError that fails is asked once, and its error is that of the request', async () => {
  let calls = 0;
  const router = new Router()
    .use((_request, next) => next())
    .use((_request, next) => next())
    .onError((error) => {
      calls += 1;
      throw new Error('onError failed', { cause: error });
    })
    .get('/', () => {
      throw new Error('first');
    });
  await assert.rejects(async () => await router.fetch(at('/')), { message: 'onError failed' });
  assert.equal(calls, 1);
  const silent = new Router().onError((() => undefined) as unknown as () => Response).get('/', () => {
    throw new Error('first');
  });
  await assert.rejects(async () => await silent.fetch(at('/')), {
    message: 'onError returned undefined in the place of a Response',
  });
});
