/**
 * Controls a process that runs several batches of the API fuzzer at a time. A process that ends or hangs is a finding, and is
 * replaced.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BatchResult } from './api-fuzz-batch.ts';

const PROGRAM = fileURLToPath(new URL('./api-fuzz-process.js', import.meta.url));
const BATCH_MS_MAX = 120_000;
const STDERR_CHARS = 2000;

interface Waiting {
  readonly count: number;
  readonly resolve: (result: BatchResult) => void;
}

export class ApiFuzzChild {
  #child: ChildProcess | undefined;
  #stderr = '';
  readonly #waiting = new Map<number, Waiting>();

  /** Runs sequences `first` to `first + count - 1`, or until their state is lost. */
  run(first: number, count: number): Promise<BatchResult> {
    const child = this.#child ?? this.#start();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#fail('stands still'), BATCH_MS_MAX);
      this.#waiting.set(first, {
        count,
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
      });
      child.send({ first, count });
    });
  }

  stop(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.removeAllListeners('exit');
    child?.kill('SIGKILL');
  }

  #start(): ChildProcess {
    const child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child = child;
    this.#stderr = '';
    child.stderr?.on('data', (text: Buffer) => {
      this.#stderr = (this.#stderr + text.toString()).slice(-STDERR_CHARS);
    });
    child.on('message', ({ first, result }: { readonly first: number; readonly result: BatchResult }) => {
      const waiting = this.#waiting.get(first);
      this.#waiting.delete(first);
      waiting?.resolve(result);
    });
    child.on('exit', (code, signal) => this.#fail(`ended (${code ?? signal}): ${this.#stderr}`));
    return child;
  }

  #fail(what: string): void {
    this.stop();
    const all = [...this.#waiting];
    this.#waiting.clear();
    const finding = `the process ${what}; under way were the batches from ${all.map(([first]) => first).join(', ')}`;
    for (const [i, [, { count, resolve }]] of all.entries())
      resolve({ done: count, lost: 0, findings: i === 0 ? [finding] : [] });
  }
}
