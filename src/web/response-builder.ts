/** Builds a Response step by step, and says what is missing; its responses cost less than those of the platform. */
import { GatewayError } from '../base/errors.ts';
import { reasonPhrase } from '../http/semantics/status.ts';
import { Reason } from './http-words.ts';
import { makeLightResponse, realResponseOf } from './light-response.ts';

const STATUS_MIN = 200;
const STATUS_MAX = 599;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What `body` takes: text is sent as UTF-8. */
export type BuilderBody = string | Uint8Array | ReadableStream<Uint8Array> | null;

/**
 * ```ts
 * return new ResponseBuilder().status(200).header('x-what-up', 'Nothin').body('Hello!\n').build();
 * ```
 *
 * Wrong values are refused by the method they are given to, with a GatewayError `LGW_RESPONSE_INVALID`; `build` refuses
 * a response without a status with `LGW_RESPONSE_INCOMPLETE`.
 */
export class ResponseBuilder {
  #code: number | undefined;
  #reason: string | undefined;
  #fields: string[] = [];
  #body: BuilderBody = null;

  /** 200 OK without a body. */
  static empty200(): ResponseBuilder {
    return new ResponseBuilder().status(Reason.ok200);
  }
  /** 400 Bad Request without a body. */
  static empty400(): ResponseBuilder {
    return new ResponseBuilder().status(Reason.badRequest400);
  }
  /** 404 Not Found without a body. */
  static empty404(): ResponseBuilder {
    return new ResponseBuilder().status(Reason.notFound404);
  }
  /** 500 Internal Server Error without a body. */
  static empty500(): ResponseBuilder {
    return new ResponseBuilder().status(Reason.internalServerError500);
  }

  /** The status code, 200 to 599. */
  code(code: number): this {
    if (!Number.isInteger(code) || code < STATUS_MIN || code > STATUS_MAX)
      throw invalid(`Status ${code} is not a whole number from ${STATUS_MIN} to ${STATUS_MAX}`);
    this.#code = code;
    return this;
  }

  /** The reason phrase of HTTP/1.x, if not the registered one of the status code. */
  reason(reason: string): this {
    if (!VALUE.test(reason)) throw invalid(`Reason ${JSON.stringify(reason)} holds a control character`);
    this.#reason = reason;
    return this;
  }

  /** Code and reason at once, or a code with its registered reason. */
  status(status: Reason | number): this {
    if (typeof status === 'number') return this.code(status);
    return this.code(status.code).reason(status.reason);
  }

  /** Adds all fields of a Headers object, of an object or of pairs. */
  headers(headers: Headers | Readonly<Record<string, string>> | Iterable<readonly [string, string]>): this {
    const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
    for (const [name, value] of pairs) this.appendHeader(name, value);
    return this;
  }

  /** Sets a field in the place of those with the same name, in any case. */
  header(name: string, value: string): this {
    this.#remove(name);
    return this.appendHeader(name, value);
  }

  /** Adds a field beside those with the same name, such as `set-cookie`. */
  appendHeader(name: string, value: string): this {
    if (!TOKEN.test(name)) throw invalid(`Field name ${JSON.stringify(name)} is not a token`);
    if (!VALUE.test(value))
      throw invalid(`Value ${JSON.stringify(value)} of field "${name}" holds a control character`);
    this.#fields.push(name, value);
    return this;
  }

  /** The field `content-type`; a text without one is `text/plain;charset=UTF-8`. */
  contentType(type: string): this {
    return this.header('content-type', type);
  }

  /** The body; its length is told by the gateway. */
  body(body: BuilderBody): this {
    this.#body = body;
    return this;
  }

  /** The response. The builder can go on and build others. */
  build(): Response {
    const status = this.#code;
    if (status === undefined)
      throw new GatewayError('LGW_RESPONSE_INCOMPLETE', 'The response has no status code');
    const body = this.#body;
    if (body !== null && (status === 204 || status === 205 || status === 304))
      throw invalid(`A response with status ${status} has no body`);
    const reason = this.#reason ?? '';
    const statusText = reason === reasonPhrase(status) ? '' : reason;
    const fields = [...this.#fields];
    if (typeof body === 'string' && !hasName(fields, 'content-type'))
      fields.push('content-type', 'text/plain;charset=UTF-8');
    if (body === null || typeof body === 'string' || body instanceof Uint8Array) {
      const kept = body instanceof Uint8Array ? new Uint8Array(body) : body;
      return makeLightResponse({ status, statusText, fields, body: kept });
    }
    const headers = new Headers();
    for (let i = 0; i < fields.length; i += 2) headers.append(fields[i] as string, fields[i + 1] as string);
    return realResponseOf(new Response(body, { status, statusText, headers }));
  }

  #remove(name: string): void {
    const lower = name.toLowerCase();
    const kept: string[] = [];
    for (let i = 0; i < this.#fields.length; i += 2) {
      const [other = '', value = ''] = this.#fields.slice(i, i + 2);
      if (other.toLowerCase() !== lower) kept.push(other, value);
    }
    this.#fields = kept;
  }
}

function hasName(fields: readonly string[], lowerName: string): boolean {
  return fields.some((text, i) => i % 2 === 0 && text.toLowerCase() === lowerName);
}

function invalid(message: string): GatewayError {
  return new GatewayError('LGW_RESPONSE_INVALID', message, { luaCode: 'invalid' });
}
