/** What an operator may ask of a gateway that serves: to reload, and to let a new process take its place. Each tells its outcome. */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Origins } from '../config/answers.ts';
import type { Config } from '../config/config.ts';
import { showFault, UsageError } from '../config/usage-error.ts';
import { RestartNeededError } from '../settings/restart-needed-error.ts';
import type { OutcomeKind } from './outcome-file.ts';
import type { ServiceManager } from './service-manager.ts';
import type { Supervisor } from './supervisor.ts';
import type { Upgrader } from './upgrader.ts';

export interface OperationsOptions {
  readonly supervisor: Supervisor;
  /** Hears every outcome. */
  readonly logger: Logger;
  /** Called before a reload: log files are opened anew. */
  readonly reopenLog: () => void;
  /** Reads the configuration again, where it has a file; throws UsageError. Undefined: a reload leaves it as it is. */
  readonly reconfigure?: (() => Promise<Reconfigured>) | undefined;
  /** Undefined: this gateway is no process of its own that could be started anew. */
  readonly upgrader?: Upgrader | undefined;
  /** Undefined: nobody is to hear how this process is. */
  readonly manager?: ServiceManager | undefined;
}

/** What a configuration is now. */
export interface Reconfigured {
  readonly config: Config;
  /** Of its options that are not from the command line. */
  readonly origins: Origins;
}

/** What came of an operation. */
export interface OperationOutcome {
  /** False: nothing has changed. */
  readonly ok: boolean;
  /** What has happened, or every reason why it has not; without line ends. */
  readonly lines: readonly string[];
}

export class Operations {
  readonly #options: OperationsOptions;
  /** Called when a successor serves: this process is to drain. */
  onUpgraded: (() => void) | undefined;
  /** Called after each reload, refused ones too, with the configuration that was read for it, if one was. */
  onReloaded: ((read: Config | undefined) => void) | undefined;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** `cause`: who asks for it, for the log. Never rejects. */
  async reload(cause: string): Promise<OperationOutcome> {
    const { manager } = this.#options;
    manager?.reloading();
    const outcome = await this.#filed('reload', () => this.#reload(cause));
    manager?.ready(outcome.ok ? 'Reloaded' : 'Serving as before: a reload was refused');
    return outcome;
  }

  async #reload(cause: string): Promise<OperationOutcome> {
    const { supervisor, logger, reconfigure, reopenLog } = this.#options;
    logger.info(`${cause}: reloading`);
    reopenLog();
    let next: Reconfigured | undefined;
    try {
      next = await reconfigure?.();
      const config = next?.config;
      const kept = await supervisor.reload(config === undefined ? undefined : () => config);
      const what = config === undefined ? 'scripts' : 'configuration, the scripts';
      if (kept === undefined)
        return this.#done(`Reloaded: new requests go to the ${what} and the certificate as they are now`);
      const line = `Reloaded: new requests go to the ${what} as they are now. The certificate stays as it is, because ${kept}`;
      logger.warn(line);
      return { ok: true, lines: [line] };
    } catch (error) {
      return this.#refused('Reload', explain(error, next?.origins));
    } finally {
      this.onReloaded?.(next?.config);
    }
  }

  /** Starts the command anew and lets the new process serve in the place of this one. Never rejects. */
  async upgrade(cause: string): Promise<OperationOutcome> {
    return await this.#filed('upgrade', () => this.#upgrade(cause));
  }

  async #upgrade(cause: string): Promise<OperationOutcome> {
    const { logger, upgrader } = this.#options;
    logger.info(`${cause}: starting a new process in the place of this one`);
    try {
      if (upgrader === undefined)
        return this.#refused('Upgrade', ['This gateway is part of another program']);
      const pid = await upgrader.upgrade();
      this.#options.manager?.handedTo(pid);
      const outcome = this.#done(`Upgraded: process ${pid} serves, and this one drains`);
      // whoever asks over the admin listener is answered first
      setImmediate(() => this.onUpgraded?.());
      return outcome;
    } catch (error) {
      return this.#refused('Upgrade', messageOf(error).split('\n'));
    }
  }

  /** For programs that have renamed log files. */
  reopenLogs(cause: string): void {
    const { logger, reopenLog } = this.#options;
    reopenLog();
    logger.info(`${cause}: the log files were opened anew`);
  }

  /** The gateway ends: nobody is to take its place any more. */
  ending(): void {
    this.#options.manager?.stopping();
    this.#options.upgrader?.abort();
  }

  /** Whoever has asked by a signal reads the outcome beside the pid file. */
  async #filed(kind: OutcomeKind, run: () => Promise<OperationOutcome>): Promise<OperationOutcome> {
    const { outcomes } = this.#options.supervisor.succession.pid;
    const number = outcomes?.begin();
    const outcome = await run();
    if (number !== undefined) outcomes?.end(kind, { number, ...outcome });
    return outcome;
  }

  #done(line: string): OperationOutcome {
    this.#options.logger.info(line);
    return { ok: true, lines: [line] };
  }

  #refused(what: string, reasons: readonly string[]): OperationOutcome {
    for (const reason of reasons)
      this.#options.logger.error(`${what} refused, everything stays as it was: ${reason}`);
    return { ok: false, lines: reasons };
  }
}

/** A line for each thing that is wrong, with its place in the file where that is known. */
function explain(error: unknown, origins: Origins | undefined): readonly string[] {
  if (error instanceof UsageError) return error.faults.map(showFault);
  if (!(error instanceof RestartNeededError) || origins === undefined) return [messageOf(error)];
  return error.refused.map((change) => {
    const places = change.options.flatMap((option) => origins.get(option.replace(/^--/, ''))?.at ?? []);
    return showFault({ message: new RestartNeededError([change]).message, at: places[0] });
  });
}
