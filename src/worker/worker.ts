/** Puts one worker together: its mappings, router and front ends; serves, reloads in two phases, drains. */

import { availableParallelism } from 'node:os';
import { createAccessLog } from '../access/access-log.ts';
import type { LineBuffer } from '../access/line-buffer.ts';
import { createLogger, type LevelLogger } from '../base/logger.ts';
import { messageFormatter } from '../base/message-form.ts';
import { poolThreads } from '../base/pool-threads.ts';
import type { EventHub } from '../events/event-hub.ts';
import { Compression } from '../http/coding/compression.ts';
import { PoolTurns, poolJobsMax } from '../http/coding/pool-turns.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import { UnreadBodies } from '../http/exchange/unread-bodies.ts';
import { AddressLimit } from '../http/front/address-limit.ts';
import { FrontEnd } from '../http/front/front-end.ts';
import { Dispatcher } from '../http/routing/dispatcher.ts';
import { HostRouter } from '../http/routing/host-router.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import { LISTENER_METRICS } from '../metrics/listener-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { Settings } from '../settings/settings.ts';
import type { TlsPolicies } from '../tls/tls-policies.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import { listenTarget } from './listen-target.ts';
import { closeAll, type LoadedMapping, logLoaded, modeOf, tryLoads, withPlace } from './loaded-mapping.ts';
import { type Generation, MappingLoaders } from './mapping-loaders.ts';
import type {
  FromWorker,
  TriedMapping,
  WorkerJob,
  WorkerListener,
  WorkerSettings,
  WorkerSetup,
  WorkerStart,
} from './messages.ts';
import { observeLoop } from './observe-loop.ts';
import { OnceClient } from './once-client.ts';
import type { Prepared } from './prepared.ts';
import { RequestMetrics } from './request-metrics.ts';
import { changePolicies, handlerOf, httpChallenges, policiesOf } from './worker-places.ts';

export class GatewayWorker {
  readonly #start: WorkerStart;
  readonly #job: WorkerJob;
  readonly #accessLines: LineBuffer;
  readonly #logSource: string;
  readonly #logger: LevelLogger;
  readonly #settings: Settings<WorkerSettings>;
  readonly #counters: Counters;
  readonly #loaders: MappingLoaders;
  readonly #requests: RequestMetrics | undefined;
  readonly #router = new HostRouter();
  readonly #dispatcher: Dispatcher;
  readonly #frontEnds: FrontEnd[] = [];
  readonly #addresses: AddressLimit;
  readonly #unreadBodies: UnreadBodies;
  readonly #compression: Compression;
  readonly #once: OnceClient;
  readonly #post: (message: FromWorker) => void;
  #mappings: readonly LoadedMapping[] = [];
  /** What serves. */
  #generation: Generation;
  /** Replaced ones that still have exchanges. */
  readonly #ending = new Set<Generation>();
  #prepared: Prepared | undefined;
  /** Of handshakes that begin now. */
  #tls: TlsSetup | undefined;
  /** A generation that is being loaded, and what ends its load when it is not wanted any more. */
  #preparing: { readonly generation: Generation; readonly ending: AbortController } | undefined;

