/** What the process does on signals: drain, stop, reload, open log files anew. It ignores SIGPIPE. */

import type { EventEmitter } from 'node:events';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Origins } from '../config/answers.ts';
import type { Config } from '../config/config.ts';
import { showFault, UsageError } from '../config/usage-error.ts';
import { RestartNeededError } from '../settings/restart-needed-error.ts';
import type { Supervisor } from './supervisor.ts';

/** How a run came to its end. */
export type Ending =
  /** Every exchange was finished. */
  | 'drained'
  /** The drain limit passed, or there was no drain: exchanges were cut. */
  | 'cut'
  /** A second signal, or one during the start. */
  | 'forced';

export interface SignalOptions {
  readonly supervisor: Supervisor;
  readonly logger: Logger;
  /** Called on SIGUSR1, and on SIGHUP before the reload: log files are opened anew. */
  readonly reopenLog: () => void;
  /** Reads the configuration again, where it has a file; throws UsageError. Undefined: a reload leaves it as it is. */
  readonly reconfigure?: (() => Promise<Reconfigured>) | undefined;
}

/** What a configuration is now. */
export interface Reconfigured {
  readonly config: Config;
  /** Of its options that are not from the command line. */
  readonly origins: Origins;
}

/**
 * Installs the handlers; the promise resolves when a signal has ended the run. They stay until the process ends. `signals`: who
 * emits what the process gets.
 */
export function handleSignals(options: SignalOptions, signals: EventEmitter = process): Promise<Ending> {
  const { supervisor, logger } = options;
  return new Promise((resolve) => {
    let draining = false;
    const end = (signal: string): void => {
      if (draining || supervisor.state !== 'serving') {
        logger.warn(`${signal}: stopping now`);
        resolve('forced');
        return;
      }
      draining = true;
      logger.info(`${signal}: draining; a second signal stops at once`);
      void drain(supervisor, logger).then(resolve);
    };
    signals.on('SIGTERM', () => end('SIGTERM'));
    signals.on('SIGINT', () => end('SIGINT'));
    signals.on('SIGHUP', () => {
      options.reopenLog();
      void reload(options);
    });
    supervisor.adminActions.set('/drain', async () => {
      end('POST /drain');
      return { status: 202, body: 'draining\n' };
    });
    signals.on('SIGPIPE', () => undefined);
    // without a listener Node would open its debugger
    signals.on('SIGUSR1', () => {
      options.reopenLog();
      logger.info('SIGUSR1: the log files were opened anew');
    });
  });
}

async function drain(supervisor: Supervisor, logger: Logger): Promise<Ending> {
  const complete = await supervisor.drain();
  if (!complete) logger.warn('The drain limit has passed: the exchanges that are left are cut');
  await supervisor.stop();
  return complete ? 'drained' : 'cut';
}

async function reload({ supervisor, logger, reconfigure }: SignalOptions): Promise<void> {
  logger.info('SIGHUP: reloading');
  let next: Reconfigured | undefined;
  try {
    next = await reconfigure?.();
    const config = next?.config;
    const kept = await supervisor.reload(config === undefined ? undefined : () => config);
    const what = config === undefined ? 'scripts' : 'configuration, the scripts';
    if (kept === undefined)
      logger.info(`Reloaded: new requests go to the ${what} and the certificate as they are now`);
    else
      logger.warn(
        `Reloaded: new requests go to the ${what} as they are now. The certificate stays as it is, because ${kept}`,
      );
  } catch (error) {
    for (const line of explain(error, next?.origins))
      logger.error(`Reload refused, everything stays as it was: ${line}`);
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
