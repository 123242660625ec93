/** context.proxy with the option cache: answers that are kept, given to clients and to code that reads them, and failures. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { GatewayError, type HandlerContext, Router } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { waitFor } from '../support/test-front-end.ts';
import { deadPort, plainUpstream, type Upstream } from '../support/upstream.ts';

/** More than a short body, which is kept as a text. */
const LARGE = 'x'.repeat(300_000);

let backend: Upstream;
let server: EmbeddedServer;
let asked: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

function misuse(context: HandlerContext, cache: unknown): Promise<Response> {
  return context.proxy(backend.url, { cache } as object);
}

before(async () => {
  backend = await plainUpstream((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  const dead = `http://127.0.0.1:${await deadPort()}`;
  const router = new Router()
    .get('/dead', (_request, _params, context) => context.proxy(dead, { cache: true, retries: 0 }))
    .get('/read', async (_request, _params, context) => {
      const response = await context.proxy(backend.url, { cache: true });
      const bytes = new Uint8Array(await response.arrayBuffer());
      const text = Buffer.from(bytes).toString('latin1');
      // what a handler does to its copy is nothing to others
      bytes.fill(0);
      return new Response(text, { headers: { 'x-status': response.headers.get('cache-status') ?? '' } });
    })
    .get('/user/{name}', (_request, { name }, context) =>
      context.proxy(backend.url, { cache: true, path: '/user', headers: { 'x-user': name } }),
    )
    .get('/misuse', async (_request, _params, context) => {
      const faults: string[] = [];
      for (const cache of [1, null, 'yes', { tag: ['a'] }, { tags: 'a' }, { tags: ['a b'] }, { tags: [''] }])
        try {
          await misuse(context, cache);
        } catch (error) {
          assert.ok(error instanceof GatewayError && error.code === 'LGW_CONFIG');
          faults.push(error.message);
        }
      return Response.json(faults);
    })
    .any('/{rest...}', (_request, _params, context) =>
      context.proxy([backend.url], { cache: { tags: ['all'] } }),
    );
  server = await EmbeddedServer.start(router);
});

beforeEach(() => {
  asked = [];
  answer = (_request, response) =>
    response.setHeader('cache-control', 'max-age=60').end(`answer ${asked.length}`);
});

after(async () => {
  await server.stop();
  await backend.close();
});

async function textOf(path: string, init: RequestInit = {}): Promise<string> {
  return (await fetch(server.url + path, init)).text();
}

test('An answer is kept for further calls', async () => {
  assert.equal(await textOf('/page'), 'answer 1');
  const second = await fetch(`${server.url}/page`);
  assert.match(second.headers.get('cache-status') ?? '', /^lgateway; hit; ttl=\d+$/);
  assert.equal(await second.text(), 'answer 1');
  assert.deepEqual(asked, ['/page']);
});

test('Code that reads a kept body has a copy of it, and clients get the whole', async () => {
  answer = (_request, response) => response.setHeader('cache-control', 'max-age=60').end(LARGE);
  for (let i = 0; i < 3; i++) assert.equal(await textOf('/read'), LARGE);
  const read = await fetch(`${server.url}/read`);
  assert.match(read.headers.get('x-status') ?? '', /hit/);
  assert.equal(await read.text(), LARGE);
  for (let i = 0; i < 3; i++) assert.equal(await textOf('/large'), LARGE);
  assert.deepEqual(asked, ['/read', '/large']);
});

test('Calls that ask otherwise have no answer in common', async () => {
  assert.equal(await textOf('/user/ann'), 'answer 1');
  assert.equal(await textOf('/user/bob'), 'answer 2');
  assert.equal(await textOf('/user/ann'), 'answer 1');
});

test('Calls that come meanwhile wait for one answer', async () => {
  const held: ServerResponse[] = [];
  answer = (_request, response) => void held.push(response);
  const answers = Array.from({ length: 8 }, () => textOf('/many'));
  await waitFor(() => held.length === 1, 'the server to be asked');
  held[0]?.setHeader('cache-control', 'max-age=60').end('for all');
  for (const text of await Promise.all(answers)) assert.equal(text, 'for all');
  assert.deepEqual(asked, ['/many']);
});

test('A server that is down is 502 for each call, and a stale answer stands in for it', async () => {
  for (let i = 0; i < 2; i++) assert.equal((await fetch(`${server.url}/dead`)).status, 502);
  answer = (_request, response) =>
    response.setHeader('cache-control', 'max-age=0, stale-if-error=600').setHeader('etag', '"1"').end('old');
  await textOf('/stale');
  answer = (request) => request.socket.destroy();
  const stale = await fetch(`${server.url}/stale`);
  assert.deepEqual([stale.status, await stale.text()], [200, 'old']);
  await server.untilLog(/Cannot pass the request on/);
});

test('A POST goes on with its body, and makes what is kept of its target invalid', async () => {
  await textOf('/changed');
  answer = (request, response) => request.pipe(response.writeHead(201));
  assert.equal(await textOf('/changed', { method: 'POST', body: LARGE }), LARGE);
  answer = (_request, response) => response.end('new');
  assert.equal(await textOf('/changed'), 'new');
});

test('Values of the option that are none are refused', async () => {
  const wanted = 'has to be true, false, or an object with tags';
  const tags = 'has to be a list of at most 64 tags of 1 to 256 bytes, without blanks and commas';
  assert.deepEqual(JSON.parse(await textOf('/misuse')), [
    `Option cache of a proxy is 1 and ${wanted}`,
    `Option cache of a proxy is null and ${wanted}`,
    `Option cache of a proxy is "yes" and ${wanted}`,
    'Option cache.tag of a proxy is ["a"] and has to be one of tags',
    `Option cache.tags of a proxy is "a" and ${tags}`,
    `Option cache.tags of a proxy is ["a b"] and ${tags}`,
    `Option cache.tags of a proxy is [""] and ${tags}`,
  ]);
});
