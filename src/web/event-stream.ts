/** Server-sent events as the answer of a TypeScript handler (WHATWG HTML §9.2). */
import { EVENT_STREAM_TYPE, formatEvent, HEARTBEAT, RETRY_MS_MAX } from '../http/semantics/event-stream.ts';
import {
  endDelayMs,
  HEARTBEAT_MS_MAX,
  HEARTBEAT_MS_MIN,
  usualHeartbeatMs,
} from '../http/semantics/event-stream-times.ts';
import type { HandlerContext } from './web-handler.ts';

/** One event. A text alone is its data. */
export interface ServerEvent {
  /** May hold any line ends; the page sees LF. */
  readonly data?: string;
  /** The type that the page listens to; default: `message`. */
  readonly event?: string;
  /** What the client sends as Last-Event-ID when it comes back. */
  readonly id?: string;
  /** Seconds that the client waits before it comes back. */
  readonly retry?: number;
}

export interface EventStreamOptions {
  /** Seconds that the client waits before it comes back (0 to 86400); default: the client's, some 3 s. */
  readonly retry?: number;
  /**
   * A comment is sent when nothing was sent for so many seconds (0.1 to 3600); false: never. Default: 15, or half of the time limit where
   * that is less.
   */
  readonly heartbeat?: number | false;
  /** More fields of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Gives the events of one client; `lastId` is what it has seen last, undefined where it says nothing. */
export type EventGenerator = (lastId: string | undefined) => AsyncIterable<ServerEvent | string>;

const MS_PER_SECOND = 1000;
/** Streams of this thread that are open. */
let openStreams = 0;

/**
 * ```ts
 * export default (request: Request, context: HandlerContext) =>
 *   eventStream(request, context, async function* (lastId) {
 *     for await (const { text } of context.subscribe(['news'])) yield { event: 'news', data: text };
 *   });
 * ```
 *
 * The generator is asked for the next event when the client has taken the one before. The stream ends with it, with the client, and when the
 * gateway reloads or drains: then `EventSource` comes back. Throws RangeError for options that cannot be.
 */
export function eventStream(
  request: Request,
  context: Pick<HandlerContext, 'ending' | 'timeLimitMs'>,
  events: EventGenerator,
  options: EventStreamOptions = {},
): Response {
  const { retry, heartbeat, headers, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new RangeError(`eventStream has no option "${unknown}"`);
  const retryMs = retry === undefined ? undefined : milliseconds('retry', retry, 0, RETRY_MS_MAX);
  const heartbeatMs =
    heartbeat === false
      ? 0
      : heartbeat === undefined
        ? usualHeartbeatMs(context.timeLimitMs)
        : milliseconds('heartbeat', heartbeat, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
  const lastId = request.headers.get('last-event-id') ?? undefined;
  const body = new EventBody(() => events(lastId), heartbeatMs, retryMs, context.ending);
  return new Response(body.stream, {
    headers: { 'cache-control': 'no-store', ...headers, 'content-type': EVENT_STREAM_TYPE },
  });
}

type Result = IteratorResult<ServerEvent | string, unknown>;

/** The lines of the events, as a stream that the answer reads. */
class EventBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #open: () => AsyncIterable<ServerEvent | string>;
  readonly #heartbeatMs: number;
  readonly #ending: AbortSignal;
  #iterator: AsyncIterator<ServerEvent | string, unknown> | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Ends the call of `pull` that is under way. */
  #pulled: (() => void) | undefined;
  #isAsked = false;
  /** The event that came while nobody asked for it. */
  #result: Result | undefined;
  #retryMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(
    open: () => AsyncIterable<ServerEvent | string>,
    heartbeatMs: number,
    retryMs: number | undefined,
    ending: AbortSignal,
  ) {
    this.#open = open;
    this.#heartbeatMs = heartbeatMs;
    this.#retryMs = retryMs;
    this.#ending = ending;
    this.stream = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#end() },
      // an event is made when the client has room for it
      { highWaterMark: 0 },
    );
  }

  #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> | undefined {
    this.#controller = controller;
    if (this.#iterator === undefined) this.#begin();
    if (this.#retryMs !== undefined) {
      const retryMs = this.#retryMs;
      this.#retryMs = undefined;
      controller.enqueue(Buffer.from(formatEvent({ retryMs })));
      return undefined;
    }
    return new Promise((resolve) => {
      this.#pulled = resolve;
      if (this.#heartbeatMs > 0) this.#timer = setTimeout(() => this.#give(HEARTBEAT), this.#heartbeatMs);
      const result = this.#result;
      this.#result = undefined;
      if (result !== undefined) this.#arrived(result);
      else if (!this.#isAsked) this.#ask();
    });
  }

  #begin(): void {
    openStreams += 1;
    this.#iterator = this.#open()[Symbol.asyncIterator]();
    if (this.#ending.aborted) this.#endSoon();
    else this.#ending.addEventListener('abort', this.#endSoon, { once: true });
  }

  #ask(): void {
    this.#isAsked = true;
    (this.#iterator as AsyncIterator<ServerEvent | string, unknown>).next().then(
      (result) => {
        this.#isAsked = false;
        if (this.#pulled === undefined) this.#result = result;
        else this.#arrived(result);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #arrived(result: Result): void {
    if (this.#hasEnded) return;
    if (result.done === true) {
      this.#close();
      return;
    }
    try {
      this.#give(textOf(result.value));
    } catch (error) {
      this.#fail(error);
    }
  }

  #give(text: string): void {
    if (this.#hasEnded) return;
    this.#controller?.enqueue(Buffer.from(text));
    this.#endPull();
  }

  /** Clients come back at once: not all at the same time. */
  readonly #endSoon = (): void => {
    setTimeout(() => this.#close(), endDelayMs(openStreams));
  };

  #close(): void {
    if (this.#hasEnded) return;
    this.#controller?.close();
    this.#end();
  }

  #fail(error: unknown): void {
    if (this.#hasEnded) return;
    this.#controller?.error(error);
    this.#end();
  }

  /** The generator is told, which hears of it when what it waits for has come, or its subscriptions have been closed. */
  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#endPull();
    if (this.#iterator === undefined) return;
    openStreams -= 1;
    this.#ending.removeEventListener('abort', this.#endSoon);
    this.#iterator.return?.().catch(() => undefined);
  }

  #endPull(): void {
    clearTimeout(this.#timer);
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }
}

function textOf(event: ServerEvent | string): string {
  if (typeof event === 'string') return formatEvent({ data: event });
  const { data, event: type, id, retry } = event;
  const retryMs = retry === undefined ? undefined : milliseconds('retry', retry, 0, RETRY_MS_MAX);
  if (data === undefined && type === undefined && id === undefined && retryMs === undefined)
    throw new TypeError('An event needs data, event, id or retry');
  return formatEvent({ data, event: type, id, retryMs });
}

function milliseconds(name: string, seconds: number, min: number, max: number): number {
  const ms = Math.round(seconds * MS_PER_SECOND);
  if (ms >= min && ms <= max) return ms;
  throw new RangeError(
    `Option "${name}" is ${seconds} (${min / MS_PER_SECOND} to ${max / MS_PER_SECOND} seconds were expected)`,
  );
}
