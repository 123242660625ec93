/** An answer that is kept: its head with its age, its body, and what it may be used for. */
import { LentContent, type Loans } from '../base/lent-content.ts';
import type { AnswerCompression } from '../http/exchange/exchange.ts';
import { type Fields, fieldValue, isNamed } from '../http/semantics/fields.ts';
import { formatHttpDate, parseHttpDate } from '../http/semantics/http-date.ts';
import type { Representation } from '../http/semantics/representation.ts';
import { isBodyless } from '../http/semantics/status.ts';
import { type AnswerRules, isTagField } from './answer-rules.ts';
import { cacheClock } from './cache-clock.ts';
import { ENTRY_OVERHEAD_BYTES, TEXT_BODY_BYTES_MAX } from './cache-limits.ts';
import type { MarkedAnswer } from './purge-marks.ts';

/** What the gateway calls its cache in Cache-Status (RFC 9211). */
export const CACHE_NAME = 'lgateway';

/** A body: short ones as a byte string. */
export type StoredBody = string | LentContent;

export interface AnswerParts {
  readonly status: number;
  /** As the server has sent them, end to end. */
  readonly fields: Fields;
  readonly body: StoredBody;
  readonly rules: AnswerRules;
  readonly marked: MarkedAnswer;
  /** What its handler wants of the compression of its body; undefined: the settings decide. */
  readonly compression: AnswerCompression | false | undefined;
}

/** What an answer of 304 never changes: the body is the old one (RFC 9111 §3.2). */
const OF_BODY = [
  'content-length',
  'content-encoding',
  'content-range',
  'content-type',
  'transfer-encoding',
  'set-cookie',
];

export class StoredAnswer {
  readonly status: number;
  /** Without its age, and without what speaks to caches only. */
  readonly fields: Fields;
  readonly body: StoredBody;
  readonly rules: AnswerRules;
  readonly marked: MarkedAnswer;
  readonly compression: AnswerCompression | false | undefined;
  /** Memory. */
  readonly bytes: number;
  #second = Number.NaN;
  #aged: Fields = [];
  #representation: Representation | undefined;

  constructor({ status, fields, body, rules, marked, compression }: AnswerParts, key: string) {
    this.status = status;
    this.fields = lastingFields(fields, status, body.length);
    this.body = body;
    this.rules = rules;
    this.marked = marked;
    this.compression = compression;
    let bytes = ENTRY_OVERHEAD_BYTES + body.length + 2 * key.length;
    for (const text of this.fields) bytes += text.length;
    this.bytes = bytes;
  }

  /** The head with the age of now; the same list for all that are sent within a second. */
  fieldsAt(now: number): Fields {
    const second = Math.floor((now - this.rules.bornAt) / 1000);
    if (second === this.#second) return this.#aged;
    const ttl = Math.floor((this.rules.freshUntil - now) / 1000);
    this.#second = second;
    this.#aged = Object.freeze([
      ...this.fields,
      'age',
      String(Math.max(0, second)),
      'cache-status',
      `${CACHE_NAME}; hit; ttl=${ttl}`,
    ]);
    return this.#aged;
  }

  /** What conditions and ranges of requests are compared with. */
  get representation(): Representation {
    const { fields, body } = this;
    this.#representation ??= {
      size: body.length,
      modifiedMs: modifiedMs(fields) ?? cacheClock.wall(),
      etag: fieldValue(fields, 'etag'),
      ranges: this.status === 200,
    };
    return this.#representation;
  }

  /** The fields with those of an answer of 304 in the place of their predecessors. */
  renewed(fresh: Fields): Fields {
    // without a date it is as old as its arrival (RFC 9110 §6.6.1)
    const isReplaced = (name: string): boolean =>
      name === 'date' || (!OF_BODY.includes(name) && fieldValue(fresh, name) !== undefined);
    const fields: string[] = [];
    for (let i = 0; i < this.fields.length; i += 2)
      if (!isReplaced((this.fields[i] as string).toLowerCase()))
        fields.push(this.fields[i] as string, this.fields[i + 1] as string);
    for (let i = 0; i < fresh.length; i += 2)
      if (!OF_BODY.includes((fresh[i] as string).toLowerCase()))
        fields.push(fresh[i] as string, fresh[i + 1] as string);
    return fields;
  }
}

/** The body of pieces that are not used any more. */
export function storedBody(pieces: readonly Uint8Array[], length: number, loans: Loans): StoredBody {
  const bytes = Buffer.concat(pieces, length);
  return length <= TEXT_BODY_BYTES_MAX ? bytes.toString('latin1') : new LentContent(bytes, loans);
}

/** What an answer is compared with whose body is still to come. */
export function comingRepresentation(fields: Fields): Representation {
  return {
    size: 0,
    modifiedMs: modifiedMs(fields) ?? cacheClock.wall(),
    etag: fieldValue(fields, 'etag'),
    ranges: false,
  };
}

/** Without the names of tags, which are between the server and its caches. */
export function clientFields(fields: Fields): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2)
    if (!isTagField((fields[i] as string).toLowerCase()))
      kept.push(fields[i] as string, fields[i + 1] as string);
  return kept;
}

function lastingFields(all: Fields, status: number, length: number): Fields {
  const kept: string[] = [];
  for (let i = 0; i < all.length; i += 2) {
    const name = all[i] as string;
    const isMadeAnew =
      isNamed(name, 'age') || isNamed(name, 'cache-status') || isNamed(name, 'content-length');
    if (!isMadeAnew && !isTagField(name.toLowerCase())) kept.push(name, all[i + 1] as string);
  }
  if (fieldValue(kept, 'date') === undefined) kept.push('date', formatHttpDate(cacheClock.wall()));
  if (!isBodyless(status)) kept.push('content-length', String(length));
  return Object.freeze(kept);
}

/** The date of the answer stands for that of a change which nobody tells (RFC 9111 §4.3.2). */
function modifiedMs(fields: Fields): number | undefined {
  const told = fieldValue(fields, 'last-modified') ?? fieldValue(fields, 'date') ?? '';
  const seconds = parseHttpDate(told);
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The same body for another answer, which is counted on its own. */
export function renewedBody(body: StoredBody, loans: Loans): StoredBody {
  return typeof body === 'string' ? body : new LentContent(body.bytes, loans);
}
