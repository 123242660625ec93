/** The cache for answers as a worker has it: what it needs beside purges is loaded for the first handler whose answers are kept. */
import type { CachingHandler } from '../cache/caching-handler.ts';
import { type Purge, purgeAnswers } from '../cache/purge-answers.ts';
import { PurgeMarks, type PurgeNotice } from '../cache/purge-marks.ts';
import type { ResponseCache } from '../cache/response-cache.ts';
import type { Handler } from '../http/exchange/handler.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { AnswerCache, CachedHandler } from '../script/context/answer-cache.ts';
import type { FromWorker } from './messages.ts';

type Front = (handler: Handler) => CachingHandler;

export class WorkerCache implements AnswerCache {
  readonly #counters: Counters;
  readonly marks: PurgeMarks;
  #cache: ResponseCache | undefined;
  ready: Promise<unknown> = Promise.resolve();

  /** `purges`: what all workers have in common; `tell` takes messages for the supervisor. */
  constructor(counters: Counters, purges: SharedArrayBuffer, tell: (message: FromWorker) => void) {
    this.#counters = counters;
    this.marks = new PurgeMarks(purges);
    if (this.marks.isShared) this.marks.onPurge = tellPurges(tell);
  }

  /** What puts the cache before a handler. */
  async open(): Promise<Front> {
    const [{ ResponseCache }, { CachingHandler }] = await Promise.all([
      import('../cache/response-cache.ts'),
      import('../cache/caching-handler.ts'),
    ]);
    this.#cache ??= new ResponseCache({ counters: this.#counters, marks: this.marks });
    const cache = this.#cache;
    return (handler) => new CachingHandler(handler, cache);
  }

  before(handler: Handler): CachedHandler {
    let front: CachingHandler | undefined;
    let isClosed = false;
    this.ready = this.open().then((open) => {
      if (!isClosed) front = open(handler);
    });
    return {
      handle: (exchange, route) => (front ?? handler).handle(exchange, route),
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
