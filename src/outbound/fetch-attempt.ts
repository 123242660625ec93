/** One request of a fetch on one connection: takes the reports of undici, and can end the request early. */
import type Agent from 'undici/lib/dispatcher/agent.js';
import type { RequestHandler } from 'undici/lib/dispatcher/agent.js';
import { type GatewayError, systemCodeOf } from '../base/errors.ts';
import { fetchErrorOf, fetchFailure } from './fetch-error.ts';
import type { FetchRequest } from './fetch-request.ts';
import { INFORMATIONAL_HEADS_MAX } from './outbound-limits.ts';
import { SentBody, type SentBodyWatch } from './sent-body.ts';

/** Gets the events of one attempt. After `failed` or `ended` no event comes. */
export interface AttemptWatch extends SentBodyWatch {
  /** The attempt has a connection. */
  connected(): void;
  /** The final head: flat names, in lower case, and values, as byte strings. */
  head(status: number, fields: readonly string[]): void;
  data(chunk: Uint8Array): void;
  ended(): void;
  /** The attempt holds nothing any more; `failed` follows. */
  settled(): void;
  failed(error: GatewayError): void;
}

/** A handler of the kind that undici's own `request` uses, which connections of undici call without an adapter. */
export class FetchAttempt implements RequestHandler {
  readonly #request: FetchRequest;
  readonly #watch: AttemptWatch;
  readonly #sentBody: SentBody | undefined;
  #abort: ((error: Error) => void) | undefined;
  #resume: (() => void) | undefined;
  #paused = false;
  #aborted: GatewayError | undefined;
  #settled = false;
  #headSeen = false;
  #informationalHeads = 0;
  /** The response has no body, whatever its content-length says (RFC 9110 §8.6). */
  #isBodyless = false;

  constructor(request: FetchRequest, watch: AttemptWatch) {
    this.#request = request;
    this.#watch = watch;
    const { body } = request;
    this.#sentBody = body === undefined || body instanceof Uint8Array ? undefined : new SentBody(body, watch);
  }

  get headSeen(): boolean {
    return this.#headSeen;
  }

  get settled(): boolean {
    return this.#settled;
  }

  send(agent: Agent): void {
    const { url, method, fields, body, bodyLength, tls } = this.#request;
    const headers = bodyLength === undefined ? fields : [...fields, 'content-length', String(bodyLength)];
    const options = {
      origin: url.origin,
      path: url.path,
      method,
      headers,
      body: this.#sentBody ?? (body instanceof Uint8Array ? body : null),
      ...(tls?.servername === undefined ? {} : { servername: tls.servername }),
    };
    agent.dispatch(options, this);
  }

  /**
   * Ends the attempt. `failed` is called with `error`; an attempt that still waits for a connection calls it only when that wait ends.
   */
  abort(error: GatewayError): void {
    if (this.#settled || this.#aborted !== undefined) return;
    this.#aborted = error;
    this.#sentBody?.stop(error);
    this.#abort?.(error);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused || this.#aborted !== undefined || this.#settled) return;
    this.#paused = false;
    this.#resume?.();
  }

  onConnect(abort: (error: Error) => void): void {
    this.#abort = abort;
    if (this.#aborted !== undefined) abort(this.#aborted);
    else this.#watch.connected();
  }

  /** False: undici pauses until `resume` is called. */
  onHeaders(status: number, rawHeaders: readonly (Buffer | string)[], resume: () => void): boolean {
    if (status < 200) this.#passOver();
    else if (this.#aborted === undefined) {
      this.#resume = resume;
      this.#headSeen = true;
      this.#isBodyless = status === 204 || status === 304;
      this.#watch.head(status, flatFields(rawHeaders));
    }
    return !this.#paused;
  }

  #passOver(): void {
    this.#informationalHeads += 1;
    if (this.#informationalHeads <= INFORMATIONAL_HEADS_MAX) return;
    const text = `the upstream has sent more than ${INFORMATIONAL_HEADS_MAX} informational heads before its response`;
    this.abort(fetchFailure('limit', this.#request.url, text));
  }

  /** False: undici pauses, as for `onHeaders`. */
  onData(chunk: Uint8Array): boolean {
    if (this.#aborted === undefined) this.#watch.data(chunk);
    return !this.#paused;
  }

  onComplete(): void {
    if (this.#settled) return;
    this.#settled = true;
    // a response that came before the request was complete ends the request, too
    this.#sentBody?.stop(fetchErrorOf(this.#request.url, new Error('the response has ended')));
    this.#watch.ended();
  }

  onError(error: Error): void {
    if (this.#settled) return;
    if (
      this.#isBodyless &&
      this.#aborted === undefined &&
      systemCodeOf(error) === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
    ) {
      this.onComplete();
      return;
    }
    this.#settled = true;
    const failure = this.#aborted ?? fetchErrorOf(this.#request.url, error);
    this.#sentBody?.stop(failure);
    this.#watch.settled();
    // undici still uses the connection within this call: a second attempt has to wait until the call is over
    process.nextTick(() => this.#watch.failed(failure));
  }
}

function flatFields(raw: readonly (Buffer | string)[]): string[] {
  const fields: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2)
    fields.push(byteString(raw[i]).toLowerCase(), byteString(raw[i + 1]));
  return fields;
}

function byteString(value: Buffer | string | undefined): string {
  return typeof value === 'string' ? value : (value?.toString('latin1') ?? '');
}
