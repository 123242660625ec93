/**
 * One worker, for the supervisor: starts its thread, replaces the thread after a crash, and ends it.
 *
 * Long because start, reload, drain and crash are transitions of one machine, each of which may come in the middle of another.
 */
import { type MessagePort, Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import { Heartbeat } from '../base/heartbeat.ts';
import type { Logger } from '../base/logger.ts';
import type { EventEnd } from '../events/event-link.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import { MAPPING_METRICS, type MappingCounterName } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { createRequestMemory, RequestRow } from '../metrics/request-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { beginWithYoungSpace } from '../native/node-internals.ts';
import { createWaitingMemory } from '../proxy/upstreams/health-memory.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type {
  FromWorker,
  LuaModules,
  ToWorker,
  TriedMapping,
  WorkerJob,
  WorkerSetup,
  WorkerStart,
} from '../worker/messages.ts';
import { closeSource } from './listener.ts';
import type { OnceRegistry } from './once-registry.ts';
import type { WorkerTimes } from './worker-times.ts';

/**
 * Young objects of a worker, MB: the state of some hundred requests under way fits in many times, so that few of them
 * are ever moved. To begin with this size, where V8 would begin with 1 MB, saves a tenth of the CPU time of small requests.
 * The process has twice as much once it works. 16 MB gain nothing; with 8 MB 5,000 requests under way cost a tenth more (hello-h2-20).
 */
const YOUNG_SPACE_MB = 12;
/** How V8 turns a limit for the young generation into semi-spaces. */
const SPACES_PER_YOUNG_GENERATION = 3;

export interface WorkerThreadOptions {
  readonly workerId: number;
  readonly entry: URL;
  readonly times: WorkerTimes;
  readonly logger: Logger;
  /** Takes the worker's own log lines. */
  readonly onLogLines: (lines: readonly string[]) => void;
  /** Takes its lines of the access log, each with its line end. */
  readonly onAccessLines: (bytes: Uint8Array, count: number) => void;
  /** For each there is a row of counters. */
  readonly mappingCount: number;
  /** Requests are counted by mapping, and times by worker. */
  readonly countsRequests: boolean;
  /** What the next thread starts with; called once for each. */
  readonly makeStart: (own: OwnStart) => WorkerStart;
  /** What the thread that has started is to do; called once for each, and the listen sources in it become the worker's. */
  readonly makeJob: () => WorkerJob;
  /** One for all workers. */
  readonly once: OnceRegistry;
  /** A thread has begun; it takes ends of ways to others at any time. */
  readonly onThreadBegin: (giveEnd: (end: EventEnd, transfer: readonly MessagePort[]) => void) => void;
  /** A thread that was started like this has ended, or has been given up. */
  readonly onThreadEnd: (start: WorkerStart) => void;
  /** A thread that served has ended, or one that was to take its place; `served`: it has answered a request or lived long. */
  readonly onCrash: (served: boolean) => void;
  /** A thread was given up: it does not end. Its memory, its connections and its descriptors stay. */
  readonly onStuck: () => void;
  /** The setup that serves; a worker that comes up with an older one catches up. */
  readonly currentSetup: () => WorkerSetup;
}

/** What `makeStart` gets from the worker thread itself. */
export interface OwnStart {
  readonly workerId: number;
  readonly counters: SharedArrayBuffer;
  readonly mappingCounters: SharedArrayBuffer;
  readonly requests: SharedArrayBuffer | undefined;
  readonly waiting: SharedArrayBuffer;
  readonly logOnTheWay: SharedArrayBuffer;
  readonly descriptorsAdopted: SharedArrayBuffer;
  readonly heartbeat: SharedArrayBuffer;
}

/** stopped → starting → ready → draining → stopped; a crash leads from any of the first to `waiting`, then starting. */
type State = 'stopped' | 'starting' | 'ready' | 'waiting' | 'draining';

interface Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: GatewayError) => void;
}

