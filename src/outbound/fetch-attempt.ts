/** One request of a fetch on one connection: what undici reports of it, and how it is ended early. */
import type { Dispatcher } from 'undici';
import type Agent from 'undici/lib/dispatcher/agent.js';
import type { GatewayError } from '../base/errors.ts';
import { fetchErrorOf } from './fetch-error.ts';
import type { FetchRequest } from './fetch-request.ts';
import { SentBody, type SentBodyWatch } from './sent-body.ts';

/** Told of one attempt. After `failed` or `ended` nothing more comes. */
export interface AttemptWatch extends SentBodyWatch {
  /** It has a connection. */
  connected(): void;
  /** The final head: flat names, in lower case, and values, as byte strings. */
  head(status: number, fields: readonly string[]): void;
  data(chunk: Uint8Array): void;
  ended(): void;
  /** It holds nothing any more; `failed` follows. */
  settled(): void;
  failed(error: GatewayError): void;
}

export class FetchAttempt implements Dispatcher.DispatchHandler {
  readonly #request: FetchRequest;
  readonly #watch: AttemptWatch;
  readonly #sentBody: SentBody | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted: GatewayError | undefined;
  #settled = false;
  #headSeen = false;

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

  /** Ends it; `failed` is called with `error`, perhaps only when it has got the connection it still waits for. */
  abort(error: GatewayError): void {
    if (this.#settled || this.#aborted !== undefined) return;
    this.#aborted = error;
    this.#sentBody?.stop(error);
    this.#controller?.abort(error);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#aborted === undefined && !this.#settled) this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted !== undefined) controller.abort(this.#aborted);
    else this.#watch.connected();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#aborted !== undefined) return;
    this.#headSeen = true;
    this.#watch.head(status, flatFields(controller.rawHeaders));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#aborted === undefined) this.#watch.data(chunk);
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    this.#settled = true;
    // an answer that came before the request was complete ends the request too
    this.#sentBody?.stop(fetchErrorOf(this.#request.url, new Error('the response has ended')));
    this.#watch.ended();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    const failure = this.#aborted ?? fetchErrorOf(this.#request.url, error);
    this.#sentBody?.stop(failure);
    this.#watch.settled();
    // undici is not done with the connection yet: whoever tries again has to wait for that
    process.nextTick(() => this.#watch.failed(failure));
  }
}

function flatFields(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  const fields: string[] = [];
  if (!Array.isArray(raw)) return fields;
  for (let i = 0; i + 1 < raw.length; i += 2)
    fields.push(byteString(raw[i]).toLowerCase(), byteString(raw[i + 1]));
  return fields;
}

function byteString(value: Buffer | string | undefined): string {
  return typeof value === 'string' ? value : (value?.toString('latin1') ?? '');
}
