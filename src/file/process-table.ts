/** Starts the processes of one worker: bounded in number, in the working directory of its files, and under a root only allowed ones. */

import { isUtf8 } from 'node:buffer';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { type Logger, shorten } from '../base/logger.ts';
import type { ProcessGroups } from '../base/process-groups.ts';
import type { Scope } from '../base/scope.ts';
import type { Share } from '../mapping/shares.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import type { BlockPool } from './block-pool.ts';
import type { ProcessExit } from './byte-file.ts';
import { splitCommand } from './command-line.ts';
import { describeAction, FileError, fileErrorOf } from './file-error.ts';
import { PipeFile } from './pipe-file.ts';
import { RunningProcess } from './running-process.ts';
import { errnoOf } from './strerror.ts';
import type { Cancellable } from './task.ts';

export interface ProcessTableOptions {
  /** The whole environment of the processes. */
  readonly environment: Readonly<Record<string, string>>;
  readonly counters: Counters;
  /** The table of the groups of running processes. */
  readonly groups: ProcessGroups;
  readonly blocks: BlockPool;
}

/** `r`: read the output of the process; `w`: write its input; `rw`: both. */
export type PipeMode = 'r' | 'w' | 'rw';

/** The owner of a process. */
export interface ProcessOwner {
  /** Ends the process, and those that it has started, when the scope closes. */
  readonly scope: Scope;
  /** The mapping that the process counts for. */
  readonly share: Share;
  /** The mapping is being loaded. */
  readonly loading: boolean;
  /** Where the process starts. */
  readonly workingDirectory: string;
  /** Undefined: any command, run by /bin/sh. Otherwise the names of programs that may be started, without a shell. */
  readonly allowedCommands: readonly string[] | undefined;
  /** Gets the lines that the process writes to stderr, and to stdout where no script reads it. */
  readonly logger: MappingLogger;
}

/** The logger of a mapping, which may write a limited number of bytes in a time. */
export interface MappingLogger extends Logger {
  /** True when the mapping may write nothing more for now. */
  readonly exhausted?: boolean;
  /** Counts bytes that were dropped before they were split into lines. */
  drop?(bytes: number): void;
}

export type PipeDone = (error: FileError | undefined, file: PipeFile | undefined) => void;
export type ExecuteDone = (error: FileError | undefined, exit: ProcessExit | undefined) => void;

const SHELL = '/bin/sh';
/** The output of a process whose mapping may log nothing more is read again after this time; the bytes are dropped. */
const EXHAUSTED_PAUSE_MS = 20;
/** A longer line of a process is cut in the log (bytes). */
const LOG_LINE_BYTES_MAX = 4096;

export class ProcessTable {
  readonly #options: ProcessTableOptions;
  readonly #running = new Set<RunningProcess>();
  readonly #pipes = new Set<PipeFile>();
  /**
   * Functions that start the processes asked for, one in each round of the event loop: to start a process blocks the thread for
   * some milliseconds, and other work must not wait for many of them. There are no more than coroutines that wait.
   */
  readonly #waiting = new Set<() => void>();
  #isStarting = false;
  #count = 0;

  constructor(options: ProcessTableOptions) {
    this.#options = options;
  }

  /** Number of processes whose group still runs or whose pipes are open. */
  get running(): number {
    return this.#count;
  }

