/** The scenarios that have a file of their own, and that of being observed. */
import { TWENTY_STREAMS } from './loads.ts';
import { handshakes } from './measures/handshakes.ts';
import { observedLoad } from './measures/observed-load.ts';
import {
  CPU_US,
  FULL_US,
  METRICS_TIMES_UNOBSERVED,
  METRICS_US,
  RESUMED_US,
  TIMES_UNOBSERVED,
  UNOBSERVED_US,
} from './metrics.ts';
import { PROXY_SCENARIOS } from './proxy-scenarios.ts';
import type { Scenario } from './scenario.ts';
import { STORE_SCENARIOS } from './store-scenarios.ts';
import { WEBSOCKET_SCENARIOS } from './websocket-scenarios.ts';

const OBSERVED: Scenario = {
  name: 'observed-hello',
  title:
    'hello, HTTP/2, 10 connections × 20 streams, with metrics and access log; with metrics alone; with neither',
  handler: 'hello',
  peers: ['lgateway', 'against'],
  measure: observedLoad(TWENTY_STREAMS),
  metrics: [CPU_US, METRICS_US, UNOBSERVED_US, TIMES_UNOBSERVED, METRICS_TIMES_UNOBSERVED],
  thresholds: [
    { metric: 'timesUnobserved', bound: 'at most', value: 1.1, goal: 'metrics and access log, × neither' },
  ],
};

const HANDSHAKES: Scenario = {
  name: 'handshakes',
  title: 'TLS 1.3 handshakes, full and resumed, of 10 clients that close their connection without a request',
  handler: 'hello',
  peers: ['lgateway', 'against', 'node', 'nginx-lua', 'haproxy-lua'],
  measure: handshakes('http/1.1'),
  metrics: [FULL_US, RESUMED_US],
  thresholds: [
    { metric: 'fullUs', bound: 'at most', value: 1.1, of: 'node', goal: 'full TLS handshake' },
    { metric: 'resumedUs', bound: 'at most', value: 1.1, of: 'node', goal: 'resumed TLS handshake' },
  ],
};

export const FURTHER_SCENARIOS: readonly Scenario[] = [
  OBSERVED,
  HANDSHAKES,
  ...WEBSOCKET_SCENARIOS,
  ...PROXY_SCENARIOS,
  ...STORE_SCENARIOS,
];
