/** Each limit of src/proxy/proxy-limits.ts, met by real connections: what is still taken, and what is not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { Candidates } from '../../src/proxy/candidates.ts';
import { HealthChecks } from '../../src/proxy/health-checks.ts';
import { Http1Upstream } from '../../src/proxy/http1-upstream.ts';
import { Proxies } from '../../src/proxy/proxies.ts';
import {
  ANSWER_HEAD_BYTES_MAX,
  CALLS_MAX,
  CHECK_KEPT_MS,
  CHECKS_MAX,
  IDLE_LINKS_MAX,
  INFORMATIONAL_HEADS_MAX,
  LINK_FRESH_MS,
  LINK_IDLE_MS,
  SESSION_STREAMS_MAX,
  SESSIONS_MAX,
  UPSTREAMS_MAX,
  WHOLE_BODY_BYTES_MAX,
} from '../../src/proxy/proxy-limits.ts';
import { proxySettings } from '../../src/proxy/proxy-settings.ts';
import { DEFAULT_BALANCE } from '../../src/proxy/server-group.ts';
import type { CallListener, Upstream } from '../../src/proxy/upstream.ts';
import { HealthTable } from '../../src/proxy/upstreams/health-table.ts';
import { calmTest as test } from '../support/calm.ts';
import { FakeExchange } from '../support/fake-exchange.ts';
import { ask } from '../support/proxy-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { waitFor } from '../support/test-front-end.ts';
import { PLAIN_REQUEST } from '../support/upstream-request.ts';

const LOGGER = { level: 'error', error() {}, warn() {}, info() {}, debug() {} } as const;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const TLS = DEFAULT_PROXY_RULES.tls;

let front: ProxyFront;
/** Speaks HTTP/1.1 as each test wants it to; undefined: it is silent. */
let server: Server;
let url: string;
let answer: string | undefined = OK;
const sockets = new Set<Socket>();
/** Speaks HTTP/2 and never answers. */
let silent: Http2Server;
let silentUrl: string;
const streams: number[] = [];

before(async () => {
  front = await startProxyFront();
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.on('data', () => {
      if (answer !== undefined) socket.write(answer, 'latin1');
    });
  });
  server.listen(0, '127.0.0.1', 4096);
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  silent = createHttp2Server({ peerMaxConcurrentStreams: 1000, settings: { maxConcurrentStreams: 1000 } });
  silent.on('session', (session) => {
    const i = streams.push(0) - 1;
    session.on('error', () => undefined);
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      streams[i] = (streams[i] ?? 0) + 1;
    });
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  silentUrl = `h2c://127.0.0.1:${(silent.address() as AddressInfo).port}`;
});

after(async () => {
  await front.stop();
  for (const socket of sockets) socket.destroy();
  server.close();
  silent.close();
});

