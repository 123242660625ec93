/** Idle connections to upstreams are counted for the worker, and given back whatever takes them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import { Http1Upstream } from '../../src/proxy/http1-upstream.ts';
import { Http2Upstream } from '../../src/proxy/http2-upstream.ts';
import { IDLE_LINKS_WORKER_MAX, LINK_IDLE_MS } from '../../src/proxy/proxy-limits.ts';
import type { CallListener } from '../../src/proxy/upstream.ts';
import { waitFor } from '../support/test-front-end.ts';
import { plainUpstream, type Upstream } from '../support/upstream.ts';
import { PLAIN_REQUEST } from '../support/upstream-request.ts';

let server: Upstream;
before(async () => {
  server = await plainUpstream((_request, response) => response.end('well'));
});
after(() => server.close());

function upstreamWith(idle: { count: number }): Http1Upstream {
  const { tls } = DEFAULT_PROXY_RULES;
  const target = parseTarget(`http://127.0.0.1:${server.port}`);
  const resumption = { session: undefined };
  return new Http1Upstream({ target, tls, lookup: undefined, idle, resumption, opened() {} });
}

/** Resolves when the answer has come. */
function call(upstream: Http1Upstream | Http2Upstream, isFresh = false): Promise<void> {
  return new Promise((resolve, reject) => {
    const listener: CallListener = {
      connected() {},
      informed() {},
      answeredWhole: () => resolve(),
      answered() {},
      received: () => true,
      ended: () => resolve(),
      switched() {},
      drained() {},
      failed: reject,
    };
    upstream.call(PLAIN_REQUEST, listener, isFresh);
  });
}

test('Idle connections count as long as they are idle', async () => {
  const idle = { count: 0 };
  const upstream = upstreamWith(idle);
  await Promise.all([call(upstream, true), call(upstream, true)]);
  await waitFor(() => idle.count === 2, 'two idle connections');
  const next = call(upstream);
  assert.equal(idle.count, 1);
  await next;
  assert.equal(idle.count, 2);
  upstream.sweep(performance.now() + LINK_IDLE_MS);
  assert.deepEqual([idle.count, upstream.linkCount], [0, 0]);
  await call(upstream);
  assert.equal(idle.count, 1);
  upstream.stop();
  assert.deepEqual([idle.count, upstream.linkCount], [0, 0]);
});

test('Where the worker has as many as it may, a connection ends behind its answer', async () => {
  const idle = { count: IDLE_LINKS_WORKER_MAX - 1 };
  const upstream = upstreamWith(idle);
  await call(upstream, true);
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'the last idle connection');
  await call(upstream, true);
  await waitFor(() => upstream.linkCount === 1, 'the end of one connection');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX);
  upstream.stop();
});

test('Idle connections of HTTP/2 count among these, and end behind their last answer where there are as many as may be', async () => {
  const http2 = createServer((_request, response) => response.end('well'));
  await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve));
  const { port } = http2.address() as AddressInfo;
  const idle = { count: IDLE_LINKS_WORKER_MAX - 1 };
  const upstream = new Http2Upstream({
    target: parseTarget(`h2c://127.0.0.1:${port}`),
    tls: DEFAULT_PROXY_RULES.tls,
    lookup: undefined,
    idle,
    resumption: { session: undefined },
    opened() {},
  });
  await Promise.all([call(upstream), call(upstream)]);
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'the connection to be idle');
  assert.equal(upstream.linkCount, 1);
  const again = call(upstream);
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX - 1);
  await again;
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'it to be idle again');
  await call(upstream, true);
  await waitFor(() => upstream.linkCount === 1, 'the end of the one too many');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX);
  upstream.sweep(performance.now() + LINK_IDLE_MS);
  await waitFor(() => upstream.linkCount === 0, 'the end of what was idle for too long');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX - 1);
  await new Promise<void>((resolve) => http2.close(() => resolve()));
});
