/** The scenarios of dictionaries and messages over a store. */
import { TWENTY_STREAMS } from './loads.ts';
import { storeCalls } from './measures/store-calls.ts';
import { storeHandler } from './measures/store-handler.ts';
import { storePublish } from './measures/store-publish.ts';
import {
  COMMANDS_PER_READ,
  CPU_US,
  GET_US,
  INCR_US,
  MEDIAN,
  MEMORY_INCR_US,
  NEAR_TIMES_MEMORY,
  P99,
  REQUESTS,
  STORE_TIMES_MEMORY,
  TIMES_DICTIONARIES,
  TIMES_KEYS,
} from './metrics.ts';
import type { Scenario } from './scenario.ts';

export const STORE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'store-calls',
    title:
      'calls of a dictionary in Redis, 64 under way at once; a near value and one in memory; 100,000 keys and 10; 100 dictionaries and one',
    handler: 'store',
    measure: storeCalls,
    metrics: [GET_US, INCR_US, COMMANDS_PER_READ, NEAR_TIMES_MEMORY, TIMES_KEYS, TIMES_DICTIONARIES],
    thresholds: [
      { metric: 'getUs', bound: 'at most', value: 40, goal: 'store: get, 64 at once, CPU µs of the gateway' },
      {
        metric: 'incrUs',
        bound: 'at most',
        value: 40,
        goal: 'store: incr, 64 at once, CPU µs of the gateway',
      },
      {
        metric: 'commandsPerRead',
        bound: 'at least',
        value: 32,
        goal: 'store: commands that reach Redis in one read, 64 at once',
      },
      { metric: 'nearTimesMemory', bound: 'at most', value: 1.5, goal: 'store: near value, × one in memory' },
      { metric: 'timesKeys', bound: 'at most', value: 1.2, goal: 'store: get, 100,000 keys, × 10 keys' },
      {
        metric: 'timesDictionaries',
        bound: 'at most',
        value: 1.2,
        goal: 'store: get, 100 dictionaries, × one dictionary',
      },
    ],
  },
  {
    name: 'store-incr',
    title:
      'a handler with one incr in Redis, HTTP/2, 10 connections × 20 streams; one with an incr in memory',
    handler: 'store',
    measure: storeHandler(TWENTY_STREAMS),
    metrics: [CPU_US, REQUESTS, MEMORY_INCR_US, STORE_TIMES_MEMORY],
    thresholds: [
      {
        metric: 'storeTimesMemory',
        bound: 'at most',
        value: 3,
        goal: 'handler with one incr in the store, × one in memory',
      },
    ],
    profile: {
      load: { handler: 'store/incr', ...TWENTY_STREAMS },
      when: 'asked',
    },
  },
  {
    name: 'store-publish',
    title:
      'a message over Redis to one subscriber on each of three gateways, one after the other, from the request to the last subscriber',
    handler: 'store',
    measure: storePublish,
    metrics: [P99, MEDIAN, CPU_US],
    thresholds: [
      {
        metric: 'p99Ms',
        bound: 'at most',
        value: 5,
        goal: 'store: publish to a subscriber on each of three gateways, p99 ms',
      },
    ],
  },
];
