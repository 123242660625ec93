/** Writes HTTP/1 message heads and chunks (RFC 9112 §4 to §7). */
import type { ResponseHead } from '../exchange/exchange-wire.ts';
import { EVENT_STREAM_TYPE } from '../semantics/event-stream.ts';
import { type Fields, fieldValue, isNamed, TRANSPORT_SECURITY } from '../semantics/fields.ts';
import { FixedFields, isFixed } from '../semantics/fixed-fields.ts';
import { httpDate } from '../semantics/http-date.ts';
import { reasonPhrase } from '../semantics/status.ts';

/** How the end of a response body is told (RFC 9112 §6). */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** The framing of a response to a request of HTTP/1.`minor`. */
export function chooseFraming(head: ResponseHead, minor: number): Framing {
  if (head.bodyless) return 'none';
  if (head.contentLength !== undefined) return 'length';
  return minor >= 1 ? 'chunked' : 'close';
}

/** A stream of events, which goes on until one side has had enough. */
export function isEndless({ responseFields }: ResponseHead, framing: Framing): boolean {
  if (framing !== 'chunked' && framing !== 'close') return false;
  return fieldValue(responseFields, 'content-type')?.startsWith(EVENT_STREAM_TYPE) === true;
}

/** A head as it was last written for a frozen list of fields. */
interface WrittenHead {
  readonly status: number;
  readonly contentLength: number;
  readonly date: string;
  readonly transportSecurity: string | undefined;
  readonly text: string;
}

/** Handlers give the same head again and again, in the same second. */
const written = new FixedFields<WrittenHead>();

/**
 * The final head with its blank line. `persistent`: the connection stays open after this response; `transportSecurity`: the value of
 * Strict-Transport-Security, where the head has none.
 */
export function formatHead(
  head: ResponseHead,
  framing: Framing,
  persistent: boolean,
  minor: number,
  transportSecurity: string | undefined,
): string {
  const { status, contentLength, responseFields } = head;
  const usual =
    persistent && minor === 1 && !head.hasDate && contentLength !== undefined && head.reason === undefined;
  if (!usual || !isFixed(responseFields))
    return writeHead(head, framing, persistent, minor, transportSecurity);
  const date = httpDate();
  const last = written.get(responseFields);
  if (
    last?.status === status &&
    last.contentLength === contentLength &&
    last.date === date &&
    last.transportSecurity === transportSecurity
  )
    return last.text;
  const text = writeHead(head, framing, persistent, minor, transportSecurity);
  written.set(responseFields, { status, contentLength, date, transportSecurity, text });
  return text;
}

function writeHead(
  head: ResponseHead,
  framing: Framing,
  persistent: boolean,
  minor: number,
  transportSecurity: string | undefined,
): string {
  let text = statusLine(head.status, head.reason);
  text += formatOwnFields(head.responseFields);
  if (head.contentLength !== undefined) text += `Content-Length: ${head.contentLength}\r\n`;
  else if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n';
  if (!persistent) text += 'Connection: close\r\n';
  else if (minor === 0) text += 'Connection: keep-alive\r\n';
  if (!head.hasDate) text += `Date: ${httpDate()}\r\n`;
  if (transportSecurity !== undefined && fieldValue(head.responseFields, TRANSPORT_SECURITY) === undefined)
    text += `Strict-Transport-Security: ${transportSecurity}\r\n`;
  if (head.status === UPGRADE_REQUIRED) text += formatOffer(head.responseFields);
  return `${text}\r\n`;
}

const UPGRADE_REQUIRED = 426;

/** The protocols to change over to, which have to stand in such an answer (RFC 9110 §15.5.22). */
function formatOffer(fields: Fields): string {
  const offer = fieldValue(fields, 'upgrade');
  return offer === undefined ? '' : `Connection: Upgrade\r\nUpgrade: ${offer}\r\n`;
}

/** An informational head with its blank line. */
export function formatInformational(status: number, fields: Fields): string {
  return `${statusLine(status)}${formatFields(fields)}\r\n`;
}

/** The last chunk with an empty trailer section. */
export const LAST_CHUNK = '0\r\n\r\n';

/** The last chunk with its trailer section. */
export function formatLastChunk(trailers: Fields | undefined): string {
  return trailers === undefined ? LAST_CHUNK : `0\r\n${formatFields(trailers)}\r\n`;
}

/** The head of an answer that hands the connection over to another protocol (RFC 9110 §7.8). */
export function formatUpgrade(protocol: string, fields: Fields): string {
  return `${statusLine(101)}${formatOwnFields(fields)}Connection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
}

const statusLines = new Map<number, string>();

function statusLine(status: number, reason?: string): string {
  if (reason !== undefined) return `HTTP/1.1 ${status} ${reason}\r\n`;
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}

function formatFields(fields: Fields): string {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return text;
}

/** What a handler gives of a head, without the fields that the connection writes itself. */
function formatOwnFields(fields: Fields): string {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!isFramingField(name)) text += `${name}: ${fields[i + 1] as string}\r\n`;
  }
  return text;
}

/** Fields the connection writes itself. */
function isFramingField(name: string): boolean {
  switch (name.length) {
    case 7:
      return isNamed(name, 'upgrade');
    case 10:
      return isNamed(name, 'connection') || isNamed(name, 'keep-alive');
    case 14:
      return isNamed(name, 'content-length');
    case 17:
      return isNamed(name, 'transfer-encoding');
    default:
      return false;
  }
}
