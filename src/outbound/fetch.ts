/** One fetch: sends a request, follows redirects, tries once more where that is safe, and delivers the response. */
import type { GatewayError } from '../base/errors.ts';
import type { Agents } from './agents.ts';
import { type AttemptWatch, FetchAttempt } from './fetch-attempt.ts';
import { fetchErrorOf, fetchFailure } from './fetch-error.ts';
import { type FetchRequest, type FetchUrl, isIdempotent } from './fetch-request.ts';
import { type BodyControl, ReceivedBody } from './received-body.ts';
import { redirected, redirectTarget } from './redirect.ts';

/** Body bytes of a redirecting response that are read and dropped, so that its connection can be used again. */
const DISCARD_BYTES_MAX = 64 * 1024;

/** The response. Its body continues to arrive until it has ended or the fetch is cancelled. */
export interface FetchResponse {
  readonly status: number;
  /** Flat names, in lower case, and values, as byte strings. */
  readonly fields: readonly string[];
  /** The URL of the response, after redirects. */
  readonly url: FetchUrl;
  readonly body: ReceivedBody;
}

export interface FetchWatch {
  /** Called once, in a tick of its own, unless the fetch is cancelled before. */
  answered(result: FetchResponse | GatewayError): void;
  /** Called once, when the fetch holds nothing any more, also after `cancel`. */
  released(): void;
}

type Phase = 'new' | 'connecting' | 'waiting' | 'redirecting' | 'receiving' | 'ended';

export class Fetch implements AttemptWatch, BodyControl {
  readonly #agents: Agents;
  readonly #watch: FetchWatch;
  #request: FetchRequest;
  #phase: Phase = 'new';
  #attempt: FetchAttempt | undefined;
  #retried = false;
  #body: ReceivedBody | undefined;
  #next: FetchRequest | undefined;
  #discarded = 0;
  /** Pieces of the request body that the upstream has taken so far. */
  piecesGiven = 0;
  #cancelled = false;
  #released = false;
  /** One timer for all phases. When it fires, it compares the time with the present deadline, and starts again if that is later. */
  #timer: NodeJS.Timeout | undefined;
  #deadline = Number.POSITIVE_INFINITY;
  #lateText: (ms: number) => string = noConnection;
  #phaseMs = 0;
  #timerAt = 0;
  #wholeTimer: NodeJS.Timeout | undefined;

  constructor(agents: Agents, request: FetchRequest, watch: FetchWatch) {
    this.#agents = agents;
    this.#request = request;
    this.#watch = watch;
  }

  start(): void {
    const { wholeMs } = this.#request.timeouts;
    if (Number.isFinite(wholeMs)) {
      this.#wholeTimer = setTimeout(() => this.#timeOut(`not complete after ${seconds(wholeMs)}`), wholeMs);
    }
    this.#send();
  }

  /** Ends the fetch in any state. `answered` is not called any more; a body that has not ended fails. */
  cancel(): void {
    this.#cancelled = true;
    if (this.#phase === 'ended') return;
    this.#end(fetchFailure('closed', this.#request.url, 'the stream was closed'), false);
  }

  // ---- the attempt under way -------------------------------------------------------------------------------------

  connected(): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'waiting';
    this.#expectHead();
  }

