/** The scenarios of proxies. */
import { ONE_AFTER_OTHER, TWENTY_STREAMS } from './loads.ts';
import { cachedLoad, proxyLoad, proxyTransfer } from './measures/proxy.ts';
import {
  CPU_MS,
  CPU_US,
  FETCH_US,
  GROWTH,
  HELLO_CPU_US,
  LUA_TIMES_HELLO,
  LUA_US,
  REQUESTS,
  SPEED,
  TIMES_FETCH,
  TIMES_HELLO,
  UP_CPU_MS,
  UP_SPEED,
} from './metrics.ts';
import type { Scenario } from './scenario.ts';

export const PROXY_SCENARIOS: readonly Scenario[] = [
  {
    name: 'proxy-1k',
    title:
      'an answer of 1 KiB passed on, HTTP/2, 10 connections × 20 streams, HTTP/1.1 to the upstream; by a mapping, by httpd.proxy, by httpd.fetch and copy, and the hello of a handler',
    handler: 'proxy',
    measure: proxyLoad(TWENTY_STREAMS),
    metrics: [CPU_US, REQUESTS, HELLO_CPU_US, TIMES_HELLO, LUA_US, LUA_TIMES_HELLO, FETCH_US, TIMES_FETCH],
    thresholds: [
      {
        metric: 'timesHello',
        bound: 'at most',
        value: 2.5,
        goal: 'proxy of 1 KiB, × the hello of a handler',
      },
      { metric: 'timesFetch', bound: 'at most', value: 0.45, goal: 'proxy of 1 KiB, × fetch and copy' },
      { metric: 'cpuUs', bound: 'at most', value: 1, of: 'caddy', goal: 'proxy of 1 KiB, beside Caddy' },
    ],
  },
  {
    name: 'proxy-1g',
    title: '1 GiB through the proxy over HTTP/2, HTTP/1.1 to the upstream: down, and up',
    handler: 'proxy',
    measure: proxyTransfer,
    metrics: [SPEED, UP_SPEED, CPU_MS, UP_CPU_MS, GROWTH],
    thresholds: [
      {
        metric: 'mibPerSecond',
        bound: 'at least',
        value: 0.5,
        of: 'haproxy-lua',
        goal: '1 GiB down through the proxy, MiB/s',
      },
      {
        metric: 'upMibPerSecond',
        bound: 'at least',
        value: 0.5,
        of: 'haproxy-lua',
        goal: '1 GiB up through the proxy, MiB/s',
      },
      { metric: 'growthMib', bound: 'at most', value: 32, goal: '1 GiB through the proxy, RSS growth MiB' },
    ],
    roundsMax: 5,
  },
  {
    name: 'cache-hit',
    title:
      'an answer of 1 KiB from the cache of a proxy, HTTP/2, 10 connections × 20 streams; and the hello of a handler',
    handler: 'proxy',
    peers: ['lgateway', 'against', 'nginx-lua'],
    measure: cachedLoad(TWENTY_STREAMS),
    metrics: [CPU_US, REQUESTS, HELLO_CPU_US, TIMES_HELLO],
    thresholds: [],
  },
  {
    name: 'cache-hit-h1',
    title:
      'an answer of 1 KiB from the cache of a proxy, HTTP/1.1, 10 connections; and the hello of a handler',
    handler: 'proxy',
    peers: ['lgateway', 'against', 'nginx-lua'],
    measure: cachedLoad(ONE_AFTER_OTHER),
    metrics: [CPU_US, REQUESTS, HELLO_CPU_US, TIMES_HELLO],
    thresholds: [],
  },
];
