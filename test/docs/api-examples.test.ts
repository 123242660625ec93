/** The examples of docs/api.md that stand below these headings run as they stand there, and what they assert or answer holds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { serveRedis } from '../support/redis-server.ts';
import { eventually, outputOf, ScriptHarness } from '../support/script-harness.ts';
import { plainUpstream, rawUpstream } from '../support/upstream.ts';
import { WebSocketPeer } from '../support/websocket-peer.ts';

const HEADINGS = [
  'httpd.crypto.hmac(',
  'httpd.crypto.random(',
  'httpd.crypto.kdf(',
  'httpd.crypto.seal(',
  'httpd.crypto.sign(',
  'httpd.jwt.sign(',
  'httpd.cookies(',
  'httpd.cookie(',
  'httpd.accepts(',
  'httpd.files',
  'httpd.compress(',
  'httpd.cache(key',
  'Sessions: ',
];

const sections = readFileSync(join(PACKAGE_ROOT, 'docs/api.md'), 'latin1').split(/^## /m);

/** The first example below a heading. */
function exampleBelow(heading: string): string {
  const section = sections.find((text) => text.startsWith(heading));
  const code = /^```lua\n(.*?)^```$/ms.exec(section ?? '')?.[1];
  assert.ok(code !== undefined, 'the section has an example');
  return code;
}

for (const heading of HEADINGS) {
  test(`The example below "${heading.replace(/\($/, '')}" runs`, async () => {
    assert.equal(await outputOf(`${exampleBelow(heading)}\nhttpd.write(nil, 'done')`), 'done');
  });
}

test('The script below "httpd.connect" talks to a server', async () => {
  const values = new Map<string, string>();
  const redis = await rawUpstream((socket) => serveRedis(socket, values));
  try {
    const harness = await ScriptHarness.load(
      exampleBelow('httpd.connect(').replace('6379', String(redis.port)),
    );
    try {
      assert.equal((await harness.request('/name')).text, 'Ann');
      assert.equal((await harness.request('/name')).text, 'Ann');
      assert.equal(redis.connections(), 1);
    } finally {
      await harness.close();
    }
  } finally {
    await redis.close();
  }
});

test('The script below "httpd.proxy" passes requests on, and answers where the service does not', async () => {
  const service = await plainUpstream((request, response) => response.end(`the service has ${request.url}`));
  try {
    const script = exampleBelow('httpd.proxy(').replace('3000', String(service.port));
    const harness = await ScriptHarness.load(script);
    try {
      assert.equal((await harness.request('/api')).text, 'the service has /api');
      await service.close();
      const answer = await harness.request('/api');
      assert.deepEqual([answer.status, answer.text], [502, 'The service does not answer\n']);
    } finally {
      await harness.close();
    }
  } finally {
    await service.close();
  }
});

/** Examples that are whole scripts, and what these have to answer. */
const SCRIPTS: Readonly<Record<string, (harness: ScriptHarness) => Promise<void>>> = {
  'httpd.request(': async (harness) => {
    assert.equal((await harness.request('/me')).text, 'nobody');
    assert.equal((await harness.request('/me', { fields: ['X-Api-Key', 'key of ann'] })).text, 'ann');
  },
  'httpd.hook(': async (harness) => {
    const refused = await harness.request('/page');
    assert.deepEqual([refused.status, refused.field('retry-after')], [503, '3600']);
    const served = await harness.request('/page', { fields: ['x-maintainer', 'yes'] });
    assert.deepEqual([served.text, served.field('x-content-type-options')], ['The page\n', 'nosniff']);
    await eventually(() =>
      assert.match(harness.log.join('\n'), /GET\s+\/page\s+503[\s\S]*GET\s+\/page\s+200\s+9/),
    );
  },
  'httpd.sse(': async (harness) => {
    const first = await harness.request('/ticks');
    assert.equal(first.text.split('\n\n')[1], 'event: tick\nid: 1\ndata: tick 1');
    const second = await harness.request('/ticks', { fields: ['last-event-id', '3'] });
    assert.match(second.text, /^retry: 2000\n\nevent: tick\nid: 4\n/);
  },
  'httpd.websocket(': async (harness) => {
    const port = await harness.listen();
    const peer = await WebSocketPeer.connect(port, 'HTTP/2', '/echo', {
      fields: { 'sec-websocket-protocol': 'echo.v1' },
    });
    assert.equal(peer.answer.headers['sec-websocket-protocol'], 'echo.v1');
    peer.send('hello');
    assert.equal(await peer.message(), 'hello');
    peer.close(3001);
    assert.equal(await peer.closed(), 3001);
    await eventually(() => assert.match(harness.log.join('\n'), /closed with 3001/));
    peer.destroy();
  },
  'httpd.subscribe(': async (harness) => {
    const reader = harness.begin('/news');
    await eventually(() => assert.equal(harness.share.used('subscriptions'), 2));
    const { text } = await harness.request('/publish', { body: 'sunny' });
    assert.equal(text, '1 subscribers here');
    await eventually(() => assert.equal(reader.text, 'event: news\ndata: sunny\n\n'));
    reader.abort();
  },
  'httpd.timer(': async (harness) => {
    for (let text = ''; text !== 'there is a report'; ) text = (await harness.request('/fence')).text;
  },
  'Answers that are kept': async (harness) => {
    const outcome = async (): Promise<string | undefined> =>
      (await harness.request('/news')).field('cache-status')?.split('; ')[1];
    assert.deepEqual([await outcome(), await outcome()], ['fwd=uri-miss', 'hit']);
    assert.equal((await harness.request('/news/purge', { method: 'POST', body: '' })).status, 204);
    assert.equal(await outcome(), 'fwd=uri-miss');
  },
  'httpd.redirect(': async (harness) => {
    const answer = await harness.request('/old');
    assert.deepEqual([answer.status, answer.field('location')], [301, '/new']);
  },
};

for (const [heading, check] of Object.entries(SCRIPTS)) {
  test(`The script below "${heading.replace(/\($/, '')}" answers as the section says`, async () => {
    const harness = await ScriptHarness.load(exampleBelow(heading));
    try {
      await check(harness);
    } finally {
      await harness.close();
    }
  });
}
