/** Routes are kept by what they were made of, within their limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import type { ProxyRoute } from '../../src/proxy/proxy-run.ts';
import { proxySettings } from '../../src/proxy/proxy-settings.ts';
import { ROUTES_KEPT_MAX, RouteCache } from '../../src/proxy/route-cache.ts';
import type { Balancer } from '../../src/proxy/upstream.ts';

let renewed = 0;
const balancer: Balancer = {
  renew: () => {
    renewed += 1;
  },
  hold() {},
  release() {},
  choose: () => undefined,
  began() {},
  ended() {},
};
const make = (): ProxyRoute => ({ settings: proxySettings(DEFAULT_PROXY_RULES), balancer, prefix: '/' });

test('Equal plans have one route, and a request that comes by it says that its servers are wanted', () => {
  const cache = new RouteCache();
  const plan = (retries: number): unknown => [[{ url: 'http://a', weight: 1 }], { retries }];
  const route = cache.routeOf(plan(1), make);
  assert.equal(renewed, 0);
  assert.equal(cache.routeOf(plan(1), make), route);
  assert.equal(renewed, 1);
  assert.notEqual(cache.routeOf(plan(2), make), route);
  assert.notEqual(cache.routeOf(undefined, make), cache.routeOf(undefined, make));
});

test(`No more than ${ROUTES_KEPT_MAX} routes are kept`, () => {
  const cache = new RouteCache();
  const first = cache.byKey('0', make);
  for (let i = 1; i < ROUTES_KEPT_MAX; i++) cache.byKey(String(i), make);
  assert.equal(cache.byKey('0', make), first);
  cache.byKey('one more', make);
  assert.notEqual(cache.byKey('0', make), first);
});

test('A plan that fails is not kept', () => {
  const cache = new RouteCache();
  assert.throws(() =>
    cache.byKey('a', () => {
      throw new Error('no target');
    }),
  );
  assert.equal(cache.byKey('a', make).prefix, '/');
});
