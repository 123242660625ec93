/** The cache for answers as a worker has it: what it needs beside purges is loaded for the first handler whose answers are kept. */
import type { CachingHandler } from '../cache/caching-handler.ts';
import type { CommonEntries } from '../cache/common-entries.ts';
import { type Purge, purgeAnswers } from '../cache/purge-answers.ts';
import { PurgeMarks, type PurgeNotice } from '../cache/purge-marks.ts';
import type { ResponseCache } from '../cache/response-cache.ts';
import type { Handler } from '../http/exchange/handler.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { AnswerCache, CachedHandler } from '../script/context/answer-cache.ts';
import type { FromWorker } from './messages.ts';

type Front = (handler: Handler) => CachingHandler;

interface WorkerCacheOptions {
  readonly counters: Counters;
  /** What all workers have in common. */
  readonly purges: SharedArrayBuffer;
  /** Takes messages for the supervisor. */
  readonly tell: (message: FromWorker) => void;
  /** Resolves to the store that machines share; undefined: there is none. */
  readonly entries: () => Promise<CommonEntries | undefined>;
  /** Bytes of all answers. */
  readonly bytesMax: number;
  /** As of WorkerJob. */
  readonly entryKey?: Uint8Array | undefined;
}

export class WorkerCache implements AnswerCache {
  readonly #options: WorkerCacheOptions;
  readonly marks: PurgeMarks;
  #cache: ResponseCache | undefined;
  #bytesMax: number;
  ready: Promise<unknown> = Promise.resolve();

  constructor(options: WorkerCacheOptions) {
    this.#options = options;
    this.#bytesMax = options.bytesMax;
    this.marks = new PurgeMarks(options.purges);
    if (this.marks.isShared) this.marks.onPurge = tellPurges(options.tell);
  }

  /** What puts the cache before a handler, which `space` names on all machines. */
  async open(space: string): Promise<Front> {
    const [{ ResponseCache }, { CachingHandler }, entries] = await Promise.all([
      import('../cache/response-cache.ts'),
      import('../cache/caching-handler.ts'),
      this.#options.entries(),
    ]);
    const { counters, entryKey } = this.#options;
    const bytesMax = this.#bytesMax;
    this.#cache ??= new ResponseCache({ bytesMax, counters, marks: this.marks, entries, entryKey });
    const cache = this.#cache;
    return (handler) => new CachingHandler(handler, cache, space);
  }

  /** Bytes of all answers. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#cache?.store.resize(bytesMax);
  }

  before(handler: Handler, space: string): CachedHandler {
    let front: CachingHandler | undefined;
    let isClosed = false;
    this.ready = this.open(space).then((open) => {
      if (!isClosed) front = open(handler);
    });
    return {
      handle: (exchange, route) => (front ?? handler).handle(exchange, route),
      retire: () => front?.retire(),
      close: () => {
        isClosed = true;
        front?.close();
      },
    };
  }

  purge(purge: Purge): boolean {
    return purgeAnswers(this.marks, purge);
  }
}

/** Those of a turn in one message. */
function tellPurges(tell: (message: FromWorker) => void): PurgeNotice {
  let marks: number[] = [];
  let epochOfMarks = 0;
  const send = (): void => {
    if (marks.length > 0) tell({ type: 'purged', epoch: epochOfMarks, marks });
    marks = [];
  };
  return (mark, epoch) => {
    if (epoch !== epochOfMarks) send();
    epochOfMarks = epoch;
    if (marks.length === 0) process.nextTick(send);
    marks.push(mark);
  };
}
