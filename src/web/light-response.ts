/**
 * A response made of a text or bytes, without the streams that the platform's Response builds for it. It is a Response
 * to whoever asks, and becomes one of the platform's where it is used as more than an answer.
 */
import { inspect } from 'node:util';
import type { Fields } from '../http/semantics/fields.ts';
import { LentBody } from './lent-body.ts';

const RealResponse = globalThis.Response;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Visible characters and blanks between them; the standard trims others, which is left to it. */
const PLAIN_VALUE = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;
const TEXT_TYPE = 'text/plain;charset=UTF-8';
/** Statuses whose responses have no body: the standard refuses one. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

type RealBody = ConstructorParameters<typeof Response>[0];

export type LightBody = string | Uint8Array | null;

/** What an answer needs. */
export interface LightParts {
  readonly status: number;
  readonly statusText: string;
  /** Empty names stand nowhere; `content-type` is in it. */
  readonly fields: Fields;
  readonly body: LightBody | LentBody;
}

class LightResponse {
  #parts: LightParts | undefined;
  #headers: Headers | undefined;
  #real: Response | undefined;

  constructor(body?: unknown, init?: unknown) {
    this.#parts = plainParts(body ?? null, init);
    // the platform knows all other kinds of body, and what is wrong with arguments
    if (this.#parts === undefined) this.#real = new RealResponse(body as RealBody, init as ResponseInit);
  }

  static json(data: unknown, init?: ResponseInit): Response {
    const text = init === undefined ? JSON.stringify(data) : undefined;
    if (text === undefined) return RealResponse.json(data, init);
    return makeLightResponse({ status: 200, statusText: '', fields: JSON_FIELDS, body: text });
  }
  static redirect(url: string | URL, status: 301 | 302 | 303 | 307 | 308 = 302): Response {
    return RealResponse.redirect(url, status);
  }
  static error(): Response {
    return RealResponse.error();
  }
  static is(value: object): value is LightResponse {
    return #parts in value;
  }

  /** The parts, unless the response was used in a way that may have changed them. */
  static partsOf(response: LightResponse): LightParts | undefined {
    const parts = response.#parts;
    if (parts === undefined || response.#headers === undefined) return parts;
    return { ...parts, fields: [...response.#headers].flat() };
  }

  static from(parts: LightParts): LightResponse {
    const response = new LightResponse();
    response.#parts = parts;
    return response;
  }

  /** The platform's Response with the same parts; from now on it is the one that counts. */
  static toReal(response: LightResponse): Response {
    if (response.#real !== undefined) return response.#real;
    const { status, statusText, fields, body } = response.#parts as LightParts;
    const headers = response.#headers ?? toHeaders(fields);
    const given = body instanceof LentBody ? body.stream() : body;
    const real = new RealResponse(given as RealBody, { status, statusText, headers });
    response.#real = real;
    response.#parts = undefined;
    return real;
  }

  get status(): number {
    return this.#parts?.status ?? LightResponse.toReal(this).status;
  }
  get statusText(): string {
    return this.#parts?.statusText ?? LightResponse.toReal(this).statusText;
  }
  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }
  get type(): Response['type'] {
    return this.#real?.type ?? 'default';
  }
  get url(): string {
    return this.#real?.url ?? '';
  }
  get redirected(): boolean {
    return this.#real?.redirected ?? false;
  }
  get headers(): Headers {
    if (this.#real !== undefined) return this.#real.headers;
    this.#headers ??= toHeaders((this.#parts as LightParts).fields);
    return this.#headers;
  }
  get body(): ReadableStream<Uint8Array> | null {
    return this.#parts?.body === null ? null : LightResponse.toReal(this).body;
  }
  get bodyUsed(): boolean {
    return this.#real?.bodyUsed ?? false;
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return LightResponse.toReal(this).arrayBuffer();
  }
  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.arrayBuffer());
  }
  blob(): Promise<Blob> {
    return LightResponse.toReal(this).blob();
  }
  formData(): Promise<FormData> {
    return LightResponse.toReal(this).formData();
  }
  json(): Promise<unknown> {
    return LightResponse.toReal(this).json();
  }
  text(): Promise<string> {
    return LightResponse.toReal(this).text();
  }
  clone(): Response {
    return LightResponse.toReal(this).clone();
  }

  [inspect.custom](): object {
    const { status, statusText, headers } = this;
    return { status, statusText, headers };
  }
}

const JSON_FIELDS: Fields = Object.freeze(['content-type', 'application/json']);

Object.setPrototypeOf(LightResponse.prototype, RealResponse.prototype);
Object.setPrototypeOf(LightResponse, RealResponse);
Object.defineProperty(LightResponse, 'name', { value: 'Response' });
Object.defineProperty(LightResponse, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    // responses of the platform, from fetch for example, are of this class too; a class derived from it has its own
    if (this === LightResponse) return value instanceof RealResponse;
    return Function.prototype[Symbol.hasInstance].call(this, value);
  },
});

/** A response of these parts, which have been checked. */
export function makeLightResponse(parts: LightParts): Response {
  return LightResponse.from(parts) as unknown as Response;
}

/** The parts of a light response that is still one; undefined for every other value. */
export function lightPartsOf(response: object): LightParts | undefined {
  return LightResponse.is(response) ? LightResponse.partsOf(response) : undefined;
}

/** The platform's response for a light one; every other value as it is. */
export function realResponseOf(response: Response): Response {
  return LightResponse.is(response) ? LightResponse.toReal(response) : response;
}

/** True for responses of the platform and for light ones. */
export function isResponse(value: unknown): value is Response {
  return value instanceof RealResponse;
}

/** A field that is in no response: to take it away shows whether fields may be changed. */
const NO_FIELD = 'x-lgateway-none';

/** The response, or a copy of it where its fields are fixed, as those of `fetch` and `Response.redirect` are. */
export function changeableResponse(response: Response): Response {
  if (lightPartsOf(response) !== undefined) return response;
  try {
    response.headers.delete(NO_FIELD);
    return response;
  } catch {
    const { status, statusText, headers, body } = response;
    // what is no answer stays what it is
    return status === 0 ? response : new RealResponse(body, { status, statusText, headers });
  }
}

/** Nobody takes this response any more: whatever feeds its body is told. Other values are left alone. */
export function discardResponse(value: unknown): void {
  if (!isResponse(value) || value.bodyUsed) return;
  const { body } = realResponseOf(value);
  if (body !== null && !body.locked) body.cancel().catch(() => undefined);
}

/** Puts the light class in the place of the global one, for a thread in which nothing but handlers runs. */
export function installLightResponse(): void {
  Reflect.defineProperty(globalThis, 'Response', {
    value: LightResponse,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

/** The parts of a response whose arguments need nothing but to be kept; undefined: let the platform look at them. */
function plainParts(body: unknown, init: unknown): LightParts | undefined {
  const isText = typeof body === 'string';
  if (!isText && body !== null && !(body instanceof Uint8Array)) return undefined;
  let status = 200;
  let given: unknown;
  if (init !== undefined) {
    if (typeof init !== 'object' || init === null) return undefined;
    const options: { status?: unknown; statusText?: unknown; headers?: unknown } = init;
    if (options.statusText !== undefined && options.statusText !== '') return undefined;
    if (options.status !== undefined) {
      if (typeof options.status !== 'number' || !Number.isInteger(options.status)) return undefined;
      status = options.status;
      if (status < 200 || status > 599 || (body !== null && NULL_BODY_STATUSES.has(status))) return undefined;
    }
    given = options.headers;
  }
  const fields = plainFields(given, isText);
  if (fields === undefined) return undefined;
  // the caller may go on using its bytes
  return { status, statusText: '', fields, body: isText || body === null ? body : new Uint8Array(body) };
}

const NO_FIELDS: Fields = Object.freeze([]);
const TEXT_FIELDS: Fields = Object.freeze(['content-type', TEXT_TYPE]);

/** The fields of a plain object of texts; undefined for every other kind of headers. */
function plainFields(headers: unknown, isText: boolean): Fields | undefined {
  if (headers === undefined) return isText ? TEXT_FIELDS : NO_FIELDS;
  if (typeof headers !== 'object' || headers === null) return undefined;
  if (Object.getPrototypeOf(headers) !== Object.prototype) return undefined;
  const fields: string[] = [];
  let hasType = false;
  for (const name of Object.keys(headers)) {
    const value: unknown = Reflect.get(headers, name);
    if (typeof value !== 'string' || !TOKEN.test(name) || !PLAIN_VALUE.test(value)) return undefined;
    hasType ||= name.length === 12 && name.toLowerCase() === 'content-type';
    fields.push(name, value);
  }
  if (isText && !hasType) fields.push('content-type', TEXT_TYPE);
  return fields;
}

function toHeaders(fields: Fields): Headers {
  const headers = new Headers();
  for (let i = 0; i < fields.length; i += 2) headers.append(fields[i] as string, fields[i + 1] as string);
  return headers;
}