const padded = (status: string, size: number, rest: string): string => {
  const line = `HTTP/1.1 ${status}\r\n${rest}X-Pad: `;
  return `${line}${'x'.repeat(size - line.length - '\r\n\r\n'.length)}\r\n\r\n`;
};
const informed = (count: number): string => 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(count) + OK;
const sized = (size: number): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`;

for (const [what, text, status, size] of [
  ['a head of the largest size', padded('200 OK', ANSWER_HEAD_BYTES_MAX, 'Content-Length: 0\r\n'), 200, 0],
  [
    'a head of a byte more',
    padded('200 OK', ANSWER_HEAD_BYTES_MAX + 1, 'Content-Length: 0\r\n'),
    502,
    undefined,
  ],
  ['as many informational heads as may be', informed(INFORMATIONAL_HEADS_MAX), 200, 2],
  ['an informational head more', informed(INFORMATIONAL_HEADS_MAX + 1), 502, undefined],
  ['a body that goes in one piece', sized(WHOLE_BODY_BYTES_MAX), 200, WHOLE_BODY_BYTES_MAX],
  ['a body of a byte more', sized(WHOLE_BODY_BYTES_MAX + 1), 200, WHOLE_BODY_BYTES_MAX + 1],
] as const)
  test(`An answer with ${what} gives ${status}`, async () => {
    answer = text;
    front.passTo([url], { retries: 0 });
    const told = await ask('h2', front.port, '/');
    assert.deepEqual([told.status, told.isWhole], [status, true]);
    if (size !== undefined) assert.equal(told.body.length, size);
    answer = OK;
  });

function upstreamTo(address: string): Http1Upstream {
  const target = parseTarget(address);
  const resumption = { session: undefined };
  return new Http1Upstream({
    target,
    tls: TLS,
    lookup: undefined,
    idle: { count: 0 },
    resumption,
    opened() {},
  });
}

/** A call that is only waited for. */
function call(upstream: Upstream, isIdempotent = true): Promise<GatewayError | undefined> {
  return new Promise((resolve) => {
    const listener: CallListener = {
      connected() {},
      informed() {},
      answered() {},
      answeredWhole: () => resolve(undefined),
      received: () => true,
      ended() {},
      switched() {},
      drained() {},
      failed: resolve,
    };
    upstream.call({ ...PLAIN_REQUEST, isIdempotent }, listener, 'any');
  });
}

test(`No more than ${IDLE_LINKS_MAX} connections are kept idle, and none for longer than ${LINK_IDLE_MS} ms`, async () => {
  for (const socket of sockets) socket.destroy();
  const upstream = upstreamTo(url);
  await Promise.all(Array.from({ length: IDLE_LINKS_MAX + 10 }, () => call(upstream)));
  assert.equal(upstream.linkCount, IDLE_LINKS_MAX);
  upstream.sweep(performance.now() + LINK_IDLE_MS / 2);
  assert.equal(upstream.linkCount, IDLE_LINKS_MAX);
  upstream.sweep(performance.now() + LINK_IDLE_MS);
  assert.equal(upstream.linkCount, 0);
});

test('A server that keeps connections for a shorter time is believed', async () => {
  const upstream = upstreamTo(url);
  for (const [seconds, kept] of [
    [1, 0],
    [3, 1],
  ] as const) {
    answer = OK.replace('\r\n', `\r\nKeep-Alive: timeout=${seconds}\r\n`);
    await call(upstream);
    assert.equal(upstream.linkCount, kept);
  }
  upstream.sweep(performance.now() + 2000);
  assert.equal(upstream.linkCount, 0);
  answer = OK;
});

test(`What cannot be repeated takes no connection that was idle for ${LINK_FRESH_MS} ms`, async () => {
  const upstream = upstreamTo(url);
  await call(upstream);
  const since = performance.now();
  await waitFor(() => performance.now() - since > LINK_FRESH_MS, 'it to be idle for so long');
  await call(upstream, false);
  assert.equal(upstream.linkCount, 2);
  await call(upstream, true);
  assert.equal(upstream.linkCount, 2);
  upstream.stop();
  assert.equal(upstream.linkCount, 0);
});

test(`A script has ${UPSTREAMS_MAX} upstreams with connections; one whose connections have ended makes room`, async () => {
  for (const socket of sockets) socket.destroy();
  const proxies = new Proxies(new Counters(), 1);
  answer = undefined;
  const targets = Array.from({ length: UPSTREAMS_MAX + 1 }, (_, i) => parseTarget(`${url}/${i}`));
  const calls = targets.slice(1).map((target) => call(proxies.upstreamOf(target, TLS)));
  await waitFor(() => sockets.size >= UPSTREAMS_MAX, 'all connections to be made');
  const [one] = targets as [(typeof targets)[0]];
  assert.throws(
    () => proxies.upstreamOf(one, TLS),
    (error) => error instanceof GatewayError && error.code === 'LGW_PROXY_LIMIT' && error.status === 503,
  );
  // known ones are found
  assert.ok(proxies.upstreamOf(targets.at(-1) as (typeof targets)[0], TLS));
  for (const socket of sockets) socket.destroy();
  await Promise.all(calls);
  assert.ok(proxies.upstreamOf(one, TLS));
  proxies.stop();
  answer = OK;
});

test(`${CHECKS_MAX} servers of a mapping are checked`, () => {
  const candidates = new Candidates('/', new HealthTable(), LOGGER);
  const checks = new HealthChecks(candidates);
  const settings = { path: '/', intervalMs: 60_000, timeoutMs: 1000, status: undefined, fall: 3, rise: 2 };
  for (let i = 0; i < CHECKS_MAX + 5; i++) {
    checks.want(candidates.of(upstreamTo(`${url}/${i}`)), settings);
  }
  assert.equal(checks.size, CHECKS_MAX);
  checks.stop();
  assert.equal(checks.size, 0);
});

test(`A server that no request names for ${CHECK_KEPT_MS} ms is not checked any more; one that a mapping names is`, async () => {
  assert.equal(CHECK_KEPT_MS, 60_000, 'docs/proxy.md says a minute');
  const candidates = new Candidates('/', new HealthTable(), LOGGER);
  const keptMs = 400;
  const checks = new HealthChecks(candidates, keptMs);
  const settings = { path: '/', intervalMs: 100, timeoutMs: 1000, status: 299, fall: 1, rise: 1 };
  const [asked, named] = [
    candidates.of(upstreamTo(`${url}/asked`)),
    candidates.of(upstreamTo(`${url}/named`)),
  ];
  checks.want(asked, settings);
  checks.hold(named, settings);
  await waitFor(() => !asked.health.isUp && !named.health.isUp, 'checks to fail');
  await waitFor(() => checks.size === 1, 'the end of checks that nobody wants');
  // what they have found does not count any more
  assert.deepEqual([asked.health.isUp, named.health.isUp], [true, false]);
  const until = performance.now() + 2 * keptMs;
  await waitFor(() => performance.now() > until, 'twice the time');
  assert.equal(checks.size, 1);
  checks.release(named);
  assert.deepEqual([checks.size, named.health.isUp], [0, true]);
});

test(`${SESSIONS_MAX} connections of ${SESSION_STREAMS_MAX} calls each go to a server of HTTP/2, and ${CALLS_MAX} calls are under way; more get 503`, async () => {
  const counters = new Counters();
  const proxies = new Proxies(counters, 1);
  const settings = proxySettings({ ...DEFAULT_PROXY_RULES, retries: 0 });
  const routeTo = (target: string): Parameters<Proxies['pass']>[1] => {
    const upstream = proxies.upstreamOf(parseTarget(target), TLS);
    return {
      settings,
      balancer: proxies.groupOf('/', LOGGER).balancer([upstream], DEFAULT_BALANCE),
      prefix: '/',
    };
  };
  const failures: string[] = [];
  const pass = (route: Parameters<Proxies['pass']>[1]): ReturnType<Proxies['pass']> =>
    proxies.pass(new FakeExchange('/'), route, (result) => {
      if (result instanceof GatewayError) failures.push(`${result.status} ${result.message}`);
    });
  const route = routeTo(silentUrl);
  const most = SESSIONS_MAX * SESSION_STREAMS_MAX;
  const runs = Array.from({ length: most }, () => pass(route));
  pass(route);
  await waitFor(() => failures.length > 0, 'one too many to fail');
  assert.match(failures.join(), new RegExp(`^503 .*${SESSIONS_MAX} connections to it are in use`));
  // a server of HTTP/1.1 has room, and the worker has for some
  answer = undefined;
  const other = routeTo(`${url}/other`);
  while (runs.length < CALLS_MAX) runs.push(pass(other));
  assert.equal(counters.get('proxied'), CALLS_MAX);
  pass(other);
  assert.equal(failures.length, 2);
  assert.match(failures[1] ?? '', new RegExp(`^503 .*${CALLS_MAX} requests are under way`));
  await waitFor(() => streams.reduce((sum, one) => sum + one, 0) === most, 'all calls to arrive');
  assert.deepEqual([streams.length, Math.max(...streams)], [SESSIONS_MAX, SESSION_STREAMS_MAX]);
  for (const run of runs) run.cancel();
  assert.equal(counters.get('proxied'), 0);
  proxies.stop();
  answer = OK;
});
