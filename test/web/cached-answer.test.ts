/** context.cached: answers of handlers that are kept, what becomes of failures, and purges. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import {
  GatewayError,
  type HandlerContext,
  type Purge,
  Router,
  testContext,
  type WebHandler,
} from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { waitFor } from '../support/test-front-end.ts';

const LARGE = 'x'.repeat(300_000);

let server: EmbeddedServer;
let calls = 0;
let answer: WebHandler;
/** Calls of what stands around the cached answer. */
let outerCalls = 0;
let lastContext: HandlerContext | undefined;

function kept(text: string, fields: Record<string, string> = {}): Response {
  return new Response(text, { headers: { 'cache-control': 'max-age=60', ...fields } });
}

const counted: WebHandler = (request, context) => {
  calls += 1;
  return answer(request, context);
};

before(async () => {
  const router = new Router()
    .get('/keys/{key}', (_request, { key }, context) => context.cached(counted, { key }))
    .get('/tagged', (_request, _params, context) => context.cached(counted, { tags: ['a', 'b'] }))
    .get('/changed', async (_request, _params, context) => {
      const response = await context.cached(counted);
      response.headers.set('x-outer', String(outerCalls));
      return response;
    })
    .get('/caught', async (_request, _params, context) => {
      try {
        return await context.cached(counted);
      } catch (error) {
        return new Response(`caught ${(error as Error).message}`);
      }
    })
    .get('/nested', (_request, _params, context) =>
      context.cached((_request, inner) =>
        inner.cached((_request, innermost) => innermost.cached(counted), { key: '1' }),
      ),
    )
    .get('/parts', (_request, _params, context) =>
      context.cached(async (_request, inner) => {
        const part = await inner.cached(counted, { key: 'part' });
        return kept(`[${await part.text()}]`);
      }),
    )
    .post('/purge', async (request, _params, context) => {
      try {
        return new Response(String(context.purge((await request.json()) as Purge)));
      } catch (error) {
        return new Response((error as Error).message);
      }
    })
    .get('/misuse', async (_request, _params, context) => {
      const faults: string[] = [];
      for (const [handler, options] of [
        ['text', {}],
        [counted, { key: 1 }],
        [counted, { key: 'x'.repeat(1025) }],
        [counted, { tags: ['a,b'] }],
      ])
        await context
          .cached(handler as WebHandler, options as object)
          .catch((error: Error) => faults.push(error.message));
      return Response.json(faults);
    })
    .any('/{rest...}', (_request, _params, context) => {
      outerCalls += 1;
      lastContext = context;
      return context.cached(counted);
    });
  server = await EmbeddedServer.start(router);
});

beforeEach(() => {
  calls = 0;
  outerCalls = 0;
  answer = () => kept(`call ${calls}`);
});

after(() => server.stop());

async function textOf(path: string, init: RequestInit = {}): Promise<string> {
  return (await fetch(server.url + path, init)).text();
}

test('A cached answer is made once, and what stands around it runs for each request', async () => {
  assert.equal(await textOf('/page'), 'call 1');
  const second = await fetch(`${server.url}/page`);
  assert.match(second.headers.get('cache-status') ?? '', /^lgateway; hit; ttl=\d+$/);
  assert.equal(await second.text(), 'call 1');
  assert.equal(await textOf('/page?other'), 'call 2');
  assert.deepEqual([calls, outerCalls], [2, 3]);
  assert.equal(lastContext?.prefix, '/');
});

test('Fields that the outer handler sets are not kept', async () => {
  assert.equal((await fetch(`${server.url}/changed`)).headers.get('x-outer'), '0');
  outerCalls = 7;
  assert.equal((await fetch(`${server.url}/changed`)).headers.get('x-outer'), '7');
  assert.equal(calls, 1);
});

test('An answer that says nothing of its lifetime, or has a cookie, is not kept', async () => {
  answer = () => new Response(`call ${calls}`);
  assert.deepEqual([await textOf('/plain'), await textOf('/plain')], ['call 1', 'call 2']);
  answer = () => kept(`call ${calls}`, { 'set-cookie': 'a=b' });
  assert.deepEqual([await textOf('/cookie'), await textOf('/cookie')], ['call 3', 'call 4']);
});

test('Keys tell answers to one URL apart', async () => {
  assert.equal(await textOf('/keys/a'), 'call 1');
  assert.equal(await textOf('/keys/b'), 'call 2');
  assert.equal(await textOf('/keys/a'), 'call 1');
  assert.equal(await textOf('/parts'), '[call 3]');
  assert.equal(await textOf('/parts'), '[call 3]');
});

