/** Reads the head of an answer of an HTTP/1.x upstream, strictly: an answer that could be read in two ways is refused (RFC 9112 §4, §6). */
import { parseFieldLines } from '../http/h1/http1-fields.ts';
import {
  type Fields,
  hasListMember,
  isNamed,
  parseContentLength,
  trimBlanks,
} from '../http/semantics/fields.ts';
import { reasonPhrase } from '../http/semantics/status.ts';
import { LINK_IDLE_MS } from './proxy-limits.ts';
import type { UpstreamAnswer } from './upstream.ts';

export interface AnswerHead extends UpstreamAnswer {
  /** Undefined where there is none, and where the body has chunked coding. */
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  /** The connection may stay open behind the answer. */
  readonly persistent: boolean;
  /** How long the connection may be idle then. */
  readonly idleMs: number;
  /** The protocol that the upstream changes over to, of status 101. */
  readonly upgrade: string | undefined;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n/;
/** The server's clock and the way take some of the time that it keeps a connection open. */
const IDLE_MARGIN_MS = 1000;

/** `text`: a whole head with its blank line, whose lines end with CR LF. A text says what is wrong. */
export function parseAnswerHead(text: string): AnswerHead | string {
  const line = STATUS_LINE.exec(text);
  if (line === null) return 'its status line is not well-formed';
  const all = parseFieldLines(text, line[0].length);
  if (all === undefined) return 'a field line is not well-formed';
  const status = Number(line[2]);
  const isOld = line[1] === '0';
  const facts = new AnswerFacts();
  for (let i = 0; i < all.length; i += 2) facts.take(all[i] as string, all[i + 1] as string);
  const fault = facts.fault ?? faultOfCoding(facts, isOld);
  if (fault !== undefined) return fault;
  // these have no body whatever they say (RFC 9112 §6.3), and no length of one (RFC 9110 §8.6)
  const isEmpty = status < 200 || status === 204;
  const contentLength = facts.chunked || isEmpty ? undefined : facts.contentLength;
  const reason = line[3] ?? '';
  return {
    status,
    reason: reason === '' || reason === reasonPhrase(status) ? undefined : reason,
    fields: withoutHopFields(all, facts.connection, contentLength !== undefined),
    contentLength,
    chunked: facts.chunked,
    // a server that frames what has no body may mean another end of the answer than we do
    persistent: facts.isPersistent(isOld) && !(isEmpty && (facts.chunked || (facts.contentLength ?? 0) > 0)),
    idleMs: facts.idleMs,
    upgrade: facts.upgrade,
  };
}

class AnswerFacts {
  contentLength: number | undefined;
  chunked = false;
  coding: string | undefined;
  connection = '';
  upgrade: string | undefined;
  idleMs = LINK_IDLE_MS;
  fault: string | undefined;

  take(name: string, value: string): void {
    switch (name.length) {
      case 7:
        if (isNamed(name, 'upgrade')) this.upgrade = value;
        break;
      case 10:
        if (isNamed(name, 'connection'))
          this.connection = this.connection === '' ? value : `${this.connection},${value}`;
        else if (isNamed(name, 'keep-alive')) this.#takeKeepAlive(value);
        break;
      case 14:
        if (isNamed(name, 'content-length')) this.#takeLength(value);
        break;
      case 17:
        if (isNamed(name, 'transfer-encoding')) this.#takeCoding(value);
        break;
    }
  }

  isPersistent(isOld: boolean): boolean {
    if (hasListMember(this.connection, 'close')) return false;
    return !isOld || hasListMember(this.connection, 'keep-alive');
  }

  /** Two lengths are refused even where they agree: another reader may have believed one of them only. */
  #takeLength(value: string): void {
    const length = parseContentLength(value);
    if (length === undefined) this.fault ??= 'its Content-Length is not a length';
    else if (this.contentLength !== undefined) this.fault ??= 'it has two Content-Length';
    this.contentLength = length;
  }

  #takeCoding(value: string): void {
    if (this.coding !== undefined) this.fault ??= 'it has two Transfer-Encoding';
    this.coding = value.toLowerCase();
    this.chunked = this.coding === 'chunked';
  }

  #takeKeepAlive(value: string): void {
    const seconds = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(value)?.[1];
    if (seconds !== undefined)
      this.idleMs = Math.max(0, Math.min(this.idleMs, Number(seconds) * 1000 - IDLE_MARGIN_MS));
  }
}

function faultOfCoding({ coding, chunked, contentLength }: AnswerFacts, isOld: boolean): string | undefined {
  if (coding === undefined) return undefined;
  if (!chunked) return 'its transfer coding is not chunked alone';
  if (contentLength !== undefined) return 'it has Content-Length and Transfer-Encoding';
  return isOld ? 'it has Transfer-Encoding in HTTP/1.0' : undefined;
}

/** Fields of one connection (RFC 9110 §7.6.1). */
function isHopField(name: string): boolean {
  switch (name.length) {
    case 7:
      return isNamed(name, 'upgrade');
    case 10:
      return isNamed(name, 'connection') || isNamed(name, 'keep-alive');
    case 16:
      return isNamed(name, 'proxy-connection');
    case 17:
      return isNamed(name, 'transfer-encoding');
    default:
      return false;
  }
}

function withoutHopFields(all: Fields, connection: string, hasLength: boolean): Fields {
  const named = namedByConnection(connection);
  const fields: string[] = [];
  for (let i = 0; i < all.length; i += 2) {
    const name = all[i] as string;
    if (
      isNamed(name, 'content-length')
        ? !hasLength
        : isHopField(name) || named?.has(name.toLowerCase()) === true
    )
      continue;
    fields.push(name, all[i + 1] as string);
  }
  return fields;
}

/** The fields that Connection names, in lower case; undefined: none but those that are always of one connection. */
export function namedByConnection(connection: string): ReadonlySet<string> | undefined {
  if (connection === '' || connection === 'close' || connection === 'keep-alive') return undefined;
  return new Set(connection.split(',').map((name) => trimBlanks(name).toLowerCase()));
}
