/**
 * The request as web code sees it: a Request whose parts are made when they are first touched. The platform's own costs
 * more than everything else about a small request; it is made only for what needs it (clone, fetch, new Request).
 */
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { lendState } from '../native/node-internals.ts';
import {
  bodyStream,
  bodyUsedError,
  type GatherLimit,
  readWholeBody,
  readWholeStream,
} from './body-stream.ts';
import { readFormData } from './form-data.ts';

const RealRequest = globalThis.Request;

/** Targets and authorities that the URL parser would leave as they are; everything else is given to it. */
const PLAIN_TARGET =
  /^\/(?!\/)(?:[\w\-~!$&()*+,;=:@/]|%(?!2e)|\.(?![./?%]|$))*(?:\?[\w\-.~!$&()*+,;=:@/?%]*)?$/i;
const PLAIN_AUTHORITY =
  /^(?!.*xn--)(?:[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*|127\.0\.0\.1)(?::(?:[1-9][0-9]{1,3}|[1-5][0-9]{4}))?$/;
const DEFAULT_PORT = { https: ':443', http: ':80' } as const;

/** What is read of an exchange. */
export type RequestParts = Pick<
  Exchange,
  'method' | 'target' | 'scheme' | 'authority' | 'fields' | 'connection' | 'body'
>;

/** The URL of the request, as the URL parser writes it; undefined where the target is not part of a valid URL. */
export function requestUrl(exchange: RequestParts): string | undefined {
  const { scheme, target, authority } = exchange;
  const host = authority === '' ? localHost(exchange) : authority;
  const text = `${scheme}://${host}${target}`;
  const isPlain = PLAIN_AUTHORITY.test(host) && !host.endsWith(DEFAULT_PORT[scheme]);
  if (isPlain && PLAIN_TARGET.test(target)) return text;
  if (/[/?#@\\]/.test(host)) return undefined;
  return URL.canParse(text) ? new URL(text).href : undefined;
}

/** HTTP/1.0 clients need not say whom they ask. */
function localHost({ connection: { localAddress, localPort } }: RequestParts): string {
  return localAddress.includes(':') ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
}

/** How a request tells whoever runs its handler. */
export interface RequestWatch {
  /** A part of the body was read. */
  progressed(): void;
}

/** What the Request class of the platform has and this one answers by itself, or by one it makes. */
class LightRequest {
  readonly #exchange: RequestParts;
  readonly #watch: RequestWatch;
  readonly #url: string;
  #headers: Headers | undefined;
  #stream: ReadableStream<Uint8Array> | null | undefined;
  #used = false;
  #abort: AbortController | undefined;
  #abortReason: unknown;
  #real: Request | undefined;

  constructor(exchange: RequestParts, url: string, watch: RequestWatch) {
    this.#exchange = exchange;
    this.#url = url;
    this.#watch = watch;
  }

  static abort(request: LightRequest, reason: unknown): void {
    request.#abortReason ??= reason;
    request.#abort?.abort(reason);
  }

  /** The platform's Request with the same parts. */
  static toReal(request: LightRequest): Request {
    request.#real ??= request.#makeReal();
    return request.#real;
  }

  get method(): string {
    return this.#exchange.method;
  }
  get url(): string {
    return this.#url;
  }
  get headers(): Headers {
    if (this.#real !== undefined) return this.#real.headers;
    this.#headers ??= makeHeaders(this.#exchange);
    return this.#headers;
  }
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#abortReason !== undefined) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }
  get body(): ReadableStream<Uint8Array> | null {
    if (this.#real !== undefined) return this.#real.body;
    if (this.#stream === undefined) this.#stream = this.#used ? usedStream() : this.#openStream();
    return this.#stream;
  }
  get bodyUsed(): boolean {
    if (this.#real !== undefined) return this.#real.bodyUsed;
    return this.#used || (this.#stream !== undefined && this.#stream !== null && isRead(this.#stream));
  }

  get cache(): string {
    return 'default';
  }
  get credentials(): string {
    return 'same-origin';
  }
  get destination(): string {
    return '';
  }
  get duplex(): string {
    return 'half';
  }
  get integrity(): string {
    return '';
  }
  get keepalive(): boolean {
    return false;
  }
  get mode(): string {
    return 'cors';
  }
  get redirect(): string {
    return 'follow';
  }
  get referrer(): string {
    return 'about:client';
  }
  get referrerPolicy(): string {
    return '';
  }
  get isReloadNavigation(): boolean {
    return false;
  }
  get isHistoryNavigation(): boolean {
    return false;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.#bytes()).buffer;
  }
  bytes(): Promise<Uint8Array> {
    return this.#bytes();
  }
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.#bytes());
  }
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }
  async blob(): Promise<Blob> {
    return new Blob([await this.#bytes()], { type: this.headers.get('content-type') ?? '' });
  }
  async formData(): Promise<FormData> {
    if (this.bodyUsed) throw bodyUsedError();
    return await readFormData(this.headers.get('content-type') ?? undefined, {
      stream: () => this.body,
      bytes: (limit) => this.#bytes(limit),
    });
  }
  clone(): Request {
    return LightRequest.toReal(this).clone();
  }

  [inspect.custom](): object {
    const { method, url, headers } = this;
    return { method, url, headers };
  }

  async #bytes(limit?: GatherLimit): Promise<Uint8Array<ArrayBuffer>> {
    const stream = this.#real === undefined ? this.#stream : this.#real.body;
    if (this.bodyUsed || stream?.locked === true) throw bodyUsedError();
    if (stream !== undefined && stream !== null) return await readWholeStream(stream, limit);
    if (this.#hasNoBody()) return new Uint8Array(0);
    this.#used = true;
    return await readWholeBody(this.#exchange.body, () => this.#watch.progressed(), limit);
  }

  #hasNoBody(): boolean {
    const { method } = this.#exchange;
    // the standard gives these two no body, whatever the client sends
    if (method === 'GET' || method === 'HEAD') return true;
    const { body } = this.#exchange;
    return body.ended && body.queue.length === 0 && body.error === undefined;
  }

  #openStream(): ReadableStream<Uint8Array> | null {
    return this.#hasNoBody() ? null : bodyStream(this.#exchange.body, () => this.#watch.progressed());
  }

  #makeReal(): Request {
    const { headers, signal, body } = this;
    const method = this.#exchange.method;
    return new RealRequest(this.#url, { method, headers, signal, body, duplex: 'half' });
  }
}

/** What aborts the request of a handler, whichever class it has. */
export interface HandlerRequest {
  readonly request: Request;
  abort(reason: unknown): void;
}

/** A Request for the exchange. Throws TypeError for a method that no Request can have. */
export function makeRequest(exchange: RequestParts, url: string, watch: RequestWatch): HandlerRequest {
  const light = new LightRequest(exchange, url, watch);
  const request = IS_ACCEPTED ? (light as unknown as Request) : gatheredByLight(light);
  return { request, abort: (reason) => LightRequest.abort(light, reason) };
}

const GATHERING = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const;

/** A real request whose body is gathered by the light one: the platform itself would gather without a limit. */
function gatheredByLight(light: LightRequest): Request {
  const real = LightRequest.toReal(light);
  for (const name of GATHERING)
    Object.defineProperty(real, name, { value: () => light[name](), configurable: true, writable: true });
  return real;
}

/**
 * Makes `instanceof Request` hold, and lets the platform find its own state where it looks for it: `fetch(request)` and
 * `new Request(request)` read it from properties named by symbols, which one made on demand has.
 */
function joinPrototypes(): void {
  const { prototype } = LightRequest;
  Object.setPrototypeOf(prototype, RealRequest.prototype);
  lendState(prototype, new RealRequest('http://localhost/'), (self) => LightRequest.toReal(self));
}

/** False on a platform that keeps that state in private fields, which cannot be lent: there every request is a real one. */
function isAcceptedByPlatform(): boolean {
  joinPrototypes();
  const parts = { method: 'GET', fields: ['x-probe', '1'] };
  const probe: unknown = new LightRequest(parts as unknown as RequestParts, 'http://localhost/probe', {
    progressed: () => undefined,
  });
  try {
    const copy = new RealRequest(probe as Request);
    return copy.url === 'http://localhost/probe' && copy.headers.get('x-probe') === '1';
  } catch {
    return false;
  }
}

const IS_ACCEPTED = isAcceptedByPlatform();

function makeHeaders({ fields }: RequestParts): Headers {
  const headers = new Headers();
  let cookies = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    // HTTP/2 may bring cookies in crumbs, which belong together
    if (name.length === 6 && name.toLowerCase() === 'cookie') cookies += 1;
    else headers.append(name, fields[i + 1] as string);
  }
  if (cookies > 0) headers.set('cookie', fieldValue(fields, 'cookie') ?? '');
  return headers;
}

function isRead(stream: ReadableStream<Uint8Array>): boolean {
  return Readable.isDisturbed(stream as unknown as NodeJS.ReadableStream);
}

/** What `body` is after the body was read by another way. */
function usedStream(): ReadableStream<Uint8Array> {
  const stream = new ReadableStream<Uint8Array>();
  void stream.cancel();
  return stream;
}
