/** serveFiles(): a folder as a route of TypeScript handlers, without and with a server. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Router, type ServeFilesOptions, serveFiles } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';

const LARGE = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7) % 251));

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'serve-files-'));
  mkdirSync(join(folder, 'public/sub'), { recursive: true });
  writeFileSync(join(folder, 'secret.txt'), 'secret');
  writeFileSync(join(folder, 'public/index.html'), '<p>index</p>');
  writeFileSync(join(folder, 'public/é.txt'), 'accent');
  writeFileSync(join(folder, 'public/.hidden'), 'hidden');
  writeFileSync(join(folder, 'public/large.bin'), LARGE);
  writeFileSync(join(folder, 'public/sparse.bin'), '');
  // more than the buffers of the system take
  truncateSync(join(folder, 'public/sparse.bin'), 2 ** 28);
  writeFileSync(join(folder, 'public/sub/a.txt'), 'a');
  symlinkSync(join(folder, 'secret.txt'), join(folder, 'public/link.txt'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

let server: EmbeddedServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

function routerOf(options: ServeFilesOptions = {}): Router {
  return new Router()
    .mount('/static', serveFiles(join(folder, 'public'), options))
    .get('/only/{path...}', serveFiles(pathToFileURL(join(folder, 'public/'))));
}

async function ask(router: Router, path: string, init: RequestInit = {}): Promise<Response> {
  return await router.fetch(new Request(`http://example.test${path}`, init));
}

test('serveFiles() answers with the files of a folder, by name, type and index', async () => {
  const router = routerOf({ cacheControl: 'max-age=60' });
  const cases: readonly (readonly [path: string, status: number, text: string | undefined])[] = [
    ['/static/', 200, '<p>index</p>'],
    ['/static/index.html', 200, '<p>index</p>'],
    ['/static/%C3%A9.txt', 200, 'accent'],
    ['/static/sub/a.txt?x', 200, 'a'],
    ['/only/sub/a.txt', 200, 'a'],
    ['/static/none', 404, undefined],
    ['/static/sub/', 404, undefined],
    ['/static/.hidden', 404, undefined],
    ['/static/link.txt', 404, undefined],
    ['/static/..%2fsecret.txt', 404, undefined],
    ['/static/sub%2f..%2f..%2fsecret.txt', 404, undefined],
    ['/static/a%00b', 400, undefined],
  ];
  for (const [path, status, text] of cases) {
    const response = await ask(router, path);
    assert.equal(response.status, status, path);
    const body = await response.text();
    if (text !== undefined) assert.equal(body, text, path);
    assert.doesNotMatch(body, /secret/);
  }
  const { headers } = await ask(router, '/static/');
  assert.match(headers.get('content-type') ?? '', /^text\/html/);
  assert.equal(headers.get('cache-control'), 'max-age=60');
});

test('serveFiles() leads to folders with a slash at their end, lists them if told so, and refuses other methods', async () => {
  const router = routerOf({ listing: true });
  for (const [path, location] of [
    ['/static', '/static/'],
    ['/static/sub?x=1', '/static/sub/?x=1'],
  ] as const) {
    const response = await ask(router, path);
    assert.deepEqual([response.status, response.headers.get('location')], [308, location]);
  }
  assert.match(await (await ask(router, '/static/sub/')).text(), /a\.txt/);
  const refused = await ask(router, '/static/', { method: 'POST' });
  assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD, OPTIONS']);
});

test('serveFiles() serves large files, parts, conditions and HEAD over HTTP/1.1 and HTTP/2, within middleware', async () => {
  const router = new Router()
    .use(async (_request, next) => {
      const response = await next();
      response.headers.set('x-seen', '1');
      return response;
    })
    .mount('/', serveFiles(join(folder, 'public')));
  server = await EmbeddedServer.start(router);
  const { url, port } = server;
  const whole = await fetch(`${url}/large.bin`);
  assert.equal(whole.headers.get('x-seen'), '1');
  assert.equal(whole.headers.get('content-length'), String(LARGE.length));
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(LARGE));
  const part = await fetch(`${url}/large.bin`, { headers: { range: 'bytes=500000-799999' } });
  assert.equal(part.status, 206);
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(LARGE.subarray(500_000, 800_000)));
  // that of a file that has just been written changes once, a moment later
  let status = 0;
  for (let tries = 0; tries < 2 && status !== 304; tries++) {
    const { headers } = await fetch(`${url}/large.bin`, { method: 'HEAD' });
    const condition = { 'if-none-match': headers.get('etag') ?? '' };
    status = (await fetch(`${url}/large.bin`, { headers: condition })).status;
  }
  assert.equal(status, 304);
  const head = await fetch(`${url}/large.bin`, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(LARGE.length)]);
  const session = await connectH2(port, 'http');
  const overHttp2 = await fetchH2(session, { ':path': '/large.bin' });
  assert.ok(overHttp2.body.equals(LARGE));
  assert.equal((await fetchH2(session, { ':path': '/' })).body.toString(), '<p>index</p>');
  session.destroy();
});

test('A client that goes in the middle of a large file leaves nothing open', async () => {
  server = await EmbeddedServer.start(routerOf());
  const abort = new AbortController();
  const response = await fetch(`${server.url}/static/sparse.bin`, { signal: abort.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  // the counters of the server show it
  await server.until('files', 1);
  abort.abort();
  await server.untilIdle();
  await server.until('files', 0);
  assert.equal(await (await fetch(`${server.url}/static/sub/a.txt`)).text(), 'a');
  const unread = await ask(routerOf(), '/static/large.bin');
  await unread.body?.cancel();
});

test('serveFiles() says that its folder is not there, looks again, and refuses options that cannot be', async () => {
  const late = join(folder, 'late');
  const router = new Router().mount('/', serveFiles(late));
  await assert.rejects(ask(router, '/'), { code: 'LGW_FOLDER' });
  mkdirSync(late);
  writeFileSync(join(late, 'index.html'), 'late');
  assert.equal(await (await ask(router, '/')).text(), 'late');
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ index: ['a/b'] }, /Option "index"/],
    [{ index: Array(9).fill('a') }, /a list of up to 8 names/],
    [{ cacheControl: 'a\r\nb: c' }, /Option "cacheControl"/],
    [{ etag: true }, /serveFiles has no option "etag"/],
  ];
  for (const [options, message] of wrong)
    assert.throws(() => serveFiles(folder, options as ServeFilesOptions), { name: 'RangeError', message });
});
