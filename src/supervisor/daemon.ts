/** `-D`: starts the program again in the background and waits until that one serves or says why it cannot. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { InheritedSocket } from '../config/config.ts';
import { inheritedVariables } from './inherited-sockets.ts';

/** Tells a process that it is the one in the background; taken out of the environment at once. */
const MARK = 'LGATEWAY_BACKGROUND';
/** Longer than any start: a first development certificate, a script that computes, a slow disk. */
const READY_TIMEOUT_MS = 60_000;

/** What the background process tells the one that started it, once. */
type Report =
  /** It serves; the text is for the terminal. */
  { readonly ready: true; readonly text: string } | { readonly ready: false; readonly message: string };

export interface BackgroundOptions {
  /** The program's main module. */
  readonly main: string;
  /** Its command line. */
  readonly argv: readonly string[];
  /** What the background process writes past its logger (the engine's last words) goes here; undefined = nowhere. */
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

/** The background process's side. */
export interface BackgroundChannel {
  /** Lets the first process end with success. */
  ready(text: string): void;
  /** Lets it end with failure; resolves when the message is on its way. */
  failed(message: string): Promise<void>;
}

/** Undefined when this process was not started by `startInBackground`. */
export function backgroundChannel(): BackgroundChannel | undefined {
  const marked = process.env[MARK] !== undefined;
  delete process.env[MARK];
  if (!marked || process.send === undefined) return undefined;
  // the first process may be killed while it waits: that ends nothing here
  process.on('error', () => undefined);
  const send = (report: Report): Promise<void> =>
    new Promise((resolve) => {
      if (!process.connected || process.send === undefined) resolve();
      else
        process.send(report, undefined, undefined, () => {
          if (process.connected) process.disconnect();
          resolve();
        });
    });
  return {
    ready: (text) => void send({ ready: true, text }),
    failed: (message) => send({ ready: false, message }),
  };
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
