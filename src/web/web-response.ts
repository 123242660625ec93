/** Hands a Response to an exchange: at once where its body is known, else at the pace of the client. */
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { bodySourceOf } from '../native/node-internals.ts';
import type { LentBody } from './lent-body.ts';
import { type LightBody, lightPartsOf, realResponseOf } from './light-response.ts';

/** A body that is known, or the stream of one that is not, or one that another server sends. */
export interface ResponseParts {
  readonly status: number;
  readonly statusText: string;
  readonly fields: Fields;
  readonly body: LightBody | ReadableStream<Uint8Array> | LentBody;
}

/** What a response consists of; throws TypeError for one that cannot be sent. */
export function partsOf(response: Response): ResponseParts {
  const light = lightPartsOf(response);
  if (light !== undefined) return light;
  const real = realResponseOf(response);
  const { status, statusText } = real;
  if (status < 200) throw new TypeError(`A response of type "${real.type}" cannot be sent`);
  const fields: string[] = [];
  // each set-cookie comes by itself
  for (const [name, value] of real.headers) fields.push(name, value);
  return { status, statusText, fields, body: knownBody(real) ?? openBody(real) };
}

/** Gives head and body to the exchange and ends it. */
export function sendWhole(exchange: Exchange, parts: ResponseParts, body: LightBody): void {
  giveHead(exchange, parts);
  if (typeof body === 'string') writeText(exchange, body);
  else if (body !== null) exchange.write(body);
  exchange.end();
}

export function giveHead(exchange: Exchange, { status, statusText, fields }: ResponseParts): void {
  if (statusText !== '') exchange.reason = statusText;
  exchange.head(status, fields);
}

/** Longer texts are not worth a look at each character. */
const ASCII_CHECK_MAX = 4096;
// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII has them
const ASCII = /^[\x00-\x7f]*$/;

function writeText(exchange: Exchange, text: string): void {
  if (exchange.writeText !== undefined && text.length <= ASCII_CHECK_MAX && ASCII.test(text))
    exchange.writeText(text);
  else exchange.write(Buffer.from(text));
}

function openBody(response: Response): ReadableStream<Uint8Array> | null {
  const { body } = response;
  if (response.bodyUsed || body?.locked === true)
    throw new TypeError('The body of the response has already been read');
  return body;
}

function knownBody(response: Response): string | Uint8Array | undefined {
  if (response.bodyUsed || response.body === null || response.body.locked) return undefined;
  return bodySourceOf(response);
}
