/** The process that takes this one's place: starts the command anew with the listening sockets, and hears how its start went. */
import { type ChildProcess, spawn } from 'node:child_process';
import { GatewayError, messageOf } from '../base/errors.ts';
import {
  type Handover,
  handoverMessage,
  readMessage,
  SUCCESSOR_MARK,
  type ToPredecessor,
  type ToSuccessor,
} from './handover.ts';

/** As long as a start in the background may take: a script that computes, a slow disk. */
const READY_TIMEOUT_MS = 60_000;
/** It only writes a pid file between `go` and `taken`. */
const TAKEN_TIMEOUT_MS = 10_000;

/** How this process was started, which is how its successor is. */
export interface OwnCommand {
  /** The program's main module, by the name it was called by: the name may lead to another version now. */
  readonly main: string;
  readonly argv: readonly string[];
}

export interface SuccessorOptions {
  readonly command: OwnCommand;
  /** Of the sockets of the handover, in their order; they stay this process's. */
  readonly descriptors: readonly number[];
  readonly handover: Handover;
  readonly readyTimeoutMs?: number;
}

type Report = ToPredecessor | { readonly type: 'gone'; readonly message: string };

export class Successor {
  readonly #child: ChildProcess;
  /** What has not been waited for yet; the messages are few. */
  readonly #reports: Report[] = [];
  #waiter: ((report: Report) => void) | undefined;

  private constructor({ command, descriptors }: SuccessorOptions) {
    const environment: NodeJS.ProcessEnv = { ...process.env, [SUCCESSOR_MARK]: '1' };
    this.#child = spawn(process.execPath, [...process.execArgv, command.main, ...command.argv], {
      stdio: ['inherit', 'inherit', 'inherit', ...descriptors, 'ipc'],
      env: environment,
    });
    this.#child.on('message', (message) => {
      const report = readMessage<ToPredecessor>(message);
      if (report !== undefined) this.#tell(report);
    });
    this.#child.on('error', (error) =>
      this.#tell({ type: 'gone', message: `It cannot be started: ${messageOf(error)}` }),
    );
    this.#child.on('exit', (code, signal) =>
      this.#tell({ type: 'gone', message: `The new process ended with ${signal ?? `code ${code}`}` }),
    );
  }

  /** Resolves when it serves beside this process. Errors: LGW_UPGRADE with the reason, and then it is gone. `abort` ends it. */
  static async start(options: SuccessorOptions, abort: AbortSignal): Promise<Successor> {
    let successor: Successor;
    try {
      successor = new Successor(options);
    } catch (error) {
      // a name without a file is told by an event, too long an environment at once
      throw new GatewayError('LGW_UPGRADE', `The new process cannot be started: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const stop = (): void => successor.#tell({ type: 'gone', message: 'This process ends' });
    abort.addEventListener('abort', stop);
    try {
      successor.#send(handoverMessage(options.handover));
      await successor.#expect('ready', options.readyTimeoutMs ?? READY_TIMEOUT_MS);
      return successor;
    } catch (error) {
      successor.end();
      throw error;
    } finally {
      abort.removeEventListener('abort', stop);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Tells it to take over; resolves when the pid file names it. Errors: LGW_UPGRADE, and then it is gone. */
  async takeOver(): Promise<void> {
    try {
      this.#send({ type: 'go' });
      await this.#expect('taken', TAKEN_TIMEOUT_MS);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** It takes what it is told until this process ends. */
  tell(message: ToSuccessor & { readonly type: 'once' | 'onceEnded' }): void {
    this.#send(message);
  }

  /** Ends a successor that is not to take over. */
  end(): void {
    this.#child.kill('SIGKILL');
    if (this.#child.connected) this.#child.disconnect();
  }

  #send(message: ToSuccessor): void {
    // one that has ended is told of by its end
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #tell(report: Report): void {
    if (this.#waiter === undefined) this.#reports.push(report);
    else this.#waiter(report);
  }

  async #expect(wanted: 'ready' | 'taken', timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const report = await new Promise<Report>((resolve) => {
      timer = setTimeout(
        () => resolve({ type: 'gone', message: `The new process was not ${wanted} within ${timeoutMs} ms` }),
        timeoutMs,
      );
      this.#waiter = resolve;
      const [first] = this.#reports.splice(0, 1);
      if (first !== undefined) resolve(first);
    });
    clearTimeout(timer);
    this.#waiter = undefined;
    if (report.type === wanted) return;
    const reason =
      'message' in report ? report.message : `The new process said ${JSON.stringify(report.type)}`;
    throw new GatewayError('LGW_UPGRADE', String(reason));
  }
}
