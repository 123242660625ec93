/** `-D`: starts the program again in the background and waits until that one serves or says why it cannot. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { InheritedSocket } from '../config/config.ts';
import { MARK, type Report } from './background-channel.ts';
import { inheritedVariables } from './inherited-sockets.ts';

/** Longer than any start: a first development certificate, a script that computes, a slow disk. */
const READY_TIMEOUT_MS = 60_000;

export interface BackgroundOptions {
  /** The program's main module. */
  readonly main: string;
  /** Its command line. */
  readonly argv: readonly string[];
  /** Gets what the background process writes without its logger, as messages of V8 before a crash; undefined: nobody does. */
  readonly logFile: string | undefined;
  /** Listening sockets that it gets as this process got them; their descriptors follow one another from 3. */
  readonly inherited: readonly InheritedSocket[];
}

/**
 * Starts the program detached (a session of its own, no terminal) and resolves with its text for the terminal when it
 * serves. Errors: LGW_BACKGROUND with the reason it gave.
 */
export async function startInBackground(options: BackgroundOptions): Promise<string> {
  const output = options.logFile === undefined ? 'ignore' : openOutput(options.logFile);
  const child = spawn(process.execPath, [...process.execArgv, options.main, ...options.argv], {
    detached: true,
    stdio: ['ignore', output, output, ...options.inherited.map(({ descriptor }) => descriptor), 'ipc'],
    env: { ...process.env, ...inheritedVariables(options.inherited), [MARK]: '1' },
  });
  if (typeof output === 'number') closeSync(output);
  const report = await new Promise<Report>((resolve) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve({ ready: false, message: `Not ready within ${READY_TIMEOUT_MS} ms` });
    }, READY_TIMEOUT_MS);
    const settle = (value: Report): void => {
      clearTimeout(timer);
      resolve(value);
    };
    child.once('message', (message) => settle(toReport(message)));
    child.once('error', (error) => settle({ ready: false, message: messageOf(error) }));
    child.once('exit', (code, signal) =>
      settle({
        ready: false,
        message: `The process in the background ended with ${signal ?? `code ${code}`}`,
      }),
    );
  });
  if (child.connected) child.disconnect();
  child.unref();
  if (!report.ready) throw new GatewayError('LGW_BACKGROUND', report.message);
  return report.text;
}

function toReport(message: unknown): Report {
  if (typeof message === 'object' && message !== null && 'ready' in message) {
    if (message.ready === true && 'text' in message) return { ready: true, text: String(message.text) };
    if ('message' in message) return { ready: false, message: String(message.message) };
  }
  return { ready: false, message: 'The process in the background sent something unknown' };
}

function openOutput(file: string): number {
  try {
    return openSync(file, 'a', 0o640);
  } catch (error) {
    throw new GatewayError('LGW_LOG_FILE', `Cannot open the log file "${file}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
