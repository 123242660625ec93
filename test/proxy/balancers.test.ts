/** How a proxy chooses among its servers: even shares, few keys that move, and nobody who is down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import { type Balancing, HealthyBalancer } from '../../src/proxy/balancers.ts';
import { type Candidate, Candidates } from '../../src/proxy/candidates.ts';
import { HealthChecks } from '../../src/proxy/health-checks.ts';
import type { Upstream } from '../../src/proxy/upstream.ts';
import { healthNow } from '../../src/proxy/upstreams/health-memory.ts';
import { FAILURES_MAX } from '../../src/proxy/upstreams/health-row.ts';
import { HealthTable } from '../../src/proxy/upstreams/health-table.ts';
import { FakeExchange } from '../support/fake-exchange.ts';

const SILENT = { level: 'error', error() {}, warn() {}, info() {}, debug() {} } as const;

/** A server that is never called: only who is chosen counts here. */
function server(i: number): Upstream {
  return {
    target: parseTarget(`http://10.0.0.${i}:80`),
    call: () => {
      throw new Error('nobody calls it');
    },
  };
}

interface Scene {
  readonly servers: readonly Upstream[];
  readonly all: readonly Candidate[];
  readonly balancer: HealthyBalancer;
  readonly log: string[];
}

function scene(count: number, balancing: Balancing, weights?: readonly number[]): Scene {
  const log: string[] = [];
  const write = (message: string, fields: object = {}): void => {
    log.push(`${message} ${JSON.stringify(fields)}`);
  };
  const candidates = new Candidates('/', new HealthTable(), { ...SILENT, warn: write, info: write });
  const servers = Array.from({ length: count }, (_, i) => server(i + 1));
  return {
    servers,
    all: servers.map((one) => candidates.of(one)),
    balancer: new HealthyBalancer(servers, candidates, balancing, weights, {
      checks: new HealthChecks(candidates),
      health: undefined,
    }),
    log,
  };
}

const request = (target = '/', fields: readonly string[] = []): Exchange =>
  new FakeExchange(target, { fields });

function fail({ balancer }: Scene, upstream: Upstream, times: number): void {
  for (let i = 0; i < times; i++) {
    balancer.began(upstream);
    balancer.ended(upstream, 'failed');
  }
}

test('random2 spreads requests evenly, and away from a server with many that wait', () => {
  const even = scene(4, { kind: 'random2' });
  const counts = new Map<Upstream, number>();
  const one = request();
  for (let i = 0; i < 8000; i++) {
    const chosen = even.balancer.choose(one, []) as Upstream;
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  // 2000 each; six standard deviations are 232
  for (const upstream of even.servers) assert.ok(Math.abs((counts.get(upstream) ?? 0) - 2000) < 250);
  const [busy] = even.servers as [Upstream];
  for (let i = 0; i < 3; i++) even.balancer.began(busy);
  for (let i = 0; i < 200; i++) assert.notEqual(even.balancer.choose(one, []), busy);
});

test('least takes a server for which the fewest requests wait', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 2, maxLength: 8 }), (waiting) => {
      const { balancer, all, servers } = scene(waiting.length, { kind: 'least' });
      for (const [i, count] of waiting.entries()) (all[i] as Candidate).waiting = count;
      const chosen = balancer.choose(request(), []) as Upstream;
      assert.equal(waiting[servers.indexOf(chosen)], Math.min(...waiting));
    }),
  );
});

test('hash gives a key always to the same server, and evenly; a lost server moves its own keys only', () => {
  const one = scene(5, { kind: 'hash', key: { by: 'path' } });
  const paths = Array.from({ length: 4000 }, (_, i) => `/item/${i}?x=${i % 7}`);
  const choose = (): Map<string, Upstream> =>
    new Map(paths.map((path) => [path, one.balancer.choose(request(path), []) as Upstream]));
  const before = choose();
  for (const upstream of one.servers) {
    const share = [...before.values()].filter((chosen) => chosen === upstream).length;
    assert.ok(share > 650 && share < 950, `${share} of 4000 keys for one of five`);
  }
  const lost = one.servers[2] as Upstream;
  fail(one, lost, FAILURES_MAX);
  const during = choose();
  for (const path of paths) {
    if (before.get(path) === lost) assert.notEqual(during.get(path), lost);
    else assert.equal(during.get(path), before.get(path));
  }
  one.balancer.ended(lost, 200);
  assert.deepEqual([...choose().values()], [...before.values()]);
});

test('hash takes the address, a field or a text of the caller', () => {
  const by = (key: Parameters<typeof scene>[1] & { kind: 'hash' }, fields: readonly string[]): number => {
    const { balancer, servers } = scene(16, key);
    return servers.indexOf(balancer.choose(request('/', fields), []) as Upstream);
  };
  const field = { kind: 'hash', key: { by: 'field', name: 'x-user' } } as const;
  const places = new Set(Array.from({ length: 50 }, (_, i) => by(field, ['X-User', `user ${i}`])));
  assert.ok(places.size > 8);
  assert.equal(by(field, ['X-User', 'ann']), by(field, ['x-user', 'ann', 'other', 'x']));
  // without the field the address decides
  assert.equal(by(field, []), by({ kind: 'hash', key: { by: 'address' } }, []));
  assert.equal(
    by({ kind: 'hash', key: { by: 'value', value: 'k' } }, []),
    by({ kind: 'hash', key: { by: 'value', value: 'k' } }, ['x-user', 'ann']),
  );
});

