/** The metrics of the admin listener: names, kinds, and what they say. */
import type { MetricFamily } from '../admin/metric-text.ts';
import type { MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { CounterName } from '../metrics/worker-metrics.ts';

function counter(name: string, help: string): MetricFamily {
  return { name, kind: 'counter', help };
}
function gauge(name: string, help: string): MetricFamily {
  return { name, kind: 'gauge', help };
}
function histogram(name: string, help: string): MetricFamily {
  return { name, kind: 'histogram', help };
}

type FamilyName =
  | 'buildInfo'
  | 'requests'
  | 'durations'
  | 'heads'
  | 'connections'
  | 'accepted'
  | 'handshakes'
  | 'handshakeTimes'
  | 'loopDelays'
  | 'upstreamHeads'
  | 'fetchHeads'
  | 'limits'
  | 'use'
  | 'upstreamHealthy'
  | 'upstreamInFlight'
  | 'upstreamFailures'
  | 'upstreamChecks'
  | 'sharedBytes'
  | 'sharedUsed'
  | 'sharedEntries'
  | 'sharedHits'
  | 'sharedMisses'
  | 'sharedEvictions'
  | 'storeUp'
  | 'storeConnections'
  | 'relayed'
  | 'relayLost'
  | 'certificate'
  | 'reloads'
  | 'generations'
  | 'lostLines'
  | 'workers'
  | 'replacements'
  | 'processCpu'
  | 'processMemory'
  | 'processStart'
  | 'processFiles'
  | 'processFilesMax';

/** Those with labels of their own. */
export const FAMILIES: Readonly<Record<FamilyName, MetricFamily>> = {
  buildInfo: { name: 'lgateway_build_info', kind: 'info', help: 'Versions of lgateway and of Node.js' },
  requests: counter(
    'lgateway_requests_total',
    'Requests that are over, by mapping ("none": no mapping), class of the status ("none": there was none) and protocol',
  ),
  durations: histogram(
    'lgateway_request_duration_seconds',
    'From the head of a request to the end of its answer, by mapping',
  ),
  heads: histogram(
    'lgateway_request_head_seconds',
    'From the head of a request to the head of its answer, by mapping',
  ),
  connections: gauge('lgateway_connections', 'Connections that are open, by listener'),
  accepted: counter('lgateway_connections_accepted_total', 'Connections accepted, by listener'),
  handshakes: counter(
    'lgateway_tls_handshakes_total',
    'TLS handshakes that succeeded, by version and whether a session was resumed',
  ),
  handshakeTimes: histogram(
    'lgateway_tls_handshake_duration_seconds',
    'TLS handshakes that succeeded, from accept to their end',
  ),
  loopDelays: histogram(
    'lgateway_event_loop_delay_seconds',
    'How late a timer of the worker was, four times a second',
  ),
  upstreamHeads: histogram(
    'lgateway_proxy_head_seconds',
    'Requests that were passed on, from the choice of a server to the head of its answer',
  ),
  fetchHeads: histogram(
    'lgateway_fetch_head_seconds',
    'Requests of scripts to other servers, from the call to the head of the answer',
  ),
  limits: counter(
    'lgateway_lua_limits_total',
    'Runs that reached a limit, by mapping: cpu, time, memory; abandoned: the state was lost; share: a resource of the worker',
  ),
  use: gauge('lgateway_mapping_in_use', 'What scripts hold of what workers have, by mapping and resource'),
  upstreamHealthy: gauge(
    'lgateway_upstream_healthy',
    '1: requests go to the server; 0: failures or checks speak against it',
  ),
  upstreamInFlight: gauge(
    'lgateway_upstream_requests_in_flight',
    'Requests that wait for an answer of the server',
  ),
  upstreamFailures: counter('lgateway_upstream_failures_total', 'Requests that have failed at the server'),
  upstreamChecks: counter('lgateway_upstream_checks_total', 'Checks of the server, by result'),
  sharedBytes: gauge('lgateway_shared_size_bytes', 'Memory of a shared dictionary'),
  sharedUsed: gauge('lgateway_shared_bytes', 'Memory of a shared dictionary that entries take'),
  sharedEntries: gauge(
    'lgateway_shared_entries',
    'Entries of a shared dictionary, those that have expired and are still there among them',
  ),
  sharedHits: counter('lgateway_shared_hits_total', 'Reads of a shared dictionary that found an entry'),
  sharedMisses: counter('lgateway_shared_misses_total', 'Reads of a shared dictionary that found none'),
  sharedEvictions: counter(
    'lgateway_shared_evictions_total',
    'Entries of a shared dictionary that were removed to make room',
  ),
  storeUp: gauge(
    'lgateway_store_up',
    '1: the store answers, or has not been asked yet; 0: it is away for the main thread (--store), or for a worker (of single dictionaries)',
  ),
  storeConnections: counter(
    'lgateway_store_connections_total',
    'Connections to servers of stores that were opened: more than one for each worker, the main thread and server are reconnections',
  ),
  relayed: counter(
    'lgateway_store_messages_total',
    'Messages of httpd.publish that a store has taken for other machines, and that have come from them',
  ),
  relayLost: counter(
    'lgateway_store_messages_lost_total',
    'Messages that did not reach other machines, or may not have: the store was away, or too slow',
  ),
  certificate: gauge(
    'lgateway_certificate_expiry_seconds',
    'Time until the certificate that is served expires; below 0: it has expired',
  ),
  reloads: counter('lgateway_reloads_total', 'Reloads that were asked for, by result'),
  generations: gauge(
    'lgateway_generations',
    'What reloads have loaded and something still uses: 1, and one more for each from before a reload that still has requests',
  ),
  lostLines: counter(
    'lgateway_lost_log_lines_total',
    'Lines of the log and the access log that came faster than they were taken, or could not be written',
  ),
  workers: gauge('lgateway_workers', 'Worker threads, by whether they serve'),
  replacements: counter(
    'lgateway_worker_replacements_total',
    'Worker threads that had ended and were replaced',
  ),
  processCpu: counter('process_cpu_seconds_total', 'Processor time of the process'),
  processMemory: gauge('process_resident_memory_bytes', 'Memory of the process that is in use'),
  processStart: gauge('process_start_time_seconds', 'When the process began, in seconds since 1970'),
  processFiles: gauge('process_open_fds', 'Descriptors that are open'),
  processFilesMax: gauge('process_max_fds', 'Descriptors that may be open'),
};

/** Counters of workers that have no labels: what all workers count together. */
export const WORKER_FAMILIES: readonly (readonly [CounterName, MetricFamily])[] = [
  ['exchanges', gauge('lgateway_requests_in_flight', 'Requests under way')],
  ['sessions', gauge('lgateway_http2_sessions', 'HTTP/2 connections that are open')],
  [
    'proxyHeadsRefusedTotal',
    counter(
      'lgateway_proxy_heads_refused_total',
      'Connections closed because of their PROXY head: none, a wrong one, or one from elsewhere',
    ),
  ],
  [
    'connectionsRefusedTotal',
    counter('lgateway_connections_refused_total', 'Connections refused because a limit was reached'),
  ],
  [
    'misdirectedTotal',
    counter(
      'lgateway_connections_misdirected_total',
      'Connections that spoke another protocol than the port',
    ),
  ],
  ['silentTotal', counter('lgateway_connections_silent_total', 'Connections that said nothing in time')],
  ['handshakesFailedTotal', counter('lgateway_tls_handshakes_failed_total', 'TLS handshakes that failed')],
  [
    'descriptorsUsedUpTotal',
    counter('lgateway_descriptors_used_up_total', 'Times when no descriptor was left to accept a connection'),
  ],
  ['bytesReceivedTotal', counter('lgateway_received_bytes_total', 'Bytes of request bodies')],
  ['bytesSentTotal', counter('lgateway_sent_bytes_total', 'Bytes of response bodies')],
  [
    'unreadBodyBytes',
    gauge('lgateway_unread_body_bytes', 'Memory that request bodies take which nobody has read yet'),
  ],
  ['pushesTotal', counter('lgateway_pushes_total', 'Pushed responses')],
  ['coroutines', gauge('lgateway_lua_coroutines', 'Coroutines of handlers, tasks and timers')],
  ['states', gauge('lgateway_lua_states', 'Lua states')],
  ['luaErrorsTotal', counter('lgateway_lua_errors_total', 'Errors of scripts')],
  ['proxied', gauge('lgateway_proxy_requests_in_flight', 'Requests that are passed on to other servers')],
  ['proxiedTotal', counter('lgateway_proxy_requests_total', 'Requests that were passed on to other servers')],
  [
    'proxyFailuresTotal',
    counter('lgateway_proxy_failures_total', 'Of these, those that no server has answered in full'),
  ],
  ['messagesTotal', counter('lgateway_messages_total', 'Messages published')],
  [
    'messagesLostTotal',
    counter(
      'lgateway_messages_lost_total',
      'Messages that a subscriber has lost, because it or its worker was too slow',
    ),
  ],
  ['storesAway', gauge('lgateway_stores_away', 'Stores of dictionaries that do not answer')],
  ['storeCallsTotal', counter('lgateway_store_calls_total', 'Calls on dictionaries in a store')],
  [
    'storeFailuresTotal',
    counter('lgateway_store_failures_total', 'Of these, those that the store has refused or not answered'),
  ],
  [
    'storeNearHitsTotal',
    counter(
      'lgateway_store_near_hits_total',
      'Reads of dictionaries in a store that were answered from near',
    ),
  ],
  ['coders', gauge('lgateway_compressions_in_flight', 'Answers that are compressed piece by piece')],
  ['compressedTotal', counter('lgateway_compressions_total', 'Answers that were compressed')],
  [
    'compressionsRefusedTotal',
    counter(
      'lgateway_compressions_refused_total',
      'Answers that went uncompressed because coders had used up their memory',
    ),
  ],
];

/** Counters of mappings that have no further label. The factor makes the unit of the metric of that of the counter. */
export const MAPPING_FAMILIES: readonly (readonly [MappingCounterName, MetricFamily, number])[] = [
  [
    'luaCpuMsTotal',
    counter(
      'lgateway_lua_cpu_seconds_total',
      'Processor time of Lua code, of calls that took longer than a millisecond or two',
    ),
    1 / 1000,
  ],
  ['luaSlicesTotal', counter('lgateway_lua_slices_total', 'Times when Lua code had to let others run'), 1],
  ['luaMemoryBytes', gauge('lgateway_lua_memory_bytes', 'Memory of the Lua states of all workers'), 1],
  ['logLinesTotal', counter('lgateway_log_lines_total', 'Lines that scripts have written to the log'), 1],
  ['logBytesTotal', counter('lgateway_log_bytes_total', 'Bytes of those lines'), 1],
  [
    'logLinesDroppedTotal',
    counter('lgateway_log_lines_dropped_total', 'Lines left out because there were too many'),
    1,
  ],
];

/** Counters that are samples of one family, by its label `limit`. */
export const LIMIT_COUNTERS: Readonly<Record<string, MappingCounterName>> = {
  cpu: 'cpuLimitsTotal',
  time: 'timeLimitsTotal',
  memory: 'memoryLimitsTotal',
  abandoned: 'statesLostTotal',
  share: 'limitsReachedTotal',
};

/** All of them, in the order of the text. */
export const ALL_FAMILIES: readonly MetricFamily[] = [
  ...Object.values(FAMILIES),
  ...WORKER_FAMILIES.map(([, family]) => family),
  ...MAPPING_FAMILIES.map(([, family]) => family),
];
