/**
 * How answers are written in a store: the length of a head in four bytes, the head as JSON, and the body. Everything that is read is checked, as
 * whoever may write to the store may have written it.
 */
import type { AnswerCompression } from '../http/exchange/exchange.ts';
import { checkFields, type Fields, isConnectionSpecific } from '../http/semantics/fields.ts';
import { isBodyless } from '../http/semantics/status.ts';
import { ENTRY_HEAD_BYTES_MAX, MARKS_MAX, VARY_FIELDS_MAX } from './cache-limits.ts';
import { isMark } from './purge-marks.ts';

export interface EntryAnswer {
  /** Of the marks. */
  readonly epoch: string;
  /** Number of the last purge that counts for it already. */
  readonly known: number;
  readonly marks: readonly number[];
  readonly status: number;
  readonly fields: Fields;
  /** When it was written. */
  readonly ageMs: number;
  /** What it was written with. */
  readonly ttlMs: number;
  readonly compression: AnswerCompression | false | undefined;
  readonly body: Uint8Array;
}

/** In the place of answers that differ by fields of requests: the names of these. */
export interface EntryVary {
  readonly vary: readonly string[];
}

const LENGTH_BYTES = 4;

export function encodeAnswer({ body, ...head }: EntryAnswer): readonly Uint8Array[] {
  return [...encodeHead(head), body];
}

export function encodeVary(vary: readonly string[]): readonly Uint8Array[] {
  return encodeHead({ vary });
}

/** Undefined: it is damaged. */
export function decodeEntry(bytes: Buffer): EntryAnswer | EntryVary | undefined {
  const head = decodeHead(bytes);
  if (head === undefined) return undefined;
  return head['vary'] === undefined ? readAnswer(head, bytes) : readNames(head['vary']);
}

function readNames(vary: unknown): EntryVary | undefined {
  if (!Array.isArray(vary) || vary.length === 0 || vary.length > VARY_FIELDS_MAX) return undefined;
  const areNames = vary.every((name) => typeof name === 'string' && /^[^\s\0,]{1,256}$/.test(name));
  return areNames ? { vary } : undefined;
}

function readAnswer(head: Readonly<Record<string, unknown>>, bytes: Buffer): EntryAnswer | undefined {
  const { epoch, known, marks, status, fields, ageMs, ttlMs, compression } = head;
  const body = bytes.subarray(LENGTH_BYTES + bytes.readUInt32BE(0));
  if (typeof epoch !== 'string' || !Number.isInteger(known)) return undefined;
  if (!Array.isArray(marks) || marks.length > MARKS_MAX || !marks.every(isMark)) return undefined;
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599) return undefined;
  if (!areFields(fields) || !isTime(ageMs) || !isTime(ttlMs)) return undefined;
  if (!isCompression(compression) || (isBodyless(status as number) && body.length > 0)) return undefined;
  return { epoch, known, marks, status, fields, ageMs, ttlMs, compression, body } as EntryAnswer;
}

function encodeHead(head: object): readonly Uint8Array[] {
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return [length, text];
}

function decodeHead(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined;
  const length = bytes.readUInt32BE(0);
  if (length > ENTRY_HEAD_BYTES_MAX || LENGTH_BYTES + length > bytes.length) return undefined;
  try {
    const head: unknown = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length));
    return typeof head === 'object' && head !== null ? (head as Record<string, unknown>) : undefined;
  } catch {
    // damaged: as if there were none
    return undefined;
  }
}

/** Some that may go to clients. */
function areFields(fields: unknown): fields is Fields {
  if (!Array.isArray(fields) || fields.length % 2 !== 0) return false;
  if (!fields.every((text) => typeof text === 'string')) return false;
  for (let i = 0; i < fields.length; i += 2)
    if (isConnectionSpecific((fields[i] as string).toLowerCase())) return false;
  try {
    checkFields(fields);
    return true;
  } catch {
    return false;
  }
}

function isTime(ms: unknown): ms is number {
  return typeof ms === 'number' && ms >= 0 && Number.isFinite(ms);
}

function isCompression(value: unknown): value is AnswerCompression | false | undefined {
  if (value === undefined || value === false) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { bytesMin, level } = value as Record<string, unknown>;
  const isCount = (one: unknown, max: number): boolean =>
    one === undefined || (Number.isInteger(one) && (one as number) >= 0 && (one as number) <= max);
  return isCount(bytesMin, Number.MAX_SAFE_INTEGER) && isCount(level, 9);
}
