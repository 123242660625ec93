/** One worker, for the supervisor: starts its thread, replaces the thread after a crash, and ends it. */
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import { Heartbeat } from '../base/heartbeat.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type {
  FromWorker,
  LuaModules,
  ToWorker,
  TriedMapping,
  WorkerJob,
  WorkerSetup,
} from '../worker/messages.ts';
import { RunningThread } from './running-thread.ts';
import { WorkerMemory } from './worker-memory.ts';
import type { WorkerThreadOptions } from './worker-thread-options.ts';

/** stopped → starting → ready → draining → stopped; a crash leads from any of the first to `waiting`, then starting. */
type State = 'stopped' | 'starting' | 'ready' | 'waiting' | 'draining';

interface Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: GatewayError) => void;
}

export class WorkerThread {
  readonly workerId: number;
  readonly #memory: WorkerMemory;
  readonly #options: WorkerThreadOptions;
  #state: State = 'stopped';
  #thread: RunningThread | undefined;
  /** Settles when the first thread is ready or has failed. */
  #started: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #readySince = 0;
  /** Of the thread that runs, or ran last. */
  #heartbeat = new Heartbeat();
  /** Requests before this thread. */
  #exchangesBefore = 0;
  /** Of the setup this thread was started with or committed to. */
  #generation = 0;
  /** Replaced ones of this thread that still have exchanges. */
  readonly #ending = new Set<number>();
  #modes: readonly (ScriptMode | undefined)[] = [];
  /** Of the setup that it has prepared. */
  #preparedModes: readonly (ScriptMode | undefined)[] = [];
  #tried: readonly TriedMapping[] = [];
  #crashesInARow = 0;
  #replacements = 0;
  /** Why the running thread ends, when it has said so. */
  #failure: GatewayError | undefined;
  #startWaiter: Waiter<void> | undefined;
  #prepareWaiter: (Waiter<void> & { readonly generation: number }) | undefined;
  #drainWaiter: ((cut: number) => void) | undefined;

  constructor(options: WorkerThreadOptions) {
    this.#options = options;
    this.workerId = options.workerId;
    this.#memory = new WorkerMemory(options.rows, options.listenerCount, options.countsRequests);
  }

  /** What it counts, its threads one after the other. */
  get memory(): WorkerMemory {
    return this.#memory;
  }

  get counters(): Counters {
    return this.#memory.counters;
  }

  /** Requests that wait for servers behind proxies, by row of what is known of their health. */
  get waiting(): Int32Array<SharedArrayBuffer> {
    return this.#memory.waiting;
  }

