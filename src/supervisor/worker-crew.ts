/** The workers of one gateway: makes them, with what they have in common, and starts them while the main thread binds and compiles. */

import { hkdfSync } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { assert } from '../base/assert.ts';
import { giveBack } from '../base/lent-block.ts';
import { CommonMarks } from '../cache/common-marks.ts';
import { createPurgeMemory } from '../cache/purge-marks.ts';
import type { Config } from '../config/config.ts';
import type { TextEvents } from '../events/text-events.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { createStoreStates, StoreStates } from '../metrics/store-states.ts';
import { unavailableReason } from '../native/posix.ts';
import { createHealthMemory } from '../proxy/upstreams/health-memory.ts';
import { readUpstreams, type UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import { messageForm } from '../settings/log-settings.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import type { SharedUsage } from '../shared/shared-usage.ts';
import type { LuaModules, WorkerJob, WorkerSetup, WorkerStart } from '../worker/messages.ts';
import type { LastStraw } from './crash-loop.ts';
import { EventMesh } from './event-mesh.ts';
import { LeftoverProcesses } from './leftover-processes.ts';
import { type Listeners, listenerCountOf } from './listeners.ts';
import type { LuaMachines } from './lua-machines.ts';
import type { MappingRows } from './mapping-rows.ts';
import type { OnceRuns } from './once-runs.ts';
import { SharedKeeper } from './shared-keeper.ts';
import { type StoreView, viewStores } from './store-views.ts';
import type { SupervisorOptions } from './supervisor-options.ts';
import { memorySizesOf, WORKER_ENTRY, withinTime } from './worker-parts.ts';
import { WorkerThread } from './worker-thread.ts';
import type { OwnStart } from './worker-thread-options.ts';
import { WORKER_TIMES } from './worker-times.ts';

/** The workers keep the drain limit themselves; the supervisor waits this much longer for a worker that hangs. */
const DRAIN_GRACE_MS = 1000;
const ENTRY_KEY_BYTES = 32;

export interface CrewParts {
  readonly options: SupervisorOptions;
  readonly listeners: Listeners;
  /** One for all workers. */
  readonly once: OnceRuns;
  readonly lastStraw: LastStraw;
  /** The setup that serves. */
  readonly setup: () => WorkerSetup;
  readonly rows: MappingRows;
  readonly machines: LuaMachines;
  /** The machines that the workers start with are compiled. */
  readonly onCompiled: (modules: LuaModules) => void;
}

export class WorkerCrew {
  readonly #parts: CrewParts;
  readonly #mesh: EventMesh;
  readonly #health: SharedArrayBuffer = createHealthMemory();
  readonly #purges: SharedArrayBuffer;
  readonly #storeStates: SharedArrayBuffer;
  readonly #processes = new LeftoverProcesses();
  /** Made with the workers, once. */
  #shared: SharedKeeper | undefined;
  #workers: WorkerThread[] = [];
  #compiling: Promise<LuaModules> | undefined;
  #fleet: Fleet | undefined;
  #isStopped = false;

  constructor(parts: CrewParts) {
    this.#parts = parts;
    const isFleet = this.#fleetStore !== undefined;
    this.#mesh = new EventMesh(parts.options.config.workers, isFleet);
    this.#purges = createPurgeMemory(isFleet);
    this.#storeStates = createStoreStates(parts.options.config.workers, this.#stores.length);
  }

  /** Worker 1 first; empty before `create`. */
  get workers(): readonly WorkerThread[] {
    return this.#workers;
  }

  /** Those that serve. */
  get ready(): readonly WorkerThread[] {
    return this.#workers.filter((worker) => worker.ready);
  }

  /** How many there are of which some worker has something. */
  get generations(): number {
    return new Set(this.#workers.flatMap(({ generations }) => generations)).size;
  }

  /** Of this one, or of later ones, some worker has something; of those before it none has. */
  get oldestGeneration(): number {
    return Math.min(...this.#workers.flatMap(({ generations }) => generations));
  }

  /** Publishes and subscribes as the workers do. */
  get events(): TextEvents {
    return this.#mesh.main;
  }

  /** Makes the workers, whose threads do not begin, and compiles the Lua machine for them. */
  create(): void {
    const { options, machines } = this.#parts;
    const { config } = options;
    this.#shared = new SharedKeeper(config.shared, options.logger);
    for (let workerId = 1; workerId <= config.workers; workerId++)
      this.#workers.push(this.#createWorker(workerId));
    this.#compiling = machines.of(memorySizesOf(config));
    // `#handOut` tells, unless something else has failed before
    this.#compiling.catch(() => undefined);
  }

  /**
   * Some threads read their code while this thread binds and reads the key. One processor is left to this thread, as otherwise all
   * threads are late. The other workers begin when they start.
   */
  beginEarly(): void {
    for (const worker of this.#earlyWorkers()) worker.begin();
  }

  /** Resolves when every worker serves; the listeners are open. */
  async start(): Promise<void> {
    const left = this.#workers.splice(this.#chooseCount(this.#parts.options.config));
    await Promise.all(left.map((worker) => worker.stop()));
    // the first failure ends the start, and `stop` ends the others
    await Promise.all([this.#startThreads(), this.#handOut()]);
  }

  /** As Supervisor.drain; `limitMs`: of the exchanges that run. */
  async drain(graceMs: number, limitMs: number): Promise<boolean> {
    const done = Promise.all(this.#workers.map((worker) => worker.drain(graceMs))).then((cuts) =>
      cuts.every((cut) => cut === 0),
    );
    return await withinTime(done, limitMs + DRAIN_GRACE_MS);
  }

  /** Ends all threads, and the programs that their scripts have left behind. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#mesh.close();
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    this.#fleet?.close();
    await this.#processes.stop();
  }

  /** Connects to the store of all machines, if there is one. */
  async joinFleet(): Promise<void> {
    const store = this.#fleetStore;
    if (store === undefined) return;
    const { config, logger } = this.#parts.options;
    const { storeSecret: secret, acme } = config;
    if (secret === undefined && acme !== undefined)
      logger.warn(
        'Certificates of --acme and the answers to its challenges are those of this machine alone, though there is a --store: machines share them with --store-secret',
      );
    // what talks to stores is loaded where there is one
    const { Fleet } = await import('../fleet/fleet.ts');
    if (this.#isStopped) return;
    const { relayThread: thread, interest } = this.#mesh;
    const purges = new CommonMarks(this.#purges);
    const sharesCertificates = acme !== undefined;
    const fleet = new Fleet({ store, logger, interest, thread, purges, secret, sharesCertificates });
    this.#fleet = fleet;
    this.#mesh.join(thread, (end) => fleet.relay.connect(end));
  }

  /** What this gateway has in common with those of other machines; undefined: nothing. */
  get fleet(): Fleet | undefined {
    return this.#fleet;
  }

  /** What is known of each store. */
  stores(): StoreView[] {
    const stores = this.#stores;
    return viewStores(stores, new StoreStates(this.#storeStates, stores.length), this.#fleet?.fault);
  }

  /** A dictionary that the workers share, by its name. Throws as SharedStore does. */
  shared(name: string): SharedDictionary {
    assert(this.#shared !== undefined, 'dictionaries are asked for after the start');
    return this.#shared.open(name);
  }

  sharedUsage(): readonly SharedUsage[] {
    return this.#shared?.usage() ?? [];
  }

  /** The servers behind proxies, as all workers know them at this moment. */
  upstreams(): UpstreamView[] {
    return readUpstreams(
      this.#health,
      this.#workers.map((worker) => worker.waiting),
    );
  }

  /** The one of all dictionaries, which is the one of all machines, too. */
  get #fleetStore(): StoreSettings | undefined {
    return this.#stores.find(({ dictionaries }) => dictionaries === 'others');
  }

  get #stores(): readonly StoreSettings[] {
    return this.#parts.options.config.stores ?? [];
  }

  #earlyWorkers(): readonly WorkerThread[] {
    return this.#workers.slice(0, Math.max(1, availableParallelism() - 1));
  }

  #createWorker(workerId: number): WorkerThread {
    const { options, once, lastStraw, setup, rows } = this.#parts;
    const { config, logger, writeLine } = options;
    return new WorkerThread({
      workerId,
      entry: options.workerEntry ?? WORKER_ENTRY,
      times: { ...WORKER_TIMES, ...options.times },
      logger,
      onLogLines: (lines) => lines.forEach(writeLine),
      onAccessLines: options.outputs?.writeAccess ?? ((bytes) => this.#writeLines(bytes)),
      rows,
      listenerCount: listenerCountOf(config),
      countsRequests: config.admin !== undefined,
      makeStart: (own) => this.#makeStart(own),
      makeJob: () => this.#makeJob(),
      onPurged: (marks, epoch) => this.#fleet?.purges.take(marks, epoch),
      once,
      onThreadBegin: (giveEnd) => this.#mesh.join(workerId, giveEnd),
      onThreadEnd: ({ shared, processGroups }) => {
        this.#mesh.leave(workerId);
        this.#shared?.release(workerId, shared.owner);
        this.#processes.end(processGroups);
      },
      currentSetup: setup,
      onCrash: (served) => lastStraw.crashed(served, this.ready.length > 0),
      onStuck: () => lastStraw.stuck(),
    });
  }

  #writeLines(bytes: Uint8Array): void {
    for (const line of Buffer.from(bytes).toString().split('\n'))
      if (line !== '') this.#parts.options.writeLine(line);
    giveBack(bytes);
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
    assert(modules !== undefined, 'workers are made before they start');
    this.#parts.onCompiled(modules);
    for (const worker of this.#workers) worker.giveLuaModules(modules);
  }

  #chooseCount({ workers }: Config): number {
    const { listeners, options } = this.#parts;
    if (listeners.sharable || workers === 1) return workers;
    const reason = unavailableReason() ?? 'Descriptors are not duplicated';
    options.logger.warn(`${reason}, and this Node.js has no reusePort: one worker serves alone`, {
      wanted: workers,
    });
    return 1;
  }

  #makeStart(own: OwnStart): WorkerStart {
    assert(this.#shared !== undefined, 'workers start with the shared memory');
    return {
      ...own,
      logForm: messageForm(this.#parts.options.config.logs),
      processGroups: this.#processes.create(),
      shared: this.#shared.share(),
      interest: this.#mesh.interest.memory,
      health: this.#health,
      purges: this.#purges,
      storeStates: this.#storeStates,
    };
  }

  #makeJob(): WorkerJob {
    const { options, listeners, setup } = this.#parts;
    const [main] = listeners.addresses;
    assert(main !== undefined, 'workers start while the listener is open');
    return {
      workerCount: this.#workers.length,
      listeners: listeners.sources(),
      noDelay: options.config.noDelay ?? true,
      serverPort: main.port,
      setup: setup(),
      stores: options.config.stores ?? [],
      entryKey: entryKeyOf(options.config),
    };
  }
}

/** Of the cache's entries in the store. */
function entryKeyOf({ storeSecret }: Config): Uint8Array | undefined {
  if (storeSecret === undefined) return undefined;
  const secret = Buffer.from(storeSecret, 'latin1');
  return new Uint8Array(hkdfSync('sha256', secret, '', 'lgateway cache', ENTRY_KEY_BYTES));
}
