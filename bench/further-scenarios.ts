/** The scenarios that have a file of their own, and that of being observed. */
import { TWENTY_STREAMS } from './loads.ts';
import { observedLoad } from './measures/observed-load.ts';
import { CPU_US, METRICS_TIMES_UNOBSERVED, METRICS_US, TIMES_UNOBSERVED, UNOBSERVED_US } from './metrics.ts';
import { PROXY_SCENARIOS } from './proxy-scenarios.ts';
import type { Scenario } from './scenario.ts';
import { WEBSOCKET_SCENARIOS } from './websocket-scenarios.ts';

const OBSERVED: Scenario = {
  name: 'observed-hello',
  title:
    'hello, HTTP/2, 10 connections × 20 streams, with metrics and access log; with metrics alone; with neither',
  handler: 'hello',
  peers: ['lgateway'],
  measure: observedLoad(TWENTY_STREAMS),
  metrics: [CPU_US, METRICS_US, UNOBSERVED_US, TIMES_UNOBSERVED, METRICS_TIMES_UNOBSERVED],
  thresholds: [
    { metric: 'timesUnobserved', bound: 'at most', value: 1.1, goal: 'metrics and access log, × neither' },
  ],
};

export const FURTHER_SCENARIOS: readonly Scenario[] = [OBSERVED, ...WEBSOCKET_SCENARIOS, ...PROXY_SCENARIOS];
