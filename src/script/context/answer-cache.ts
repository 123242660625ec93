/** What scripts know of the cache for answers. */
import type { Purge } from '../../cache/purge-answers.ts';
import type { PurgeMarks } from '../../cache/purge-marks.ts';
import type { AnswerFront } from '../../http/exchange/answer-source.ts';
import type { Handler } from '../../http/exchange/handler.ts';

/** A handler with the cache before it. */
export interface CachedHandler extends Handler {
  /** The handler ends soon: nothing is looked for elsewhere any more. */
  retire(): void;
  /** What is kept of its answers is not used any more. */
  close(): void;
}

export interface AnswerCache {
  /** What was purged, in all workers. */
  readonly marks: PurgeMarks;
  /** Until `ready`, the handler gets all requests. `space` names it, on all machines. */
  before(handler: Handler, space: string): CachedHandler;
  /** For answers of servers that calls of a script name. `space` names the script, on all machines. */
  front(space: string): AnswerFront;
  /** Resolves when what `before` has given keeps answers. */
  readonly ready: Promise<unknown>;
  /** In all workers, at once. False: the URL is none. */
  purge(purge: Purge): boolean;
}
