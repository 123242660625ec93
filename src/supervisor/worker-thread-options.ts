/** What one worker is made of, and what its threads start with. */
import type { MessagePort } from 'node:worker_threads';
import type { Logger } from '../base/logger.ts';
import type { EventEnd } from '../events/event-link.ts';
import type { WorkerJob, WorkerSetup, WorkerStart } from '../worker/messages.ts';
import type { OnceRuns } from './once-runs.ts';
import type { WorkerTimes } from './worker-times.ts';

export interface WorkerThreadOptions {
  readonly workerId: number;
  readonly entry: URL;
  readonly times: WorkerTimes;
  readonly logger: Logger;
  /** Takes the worker's own log lines. */
  readonly onLogLines: (lines: readonly string[]) => void;
  /** Takes its lines of the access log, each with its line end. */
  readonly onAccessLines: (bytes: Uint8Array, count: number) => void;
  /** Rows of counters: how many there are, and how many of them some mapping has or had. */
  readonly rows: { readonly capacity: number; readonly used: number };
  /** How many listeners there are at most. */
  readonly listenerCount: number;
  /** Requests are counted by mapping, and times by worker. */
  readonly countsRequests: boolean;
  /** What the next thread starts with; called once for each. */
  readonly makeStart: (own: OwnStart) => WorkerStart;
  /** What the thread that has started is to do; called once for each, and the listen sources in it become the worker's. */
  readonly makeJob: () => WorkerJob;
  /** Takes what it has purged from the cache, for other machines. */
  readonly onPurged: (marks: readonly number[], epoch: number) => void;
  /** One for all workers. */
  readonly once: OnceRuns;
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

/** What `makeStart` gets from the worker itself. */
export interface OwnStart {
  readonly workerId: number;
  readonly counters: SharedArrayBuffer;
  readonly mappingCounters: SharedArrayBuffer;
  readonly listenerCounters: SharedArrayBuffer;
  readonly requests: SharedArrayBuffer | undefined;
  readonly waiting: SharedArrayBuffer;
  readonly logOnTheWay: SharedArrayBuffer;
  readonly descriptorsAdopted: SharedArrayBuffer;
  readonly heartbeat: SharedArrayBuffer;
}
