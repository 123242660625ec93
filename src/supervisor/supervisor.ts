/** The control plane: binds, reads the key, starts the workers and watches them, drains and stops. */
import type { AdminAction } from '../admin/admin-server.ts';
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import type { LevelLogger } from '../base/logger.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { SETTING_TABLE } from '../config/setting-table.ts';
import type { TextEvents } from '../events/text-events.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { CounterName, TimesName } from '../metrics/worker-metrics.ts';
import type { UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import { Settings } from '../settings/settings.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import { createTicketKeys, TICKET_KEYS_MAX, TICKET_PERIOD_MS } from '../tls/ticket-keys.ts';
import type { AdminListener } from './admin-listener.ts';
import { AdminSocket } from './admin-socket.ts';
import { becomeUser } from './become-user.ts';
import { LastStraw } from './crash-loop.ts';
import { HeartWatch } from './heart-watch.ts';
import { type ListenerOptions, platformListenerOptions } from './listener.ts';
import { type BoundAddress, Listeners } from './listeners.ts';
import type { DevelopmentFacts } from './load-tls.ts';
import { LuaMachines } from './lua-machines.ts';
import { MappingRows } from './mapping-rows.ts';
import { type MappingUse, mappingUses } from './mapping-uses.ts';
import { OnceRegistry } from './once-registry.ts';
import { OnceRuns } from './once-runs.ts';
import { Reloader } from './reloader.ts';
import { Succession } from './succession.ts';
import type { SupervisorOptions } from './supervisor-options.ts';
import { TlsKeeper } from './tls-keeper.ts';
import { WorkerCrew } from './worker-crew.ts';
import { chainsOf } from './worker-parts.ts';
import type { MetricSources } from './write-metrics.ts';

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
  readonly #listenerOptions: ListenerOptions;
  readonly #adminSocket: AdminSocket;
  readonly #once = new OnceRegistry();
  readonly #rows: MappingRows;
  readonly #crew: WorkerCrew;
  readonly #reloader: Reloader;
  #state: SupervisorState = 'idle';
  #admin: AdminListener | undefined;
  readonly #lastStraw = new LastStraw((reason) => {
    if (this.#state === 'serving') this.#options.onGivenUp?.(reason);
  });
  readonly #hearts: HeartWatch;
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = new Settings(options.config, SETTING_TABLE);
    this.#settings.subscribe(({ logLevel }) => options.logger.setLevel(logLevel));
    this.#logger = options.logger;
    this.#listeners = new Listeners(options.logger, options.listenNames);
    this.#listenerOptions = options.listener ?? platformListenerOptions();
    this.#adminSocket = new AdminSocket(this.#listenerOptions);
    const { predecessor } = options;
    this.succession = new Succession({
      predecessor,
      pidFile: options.config.pidFile,
      once: this.#once,
      logger: options.logger,
      reloaded: () => this.#reloader.settled(),
      whyNotServing: () => this.whyNotReady(),
      handed: () => this.#listeners.handed(),
      handedAdmin: () => this.#adminSocket.handed,
      tls: () => this.#tls.handover(this.#config),
      openAdmin: () => this.#openAdmin(),
      leaveAdmin: () => this.#admin?.leave() ?? false,
      hasLostAdmin: () => this.#admin?.isReplaced ?? false,
    });
    this.#tls = new TlsKeeper(options);
    this.#rows = new MappingRows(options.config.mappings.map(mappingName));
    const machines = new LuaMachines(options.compileLua);
    this.#crew = new WorkerCrew({
      options,
      listeners: this.#listeners,
      once: new OnceRuns(this.#once, () => this.#crew.fleet?.leases, options.logger),
      lastStraw: this.#lastStraw,
      setup: () => this.#reloader.require(),
      rows: this.#rows,
      machines,
      onCompiled: (modules) => this.#reloader.compiled(modules),
    });
    this.#reloader = new Reloader({
      settings: this.#settings,
      logger: options.logger,
      tls: this.#tls,
      crew: this.#crew,
      rows: this.#rows,
      machines,
      outputs: options.outputs,
      whyNotServing: () => this.whyNotReady(),
      isHeld: () => this.succession.isHeld,
    });
    this.#hearts = new HeartWatch(
      () => this.#crew.workers,
      this.#settings,
      (row) => this.#rows.nameOf(row),
    );
  }

  get #config(): Config {
    return this.#settings.values;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Where the admin listener is; undefined: it has none, or not yet. */
  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  /** Where connections are accepted; empty before `start` and after `drain`. */
  get addresses(): readonly BoundAddress[] {
    return this.#listeners.addresses;
  }

  /** The mappings, each with the mode its script was found to have; without it before `start`. */
  get mappings(): readonly MappingConfig[] {
    const modes = this.#crew.workers[0]?.modes ?? [];
    return this.#config.mappings.map((mapping, i) => {
      const mode = modes[i];
      return mode === undefined ? mapping : { ...mapping, mode };
    });
  }

  /** Number of workers that serve or will serve again. */
  get workerCount(): number {
    return this.#crew.workers.length;
  }

  /** The certificate that the gateway made itself; undefined when it was given one, and before `start`. */
  get development(): DevelopmentFacts | undefined {
    return this.#tls.development;
  }

  /** Resolves when every worker serves. When it rejects (GatewayError) nothing is left behind. */
  async start(): Promise<void> {
    this.#transition('starting');
    try {
      const { user } = this.#config;
      this.#crew.create();
      // threads take longer to begin than all the rest; but none begins with rights that it is not to have
      if (user === undefined) this.#crew.beginEarly();
      await this.#listeners.open(this.#config, this.#listenerOptions);
      await this.#adoptAdmin();
      const first = this.#listeners.cleartextOnly ? undefined : await this.#tls.read(this.#config);
      this.succession.pid.begin();
      if (this.#options.predecessor === undefined) await this.#openAdmin();
      if (user !== undefined) becomeUser(user, this.#options);
      await this.#crew.joinFleet();
      this.#assertStarting();
      await this.#tls.openAcme(this.#config.acme, this.#logger, this.#crew.fleet?.certificates);
      this.#reloader.begin(first && this.#tls.present(first.tls));
      this.succession.pid.look();
      this.#assertStarting();
      await this.#crew.start();
      this.#assertStarting();
      this.#transition('serving');
      this.#hearts.start();
      this.#tls.use(first?.loaded);
      this.#tls.start(() => this.#reloader.giveTls());
      this.#shareTickets();
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
    return await this.#reloader.reload(change);
  }

  /**
   * Refuses new connections and waits until every open exchange has ended, at most `limits.drainTimeoutMs`. True when
   * all have. Idle connections may ask once more for `limits.drainGraceMs`, and at least for `graceMs`. `stop` comes next.
   */
  async drain(graceMs = 0): Promise<boolean> {
    if (this.#state !== 'serving') return true;
    this.#transition('draining');
    this.#listeners.close();
    const { drainGraceMs, drainTimeoutMs } = this.#config.limits;
    return await this.#crew.drain(Math.max(graceMs, drainGraceMs), drainTimeoutMs);
  }

  /** Stops at once, in any state; open exchanges are cut. May be called again. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    await this.#stopped;
  }

  /** What each worker counts at this moment, worker 1 first. */
  counters(): Record<CounterName, number>[] {
    return this.#crew.workers.map((worker) => worker.counters.snapshot());
  }

  /** How long what each worker has observed took so far, worker 1 first. */
  times(): Record<TimesName, Histogram>[] {
    return this.#crew.workers.map((worker) => worker.counters.times());
  }

  /** The servers behind proxies, as all workers know them at this moment. */
  upstreams(): UpstreamView[] {
    return this.#crew.upstreams();
  }

  /** What each mapping of a script uses in each worker at this moment, worker 1 first. */
  mappingCounters(): MappingUse[] {
    return mappingUses(
      this.#crew.workers,
      this.#config.mappings,
      this.#rows.shown(this.#crew.oldestGeneration),
    );
  }

  /** A dictionary that the workers share, by its name; from the end of `start` on. Throws as SharedStore does. */
  shared(name: string): SharedDictionary {
    return this.#crew.shared(name);
  }

  /** Publishes and subscribes as the workers do, for the program that has started this. */
  get events(): TextEvents {
    return this.#crew.events;
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
    // one that has drained and ends is as it should be, until nobody answers
    if (this.#state === 'stopped') return undefined;
    if (this.#state !== 'serving' && this.#state !== 'draining') return `the gateway is ${this.#state}`;
    const unwell = this.#crew.workers.flatMap((worker) => worker.whyNotWell() ?? []);
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

  /** What is wrong while it accepts requests; undefined: nothing is known. */
  trouble(): string | undefined {
    const faults = this.#crew.stores().flatMap(({ fault }) => fault ?? []);
    return faults.length === 0 ? undefined : faults.join('; ');
  }

  /** What the metrics are made of; asked without a message to a worker. */
  metricSources(): MetricSources {
    return {
      workers: this.#crew.workers,
      listeners: this.#listeners.bound,
      mappings: this.#rows.shown(this.#crew.oldestGeneration),
      upstreams: this.upstreams(),
      shared: this.#crew.sharedUsage(),
      certificates: chainsOf(this.#reloader.current?.tls),
      reloads: this.#reloader.counts,
      generations: this.#crew.generations,
      fleet: this.#crew.fleet,
      stores: this.#crew.stores(),
      lostLines: this.#options.outputs?.lostLines ?? { log: 0, access: 0 },
    };
  }

  async #adoptAdmin(): Promise<void> {
    const { admin } = this.#config;
    const handed = this.#options.predecessor?.admin;
    if (handed !== undefined)
      await this.#adminSocket.adopt(handed, admin?.kind === 'tcp' ? admin : undefined);
  }

  async #openAdmin(): Promise<void> {
    const { admin } = this.#config;
    if (admin === undefined) return;
    // brings node:http, which a start without it does not need
    const { AdminListener } = await import('./admin-listener.ts');
    const replacesSocket = this.#options.predecessor !== undefined || this.#admin !== undefined;
    const descriptor = admin.kind === 'tcp' ? await this.#adminSocket.descriptor(admin) : undefined;
    this.#admin = new AdminListener({ ...this.#config, admin }, this, this.adminActions, this.#logger, {
      replacesSocket,
      descriptor,
    });
    await this.#admin.open();
  }

  async #stopOnce(): Promise<void> {
    this.#transition('stopped');
    this.#hearts.stop();
    await this.#tls.stop();
    this.#listeners.close();
    await this.#crew.stop();
    // until now it says that the gateway drains
    this.#admin?.close();
    this.#adminSocket.close();
    this.removeFiles();
  }

  #shareTickets(): void {
    if (this.#listeners.cleartextOnly) return;
    this.#crew.fleet?.shareTickets({
      logger: this.#logger,
      periodMs: this.#options.ticketPeriodMs ?? TICKET_PERIOD_MS,
      count: TICKET_KEYS_MAX,
      create: createTicketKeys,
      adopt: (keys) => this.#tls.adoptTickets(keys),
    });
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