  /** As popen(3). */
  openPipe(command: string, mode: PipeMode, owner: ProcessOwner, done: PipeDone): Cancellable {
    return this.#start(command, modeStdio(mode), owner, (error, child) => {
      done(error, child === undefined ? undefined : this.#pipeOf(command, mode, owner, child));
    });
  }

  /** As system(3). A cancelled call ends the process; what the process leaves running ends with its owner. */
  execute(command: string, owner: ProcessOwner, done: ExecuteDone): Cancellable {
    let running: RunningProcess | undefined;
    let isCancelled = false;
    const starting = this.#start(command, ['ignore', 'pipe', 'pipe'], owner, (error, child) => {
      if (child === undefined) {
        done(error, undefined);
        return;
      }
      running = this.#adopt(child, owner);
      running.whenGone(() => this.#ended(owner));
      running.whenExited((exit) => {
        if (!isCancelled) done(undefined, exit);
      });
    });
    return {
      cancel: () => {
        isCancelled = true;
        starting.cancel();
        running?.kill();
      },
    };
  }

  /** Ends all processes and closes their pipes. */
  stop(): void {
    this.#waiting.clear();
    for (const pipe of [...this.#pipes]) pipe.destroy();
    for (const running of this.#running) running.kill();
  }

  #start(
    command: string,
    stdio: StdioOptions,
    owner: ProcessOwner,
    done: (error: FileError | undefined, child: ChildProcess | undefined) => void,
  ): Cancellable {
    const start = (): void => {
      let child: ChildProcess | undefined;
      let error: FileError | undefined;
      try {
        child = this.#spawn(command, stdio, owner);
      } catch (thrown) {
        error = fileErrorOf(describeAction('run', command), thrown);
      }
      done(error, child);
    };
    this.#waiting.add(start);
    this.#startLater();
    return { cancel: () => this.#waiting.delete(start) };
  }

  #startLater(): void {
    if (this.#isStarting || this.#waiting.size === 0) return;
    this.#isStarting = true;
    setImmediate(() => {
      this.#isStarting = false;
      const [start] = this.#waiting;
      if (start === undefined) return;
      this.#waiting.delete(start);
      this.#startLater();
      start();
    });
  }

  /** Starts a process and counts it; throws when that fails. */
  #spawn(
    command: string,
    stdio: StdioOptions,
    { share, loading, allowedCommands, workingDirectory }: ProcessOwner,
  ): ChildProcess {
    const { environment, counters, groups } = this.#options;
    const action = describeAction('run', command);
    const [program, ...words] = wordsOf(command, action, allowedCommands);
    const refusal = groups.full
      ? `${this.#count} processes are running and no more can be watched`
      : share.take('processes', loading);
    if (refusal !== undefined) throw new FileError(action, errnoOf('EAGAIN'), refusal);
    let child: ChildProcess | undefined;
    try {
      // loaded when a script first needs it, as it loads nine modules of Node
      const { spawn } = process.getBuiltinModule('node:child_process');
      child = spawn(program as string, words, {
        cwd: workingDirectory,
        env: { ...environment },
        stdio,
        // a process group of its own, so that the process can be ended with its children
        detached: true,
      });
    } finally {
      // `spawn` throws for arguments that are too long and for lack of descriptors or memory
      if (child?.pid === undefined) share.give('processes');
    }
    if (child.pid === undefined) {
      // the reason comes later, as an event, and is nearly always ENOENT
      child.on('error', () => {});
      throw new FileError(action, errnoOf('ENOENT'));
    }
    this.#count += 1;
    counters.add(COUNT.pipes, 1);
    return child;
  }

  /** Counts a process of which nothing is left. */
  #ended({ share }: ProcessOwner): void {
    this.#count -= 1;
    share.give('processes');
    this.#options.counters.add(COUNT.pipes, -1);
  }

  #pipeOf(command: string, mode: PipeMode, owner: ProcessOwner, child: ChildProcess): PipeFile {
    const onClosed = (): void => {
      this.#pipes.delete(pipe);
      running.whenGone(() => this.#ended(owner));
    };
    const readable = mode !== 'w' && child.stdout instanceof Socket ? child.stdout : undefined;
    const writable = mode !== 'r' && child.stdin instanceof Socket ? child.stdin : undefined;
    const running = this.#adopt(child, owner, readable);
    const { blocks } = this.#options;
    const pipe = new PipeFile({ name: command, readable, writable, process: running, blocks, onClosed });
    this.#pipes.add(pipe);
    return pipe;
  }

  /** Watches a process until it has ended, and logs its output. */
  #adopt(child: ChildProcess, { scope, logger }: ProcessOwner, reads?: Socket): RunningProcess {
    const running = new RunningProcess(child, this.#options.groups);
    this.#running.add(running);
    const end = (): void => running.kill();
    scope.add(end);
    running.whenGone(() => {
      this.#running.delete(running);
      scope.remove(end);
    });
    // kill() and the pipes report their errors themselves
    child.on('error', () => {});
    for (const output of [child.stdout, child.stderr]) {
      if (output !== null && output !== reads) logOutput(output, running.pid, logger);
    }
    return running;
  }
}

/** Returns the program and its arguments; throws for a command that may not be started. */
function wordsOf(command: string, action: string, allowedCommands: readonly string[] | undefined): string[] {
  if (command.includes('\0')) throw new FileError(action, errnoOf('EINVAL'), 'the command holds a NUL byte');
  const text = textOf(command);
  if (allowedCommands === undefined) return [SHELL, '-c', text ?? quoteBytes(command)];
  if (text === undefined) throw new FileError(action, errnoOf('EILSEQ'));
  const words = splitCommand(text);
  if (words === undefined) {
    throw new FileError(
      action,
      errnoOf('EACCES'),
      'under a root a command is a program and words, without a shell',
    );
  }
  if (!allowedCommands.includes(words[0] as string)) {
    throw new FileError(
      action,
      errnoOf('EACCES'),
      `${JSON.stringify(words[0])} is not among the allowed commands`,
    );
  }
  return words;
}

/** Logs the output of a process. Output beyond the limit of the mapping is read slowly, as reading costs time, and dropped. */
function logOutput(output: Readable, pid: number, logger: MappingLogger): void {
  let line = '';
  output.setEncoding('utf8');
  output.on('error', () => {});
  output.on('data', (text: string) => {
    if (logger.exhausted === true) {
      logger.drop?.(text.length);
      output.pause();
      setTimeout(() => output.resume(), EXHAUSTED_PAUSE_MS);
      return;
    }
    const lines = (line + text).split('\n');
    line = (lines.pop() ?? '').slice(0, LOG_LINE_BYTES_MAX);
    for (const complete of lines) logger.info(shorten(complete, LOG_LINE_BYTES_MAX), { pid });
  });
  output.on('end', () => line !== '' && logger.info(line, { pid }));
}

function modeStdio(mode: PipeMode): StdioOptions {
  return [mode === 'r' ? 'ignore' : 'pipe', 'pipe', 'pipe'];
}

/** Returns the text whose UTF-8 form these bytes are, as Node passes arguments in UTF-8; undefined: they are not UTF-8. */
function textOf(bytes: string): string | undefined {
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : undefined;
}

/** Returns a command that lets the shell run a command of any bytes. */
function quoteBytes(bytes: string): string {
  let octal = '';
  for (const byte of Buffer.from(bytes, 'latin1')) octal += `\\0${byte.toString(8).padStart(3, '0')}`;
  return `eval "$(printf %b '${octal}')"`;
}
