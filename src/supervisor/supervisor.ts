/**
 * The control plane: binds, reads the key, starts the workers and watches them, reloads, drains and stops.
 *
 * Long because start, reload, drain and stop are steps of one life, and each may begin amid another.
 */
import { availableParallelism } from 'node:os';
import type { AdminAction } from '../admin/admin-server.ts';
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import type { LevelLogger } from '../base/logger.ts';
import { TakenCount } from '../base/taken-count.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { SETTING_TABLE } from '../config/setting-table.ts';
import type { TextEvents } from '../events/text-events.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { CounterName, TimesName } from '../metrics/worker-metrics.ts';
import { unavailableReason } from '../native/posix.ts';
import { createHealthMemory } from '../proxy/upstreams/health-memory.ts';
import { readUpstreams, type UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import { Settings } from '../settings/settings.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import type { LuaModules, WorkerJob, WorkerSetup, WorkerStart } from '../worker/messages.ts';
import { AdminListener } from './admin-listener.ts';
import { becomeUser } from './become-user.ts';
import { LastStraw } from './crash-loop.ts';
import { EventMesh } from './event-mesh.ts';
import { HeartWatch } from './heart-watch.ts';
import { LeftoverProcesses } from './leftover-processes.ts';
import { platformListenerOptions } from './listener.ts';
import { type BoundAddress, Listeners } from './listeners.ts';
import type { DevelopmentFacts } from './load-tls.ts';
import type { PreparedAccess } from './log-outputs.ts';
import { type MappingUse, mappingUses } from './mapping-uses.ts';
import { OnceRegistry } from './once-registry.ts';
import { SharedKeeper } from './shared-keeper.ts';
import { Succession } from './succession.ts';
import type { SupervisorOptions } from './supervisor-options.ts';
import { TlsKeeper } from './tls-keeper.ts';
import {
  chainsOf,
  compileAll,
  firstSetup,
  memorySizesOf,
  WORKER_ENTRY,
  withinTime,
  workerSettings,
} from './worker-parts.ts';
import { type OwnStart, WorkerThread } from './worker-thread.ts';
import { WORKER_TIMES } from './worker-times.ts';
import type { MetricSources } from './write-metrics.ts';

/** The workers keep the drain limit themselves; the supervisor waits this much longer for a worker that hangs. */
const DRAIN_GRACE_MS = 1000;

export type SupervisorState = 'idle' | 'starting' | 'serving' | 'draining' | 'stopped';
const STATE_RANK: Readonly<Record<SupervisorState, number>> = {
  idle: 0,
  starting: 1,
  serving: 2,
  draining: 3,
  stopped: 4,
};

export class Supervisor {
  /** What the admin listener does on POST, by path. Whoever may, adds to it. */
  readonly adminActions: Map<string, AdminAction> = new Map();
  readonly #options: SupervisorOptions;
  readonly #settings: Settings<Config>;
  /** What another process takes over, or what this one takes over of another. */
  readonly succession: Succession;
  readonly #logger: LevelLogger;
  readonly #tls: TlsKeeper;
  readonly #listeners: Listeners;
  readonly #once = new OnceRegistry();
  readonly #processes = new LeftoverProcesses();
  #state: SupervisorState = 'idle';
  #workers: WorkerThread[] = [];
  #setup: WorkerSetup | undefined;
  /** The number of the last reload that was tried: a late answer to an earlier reload is not taken for an answer to this one. */
  #lastGeneration = 0;
  #luaModules: LuaModules | 'follows' | undefined;
  #compiling: Promise<LuaModules> | undefined;
  /** Made at the start, once. */
  #shared: SharedKeeper | undefined;
  readonly #mesh: EventMesh;
  readonly #health: SharedArrayBuffer = createHealthMemory();
  #admin: AdminListener | undefined;
  readonly #lastStraw = new LastStraw((reason) => {
    if (this.#state === 'serving') this.#options.onGivenUp?.(reason);
  });
  readonly #hearts: HeartWatch;
  #reloading: Promise<string | undefined> | undefined;
  readonly #reloads = { success: 0, failure: 0 };
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = new Settings(options.config, SETTING_TABLE);
    this.#mesh = new EventMesh(options.config.workers);
    this.#settings.subscribe(({ logLevel }) => options.logger.setLevel(logLevel));
    this.#logger = options.logger;
    this.#listeners = new Listeners(options.logger, options.listenNames);
    const { predecessor } = options;
    this.succession = new Succession({
      predecessor,
      pidFile: options.config.pidFile,
      once: this.#once,
      logger: options.logger,
      reloaded: async () => await this.#reloading?.catch(() => undefined),
      whyNotServing: () => this.whyNotReady(),
      handed: () => this.#listeners.handed(),
      tls: () => this.#tls.handover(this.#config),
      openAdmin: () => this.#openAdmin(),
      leaveAdmin: () => this.#admin?.leave() ?? false,
    });
    this.#tls = new TlsKeeper(options);
    this.#hearts = new HeartWatch(() => this.#workers, this.#settings);
  }

  get #config(): Config {
    return this.#settings.values;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Where connections are accepted; empty before `start` and after `drain`. */
  get addresses(): readonly BoundAddress[] {
    return this.#listeners.addresses;
  }

  /** The mappings, each with the mode its script was found to have; without it before `start`. */
  get mappings(): readonly MappingConfig[] {
    const modes = this.#workers[0]?.modes ?? [];
    return this.#config.mappings.map((mapping, i) => {
      const mode = modes[i];
      return mode === undefined ? mapping : { ...mapping, mode };
    });
  }

  /** Number of workers that serve or will serve again. */
  get workerCount(): number {
    return this.#workers.length;
  }

  /** The certificate that the gateway made itself; undefined when it was given one, and before `start`. */
  get development(): DevelopmentFacts | undefined {
    return this.#tls.development;
  }

  /** Resolves when every worker serves. When it rejects (GatewayError) nothing is left behind. */
  async start(): Promise<void> {
    this.#transition('starting');
    try {
      this.#shared = new SharedKeeper(this.#config.shared, this.#logger);
      const { user } = this.#config;
      this.#createWorkers();
      // threads take longer to begin than all the rest; but none begins with rights that it is not to have
      if (user === undefined) this.#beginEarly();
      await this.#listeners.open(this.#config, this.#options.listener ?? platformListenerOptions());
      const first = this.#listeners.cleartextOnly ? undefined : await this.#tls.read(this.#config);
      this.succession.pid.begin();
      if (this.#options.predecessor === undefined) await this.#openAdmin();
      if (user !== undefined) becomeUser(user, this.#config, this.#logger);
      this.#tls.openAcme(this.#config.acme, this.#logger);
      this.#setup = firstSetup(this.#config, first && this.#tls.present(first.tls));
      this.succession.pid.look();
      this.#assertStarting();
      await this.#startWorkers();
      this.#assertStarting();
      this.#transition('serving');
      this.#hearts.start();
      this.#tls.use(first?.loaded);
      this.#tls.start(() => this.#giveTls());
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Reads certificate, key and scripts again and goes over to them in all workers at once, without losing a request; so it
   * does to the settings that `change` makes of those that hold. When it rejects (GatewayError, RestartNeededError where a
   * setting needs a restart) nothing has changed. Calls during a reload run one after the other. The result says why the
   * certificate stayed as it was, where it could not be read again; else it is undefined.
   */
  async reload(change?: (current: Config) => Config): Promise<string | undefined> {
    const before = this.#reloading ?? Promise.resolve();
    const mine = before.catch(() => undefined).then(() => this.#reloadOnce(change));
    this.#reloading = mine;
    mine.then(
      () => (this.#reloads.success += 1),
      () => (this.#reloads.failure += 1),
    );
    return await mine;
  }

  /**
   * Refuses new connections and waits until every open exchange has ended, at most `limits.drainTimeoutMs`. True when
   * all have. Idle connections may ask once more for `graceMs`. `stop` comes next.
   */
  async drain(graceMs = 0): Promise<boolean> {
    if (this.#state !== 'serving') return true;
    this.#transition('draining');
    this.#listeners.close();
    const done = Promise.all(this.#workers.map((worker) => worker.drain(graceMs))).then((cuts) =>
      cuts.every((cut) => cut === 0),
    );
    return await withinTime(done, this.#config.limits.drainTimeoutMs + DRAIN_GRACE_MS);
  }

  /** Stops at once, in any state; open exchanges are cut. May be called again. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    await this.#stopped;
  }

  /** What each worker counts at this moment, worker 1 first. */
  counters(): Record<CounterName, number>[] {
    return this.#workers.map((worker) => worker.counters.snapshot());
  }

  /** How long what each worker has observed took so far, worker 1 first. */
  times(): Record<TimesName, Histogram>[] {
    return this.#workers.map((worker) => worker.counters.times());
  }

  /** The servers behind proxies, as all workers know them at this moment. */
  upstreams(): UpstreamView[] {
    return readUpstreams(
      this.#health,
      this.#workers.map((worker) => worker.waiting),
    );
  }

  /** What each mapping of a script uses in each worker at this moment, worker 1 first. */
  mappingCounters(): MappingUse[] {
    return mappingUses(this.#workers, this.#config.mappings);
  }

  /** A dictionary that the workers share, by its name; from the end of `start` on. Throws as SharedStore does. */
  shared(name: string): SharedDictionary {
    assert(this.#shared !== undefined, 'dictionaries are asked for after the start');
    return this.#shared.open(name);
  }

  /** Publishes and subscribes as the workers do, for the program that has started this. */
  get events(): TextEvents {
    return this.#mesh.main;
  }

  /** Threads that were told to end and do not: the process cannot end by itself. */
  get stuckThreads(): number {
    return this.#lastStraw.stuckThreads;
  }

  /** For a process that must end without `stop`. */
  removeFiles(): void {
    this.succession.pid.remove();
    this.#admin?.removeToken();
  }

  /** Why not every worker serves, or finishes what it serves; undefined: each does. */
  whyNotWell(): string | undefined {
    if (this.#state !== 'serving' && this.#state !== 'draining') return `the gateway is ${this.#state}`;
    const unwell = this.#workers.flatMap((worker) => worker.whyNotWell() ?? []);
    if (unwell.length > 0) return unwell.join(', ');
    return this.#hearts.allAnswer ? undefined : 'a worker is held up, and gives no heartbeat';
  }

  /** Each worker that serves has given its heartbeat a moment ago. */
  get allAnswer(): boolean {
    return this.#hearts.allAnswer;
  }

  /** Why it accepts no new requests; undefined: it does. */
  whyNotReady(): string | undefined {
    return this.#state === 'serving' ? undefined : `the gateway is ${this.#state}`;
  }

  /** What the metrics are made of; asked without a message to a worker. */
  metricSources(): MetricSources {
    return {
      workers: this.#workers,
      mappings: this.#config.mappings.map(mappingName),
      upstreams: this.upstreams(),
      shared: this.#shared?.usage() ?? [],
      certificates: chainsOf(this.#setup?.tls),
      reloads: this.#reloads,
    };
  }

  async #openAdmin(): Promise<void> {
    const { admin } = this.#config;
    if (admin === undefined) return;
    this.#admin = new AdminListener({ ...this.#config, admin }, this, this.adminActions, this.#logger);
    await this.#admin.open();
  }

  #createWorkers(): void {
    for (let workerId = 1; workerId <= this.#config.workers; workerId++)
      this.#workers.push(this.#createWorker(workerId));
    const { compileLua } = this.#options;
    if (compileLua === undefined) return;
    this.#luaModules = 'follows';
    this.#compiling = compileAll(memorySizesOf(this.#config), compileLua);
    // `#handOut` tells, unless something else has failed before
    this.#compiling.catch(() => undefined);
  }

  /**
   * Some threads read their code while this thread binds and reads the key. One processor is left to this thread, as otherwise all
   * threads are late. The other workers begin when they start.
   */
  #beginEarly(): void {
    for (const worker of this.#earlyWorkers()) worker.begin();
  }

  #earlyWorkers(): readonly WorkerThread[] {
    return this.#workers.slice(0, Math.max(1, availableParallelism() - 1));
  }

  #createWorker(workerId: number): WorkerThread {
    return new WorkerThread({
      workerId,
      entry: this.#options.workerEntry ?? WORKER_ENTRY,
      times: { ...WORKER_TIMES, ...this.#options.times },
      logger: this.#logger,
      onLogLines: (lines) => lines.forEach(this.#options.writeLine),
      onAccessLines: this.#options.outputs?.writeAccess ?? ((bytes) => this.#writeLines(bytes)),
      mappingCount: this.#config.mappings.length,
      countsRequests: this.#config.admin !== undefined,
      makeStart: (own) => this.#makeStart(own),
      makeJob: () => this.#makeJob(),
      once: this.#once,
      onThreadBegin: (giveEnd) => this.#mesh.join(workerId, giveEnd),
      onThreadEnd: ({ shared, processGroups }) => {
        this.#mesh.leave(workerId);
        this.#shared?.release(workerId, shared.owner);
        this.#processes.end(processGroups);
      },
      currentSetup: () => this.#requireSetup(),
      onCrash: (served) =>
        this.#lastStraw.crashed(
          served,
          this.#workers.some(({ ready }) => ready),
        ),
      onStuck: () => this.#lastStraw.stuck(),
    });
  }

  #writeLines(bytes: Uint8Array): void {
    for (const line of Buffer.from(bytes).toString().split('\n'))
      if (line !== '') this.#options.writeLine(line);
  }

  async #startWorkers(): Promise<void> {
    const left = this.#workers.splice(this.#chooseWorkerCount());
    await Promise.all(left.map((worker) => worker.stop()));
    // the first failure ends the start, and `stop` ends the others
    await Promise.all([this.#startThreads(), this.#handOut()]);
  }

  /** Those that may begin early at once; the others when the first serves, which does so later if they compete with it. */
  async #startThreads(): Promise<void> {
    const early = this.#earlyWorkers().map((worker) => worker.start());
    const others = this.#workers.slice(early.length);
    const late = Promise.race(early).then(() => Promise.all(others.map((worker) => worker.start())));
    await Promise.all([...early, late]);
  }

  /** To the workers, which have their jobs. */
  async #handOut(): Promise<void> {
    const modules = await this.#compiling;
    this.#luaModules = modules;
    if (modules !== undefined) for (const worker of this.#workers) worker.giveLuaModules(modules);
  }

  #chooseWorkerCount(): number {
    if (this.#listeners.sharable || this.#config.workers === 1) return this.#config.workers;
    const reason = unavailableReason() ?? 'Descriptors are not duplicated';
    this.#logger.warn(`${reason}, and this Node.js has no reusePort: one worker serves alone`, {
      wanted: this.#config.workers,
    });
    return 1;
  }

  #makeStart(own: OwnStart): WorkerStart {
    assert(this.#shared !== undefined, 'workers start with the shared memory');
    return {
      ...own,
      processGroups: this.#processes.create(),
      shared: this.#shared.share(),
      interest: this.#mesh.interest.memory,
      health: this.#health,
    };
  }

  #makeJob(): WorkerJob {
    const [main] = this.#listeners.addresses;
    assert(main !== undefined, 'workers start while the listener is open');
    const config = this.#config;
    return {
      workerCount: this.#workers.length,
      listeners: this.#listeners.sources(),
      noDelay: config.noDelay ?? true,
      serverPort: main.port,
      setup: this.#requireSetup(),
      root: config.root,
      luaModules: this.#luaModules,
    };
  }

  async #reloadOnce(change: ((current: Config) => Config) | undefined): Promise<string | undefined> {
    const current = this.#setup;
    if (this.succession.isHeld)
      throw new GatewayError('LGW_RELOAD', 'Cannot reload: an upgrade is under way');
    if (this.#state !== 'serving' || current === undefined)
      throw new GatewayError('LGW_RELOAD', `Cannot reload: the gateway is ${this.#state}`);
    const config = change?.(this.#config) ?? this.#config;
    this.#settings.check(config);
    const access = this.#options.outputs?.prepare(config);
    try {
      return await this.#changeTo(config, current, access);
    } catch (error) {
      access?.abandon();
      throw error;
    }
  }

  async #changeTo(
    config: Config,
    current: WorkerSetup,
    access: PreparedAccess | undefined,
  ): Promise<string | undefined> {
    const { tls, loaded, kept } = await this.#tls.reread(current.tls, this.#config, config);
    this.#lastGeneration += 1;
    const settings = workerSettings(config);
    const next: WorkerSetup = { ...current, generation: this.#lastGeneration, tls, settings };
    const workers = this.#workers.filter((worker) => worker.ready);
    const answers = await Promise.allSettled(workers.map((worker) => worker.prepare(next)));
    const refusal = answers.find((answer) => answer.status === 'rejected');
    if (refusal !== undefined || this.#state !== 'serving') {
      for (const worker of workers) worker.abandon(next.generation);
      throw refusal?.reason ?? new GatewayError('LGW_RELOAD', 'The reload was given up: the gateway drains');
    }
    this.#setup = next;
    access?.commit();
    for (const worker of this.#workers) worker.commit(next.generation);
    for (const { name, from, to } of this.#settings.replace(config))
      this.#logger.info(`Setting ${name} has changed`, { from, to });
    this.#tls.use(loaded);
    // it may have changed while the workers prepared
    void this.#giveTls();
    return kept;
  }

  /** Hands what changes between reloads to all workers: ticket keys, obtained certificates, answers. Resolves when they have it. */
  async #giveTls(): Promise<void> {
    const before = this.#setup?.tls;
    const tls = before && this.#tls.present(before);
    if (this.#setup === undefined || tls === undefined || tls === before) return;
    this.#setup = { ...this.#setup, tls };
    const taken = new TakenCount();
    for (const worker of this.#workers) worker.giveTls(tls, taken.memory);
    await taken.reaches(this.#workers.filter((worker) => worker.ready).length);
  }

  async #stopOnce(): Promise<void> {
    this.#transition('stopped');
    this.#hearts.stop();
    await this.#tls.stop();
    this.#listeners.close();
    this.#mesh.close();
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.#processes.stop();
    // until now it says that the gateway drains
    this.#admin?.close();
    this.removeFiles();
  }

  #requireSetup(): WorkerSetup {
    assert(this.#setup !== undefined, 'workers start with a setup');
    return this.#setup;
  }

  /** `stop` may be called while `start` waits. */
  #assertStarting(): void {
    if (this.#state !== 'starting')
      throw new GatewayError('LGW_STOPPED', 'The gateway was stopped before it was ready');
  }

  #transition(to: SupervisorState): void {
    assert(STATE_RANK[to] > STATE_RANK[this.#state], `a ${this.#state} gateway does not go to ${to}`);
    this.#state = to;
  }
}