  /** Of which the running thread has something: of the one that serves, and of those before it that still have exchanges. */
  get generations(): readonly number[] {
    return [...this.#ending, this.#generation];
  }

  /** What the scripts are, in the order of the setup; undefined for other mappings. */
  get modes(): readonly (ScriptMode | undefined)[] {
    return this.#modes;
  }

  /** What came of a trial, once it has started. */
  get tried(): readonly TriedMapping[] {
    return this.#tried;
  }

  get ready(): boolean {
    return this.#state === 'ready';
  }

  /** Of the running thread. */
  get heartbeat(): Heartbeat {
    return this.#heartbeat;
  }

  /** Why it does not serve, nor finish what it serves; undefined: it does. */
  whyNotWell(): string | undefined {
    if (this.#state === 'ready' || this.#state === 'draining') return undefined;
    return `worker ${this.workerId} ${this.#state === 'stopped' ? 'has ended' : 'is being replaced'}`;
  }

  /** Begins the first thread, which reads its code while its job is found out. */
  begin(): void {
    assert(this.#started === undefined, 'a worker is started once');
    this.#started = new Promise<void>((resolve, reject) => {
      this.#startWaiter = { resolve, reject };
    });
    // `start` tells
    this.#started.catch(() => undefined);
    this.#beginThread();
  }

  /** Gives the first thread, which may have begun, its job; rejects with its failure, and then no thread is left and none will follow. */
  async start(): Promise<void> {
    if (this.#started === undefined) this.begin();
    this.#giveJob();
    await this.#started;
  }

  /** Sends the compiled Lua modules to a thread that got its job before they were ready. */
  giveLuaModules(modules: LuaModules): void {
    this.#post({ type: 'luaModules', modules });
  }

  /** Reload, first phase. Rejects when the worker refuses, ends or does not answer. */
  async prepare(setup: WorkerSetup): Promise<void> {
    assert(this.#prepareWaiter === undefined, 'one reload at a time');
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#prepareWaiter = { resolve, reject, generation: setup.generation };
        timer = setTimeout(() => {
          reject(this.#timeoutError('LGW_RELOAD', 'prepare', this.#options.times.prepareTimeoutMs));
        }, this.#options.times.prepareTimeoutMs);
        this.#post({ type: 'prepare', setup });
      });
    } finally {
      clearTimeout(timer);
      this.#prepareWaiter = undefined;
    }
  }

  /** Reload, second phase. */
  commit(generation: number): void {
    // a thread that is starting catches up when it reports
    if (this.#state === 'ready') this.#commit(generation);
  }

  /** New handshakes go by this. A thread that has no job yet gets it with its job. */
  giveTls(tls: TlsSetup, taken: SharedArrayBuffer): void {
    this.#post({ type: 'tls', tls, taken });
  }

  /** Reload given up. */
  abandon(generation: number): void {
    if (this.#state === 'ready') this.#post({ type: 'abandon', generation });
  }

  /**
   * Resolves when the worker's last exchange has ended, or the worker itself, to the number of connections cut. Idle connections
   * may ask once more for `graceMs`.
   */
  async drain(graceMs: number): Promise<number> {
    if (this.#state !== 'ready') {
      await this.stop();
      return 0;
    }
    this.#state = 'draining';
    return await new Promise<number>((resolve) => {
      this.#drainWaiter = resolve;
      this.#post({ type: 'drain', graceMs });
    });
  }

  /** Ends the thread now. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
    const thread = this.#thread;
    thread?.end();
    await thread?.gone;
  }

  /** Ends the thread, which has held up its event loop for too long, and lets another take its place. */
  replace(reason: string): void {
    this.#failure ??= new GatewayError('LGW_WORKER_HELD_UP', reason);
    this.#thread?.end();
  }

  #beginThread(): void {
    this.#state = 'starting';
    this.#failure = undefined;
    this.#memory.beginThread();
    this.#exchangesBefore = this.counters.get('exchangesTotal');
    const thread = new RunningThread(this.#options, this.#memory.shared, {
      message: (message) => this.#receive(message),
      error: (error) => this.#crashed(error),
      end: (reason) => {
        this.#thread = undefined;
        this.#ending.clear();
        this.#ended(this.#failure ?? new GatewayError('LGW_WORKER', reason));
      },
    });
    this.#thread = thread;
    this.#heartbeat = thread.heartbeat;
  }

  /** A thread that has ended meanwhile needs no job: `#ended` was told. */
  #giveJob(): void {
    const thread = this.#thread;
    if (thread === undefined || this.#state !== 'starting') return;
    let job: WorkerJob;
    try {
      job = this.#options.makeJob();
    } catch (error) {
      // out of descriptors, for example
      this.#failure ??= new GatewayError('LGW_WORKER', `Cannot start: ${messageOf(error)}`, { cause: error });
      this.#thread?.end();
      return;
    }
    this.#generation = job.setup.generation;
    thread.giveJob(job);
    this.#timer = setTimeout(() => {
      this.#failure ??= this.#timeoutError('LGW_WORKER', 'get ready', this.#options.times.readyTimeoutMs);
      this.#thread?.end();
    }, this.#options.times.readyTimeoutMs);
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'log':
        try {
          this.#options.onLogLines(message.lines);
        } finally {
          this.#memory.tookLog(message.size);
        }
        return;
      case 'access':
        try {
          this.#options.onAccessLines(message.bytes, message.count);
        } finally {
          this.#memory.tookAccess(message.bytes.length);
        }
        return;
      case 'failed':
        this.#failure = new GatewayError(message.failure.code, message.failure.message);
        this.#thread?.end();
        return;
      case 'ready':
        this.#modes = message.modes;
        this.#tried = message.tried ?? [];
        void this.#becomeReady().catch((error: GatewayError) => {
          this.#failure = error;
          this.#thread?.end();
        });
        return;
      case 'prepared':
        this.#preparedModes = message.modes;
        this.#prepareOf(message.generation)?.resolve();
        return;
      case 'ended':
        this.#ending.delete(message.generation);
        return;
      case 'refused':
        this.#prepareOf(message.generation)?.reject(
          new GatewayError(message.failure.code, message.failure.message),
        );
        return;
      case 'drained':
        this.#drainWaiter?.(message.cut);
        return;
      case 'claim': {
        const { id, claim } = message;
        const thread = this.#thread;
        this.#options.once.ask({
          workerId: this.workerId,
          claimId: id,
          claim,
          answer: (fence) => thread?.post({ type: 'claimed', id, fence }),
          revoke: () => thread?.post({ type: 'revoked', id }),
        });
        return;
      }
      case 'purged':
        this.#options.onPurged(message.marks, message.epoch);
        return;
      case 'release':
        this.#options.once.release(this.workerId, message.id, message.completed);
        return;
    }
  }

  /** Who waits for the answer of this generation: that of one given up may come late. */
  #prepareOf(generation: number): Waiter<void> | undefined {
    return this.#prepareWaiter?.generation === generation ? this.#prepareWaiter : undefined;
  }

  async #becomeReady(): Promise<void> {
    const thread = this.#thread;
    // a reload may have been committed while this worker started: then it serves the scripts of before that reload
    for (let setup = this.#options.currentSetup(); setup.generation !== this.#generation; ) {
      await this.prepare(setup);
      if (thread !== this.#thread) return;
      this.#commit(setup.generation);
      setup = this.#options.currentSetup();
    }
    if (this.#state !== 'starting') return;
    clearTimeout(this.#timer);
    this.#state = 'ready';
    this.#readySince = performance.now();
    const waiter = this.#startWaiter;
    this.#startWaiter = undefined;
    if (waiter !== undefined) waiter.resolve();
    else this.#options.logger.info(`Worker ${this.workerId} serves again`);
  }

  #commit(generation: number): void {
    this.#ending.add(this.#generation);
    this.#generation = generation;
    this.#modes = this.#preparedModes;
    this.#post({ type: 'commit', generation });
  }

  /** An uncaught error: the thread ends by itself after this. A message that it sent before says more than the error. */
  #crashed(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#failure ??= new GatewayError('LGW_WORKER', `Uncaught error: ${text}`, { cause: error });
  }

  /** The thread has ended: fails the start, replaces the thread, or does nothing when the end was wanted. */
  #ended(failure: GatewayError): void {
    this.#options.once.workerGone(this.workerId);
    clearTimeout(this.#timer);
    this.#prepareWaiter?.reject(failure);
    this.#drainWaiter?.(0);
    const waiter = this.#startWaiter;
    if (waiter !== undefined) {
      this.#startWaiter = undefined;
      this.#state = 'stopped';
      waiter.reject(failure);
      return;
    }
    if (this.#state === 'stopped') return;
    if (this.#state === 'draining') {
      this.#state = 'stopped';
      this.#options.logger.error(`Worker ${this.workerId} ended while it drained: ${failure.message}`);
      return;
    }
    this.#restart(failure);
  }

  /** Threads that had ended and were followed by another. */
  get replacements(): number {
    return this.#replacements;
  }

  #restart(failure: GatewayError): void {
    this.#replacements += 1;
    const { restartDelayFirstMs, restartDelayMaxMs, healthyAfterMs } = this.#options.times;
    const isHealthy = this.#state === 'ready' && performance.now() - this.#readySince >= healthyAfterMs;
    if (isHealthy) this.#crashesInARow = 0;
    const hasServed = this.counters.get('exchangesTotal') > this.#exchangesBefore;
    const delay =
      this.#crashesInARow === 0
        ? 0
        : Math.min(restartDelayMaxMs, restartDelayFirstMs * 2 ** (this.#crashesInARow - 1));
    this.#crashesInARow += 1;
    this.#state = 'waiting';
    this.#options.logger.error(
      `Worker ${this.workerId} ended and is replaced in ${delay} ms: ${failure.message}`,
    );
    this.#timer = setTimeout(() => {
      this.#beginThread();
      this.#giveJob();
    }, delay);
    this.#options.onCrash(isHealthy || hasServed);
  }

  #timeoutError(code: 'LGW_WORKER' | 'LGW_RELOAD', action: string, limitMs: number): GatewayError {
    return new GatewayError(code, `Worker ${this.workerId} did not ${action} within ${limitMs} ms`);
  }

  #post(message: ToWorker): void {
    this.#thread?.post(message);
  }
}
