/** The text of the metrics: what all workers have counted, added up in the main thread, so that none of them is asked. */

import { X509Certificate } from 'node:crypto';
import { type MetricLabels, MetricText } from '../admin/metric-text.ts';
import { packageVersion } from '../base/package-info.ts';
import type { RelayCounts } from '../fleet/event-relay.ts';
import { RESOURCES } from '../mapping/shares.ts';
import { Histogram } from '../metrics/histogram.ts';
import type { ListenerCounterName } from '../metrics/listener-metrics.ts';
import type { MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { MetricRow } from '../metrics/metric-row.ts';
import { REQUEST_PROTOCOLS, STATUS_CLASSES } from '../metrics/request-row.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import type { SharedUsage } from '../shared/shared-usage.ts';
import { formatAddress } from './listener.ts';
import type { BoundAddress } from './listeners.ts';
import type { MappingRow } from './mapping-rows.ts';
import { FAMILIES, LIMIT_COUNTERS, MAPPING_FAMILIES, WORKER_FAMILIES } from './metric-families.ts';
import { processFacts } from './process-metrics.ts';
import type { StoreView } from './store-views.ts';
import type { WorkerMemory } from './worker-memory.ts';

/** What one worker has counted, also while it is being replaced. */
interface WorkerSource {
  readonly workerId: number;
  readonly ready: boolean;
  readonly replacements: number;
  readonly counters: Counters;
  readonly memory: Pick<WorkerMemory, 'listener' | 'mapping' | 'requests'>;
}

/** The part that the main thread has in what machines share. */
interface FleetSource {
  readonly connections: number;
  readonly relay: { readonly counts: RelayCounts };
}

export interface MetricSources {
  readonly workers: readonly WorkerSource[];
  readonly listeners: readonly BoundAddress[];
  readonly mappings: readonly MappingRow[];
  readonly upstreams: readonly UpstreamView[];
  readonly shared: readonly SharedUsage[];
  /** Those that are served, in PEM. */
  readonly certificates: readonly string[];
  readonly generations: number;
  /** Lines that could not be written, where the main thread writes them. */
  readonly lostLines: { readonly log: number; readonly access: number };
  /** What goes to other machines over a store; undefined: nothing does. */
  readonly fleet: FleetSource | undefined;
  readonly stores: readonly StoreView[];
  readonly reloads: { readonly success: number; readonly failure: number };
}

/** What requests are counted for that no mapping has answered; names of mappings have a slash. */
const NO_MAPPING = 'none';
const SECONDS_PER_MS = 1 / 1000;

/** `accept`: the field of the request, which chooses the form. */
export function writeMetrics(sources: MetricSources, accept: string): { type: string; body: string } {
  const text = new MetricText(accept);
  text.family(FAMILIES.buildInfo);
  text.sample({ version: packageVersion(), node: process.version }, 1);
  writeRequests(text, sources);
  writeListeners(text, sources);
  writeWorkers(text, sources.workers);
  writeMappings(text, sources);
  writeUpstreams(text, sources.upstreams);
  writeShared(text, sources.shared);
  writeFleet(text, sources);
  writeCertificates(text, sources.certificates);
  text.family(FAMILIES.reloads);
  for (const [result, count] of Object.entries(sources.reloads)) text.sample({ result }, count);
  text.family(FAMILIES.generations);
  text.sample({}, sources.generations);
  writeLostLines(text, sources);
  writeProcess(text);
  return { type: text.type, body: text.end() };
}

function writeLostLines(text: MetricText, { workers, lostLines }: MetricSources): void {
  const dropped = (name: 'logLinesDroppedTotal' | 'accessLinesDroppedTotal'): number =>
    sum(workers.map(({ counters }) => counters.get(name)));
  text.family(FAMILIES.lostLines);
  text.sample({ log: 'access' }, lostLines.access + dropped('accessLinesDroppedTotal'));
  text.sample({ log: 'messages' }, lostLines.log + dropped('logLinesDroppedTotal'));
}

function writeRequests(text: MetricText, { workers, mappings }: MetricSources): void {
  const counted = [...mappings, { name: NO_MAPPING, row: undefined }].map(({ name, row }) => ({
    mapping: name,
    rows: workers.flatMap(({ memory }) => memory.requests(row) ?? []),
  }));
  text.family(FAMILIES.requests);
  for (const { mapping, rows } of counted) {
    for (const [version, protocol] of REQUEST_PROTOCOLS.entries())
      for (const [statusClass, code] of STATUS_CLASSES.entries()) {
        const count = sum(rows.map((row) => row.get(version, statusClass)));
        // what has never been is left out, but what a rule may ask for from the start
        if (count > 0 || isUsual(protocol, code)) text.sample({ mapping, code, protocol }, count);
      }
  }
  for (const [family, part] of [
    [FAMILIES.durations, 'durations'],
    [FAMILIES.heads, 'heads'],
  ] as const) {
    text.family(family);
    for (const { mapping, rows } of counted)
      text.histogram({ mapping }, Histogram.sum(rows.map((row) => row[part])));
  }
}

function isUsual(protocol: string, code: string): boolean {
  return protocol !== 'HTTP/1.0' && (code === '2xx' || code === '5xx');
}

/** By the address that is bound; each is bound once. */
function writeListeners(text: MetricText, { workers, listeners }: MetricSources): void {
  const counted = listeners.map(({ scheme, address, port }, i) => ({
    listener: `${scheme}://${formatAddress(address, port)}`,
    rows: workers.map(({ memory }) => memory.listener(i)),
  }));
  // several sockets of one address may be inherited
  const all = new Map<string, MetricRow<ListenerCounterName>[]>();
  for (const { listener, rows } of counted) all.set(listener, [...(all.get(listener) ?? []), ...rows]);
  for (const [family, name] of [
    [FAMILIES.connections, 'connections'],
    [FAMILIES.accepted, 'connectionsTotal'],
  ] as const) {
    text.family(family);
    for (const [listener, rows] of all) text.sample({ listener }, sum(rows.map((row) => row.get(name))));
  }
}

function writeWorkers(text: MetricText, workers: readonly WorkerSource[]): void {
  const total = (name: Parameters<Counters['get']>[0]): number =>
    sum(workers.map(({ counters }) => counters.get(name)));
  text.family(FAMILIES.handshakes);
  text.sample({ version: 'TLSv1.2', resumed: 'false' }, total('tls12Total'));
  text.sample({ version: 'TLSv1.2', resumed: 'true' }, total('tls12ResumedTotal'));
  text.sample({ version: 'TLSv1.3', resumed: 'false' }, total('tls13Total'));
  text.sample({ version: 'TLSv1.3', resumed: 'true' }, total('tls13ResumedTotal'));
  const times = workers.map(({ counters }) => counters.times());
  for (const [family, name] of [
    [FAMILIES.handshakeTimes, 'handshakes'],
    [FAMILIES.upstreamHeads, 'upstreamAnswers'],
    [FAMILIES.fetchHeads, 'answers'],
  ] as const) {
    text.family(family);
    text.histogram({}, Histogram.sum(times.map((each) => each[name])));
  }
  text.family(FAMILIES.loopDelays);
  for (const [i, { workerId }] of workers.entries()) {
    const observed = times[i]?.loopDelays;
    if (observed !== undefined) text.histogram({ worker: String(workerId) }, observed);
  }
  for (const [name, family] of WORKER_FAMILIES) {
    text.family(family);
    text.sample({}, total(name));
  }
  const serving = workers.filter(({ ready }) => ready).length;
  text.family(FAMILIES.workers);
  text.sample({ state: 'serving' }, serving);
  text.sample({ state: 'other' }, workers.length - serving);
  text.family(FAMILIES.replacements);
  text.sample({}, sum(workers.map(({ replacements }) => replacements)));
}

function writeMappings(text: MetricText, { workers, mappings }: MetricSources): void {
  const counted = mappings.map(({ name, row }) => ({
    mapping: name,
    rows: workers.map(({ memory }) => memory.mapping(row)),
  }));
  const total = (rows: readonly MetricRow<MappingCounterName>[], name: MappingCounterName): number =>
    sum(rows.map((row) => row.get(name)));
  for (const [name, family, factor] of MAPPING_FAMILIES) {
    text.family(family);
    for (const { mapping, rows } of counted) text.sample({ mapping }, total(rows, name) * factor);
  }
  text.family(FAMILIES.limits);
  for (const { mapping, rows } of counted)
    for (const [limit, name] of Object.entries(LIMIT_COUNTERS))
      text.sample({ mapping, limit }, total(rows, name));
  text.family(FAMILIES.use);
  for (const { mapping, rows } of counted)
    for (const resource of RESOURCES) text.sample({ mapping, resource }, total(rows, resource));
}

function writeUpstreams(text: MetricText, upstreams: readonly UpstreamView[]): void {
  const labelsOf = ({ mapping, name }: UpstreamView): MetricLabels => ({ mapping, upstream: name });
  const all = distinct(upstreams, (one) => `${one.mapping}\0${one.name}`);
  for (const [family, read] of [
    [FAMILIES.upstreamHealthy, ({ healthy }: UpstreamView) => (healthy ? 1 : 0)],
    [FAMILIES.upstreamInFlight, ({ inFlight }: UpstreamView) => Math.max(0, inFlight)],
    [FAMILIES.upstreamFailures, ({ fails }: UpstreamView) => fails],
  ] as const) {
    text.family(family);
    for (const one of all) text.sample(labelsOf(one), read(one));
  }
  text.family(FAMILIES.upstreamChecks);
  for (const one of all) {
    text.sample({ ...labelsOf(one), result: 'passed' }, Math.max(0, one.checks - one.failedChecks));
    text.sample({ ...labelsOf(one), result: 'failed' }, one.failedChecks);
  }
}

function writeShared(text: MetricText, all: readonly SharedUsage[]): void {
  for (const [family, name] of [
    [FAMILIES.sharedBytes, 'bytes'],
    [FAMILIES.sharedUsed, 'usedBytes'],
    [FAMILIES.sharedEntries, 'entries'],
    [FAMILIES.sharedHits, 'hits'],
    [FAMILIES.sharedMisses, 'misses'],
    [FAMILIES.sharedEvictions, 'evictions'],
  ] as const) {
    text.family(family);
    for (const one of all) text.sample({ dictionary: one.name }, one[name]);
  }
}

function writeFleet(text: MetricText, { fleet, stores, workers }: MetricSources): void {
  text.family(FAMILIES.storeUp);
  // two may differ in what is not shown, a password
  for (const { place } of distinct(stores, (one) => one.place)) {
    const isUp = stores.every((one) => one.place !== place || one.fault === undefined);
    text.sample({ store: place }, isUp ? 1 : 0);
  }
  text.family(FAMILIES.storeConnections);
  const opened = workers.map(({ counters }) => counters.get('storeConnectionsTotal'));
  text.sample({}, sum(opened) + (fleet?.connections ?? 0));
  text.family(FAMILIES.relayed);
  if (fleet !== undefined)
    for (const direction of ['sent', 'received'] as const)
      text.sample({ direction }, fleet.relay.counts[direction]);
  text.family(FAMILIES.relayLost);
  if (fleet !== undefined) text.sample({}, fleet.relay.counts.lost);
}

function writeCertificates(text: MetricText, pems: readonly string[]): void {
  text.family(FAMILIES.certificate);
  const all = pems.map((pem) => new X509Certificate(pem));
  for (const { serialNumber, validTo } of distinct(all, (one) => one.serialNumber)) {
    const left = (Date.parse(validTo) - Date.now()) * SECONDS_PER_MS;
    text.sample({ serial: serialNumber }, Math.round(left));
  }
}

function writeProcess(text: MetricText): void {
  const { cpuSeconds, residentBytes, startedAt, openFiles, openFilesMax } = processFacts();
  for (const [family, value] of [
    [FAMILIES.processCpu, cpuSeconds],
    [FAMILIES.processMemory, residentBytes],
    [FAMILIES.processStart, startedAt],
    [FAMILIES.processFiles, openFiles],
    [FAMILIES.processFilesMax, openFilesMax],
  ] as const) {
    if (value === undefined) continue;
    text.family(family);
    text.sample({}, value);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Two samples with the same labels would make the whole text worthless. */
function distinct<T>(all: readonly T[], keyOf: (one: T) => string): readonly T[] {
  return [...new Map(all.map((one) => [keyOf(one), one])).values()];
}