test('A stream is kept, and the handler gets a GET without conditions', async () => {
  const seen: string[] = [];
  answer = (request) => {
    seen.push(`${request.method} ${request.headers.get('if-none-match')}`);
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from(LARGE));
        controller.close();
      },
    });
    return new Response(body, { headers: { 'cache-control': 'max-age=60', etag: '"1"' } });
  };
  const head = await fetch(`${server.url}/stream`, { method: 'HEAD', headers: { 'if-none-match': '"0"' } });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.equal(await textOf('/stream'), LARGE);
  const part = await fetch(`${server.url}/stream`, { headers: { range: 'bytes=1-3' } });
  assert.deepEqual([part.status, await part.text()], [206, 'xxx']);
  assert.deepEqual(seen, ['GET null']);
});

test('Requests that come meanwhile wait for one answer, and a client that goes holds up nobody', async () => {
  let finish: ((response: Response) => void) | undefined;
  answer = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  const gone = httpRequest(`${server.url}/many`).end();
  gone.on('error', () => undefined);
  await waitFor(() => calls === 1, 'the handler to be called');
  const answers = Array.from({ length: 8 }, () => textOf('/many'));
  await waitFor(() => outerCalls === 9, 'all requests to have come');
  // the end of its side alone would not do: such a client still gets its answer
  gone.socket?.resetAndDestroy();
  await server.until('exchanges', 8);
  finish?.(kept('for all'));
  for (const text of await Promise.all(answers)) assert.equal(text, 'for all');
  assert.equal(calls, 1);
});

test('What the handler throws goes to its caller, and is not kept', async () => {
  answer = () => {
    throw new Error('no luck');
  };
  assert.equal(await textOf('/caught'), 'caught no luck');
  assert.equal(await textOf('/caught'), 'caught no luck');
  const failed = await fetch(`${server.url}/failed`);
  const page = await failed.text();
  assert.equal(failed.status, 500);
  await server.untilLog(/Handler failed: Error: no luck/);
  // the page names the line of the log
  const id = /request=(\S+)/.exec(server.lines.find((line) => line.includes('no luck')) ?? '')?.[1];
  assert.ok(id !== undefined && page.includes(id), `${id} in ${page}`);
  answer = () => {
    throw new GatewayError('LGW_BODY_TOO_LARGE', 'too large', { status: 413 });
  };
  assert.equal((await fetch(`${server.url}/refused`)).status, 413);
  answer = () => 'text' as unknown as Response;
  assert.equal((await fetch(`${server.url}/nothing`)).status, 500);
  await server.untilLog(/The handler returned a string in the place of a Response/);
});

test('A stale answer stands in for a handler that fails, and the log tells', async () => {
  answer = () => kept('old', { 'cache-control': 'max-age=0, stale-if-error=600', etag: '"1"' });
  await textOf('/stale');
  answer = async () => {
    throw new Error('out of order');
  };
  assert.equal(await textOf('/stale'), 'old');
  await server.untilLog(/Handler failed: Error: out of order/);
});

test('Other methods go to the handler with their body, and make what is kept invalid', async () => {
  assert.equal(await textOf('/unsafe'), 'call 1');
  answer = async (request) => new Response(await request.text());
  assert.equal(await textOf('/unsafe', { method: 'POST', body: LARGE }), LARGE);
  answer = () => kept('new');
  assert.equal(await textOf('/unsafe'), 'new');
});

test('purge makes answers invalid by tag, by URL, and all of them', async () => {
  const url = `${server.url}/tagged`;
  for (const [purge, result, isPurged] of [
    [{ tag: 'b' }, 'true', true],
    [{ tag: 'c' }, 'true', false],
    [{ url }, 'true', true],
    [{ url: '/tagged' }, 'false', false],
    [{ all: true }, 'true', true],
    [{}, 'purge wants one of tag and url, a text, or all, which is true', false],
    [{ tag: 1 }, 'purge wants one of tag and url, a text, or all, which is true', false],
  ] as const) {
    await textOf('/tagged');
    const before = calls;
    assert.equal(await textOf('/purge', { method: 'POST', body: JSON.stringify(purge) }), result);
    await textOf('/tagged');
    assert.equal(calls - before, isPurged ? 1 : 0, JSON.stringify(purge));
  }
});

test('A cached answer that is made of itself is refused at once, as are options that cannot be', async () => {
  assert.equal((await fetch(`${server.url}/nested`)).status, 500);
  await server.untilLog(/A cached answer is made of itself: one of the two needs another key/);
  assert.deepEqual(JSON.parse(await textOf('/misuse')), [
    'A cached answer has a string in the place of a handler',
    'Option key of a cached answer has to be a text of at most 1024 bytes',
    'Option key of a cached answer has to be a text of at most 1024 bytes',
    'Option tags of a cached answer has to be a list of at most 64 tags of 1 to 256 bytes, without blanks and commas',
  ]);
  await assert.rejects(testContext().cached(counted), /needs a connection/);
});
