/** One thread of a worker, from its begin to its end; one that does not end is given up. */
import { Worker } from 'node:worker_threads';
import { Heartbeat } from '../base/heartbeat.ts';
import { beginWithYoungSpace } from '../native/node-internals.ts';
import type { FromWorker, ToWorker, WorkerJob, WorkerStart } from '../worker/messages.ts';
import { closeSource } from './listener.ts';
import type { WorkerThreadOptions } from './worker-thread-options.ts';

/**
 * Young objects of a worker, MB: the state of some hundred requests under way fits in many times, so that few of them
 * are ever moved. To begin with this size, where V8 would begin with 1 MB, saves a tenth of the CPU time of small requests.
 * The process has twice as much once it works. 16 MB gain nothing; with 8 MB 5,000 requests under way cost a tenth more (hello-h2-20).
 */
const YOUNG_SPACE_MB = 12;
/** How V8 turns a limit for the young generation into semi-spaces. */
const SPACES_PER_YOUNG_GENERATION = 3;

export interface RunningThreadEvents {
  readonly message: (message: FromWorker) => void;
  /** An uncaught error: the thread ends by itself after this. */
  readonly error: (error: unknown) => void;
  /** It has ended, or has been given up; `reason` says how. */
  readonly end: (reason: string) => void;
}

type Options = Pick<
  WorkerThreadOptions,
  'workerId' | 'entry' | 'times' | 'logger' | 'makeStart' | 'onThreadBegin' | 'onThreadEnd' | 'onStuck'
>;

export class RunningThread {
  readonly heartbeat: Heartbeat = new Heartbeat();
  /** Resolves when it is gone. */
  readonly gone: Promise<void>;
  readonly #options: Options;
  readonly #start: WorkerStart;
  readonly #thread: Worker;
  readonly #events: RunningThreadEvents;
  /** Its own, once it has its job. */
  #listeners: WorkerJob['listeners'] = [];
  #isOver = false;
  #tellGone: () => void = () => undefined;

  /** `shared`: what the worker counts. */
  constructor(
    options: Options,
    shared: Omit<Parameters<Options['makeStart']>[0], 'workerId' | 'descriptorsAdopted' | 'heartbeat'>,
    events: RunningThreadEvents,
  ) {
    [this.#options, this.#events] = [options, events];
    const { workerId } = options;
    this.#start = options.makeStart({
      ...shared,
      workerId,
      descriptorsAdopted: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
      heartbeat: this.heartbeat.memory,
    });
    const begin = (): Worker =>
      new Worker(options.entry, {
        workerData: this.#start,
        name: `worker-${workerId}`,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_SPACE_MB * SPACES_PER_YOUNG_GENERATION },
      });
    const thread = beginWithYoungSpace(YOUNG_SPACE_MB, begin);
    this.#thread = thread;
    options.onThreadBegin((end, transfer) => thread.postMessage({ type: 'peer', end }, transfer));
    thread.on('message', events.message);
    thread.on('error', events.error);
    thread.on('messageerror', events.error);
    this.gone = new Promise((resolve) => {
      this.#tellGone = resolve;
    });
    thread.once('exit', (code) => this.#over(`The thread ended with code ${code}`));
  }

  /** Its listen sources are the thread's from now on. */
  giveJob(job: WorkerJob): void {
    this.#listeners = job.listeners;
    this.post({ type: 'job', job });
  }

  post(message: ToWorker): void {
    if (!this.#isOver) this.#thread.postMessage(message);
  }

  /** Ends it now; one that does not end is given up. */
  end(): void {
    if (this.#isOver) return;
    const timer = setTimeout(() => this.#giveUp(), this.#options.times.endTimeoutMs);
    this.#thread.once('exit', () => clearTimeout(timer));
    void this.#thread.terminate();
  }

  #giveUp(): void {
    if (this.#isOver) return;
    const { logger, workerId, onStuck } = this.#options;
    const text = `The thread of worker ${workerId} does not end: a call of the system holds it up. Its connections stay as they are`;
    logger.error(text);
    onStuck();
    this.#thread.unref();
    this.#over('The thread does not end');
  }

  #over(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onThreadEnd(this.#start);
    if (Atomics.load(new Int32Array(this.#start.descriptorsAdopted), 0) === 0)
      for (const { source } of this.#listeners) closeSource(source);
    this.#listeners = [];
    this.#tellGone();
    this.#events.end(reason);
  }
}