  /**
   * `writeLine` takes log lines, formatted and without line ends, and `accessLines` those of the access log; `post` takes messages for the
   * supervisor.
   */
  constructor(
    start: WorkerStart,
    job: WorkerJob,
    events: EventHub,
    writeLine: (line: string) => void,
    accessLines: LineBuffer,
    post: (message: FromWorker) => void,
  ) {
    [this.#start, this.#job, this.#accessLines, this.#post] = [start, job, accessLines, post];
    this.#tls = job.setup.tls;
    this.#once = new OnceClient(post);
    this.#logSource = `worker-${start.workerId}`;
    const { settings } = job.setup;
    const { limits } = settings;
    this.#settings = new Settings(settings);
    this.#logger = createLogger(
      settings.logLevel,
      this.#logSource,
      writeLine,
      messageFormatter(start.logForm),
    );
    const logger = this.#logger;
    this.#counters = new Counters(start.counters);
    this.#addresses = new AddressLimit(limits.connectionsPerAddressMax);
    this.#unreadBodies = new UnreadBodies(limits.unreadBodyBytesMax, this.#counters, logger);
    const threads = poolThreads(process.env['UV_THREADPOOL_SIZE']);
    const jobsMax = poolJobsMax(job.workerCount, threads, availableParallelism());
    this.#compression = new Compression(settings.compression, new PoolTurns(jobsMax), this.#counters);
    this.#dispatcher = new Dispatcher(this.#router, logger);
    this.#loaders = new MappingLoaders({
      start,
      job,
      events,
      once: this.#once,
      logger,
      counters: this.#counters,
      dispatcher: this.#dispatcher,
      threads,
      post,
    });
    this.#generation = this.#loaders.begin(job.setup);
    this.#requests = start.requests && new RequestMetrics(start.requests);
    if (start.requests !== undefined) observeLoop(this.#counters);
    this.#settings.subscribe((next) => this.#apply(next));
  }

  /** Loads the scripts, then accepts connections. Throws GatewayError. */
  async start(): Promise<void> {
    const { listeners } = this.#job;
    this.#mappings = await this.#load(this.#generation, new AbortController());
    this.#router.replace(this.#mappings);
    for (const mapping of this.#mappings) mapping.serve();
    const frontEnds = listeners.map((listener, i) =>
      this.#createFrontEnd(listener.scheme === 'https' ? policiesOf(this.#tls, i) : undefined, listener, i),
    );
    // from here on the descriptors belong to the servers of this thread
    Atomics.store(new Int32Array(this.#start.descriptorsAdopted), 0, 1);
    await Promise.all(
      listeners.map(({ source }, i) => (frontEnds[i] as FrontEnd).listen(listenTarget(source))),
    );
  }

  /** Loads each mapping for itself, and says what came of it. Nothing serves: no timer begins, and all is closed at the end. */
  async try(): Promise<TriedMapping[]> {
    const { setup } = this.#job;
    const { signal } = new AbortController();
    return await tryLoads(setup.mappings.map((_, i) => this.#loaders.load(this.#generation, i, signal)));
  }

  /** What the scripts that serve are, in the order of the setup; undefined for a module. */
  get modes(): (ScriptMode | undefined)[] {
    return this.#mappings.map(modeOf);
  }

  /**
   * Reload, first phase: loads everything beside what serves. Resolves to the modes, as `modes`. Throws GatewayError, and then nothing has
   * changed.
   */
  async prepare(setup: WorkerSetup): Promise<(ScriptMode | undefined)[]> {
    this.abandon();
    const generation = this.#loaders.begin(setup);
    const preparing = { generation, ending: new AbortController() };
    this.#preparing = preparing;
    try {
      const mappings = await this.#load(generation, preparing.ending);
      const isWanted = this.#preparing === preparing;
      if (isWanted) this.#prepared = { generation, mappings };
      else closeAll(mappings);
      return mappings.map(modeOf);
    } finally {
      if (this.#preparing === preparing) this.#preparing = undefined;
      if (this.#prepared?.generation !== generation) {
        generation.outward.release();
        this.#forgetGone();
      }
    }
  }

  /** Reload, second phase: new exchanges go to the prepared states; the old states close behind their last exchange. */
  commit(number: number): void {
    const prepared = this.#prepared;
    if (prepared?.generation.setup.generation !== number) return;
    this.#prepared = undefined;
    const { setup } = prepared.generation;
    const { settings, tls } = setup;
    // before anything begins that goes by them
    this.#loaders.accounts.use(setup);
    this.#settings.replace(settings);
    const old = this.#generation;
    const oldMappings = this.#mappings;
    this.#mappings = prepared.mappings;
    this.#generation = prepared.generation;
    this.#router.replace(prepared.mappings);
    for (const mapping of prepared.mappings) mapping.serve();
    if (tls !== undefined) this.setTls(tls);
    this.#ending.add(old);
    const retired = Promise.all(oldMappings.map((mapping) => mapping.retire(settings.limits.drainTimeoutMs)));
    void retired.then(() => this.#ended(old));
  }

  /** New handshakes go by this. */
  setTls(tls: TlsSetup): void {
    this.#tls = tls;
    changePolicies(this.#frontEnds, this.#job.listeners, tls);
    this.#dispatcher.answerChallenges(httpChallenges(tls));
  }

  /** Gives a reload up. */
  abandon(): void {
    this.#preparing?.ending.abort();
    this.#preparing = undefined;
    this.#dropPrepared();
  }

  /**
   * Accepts nothing more and lets open exchanges finish; resolves to the number of connections cut at the limit. Idle connections
   * may ask once more for `graceMs`.
   */
  async drain(graceMs: number): Promise<number> {
    const { drainTimeoutMs } = this.#settings.values.limits;
    const startedAt = performance.now();
    for (const mapping of this.#mappings) mapping.endStreams?.();
    const cut = await Promise.all(this.#frontEnds.map((frontEnd) => frontEnd.drain(drainTimeoutMs, graceMs)));
    this.abandon();
    // timers continue until the last exchange has ended; a timer call under way has the rest of the time
    const leftMs = Math.max(0, startedAt + drainTimeoutMs - performance.now());
    await Promise.all(this.#mappings.map((mapping) => mapping.retire(leftMs)));
    this.#loaders.stop();
    return cut.reduce((total, count) => total + count, 0);
  }

  /** The supervisor's answer to a claim. */
  claimed(id: number, fence: number | undefined): void {
    this.#once.answered(id, fence);
  }

  /** A claim that was granted holds no more. */
  revoked(id: number): void {
    this.#once.revoked(id);
  }

  /** What a reload changes in the parts that live as long as the worker; scripts and front ends read the rest. */
  #apply(settings: WorkerSettings): void {
    const { limits, logLevel, compression, transportSecurity, ...more } = settings;
    this.#logger.setLevel(logLevel);
    this.#compression.apply(compression);
    this.#loaders.resizeCache(limits.cacheBytesMax);
    for (const frontEnd of this.#frontEnds) {
      frontEnd.setLimits(limits);
      frontEnd.setTransportSecurity(transportSecurity);
      frontEnd.setObservers(this.#observers(more));
      frontEnd.setTrustedProxies(more.trustedProxies);
    }
  }

  /** Nothing of a replaced generation is left. */
  #ended(generation: Generation): void {
    this.#ending.delete(generation);
    generation.outward.release();
    this.#forgetGone();
    this.#post({ type: 'ended', generation: generation.setup.generation });
  }

  /** Forgets the mappings that no generation has any more. */
  #forgetGone(): void {
    const next = [this.#prepared?.generation, this.#preparing?.generation];
    const left = [this.#generation, ...this.#ending, ...next].flatMap((one) => one?.setup.mappings ?? []);
    this.#loaders.accounts.keep(new Set(left.map(mappingName)));
  }

  /** All mappings of a generation, or none: the first that fails ends the loads of the others. */
  async #load(generation: Generation, ending: AbortController): Promise<LoadedMapping[]> {
    const { mappings, rows } = generation.setup;
    let failure: unknown;
    const loads = mappings.map(async (mapping, i) => {
      try {
        const loaded = await this.#loaders.load(generation, i, ending.signal);
        this.#requests?.add(loaded, rows[i] ?? i);
        return loaded;
      } catch (error) {
        failure ??= withPlace(error, mapping);
        ending.abort();
        throw error;
      }
    });
    const results = await Promise.allSettled(loads);
    const loaded = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    if (failure === undefined) {
      // the others load the same
      if (this.#start.workerId === 1) logLoaded(this.#logger, mappings, loaded);
      return loaded;
    }
    closeAll(loaded);
    throw failure;
  }

  #createFrontEnd(
    tls: TlsPolicies | undefined,
    { proxied, redirectPort }: WorkerListener,
    index: number,
  ): FrontEnd {
    const { noDelay } = this.#job;
    const { limits, trustedProxies } = this.#settings.values;
    const frontEnd = new FrontEnd(
      {
        tls,
        limits,
        noDelay,
        logger: this.#logger,
        counters: this.#counters,
        listener: new MetricRow(LISTENER_METRICS, this.#start.listenerCounters, index),
        observers: this.#observers(this.#settings.values),
        addresses: this.#addresses,
        unreadBodies: this.#unreadBodies,
        compression: this.#compression,
        trustedProxies: proxied ? trustedProxies : undefined,
        transportSecurity: this.#settings.values.transportSecurity,
      },
      handlerOf(this.#dispatcher, redirectPort),
    );
    this.#frontEnds.push(frontEnd);
    return frontEnd;
  }

  #observers({ accessLog, logs }: Pick<WorkerSettings, 'accessLog' | 'logs'>): ExchangeObserver[] {
    const counted = this.#requests === undefined ? [] : [this.#requests.observe];
    if (!accessLog) return counted;
    const surroundings = {
      worker: this.#start.workerId,
      source: this.#logSource,
      namesHosts: () => this.#router.namesHosts,
    };
    return [...counted, createAccessLog(logs, surroundings, this.#accessLines)];
  }

  #dropPrepared(): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared === undefined) return;
    closeAll(prepared.mappings);
    prepared.generation.outward.release();
    this.#forgetGone();
  }
}