  /** The request body waits for its source: the upstream is not to blame for the time. */
  sourceAwaited(): void {
    if (this.#phase === 'waiting') this.#deadline = Number.POSITIVE_INFINITY;
  }

  pieceGiven(): void {
    this.piecesGiven += 1;
    if (this.#phase === 'waiting') this.#expectHead();
  }

  head(status: number, fields: readonly string[]): void {
    const location = redirectTarget(status, fields);
    if (location !== undefined && this.#request.redirectsMax !== undefined) {
      this.#redirect(status, location);
      return;
    }
    this.#phase = 'receiving';
    this.#body = new ReceivedBody(this);
    this.#expectData();
    this.#answer({ status, fields, url: this.#request.url, body: this.#body });
  }

  data(chunk: Uint8Array): void {
    if (this.#phase === 'receiving') {
      this.#expectData();
      this.#body?.receive(chunk);
    } else if (this.#phase === 'redirecting') {
      this.#discarded += chunk.length;
      if (this.#discarded > DISCARD_BYTES_MAX)
        this.#attempt?.abort(fetchFailure('closed', this.#request.url, 'it redirects'));
    }
  }

  ended(): void {
    if (this.#phase === 'redirecting') this.#goOn();
    else if (this.#phase === 'receiving') {
      this.#phase = 'ended';
      this.#clearTimers();
      this.#body?.finish();
    }
    this.#release();
  }

  settled(): void {
    this.#release();
  }

  failed(error: GatewayError): void {
    if (this.#phase === 'redirecting') this.#goOn();
    else if (this.#mayRetry(error)) {
      this.#retried = true;
      this.#send();
    } else this.#end(error, true);
    this.#release();
  }

  // ---- the body --------------------------------------------------------------------------------------------------

  pause(): void {
    // time during which the script does not read does not count for the upstream
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#attempt?.pause();
  }

  resume(): void {
    if (this.#phase !== 'receiving') return;
    this.#expectData();
    this.#attempt?.resume();
  }

  // ---- phases ----------------------------------------------------------------------------------------------------

  #send(): void {
    this.#phase = 'connecting';
    const { url } = this.#request;
    try {
      this.#agents.policy.check(url.origin, url.pathname);
    } catch (error) {
      this.#end(fetchErrorOf(url, error), true);
      return;
    }
    this.#expect(this.#request.timeouts.connectMs, noConnection);
    const agent = this.#agents.get(this.#request.tls);
    if (agent === undefined) {
      this.#agents.load().then(
        () => {
          if (this.#phase === 'connecting') this.#send();
        },
        (error: unknown) => this.#end(fetchErrorOf(this.#request.url, error), true),
      );
      return;
    }
    const attempt = new FetchAttempt(this.#request, this);
    this.#attempt = attempt;
    attempt.send(agent);
  }

  #redirect(status: number, location: string): void {
    const failOr = (make: () => FetchRequest | GatewayError): FetchRequest | GatewayError => {
      try {
        return make();
      } catch (error) {
        return fetchErrorOf(this.#request.url, error);
      }
    };
    const next =
      this.#request.redirectsMax === 0
        ? fetchFailure('limit', this.#request.url, 'it redirects, and the limit of redirects is reached')
        : failOr(() => redirected(this.#request, status, location));
    if (next instanceof Error) {
      this.#end(next, true);
      return;
    }
    this.#phase = 'redirecting';
    this.#next = next;
    this.#discarded = 0;
  }

  /** The redirecting response has ended: sends the next request. */
  #goOn(): void {
    this.#request = this.#next as FetchRequest;
    this.#retried = false;
    this.#send();
  }

  /** A connection that was kept open may have been closed by the other side while the request was on its way. */
  #mayRetry(error: GatewayError): boolean {
    const { method, body } = this.#request;
    return (
      !this.#retried &&
      this.#phase === 'waiting' &&
      this.#attempt?.headSeen === false &&
      error.luaCode === 'closed' &&
      isIdempotent(method) &&
      (body === undefined || body instanceof Uint8Array)
    );
  }

  #answer(result: FetchResponse | GatewayError): void {
    // not within a call of undici, as the receiver may call undici again
    process.nextTick(() => {
      if (!this.#cancelled) this.#watch.answered(result);
    });
  }

  #end(error: GatewayError, tell: boolean): void {
    if (this.#phase === 'ended') return;
    const answered = this.#phase === 'receiving';
    this.#phase = 'ended';
    this.#clearTimers();
    this.#attempt?.abort(error);
    if (answered) {
      this.#body?.fail(error);
      if (!tell) this.#body?.queue.clear();
    } else if (tell) this.#answer(error);
    this.#release();
  }

  #release(): void {
    if (this.#phase !== 'ended' || this.#released || this.#attempt?.settled === false) return;
    this.#released = true;
    this.#watch.released();
  }

  // ---- time ------------------------------------------------------------------------------------------------------

  #expectHead(): void {
    this.#expect(this.#request.timeouts.headMs, noResponse);
  }

  #expectData(): void {
    this.#expect(this.#request.timeouts.idleMs, stalled);
  }

  #expect(ms: number, lateText: (ms: number) => string): void {
    this.#lateText = lateText;
    this.#phaseMs = ms;
    this.#deadline = performance.now() + ms;
    // a timer that fires before the deadline starts again
    if (this.#timer !== undefined && this.#timerAt <= this.#deadline) return;
    this.#arm(ms);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = this.#deadline;
    if (Number.isFinite(ms)) this.#timer = setTimeout(lookAtTime, ms, this);
  }

  /** The timer has fired. */
  lookAtTime(): void {
    this.#timer = undefined;
    const left = this.#deadline - performance.now();
    // a timer may fire a little early
    if (left <= 1) this.#timeOut(this.#lateText(this.#phaseMs));
    else if (Number.isFinite(left)) this.#arm(left);
  }

  #timeOut(text: string): void {
    this.#end(fetchFailure('timeout', this.#request.url, text), true);
  }

  #clearTimers(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#wholeTimer);
  }
}

function lookAtTime(fetch: Fetch): void {
  fetch.lookAtTime();
}

const noConnection = (ms: number): string => `no connection after ${seconds(ms)}`;
const noResponse = (ms: number): string => `no response after ${seconds(ms)}`;
const stalled = (ms: number): string => `the response has stalled for ${seconds(ms)}`;

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
