/** Takes all workers from one setup to the next, in two phases; and hands what changes of TLS between reloads to them. */
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import type { LevelLogger } from '../base/logger.ts';
import { TakenCount } from '../base/taken-count.ts';
import type { Config } from '../config/config.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { Settings } from '../settings/settings.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type { LuaModules, WorkerSetup } from '../worker/messages.ts';
import type { LogOutputs, PreparedOutputs } from './log-outputs.ts';
import type { LuaMachines } from './lua-machines.ts';
import type { MappingRows } from './mapping-rows.ts';
import type { TlsKeeper } from './tls-keeper.ts';
import type { WorkerCrew } from './worker-crew.ts';
import { memorySizesOf, workerSetup } from './worker-parts.ts';

export interface ReloaderParts {
  readonly settings: Settings<Config>;
  readonly logger: LevelLogger;
  readonly tls: TlsKeeper;
  readonly crew: Pick<WorkerCrew, 'workers' | 'ready' | 'oldestGeneration'>;
  readonly rows: MappingRows;
  readonly machines: LuaMachines;
  readonly outputs: Pick<LogOutputs, 'prepare'> | undefined;
  /** Why it does not serve, as the end of a sentence; undefined: it does. */
  readonly whyNotServing: () => string | undefined;
  /** An upgrade is under way. */
  readonly isHeld: () => boolean;
}

export class Reloader {
  readonly #parts: ReloaderParts;
  /** Those that were asked for, by how they ended. */
  readonly counts: { success: number; failure: number } = { success: 0, failure: 0 };
  #setup: WorkerSetup | undefined;
  /** The number of the last reload that was tried: a late answer to an earlier reload is not taken for an answer to this one. */
  #lastGeneration = 0;
  #last: Promise<string | undefined> = Promise.resolve(undefined);

  constructor(parts: ReloaderParts) {
    this.#parts = parts;
  }

  /** The setup that serves, or that the workers start with; undefined before `begin`. */
  get current(): WorkerSetup | undefined {
    return this.#setup;
  }

  /** As `current`, for whoever asks after `begin` only. */
  require(): WorkerSetup {
    assert(this.#setup !== undefined, 'workers start with a setup');
    return this.#setup;
  }

  /** What the workers start with; the Lua machines follow. */
  begin(tls: TlsSetup | undefined): void {
    const { settings, rows } = this.#parts;
    const config = settings.values;
    const ofMappings = rows.assign(config.mappings.map(mappingName), 0, () => undefined);
    this.#setup = workerSetup(config, { generation: 0, tls, rows: ofMappings, luaModules: 'follows' });
  }

  /** The Lua machines that the workers start with. */
  compiled(luaModules: LuaModules): void {
    this.#parts.machines.use(luaModules);
    this.#setup = { ...this.require(), luaModules };
  }

  /** As Supervisor.reload. */
  async reload(change: ((current: Config) => Config) | undefined): Promise<string | undefined> {
    const mine = this.settled().then(() => this.#reloadOnce(change));
    this.#last = mine;
    mine.then(
      () => (this.counts.success += 1),
      () => (this.counts.failure += 1),
    );
    return await mine;
  }

  /** Resolves when none runs that was asked for until now. */
  async settled(): Promise<void> {
    await this.#last.catch(() => undefined);
  }

  /** Hands what changes between reloads to all workers: ticket keys, obtained certificates, answers. Resolves when they have it. */
  async giveTls(): Promise<void> {
    const { crew, tls: keeper } = this.#parts;
    const before = this.#setup?.tls;
    const tls = before && keeper.present(before);
    if (this.#setup === undefined || tls === undefined || tls === before) return;
    this.#setup = { ...this.#setup, tls };
    const taken = new TakenCount();
    for (const worker of crew.workers) worker.giveTls(tls, taken.memory);
    await taken.reaches(crew.ready.length);
  }

  async #reloadOnce(change: ((current: Config) => Config) | undefined): Promise<string | undefined> {
    const { settings, outputs, whyNotServing, isHeld } = this.#parts;
    const reason = isHeld() ? 'an upgrade is under way' : whyNotServing();
    if (reason !== undefined) throw new GatewayError('LGW_RELOAD', `Cannot reload: ${reason}`);
    const current = this.require();
    const config = change?.(settings.values) ?? settings.values;
    settings.check(config);
    const logs = outputs?.prepare(config);
    try {
      return await this.#changeTo(config, current, logs);
    } catch (error) {
      logs?.abandon();
      throw error;
    }
  }

  async #changeTo(
    config: Config,
    current: WorkerSetup,
    logs: PreparedOutputs | undefined,
  ): Promise<string | undefined> {
    const { settings, logger, tls: keeper, crew, rows, machines, whyNotServing } = this.#parts;
    const { tls, loaded, kept } = await keeper.reread(current.tls, settings.values, config);
    const luaModules = await machines.of(memorySizesOf(config));
    const names = config.mappings.map(mappingName);
    const clear = (row: number): void => {
      for (const worker of crew.workers) worker.memory.clear(row);
    };
    const ofMappings = rows.assign(names, crew.oldestGeneration, clear);
    this.#lastGeneration += 1;
    const generation = this.#lastGeneration;
    const next = workerSetup(config, { generation, tls, rows: ofMappings, luaModules });
    const workers = crew.ready;
    const answers = await Promise.allSettled(workers.map((worker) => worker.prepare(next)));
    const refusal = answers.find((answer) => answer.status === 'rejected');
    if (refusal !== undefined || whyNotServing() !== undefined) {
      for (const worker of workers) worker.abandon(generation);
      throw refusal?.reason ?? new GatewayError('LGW_RELOAD', 'The reload was given up: the gateway drains');
    }
    this.#setup = next;
    machines.use(luaModules);
    rows.commit(names, generation);
    logs?.commit();
    for (const worker of crew.workers) worker.commit(generation);
    for (const { name, from, to } of settings.replace(config))
      logger.info(`Setting ${name} has changed`, { from, to });
    keeper.use(loaded);
    // it may have changed while the workers prepared
    void this.giveTls();
    return kept;
  }
}
