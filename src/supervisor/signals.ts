/** What the process does on signals: drain, stop, reload, upgrade, open log files anew. It ignores SIGPIPE. */

import type { EventEmitter } from 'node:events';
import type { AdminAnswer } from '../admin/admin-server.ts';
import type { Logger } from '../base/logger.ts';
import type { OperationOutcome, Operations } from './operations.ts';
import type { Supervisor } from './supervisor.ts';
import { IDLE_GRACE_MS } from './upgrader.ts';

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
  readonly operations: Operations;
}

/**
 * Installs the handlers; the promise resolves when a signal has ended the run. They stay until the process ends. `signals`: who
 * emits what the process gets.
 */
export function handleSignals(options: SignalOptions, signals: EventEmitter = process): Promise<Ending> {
  const { supervisor, logger, operations } = options;
  return new Promise((resolve) => {
    let draining = false;
    const end = (signal: string): void => {
      if (draining || supervisor.state !== 'serving') {
        logger.warn(`${signal}: stopping now`);
        resolve('forced');
        return;
      }
      draining = true;
      operations.ending();
      logger.info(`${signal}: draining; a second signal stops at once`);
      void drain(supervisor, logger, 0).then(resolve);
    };
    operations.onUpgraded = () => {
      draining = true;
      void drain(supervisor, logger, IDLE_GRACE_MS).then(resolve);
    };
    signals.on('SIGTERM', () => end('SIGTERM'));
    signals.on('SIGINT', () => end('SIGINT'));
    signals.on('SIGHUP', () => void operations.reload('SIGHUP'));
    signals.on('SIGUSR2', () => void operations.upgrade('SIGUSR2'));
    const { adminActions } = supervisor;
    adminActions.set('/drain', async () => {
      end('POST /drain');
      return { status: 202, body: 'draining\n' };
    });
    adminActions.set('/reload', async () => answerOf(await operations.reload('POST /reload')));
    adminActions.set('/upgrade', async () => answerOf(await operations.upgrade('POST /upgrade')));
    signals.on('SIGPIPE', () => undefined);
    // without a listener Node would open its debugger
    signals.on('SIGUSR1', () => operations.reopenLogs('SIGUSR1'));
  });
}

async function drain(supervisor: Supervisor, logger: Logger, graceMs: number): Promise<Ending> {
  const complete = await supervisor.drain(graceMs);
  if (!complete) logger.warn('The drain limit has passed: the exchanges that are left are cut');
  await supervisor.stop();
  return complete ? 'drained' : 'cut';
}

/** A line for each thing that has happened, or that was wrong. */
function answerOf({ ok, lines }: OperationOutcome): AdminAnswer {
  return { status: ok ? 200 : 409, body: lines.map((line) => `${line}\n`).join('') };
}
