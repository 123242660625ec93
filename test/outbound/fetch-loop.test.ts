/** Requests that reach the gateway again through its own fetches: how it detects them, and that they end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchDepthOf, withFetchDepth } from '../../src/outbound/fetch-loop.ts';
import { type FetchRequest, parseUrl } from '../../src/outbound/fetch-request.ts';
import { askSession, TestGateway } from '../support/test-gateway.ts';

const REQUEST: FetchRequest = {
  url: parseUrl('http://a.example/x'),
  method: 'GET',
  fields: ['accept', '*/*', 'cdn-loop', 'lgateway'],
  body: undefined,
  bodyLength: undefined,
  redirectsMax: 0,
  timeouts: { connectMs: 1, headMs: 1, idleMs: 1, wholeMs: 1 },
  tls: undefined,
};

test('fetchDepthOf() counts the names of gateways, in every field and between those of others', () => {
  assert.equal(fetchDepthOf([]), 0);
  assert.equal(fetchDepthOf(['host', 'lgateway', 'CDN-Loop', 'lgateway']), 1);
  assert.equal(
    fetchDepthOf(['cdn-loop', 'other, LGateway; v=1', 'cdn-loop', 'lgateway,lgateway2 , lgateway']),
    3,
  );
});

test('withFetchDepth() says one more, up to the limit', () => {
  assert.equal(withFetchDepth(REQUEST, 0), REQUEST);
  assert.deepEqual(withFetchDepth(REQUEST, 2).fields.slice(2), ['cdn-loop', 'lgateway, lgateway, lgateway']);
  assert.equal(fetchDepthOf(withFetchDepth(REQUEST, 7).fields), 8);
  assert.throws(
    () => withFetchDepth(REQUEST, 8),
    /Cannot fetch "http:\/\/a\.example": 8 fetches have led to this request and the limit is 8: it seems to ask for itself/,
  );
});

const SELF = `local httpd = require 'httpd'
local function ask(env, path, headers)
  local r, message, code = httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. path, { tls = { verify = false }, headers = headers })
  httpd.write(nil, r and httpd.read(r, 'a') or code .. ' ' .. message)
end
httpd.register_handler('/self', function(env) ask(env, '/self') end)
httpd.register_handler('/passes', function(env, header) ask(env, '/passes', { ['CDN-Loop'] = header['cdn-loop'] or 'nobody' }) end)`;

test('A handler that fetches itself for ever ends at once with an error that names the limit, and others are served', async () => {
  const gateway = await TestGateway.start({
    '/': SELF,
    '/other': `require 'httpd'.register_handler('/', function() require 'httpd'.write(nil, 'other') end)`,
  });
  const session = await gateway.session();
  for (const path of ['/self', '/passes', '/self']) {
    const asked = askSession(session, path);
    assert.equal((await askSession(session, '/other')).text, 'other');
    assert.match(
      (await asked).text,
      /^limit Cannot fetch "https:\/\/127\.0\.0\.1:\d+": 8 fetches have led to/,
    );
  }
  session.destroy();
  await gateway.untilIdle();
  const { fetches, exchangesTotal } = await gateway.counters();
  assert.equal(fetches, 0);
  assert.equal(exchangesTotal, 3 * (9 + 1));
  await gateway.stop();
});
