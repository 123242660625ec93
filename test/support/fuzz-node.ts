/** Runs the server over node:http2 in its own process, and starts it again when a sequence of frames has aborted it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SentStep } from './frame-sequence.ts';
import { type Outcome, observe } from './fuzz-outcome.ts';

const SERVER = fileURLToPath(new URL('./fuzz-server.js', import.meta.url));

export class FuzzNode {
  /** Working folder of the process, for the files that an abort leaves. */
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'lgateway-fuzz-'));
  #child: ChildProcess | undefined;
  #port: Promise<number> | undefined;
  /**
   * Resolves when no sequence runs alone. After an abort each suspect runs alone, because only then it is certain which one
   * aborts the process.
   */
  #alone: Promise<unknown> = Promise.resolve();
  aborts = 0;
  /** Callbacks of those that wait to learn whether the process is alive. */
  readonly #waiting: (() => void)[] = [];

  /** Resolves with what a client observes; undefined when the process aborted. */
  async observe(steps: readonly SentStep[], patient = false): Promise<Outcome | undefined> {
    await this.#alone;
    const child = this.#child;
    const outcome = await this.#try(steps, patient);
    if (outcome !== undefined && this.#child === child) return outcome;
    const turn = this.#alone.then(() => this.#try(steps, patient));
    this.#alone = turn.catch(() => undefined);
    return await turn;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) {
      child.disconnect();
      await once(child, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #try(steps: readonly SentStep[], patient: boolean): Promise<Outcome | undefined> {
    this.#port ??= this.#start();
    const port = await this.#port;
    const child = this.#child;
    const outcome = await observe(port, steps, patient).catch(() => undefined);
    if (outcome === undefined || outcome.closed) await this.#untilHeardOf(child);
    return this.#child === child ? outcome : undefined;
  }

  /**
   * Waits until the process answers or its end is known. The end of a process is reported later than the end of its
   * connections.
   */
  #untilHeardOf(child: ChildProcess | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (child === undefined || this.#child !== child || !child.connected) return resolve();
      this.#waiting.push(resolve);
      child.send('alive?', () => undefined);
    });
  }

  #heard(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #start(): Promise<number> {
    const child = fork(SERVER, {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { ...process.env, TMPDIR: this.#folder },
    });
    this.#child = child;
    child.on('message', () => this.#heard());
    child.once('exit', () => {
      this.#heard();
      if (this.#child !== child) return;
      this.aborts += 1;
      this.#child = undefined;
      this.#port = undefined;
    });
    const [message] = (await once(child, 'message')) as [{ readonly port: number }];
    return message.port;
  }
}
