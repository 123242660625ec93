/** The cache of a gateway with several workers: by option and by key, each worker with answers of its own, and what makes them invalid in all of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/script-harness.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { plainUpstream, type Upstream } from '../support/upstream.ts';

const ROUNDS = 12;

/** Answers with a version that it shares with all workers, and purges by tag. */
const SCRIPT = `local httpd = require 'httpd'
local versions = httpd.shared('versions')
httpd.register_handler('/page', function()
    httpd.header{[':status'] = 200, ['cache-control'] = 'max-age=600', ['cache-tag'] = 'site'}
    httpd.write(nil, 'version ' .. (versions:get('page') or 1))
end, {cache = true})
httpd.register_handler('/purge', function()
    versions:incr('page', 1, 1)
    httpd.cache.purge{tag = 'site'}
    httpd.exit(204)
end)
`;

let upstream: Upstream;
let gateway: TestGateway;
let version = 1;
let asked = 0;

before(async () => {
  upstream = await plainUpstream((request, response) => {
    if (request.method === 'POST') {
      version += 1;
      response.end();
      return;
    }
    asked += 1;
    response
      .setHeader('cache-control', 'max-age=600')
      .setHeader('cache-tag', 'site')
      .end(`version ${version}`);
  });
  gateway = await TestGateway.start(
    { '/lua': SCRIPT },
    { workers: 2, words: ['-l', '/', upstream.url, '--proxy-cache'] },
  );
});

after(async () => {
  await gateway.stop();
  await upstream.close();
});

/** Each on a connection of its own, which any worker may accept. */
async function askAll(path = '/'): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < ROUNDS; i++) texts.push((await gateway.ask('h1', path)).text);
  return texts;
}

test('Each worker asks the server once', async () => {
  assert.deepEqual(new Set(await askAll()), new Set(['version 1']));
  assert.ok(asked <= 2, `${asked} requests`);
});

test('What changes the target through one worker makes the answers of all workers invalid', async () => {
  await askAll();
  assert.equal((await gateway.ask('h1', '/', { method: 'POST', body: 'x' })).status, 200);
  assert.deepEqual(new Set(await askAll()), new Set(['version 2']));
});

test('A purge by tag in one worker makes answers of scripts and of servers invalid in all workers', async () => {
  assert.deepEqual(new Set(await askAll('/lua/page')), new Set(['version 1']));
  await askAll();
  version += 1;
  assert.equal((await gateway.ask('h1', '/lua/purge')).status, 204);
  assert.deepEqual(new Set(await askAll('/lua/page')), new Set(['version 2']));
  assert.deepEqual(new Set(await askAll()), new Set([`version ${version}`]));
});

test('The counters tell what the cache has done', async () => {
  const { cacheHitsTotal, cacheMissesTotal, cacheAnswers } = await gateway.counters();
  assert.ok(
    cacheHitsTotal >= ROUNDS && cacheMissesTotal >= asked && cacheAnswers >= 1,
    `${cacheHitsTotal} hits`,
  );
});

test('A reload begins with an empty cache', async () => {
  await askAll();
  gateway.running.signal('SIGHUP');
  await eventually(async () => assert.equal((await gateway.counters()).cacheAnswers, 0));
  const before = asked;
  await gateway.ask('h1', '/');
  assert.equal(asked, before + 1);
});
