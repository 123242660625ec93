/** Idle connections to upstreams are counted for the worker, and given back whatever takes them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before } from 'node:test';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import type { UpstreamParts } from '../../src/proxy/connect-to.ts';
import { Http1Upstream } from '../../src/proxy/http1-upstream.ts';
import { Http2Upstream } from '../../src/proxy/http2-upstream.ts';
import { NegotiatedUpstream } from '../../src/proxy/negotiated-upstream.ts';
import { IDLE_LINKS_WORKER_MAX, LINK_IDLE_MS } from '../../src/proxy/proxy-limits.ts';
import type { CallListener, LinkChoice, PooledUpstream } from '../../src/proxy/upstream.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { waitFor } from '../support/test-front-end.ts';
import { http2Upstream, plainUpstream, tlsUpstream, type Upstream } from '../support/upstream.ts';
import { PLAIN_REQUEST } from '../support/upstream-request.ts';

let server: Upstream;
before(async () => {
  server = await plainUpstream((_request, response) => response.end('well'));
});
after(() => server.close());

function partsOf(
  url: string,
  idle: { count: number },
  opened: UpstreamParts['opened'] = () => undefined,
): UpstreamParts {
  const tls = { ...DEFAULT_PROXY_RULES.tls, ca: testCertificate().cert };
  return {
    target: parseTarget(url),
    tls,
    lookup: undefined,
    idle,
    resumption: { session: undefined },
    opened,
  };
}

function upstreamWith(idle: { count: number }): Http1Upstream {
  return new Http1Upstream(partsOf(server.url, idle));
}

/** A server of HTTP/2 with prior knowledge. */
async function startHttp2(): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const http2 = createServer((_request, response) => response.end('well'));
  await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve));
  return {
    url: `h2c://127.0.0.1:${(http2.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => http2.close(() => resolve())),
  };
}

/** Resolves when the answer has come. */
function call(upstream: PooledUpstream, choice: LinkChoice = 'any'): Promise<void> {
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
    upstream.call(PLAIN_REQUEST, listener, choice);
  });
}

test('Idle connections count as long as they are idle', async () => {
  const idle = { count: 0 };
  const upstream = upstreamWith(idle);
  await Promise.all([call(upstream, 'fresh'), call(upstream, 'fresh')]);
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
  await call(upstream, 'fresh');
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'the last idle connection');
  await call(upstream, 'fresh');
  await waitFor(() => upstream.linkCount === 1, 'the end of one connection');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX);
  upstream.stop();
});

test('Idle connections of HTTP/2 count among these, and end behind their last answer where there are as many as may be', async () => {
  const http2 = await startHttp2();
  const idle = { count: IDLE_LINKS_WORKER_MAX - 1 };
  const upstream = new Http2Upstream(partsOf(http2.url, idle));
  await Promise.all([call(upstream), call(upstream)]);
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'the connection to be idle');
  assert.equal(upstream.linkCount, 1);
  const again = call(upstream);
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX - 1);
  await again;
  await waitFor(() => idle.count === IDLE_LINKS_WORKER_MAX, 'it to be idle again');
  await call(upstream, 'fresh');
  await waitFor(() => upstream.linkCount === 1, 'the end of the one too many');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX);
  upstream.sweep(performance.now() + LINK_IDLE_MS);
  await waitFor(() => upstream.linkCount === 0, 'the end of what was idle for too long');
  assert.equal(idle.count, IDLE_LINKS_WORKER_MAX - 1);
  await http2.close();
});

test('A connection of its own ends with its call, whatever its protocol and however often; others stay', async () => {
  const http2 = await startHttp2();
  const [secure, secureHttp2] = [
    await tlsUpstream((_request, response) => response.end('well')),
    await http2Upstream((_request, response) => response.end('well')),
  ];
  const idle = { count: 0 };
  for (const upstream of [
    upstreamWith(idle),
    new Http2Upstream(partsOf(http2.url, idle)),
    new NegotiatedUpstream(partsOf(secure.url, idle)),
    new NegotiatedUpstream(partsOf(secureHttp2.url, idle)),
  ]) {
    const { name } = upstream.target;
    for (let i = 0; i < 3; i++) {
      await call(upstream, 'own');
      await waitFor(() => upstream.linkCount === 0, `the end of the connection to ${name}`);
    }
    assert.equal(idle.count, 0, name);
    await call(upstream);
    await waitFor(() => idle.count === 1, `one idle connection to ${name}`);
    await call(upstream, 'own');
    await waitFor(() => upstream.linkCount === 1, `the one that was there to ${name}`);
    assert.equal(idle.count, 1, name);
    upstream.stop();
    await waitFor(() => upstream.linkCount === 0, `the end of all connections to ${name}`);
  }
  // a server that chooses its protocol gets no further connection for that
  assert.deepEqual([secure.connections(), secureHttp2.connections()], [5, 5]);
  await Promise.all([http2.close(), secure.close(), secureHttp2.close()]);
});

test('A call that begins behind the end of its upstream gets its answer, and nothing is kept', async () => {
  const http2 = await startHttp2();
  const secureHttp2 = await http2Upstream((_request, response) => response.end('well'));
  const idle = { count: 0 };
  const stop = (upstream: PooledUpstream): void => upstream.stop();
  for (const upstream of [
    new Http1Upstream(partsOf(server.url, idle, stop)),
    new Http2Upstream(partsOf(http2.url, idle, stop)),
    new NegotiatedUpstream(partsOf(secureHttp2.url, idle, stop)),
  ]) {
    await call(upstream);
    await waitFor(() => upstream.linkCount === 0, `the end of the connection to ${upstream.target.name}`);
  }
  assert.equal(idle.count, 0);
  await Promise.all([http2.close(), secureHttp2.close()]);
});
