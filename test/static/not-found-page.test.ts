/** `404.html` at the top of a folder: what is not there is answered with it, whatever it was and however it was asked for. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Router, serveFiles } from '../../src/index.ts';
import type { GatewayFolder } from '../support/run-gateway.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const PAGE = '<h1>There is no such page</h1>';
/** Larger pages are not kept in memory, and the gateway answers with its own. */
const PAGE_BYTES_MAX = 64 * 1024;

let gateway: TestGateway;
let folder: GatewayFolder;

function prepare(given: GatewayFolder): void {
  folder = given;
  for (const name of ['own', 'own/dir', 'long', 'most', 'plain', 'linked'])
    mkdirSync(folder.file(name), { recursive: true });
  writeFileSync(folder.file('own/404.html'), PAGE);
  writeFileSync(folder.file('own/dir/404.html'), 'another');
  writeFileSync(folder.file('own/.secret'), 'secret');
  writeFileSync(folder.file('most/404.html'), Buffer.alloc(PAGE_BYTES_MAX, 'm'));
  writeFileSync(folder.file('long/404.html'), Buffer.alloc(PAGE_BYTES_MAX + 1, 'l'));
  writeFileSync(folder.file('outside.html'), 'outside');
  symlinkSync(folder.file('outside.html'), folder.file('linked/404.html'));
}

before(async () => {
  const names = ['own', 'most', 'long', 'plain', 'linked'];
  const words = names.flatMap((name) => ['-l', `/${name}`, `$FOLDER/${name}/`]);
  gateway = await TestGateway.start({}, { words, prepare, keeps: true });
});
after(() => gateway.stop());

for (const protocol of PROTOCOLS) {
  test(`What is not in a folder, and what is hidden there, gets its 404.html over ${protocol}`, async () => {
    for (const path of [
      '/own/nothing',
      '/own/dir/nothing',
      '/own/.secret',
      '/own/',
      '/own/dir/',
      '/own/nothing',
    ]) {
      const { status, headers, text, cut } = await gateway.ask(protocol, path);
      assert.deepEqual([status, text, cut], [404, PAGE, false], path);
      assert.equal(headers['content-type'], 'text/html; charset=utf-8');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['content-length'], String(Buffer.byteLength(PAGE)));
      for (const name of ['etag', 'last-modified', 'accept-ranges', 'cache-control'])
        assert.equal(headers[name], undefined, name);
    }
  });

  test(`The page has no parts and no conditions over ${protocol}, and HEAD gets its head`, async () => {
    const headers = { range: 'bytes=0-1', 'if-none-match': '*' };
    const answer = await gateway.ask(protocol, '/own/nothing', { headers });
    assert.deepEqual([answer.status, answer.text], [404, PAGE]);
    const head = await gateway.ask(protocol, '/own/nothing', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [404, '']);
    assert.equal(head.headers['content-length'], String(Buffer.byteLength(PAGE)));
    assert.equal((await gateway.ask(protocol, '/own/404.html')).status, 200);
    assert.equal((await gateway.ask(protocol, '/own/nothing', { method: 'POST' })).status, 405);
  });

  test(`A page of 64 KiB is sent over ${protocol}, a longer one, or one outside the folder, is not`, async () => {
    assert.equal((await gateway.ask(protocol, '/most/x')).text, 'm'.repeat(PAGE_BYTES_MAX));
    for (const name of ['long', 'plain', 'linked']) {
      const { status, text } = await gateway.ask(protocol, `/${name}/x`);
      assert.equal(status, 404, name);
      assert.match(text, /<h1>404 Not Found<\/h1>/, name);
    }
  });
}

test('A page that goes is not sent any more', async () => {
  writeFileSync(folder.file('plain/404.html'), 'for a while');
  const wait = async (expected: RegExp): Promise<void> => {
    const limit = performance.now() + 20_000;
    while (!expected.test((await gateway.ask('h2', '/plain/x')).text))
      assert.ok(performance.now() < limit, `not in time: ${expected}`);
  };
  await wait(/^for a while$/);
  rmSync(folder.file('plain/404.html'));
  await wait(/404 Not Found/);
});

test('That a folder has no such page is remembered for a second', async (t) => {
  mkdirSync(folder.file('bare'));
  const router = new Router().mount('/', serveFiles(folder.file('bare')));
  const ask = async (): Promise<string> => {
    const headers = { accept: 'text/plain' };
    const response = await router.fetch(new Request('http://example.test/.hidden', { headers }));
    assert.equal(response.status, 404);
    return await response.text();
  };
  // a whole number, so that no sum is rounded
  let now = Math.ceil(performance.now());
  t.mock.method(performance, 'now', () => now);
  assert.equal(await ask(), '404 Not Found\n');
  writeFileSync(folder.file('bare/404.html'), 'own');
  now += 1000;
  assert.equal(await ask(), '404 Not Found\n');
  now += 1;
  assert.equal(await ask(), 'own');
});