export class WorkerThread {
  readonly workerId: number;
  readonly counters: Counters = new Counters();
  /** Requests that wait for servers behind proxies, by row of what is known of their health. */
  readonly waiting: Int32Array<SharedArrayBuffer> = new Int32Array(createWaitingMemory());
  /** In the order of the mappings. */
  readonly mappingCounters: readonly MetricRow<MappingCounterName>[];
  /** In the order of the mappings, and one more for what none has answered; none at all where they are not counted. */
  readonly requests: readonly RequestRow[];
  readonly #mappingMemory: SharedArrayBuffer;
  readonly #requestMemory: SharedArrayBuffer | undefined;
  /** Messages of a thread come in before its end: nothing is left of one when the next begins. */
  readonly #logOnTheWay = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  readonly #options: WorkerThreadOptions;
  #state: State = 'stopped';
  #thread: Worker | undefined;
  /** Resolves when `#thread` is gone. */
  #gone: Promise<void> = Promise.resolve();
  /** Settles when the first thread is ready or has failed. */
  #started: Promise<void> | undefined;
  /** Of the running thread, once it has its job. */
  #listeners: WorkerJob['listeners'] = [];
  #timer: NodeJS.Timeout | undefined;
  #readySince = 0;
  #heartbeat = new Heartbeat();
  /** Requests before this thread. */
  #exchangesBefore = 0;
  /** Gives the running thread up, as if it had ended. */
  #giveUp: (() => void) | undefined;
  /** Of the setup this thread was started with or committed to. */
  #generation = 0;
  #modes: readonly (ScriptMode | undefined)[] = [];
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
    const count = options.mappingCount;
    const memory = MAPPING_METRICS.rows(count);
    this.#mappingMemory = memory;
    const requests = options.countsRequests ? createRequestMemory(count + 1) : undefined;
    this.#requestMemory = requests;
    this.requests =
      requests === undefined
        ? []
        : Array.from({ length: count + 1 }, (_, row) => new RequestRow(requests, row));
    this.mappingCounters = Array.from(
      { length: count },
      (_, row) => new MetricRow(MAPPING_METRICS, memory, row),
    );
  }

  /** What the scripts were when the thread began to serve, in the order of the setup; undefined for modules. */
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
    this.#end();
    await this.#gone;
  }

  /** Ends the thread, which has held up its event loop for too long, and lets another take its place. */
  replace(reason: string): void {
    this.#failure ??= new GatewayError('LGW_WORKER_HELD_UP', reason);
    this.#end();
  }

  /** Ends the running thread; one that does not end is given up. */
  #end(): void {
    const thread = this.#thread;
    const giveUp = this.#giveUp;
    if (thread === undefined || giveUp === undefined) return;
    const timer = setTimeout(giveUp, this.#options.times.endTimeoutMs);
    thread.once('exit', () => clearTimeout(timer));
    void thread.terminate();
  }

  #beginThread(): void {
    this.#state = 'starting';
    this.#failure = undefined;
    this.#resetGauges();
    Atomics.store(this.#logOnTheWay, 0, 0);
    const adopted = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#heartbeat = new Heartbeat();
    this.#exchangesBefore = this.counters.get('exchangesTotal');
    const start = this.#options.makeStart({
      workerId: this.workerId,
      counters: this.counters.memory,
      mappingCounters: this.#mappingMemory,
      requests: this.#requestMemory,
      waiting: this.waiting.buffer,
      logOnTheWay: this.#logOnTheWay.buffer,
      descriptorsAdopted: adopted,
      heartbeat: this.#heartbeat.memory,
    });
    const begin = (): Worker =>
      new Worker(this.#options.entry, {
        workerData: start,
        name: `worker-${this.workerId}`,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_SPACE_MB * SPACES_PER_YOUNG_GENERATION },
      });
    const thread = beginWithYoungSpace(YOUNG_SPACE_MB, begin);
    this.#thread = thread;
    this.#options.onThreadBegin((end, transfer) => thread.postMessage({ type: 'peer', end }, transfer));
    thread.on('message', (message: FromWorker) => this.#receive(message));
    thread.on('error', (error: unknown) => this.#crashed(error));
    thread.on('messageerror', (error) => this.#crashed(error));
    this.#gone = new Promise((resolve) => {
      let isOver = false;
      const end = (reason: string): void => {
        if (isOver) return;
        isOver = true;
        this.#options.onThreadEnd(start);
        if (Atomics.load(new Int32Array(adopted), 0) === 0)
          for (const { source } of this.#listeners) closeSource(source);
        this.#listeners = [];
        this.#thread = undefined;
        this.#giveUp = undefined;
        resolve();
        this.#ended(this.#failure ?? new GatewayError('LGW_WORKER', reason));
      };
      thread.once('exit', (code) => end(`The thread ended with code ${code}`));
      this.#giveUp = () => {
        const text = `The thread of worker ${this.workerId} does not end: a call of the system holds it up. Its connections stay as they are`;
        this.#options.logger.error(text);
        this.#options.onStuck();
        thread.unref();
        end('The thread does not end');
      };
    });
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
      this.#end();
      return;
    }
    this.#listeners = job.listeners;
    this.#generation = job.setup.generation;
    this.#post({ type: 'job', job });
    this.#timer = setTimeout(() => {
      this.#failure ??= this.#timeoutError('LGW_WORKER', 'get ready', this.#options.times.readyTimeoutMs);
      this.#end();
    }, this.#options.times.readyTimeoutMs);
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'log':
        try {
          this.#options.onLogLines(message.lines);
        } finally {
          Atomics.sub(this.#logOnTheWay, 0, message.size);
        }
        return;
      case 'access':
        try {
          this.#options.onAccessLines(message.bytes, message.count);
        } finally {
          Atomics.sub(this.#logOnTheWay, 1, message.bytes.length);
        }
        return;
      case 'failed':
        this.#failure = new GatewayError(message.failure.code, message.failure.message);
        this.#end();
        return;
      case 'ready':
        this.#modes = message.modes;
        this.#tried = message.tried ?? [];
        void this.#becomeReady().catch((error: GatewayError) => {
          this.#failure = error;
          this.#end();
        });
        return;
      case 'prepared':
        this.#prepareOf(message.generation)?.resolve();
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
        const answer = (granted: boolean): void => thread?.postMessage({ type: 'claimed', id, granted });
        this.#options.once.ask(this.workerId, id, claim, answer, () => performance.now());
        return;
      }
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
    this.#generation = generation;
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

  /** Resets what counted for the ended thread. */
  #resetGauges(): void {
    for (const row of [this.counters, ...this.mappingCounters]) row.resetGauges();
    this.waiting.fill(0);
  }

  #timeoutError(code: 'LGW_WORKER' | 'LGW_RELOAD', action: string, limitMs: number): GatewayError {
    return new GatewayError(code, `Worker ${this.workerId} did not ${action} within ${limitMs} ms`);
  }

  #post(message: ToWorker): void {
    this.#thread?.postMessage(message);
  }
}
