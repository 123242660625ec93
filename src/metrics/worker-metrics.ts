/** What one worker counts; `test/` asserts that the gauges return to where they were. */
import { MetricRow, MetricTable, type NumberNames, type Slots, type TimesNames } from './metric-row.ts';

const METRICS = {
  connections: { gauge: 'Connections that are open' },
  sessions: { gauge: 'HTTP/2 connections that are open' },
  exchanges: { gauge: 'Requests under way' },
  coroutines: { gauge: 'Coroutines of handlers, tasks and timers' },
  states: { gauge: 'Lua states' },
  files: { gauge: 'Files that are open' },
  pipes: { gauge: 'Programs that scripts have started' },
  fetches: { gauge: 'Requests to other servers under way' },
  proxied: { gauge: 'Requests that are passed on to other servers' },
  sockets: { gauge: 'Connections that scripts have opened by `httpd.connect`' },
  coders: { gauge: 'Answers that are compressed piece by piece' },
  storesAway: { gauge: 'Stores of dictionaries that do not answer' },
  cacheBytes: { gauge: 'Memory that answers take which the cache keeps' },
  cacheAnswers: { gauge: 'Answers that the cache keeps' },
  unreadBodyBytes: { gauge: 'Memory that request bodies take which nobody has read yet' },
  connectionsTotal: { total: 'Connections accepted' },
  handshakesFailedTotal: { total: 'TLS handshakes that failed' },
  misdirectedTotal: { total: 'Connections that spoke another protocol than the port' },
  silentTotal: { total: 'Connections that said nothing in time' },
  proxyHeadsRefusedTotal: {
    total: 'Connections closed because of their PROXY head: none, a wrong one, or one from elsewhere',
  },
  connectionsRefusedTotal: { total: 'Connections refused because a limit was reached' },
  descriptorsUsedUpTotal: { total: 'Times when no descriptor was left to accept a connection' },
  exchangesTotal: { total: 'Requests' },
  pushesTotal: { total: 'Pushed responses' },
  luaErrorsTotal: { total: 'Errors of scripts' },
  proxiedTotal: { total: 'Requests that were passed on to other servers' },
  proxyFailuresTotal: { total: 'Of these, those that no server has answered in full' },
  cacheHitsTotal: { total: 'Requests that the cache has answered with a fresh answer' },
  cacheStaleTotal: { total: 'Requests that the cache has answered with a stale answer' },
  cacheMissesTotal: { total: 'Requests that the cache has asked a server or a handler for' },
  cacheCollapsedTotal: {
    total: 'Answers of the cache that requests have waited for until another one had fetched them',
  },
  cacheStoreHitsTotal: {
    total: 'Answers that the cache has found in the store, where another worker or machine has put them',
  },
  cacheStoreMissesTotal: { total: 'Answers that the cache has looked for in the store in vain' },
  cacheStoreWritesTotal: { total: 'Answers that the cache has put into the store' },
  cacheStoreLostTotal: {
    total: 'Answers that the store has not taken, or that had to wait for too many others',
  },
  cacheEvictionsTotal: { total: 'Answers that had to go from the cache to make room' },
  bytesReceivedTotal: { total: 'Bytes of request bodies' },
  bytesSentTotal: { total: 'Bytes of response bodies' },
  messagesTotal: { total: 'Messages published' },
  messagesLostTotal: { total: 'Messages that a subscriber has lost, because it or its worker was too slow' },
  storeCallsTotal: { total: 'Calls on dictionaries in a store' },
  storeConnectionsTotal: { total: 'Connections to servers of a store that were opened' },
  storeNearHitsTotal: { total: 'Reads of dictionaries in a store that were answered from near' },
  storeFailuresTotal: { total: 'Of these, those that the store has refused or not answered' },
  compressedTotal: { total: 'Answers that were compressed' },
  compressionsRefusedTotal: {
    total: 'Answers that went uncompressed because coders had used up their memory',
  },
  tls12Total: { total: 'TLS 1.2 handshakes that succeeded in full' },
  tls12ResumedTotal: { total: 'TLS 1.2 handshakes that resumed a session' },
  tls13Total: { total: 'TLS 1.3 handshakes that succeeded in full' },
  tls13ResumedTotal: { total: 'TLS 1.3 handshakes that resumed a session' },
  accessLinesDroppedTotal: {
    total: 'Lines of the access log that a worker has dropped, since they were not taken',
  },
  logLinesDroppedTotal: { total: 'Lines of the log that a worker has dropped, since they were not taken' },
  handshakes: { times: 'TLS handshakes that succeeded, from accept to the end' },
  upstreamAnswers: {
    times: 'Requests that were passed on, from the choice of a server to the head of its answer',
  },
  loopDelays: { times: 'How late a timer of the worker was, four times a second; counted with `--admin`' },
  answers: { times: 'Requests to other servers, from the call to the head of the answer' },
} as const;

export type CounterName = NumberNames<typeof METRICS>;
export type TimesName = TimesNames<typeof METRICS>;
export const WORKER_METRICS: MetricTable<CounterName, TimesName> = new MetricTable<CounterName, TimesName>(
  METRICS,
);
export const COUNTER_NAMES: readonly CounterName[] = WORKER_METRICS.names;

/** Slots of what is counted. */
export const COUNT: Slots<CounterName | TimesName> = WORKER_METRICS.slots;

/** The row of a worker. */
export class Counters extends MetricRow<CounterName, TimesName> {
  constructor(memory?: SharedArrayBuffer) {
    super(WORKER_METRICS, memory);
  }
}