test('Three failures take a server out, and the log says so once; failures take no last one out', () => {
  const one = scene(3, { kind: 'random2' });
  const [a, b, c] = one.servers as [Upstream, Upstream, Upstream];
  fail(one, a, FAILURES_MAX + 2);
  for (let i = 0; i < 100; i++) assert.notEqual(one.balancer.choose(request(), []), a);
  assert.deepEqual(one.log, [
    'Upstream is down {"mapping":"/","upstream":"http://10.0.0.1:80","why":"requests have failed"}',
  ]);
  fail(one, b, FAILURES_MAX);
  for (let i = 0; i < 20; i++) assert.equal(one.balancer.choose(request(), []), c);
  assert.notEqual(one.balancer.choose(request(), [c]), c);
  fail(one, c, FAILURES_MAX);
  const chosen = new Set(Array.from({ length: 100 }, () => one.balancer.choose(request(), [])));
  assert.deepEqual(chosen, new Set([a, b, c]));
  const single = scene(1, { kind: 'random2' });
  fail(single, single.servers[0] as Upstream, 10);
  assert.equal(single.balancer.choose(request(), []), single.servers[0]);
});

test('Where checks say that all are down, none is chosen', () => {
  const one = scene(2, { kind: 'least' });
  for (const { health } of one.all) for (let i = 0; i < 3; i++) health.checked(false, 2, 3);
  assert.equal(one.balancer.choose(request(), []), undefined);
  (one.all[1] as Candidate).health.checked(true, 1, 3);
  assert.equal(one.balancer.choose(request(), []), one.servers[1]);
});

test('A server whose time is over gets one request that tries it', () => {
  const one = scene(2, { kind: 'random2' });
  const [, row] = one.all.map(({ health }) => health);
  const past = healthNow() - 2000;
  for (let i = 0; i < FAILURES_MAX; i++) row?.failed(past);
  assert.equal(one.balancer.choose(request(), []), one.servers[1]);
  for (let i = 0; i < 20; i++) assert.equal(one.balancer.choose(request(), []), one.servers[0]);
});

test('A function chooses among those that are up; what it does not know is left to chance', () => {
  const seen: number[] = [];
  const one = scene(3, {
    kind: 'choice',
    choose: (_exchange, open) => {
      seen.push(open.length);
      return open[1];
    },
  });
  assert.equal(one.balancer.choose(request(), []), one.servers[1]);
  fail(one, one.servers[1] as Upstream, FAILURES_MAX);
  assert.equal(one.balancer.choose(request(), []), one.servers[2]);
  assert.deepEqual(seen, [3, 2]);
  const lost = scene(2, { kind: 'choice', choose: () => undefined });
  assert.ok(lost.balancer.choose(request(), []) !== undefined);
});

test("What one mapping finds out about a server is no other mapping's affair, and all workers of the mapping share it", () => {
  const table = new HealthTable();
  const [own, sameMapping, other] = ['/a', '/a', '/b'].map(
    (mapping) => new Candidates(mapping, table, SILENT),
  );
  const upstream = server(1);
  for (let i = 0; i < FAILURES_MAX; i++) own?.of(upstream).health.failed(1000);
  assert.equal(sameMapping?.of(server(1)).health.state(1001), 'rests');
  assert.equal(other?.of(upstream).health.state(1001), 'up');
});

test('Weights say which part of the requests each server gets', () => {
  for (const kind of ['random2', 'least', 'hash'] as const) {
    const balancing: Balancing = kind === 'hash' ? { kind, key: { by: 'path' } } : { kind };
    const { servers, balancer } = scene(2, balancing, [3, 1]);
    let first = 0;
    for (let i = 0; i < 8000; i++) if (balancer.choose(request(`/${i}`), []) === servers[0]) first += 1;
    // 6000; six standard deviations are 232
    assert.ok(Math.abs(first - 6000) < 250, `${kind}: ${first}`);
  }
});

test('With weights, the server with fewer requests for its weight gets the next', () => {
  for (const kind of ['random2', 'least'] as const) {
    const { servers, balancer } = scene(2, { kind }, [3, 1]);
    const [strong, weak] = servers as [Upstream, Upstream];
    balancer.began(strong);
    balancer.began(weak);
    for (let i = 0; i < 100; i++) assert.equal(balancer.choose(request(), []), strong);
    for (let i = 0; i < 3; i++) balancer.began(strong);
    for (let i = 0; i < 100; i++) assert.equal(balancer.choose(request(), []), weak);
    assert.equal(balancer.choose(request(), [weak]), strong);
  }
});

test('A hash with weights moves the keys of a lost server only', () => {
  const { servers, balancer } = scene(3, { kind: 'hash', key: { by: 'path' } }, [5, 2, 1]);
  const [, lost] = servers as [Upstream, Upstream];
  for (let i = 0; i < 500; i++) {
    const chosen = balancer.choose(request(`/${i}`), []);
    if (chosen !== lost) assert.equal(balancer.choose(request(`/${i}`), [lost]), chosen);
  }
});
