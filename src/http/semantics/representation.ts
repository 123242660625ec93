/** What a file answers to the conditions and ranges of a request: the status, the part and the fields (RFC 9110 §13, §14). */
import { type Fields, fieldValue, trimBlanks } from './fields.ts';
import { formatHttpDate, parseHttpDate } from './http-date.ts';

/** The file that may be sent, as it is now. */
export interface Representation {
  /** Bytes. */
  readonly size: number;
  /** Time of the last change, ms since 1970. */
  readonly modifiedMs: number;
  /** With its quotes, and `W/` where it is weak; undefined = none is told. */
  readonly etag: string | undefined;
  /** Parts of it may be asked for. */
  readonly ranges: boolean;
}

/** What to send: a status and the bytes from `start` to before `end`. */
export interface Selection {
  readonly status: 200 | 206 | 304 | 412 | 416;
  readonly start: number;
  readonly end: number;
}

/** The weak entity tag of a file: it changes with size and time, which is all that is known cheaply. */
export function weakTag(size: number, modifiedMs: number, suffix: string): string {
  return `W/"${size.toString(16)}-${Math.floor(modifiedMs).toString(16)}${suffix}"`;
}

/**
 * A file that changed so recently may change once more without another time. 2 s is what the coarsest file systems tell (FAT), and
 * more than the second of a date and the tick of a kernel.
 */
const SETTLED_MS = 2_000;

/** True when the time of the last change tells what is there now from all that was there before (RFC 9110 §8.8.2.2). */
export function isSettled(changedMs: number, now: number = Date.now()): boolean {
  return now - changedMs >= SETTLED_MS;
}

/**
 * Chooses by method and fields of the request, in the order of RFC 9110 §13.2.2. Conditions of other methods than GET and
 * HEAD are for the script, which has done what was asked for before it sends a file.
 */
export function select(method: string, request: Fields, file: Representation): Selection {
  const whole: Selection = { status: 200, start: 0, end: file.size };
  if (method !== 'GET' && method !== 'HEAD') return whole;
  if (!isAsExpected(request, file)) return { status: 412, start: 0, end: 0 };
  if (isUnchanged(request, file)) return { status: 304, start: 0, end: 0 };
  // ranges are defined for GET only, and nothing of an empty file can be named
  if (method !== 'GET' || !file.ranges || file.size === 0) return whole;
  const range = fieldValue(request, 'range');
  if (range === undefined || !rangeHolds(request, file)) return whole;
  return selectRange(range, file.size) ?? whole;
}

/** Content-Range of a selection; undefined where there is none. */
export function contentRange({ status, start, end }: Selection, size: number): string | undefined {
  if (status === 206) return `bytes ${start}-${end - 1}/${size}`;
  return status === 416 ? `bytes */${size}` : undefined;
}

/** If-Match, or where that is absent If-Unmodified-Since. Weak tags never match here. */
function isAsExpected(request: Fields, file: Representation): boolean {
  const tags = fieldValue(request, 'if-match');
  if (tags !== undefined) {
    if (trimBlanks(tags) === '*') return true;
    return file.etag !== undefined && !file.etag.startsWith('W/') && listedTags(tags).includes(file.etag);
  }
  const since = dateOf(fieldValue(request, 'if-unmodified-since'));
  return since === undefined || seconds(file.modifiedMs) <= since;
}

/** If-None-Match, or where that is absent If-Modified-Since (RFC 9110 §13.2.2). */
function isUnchanged(request: Fields, file: Representation): boolean {
  const tags = fieldValue(request, 'if-none-match');
  if (tags !== undefined) {
    if (trimBlanks(tags) === '*') return true;
    return file.etag !== undefined && listedTags(tags).map(opaque).includes(opaque(file.etag));
  }
  const since = dateOf(fieldValue(request, 'if-modified-since'));
  return since !== undefined && seconds(file.modifiedMs) <= since;
}

/**
 * If-Range: a part of what the client knows, or the whole of what is there now. Weak tags never match here, and neither does a date
 * that is weak (RFC 9110 §13.1.5): of a file that may have changed twice in its second.
 */
function rangeHolds(request: Fields, file: Representation): boolean {
  const value = fieldValue(request, 'if-range');
  const condition = value === undefined ? undefined : trimBlanks(value);
  if (condition === undefined) return true;
  if (condition.startsWith('"')) return condition === file.etag;
  if (condition.startsWith('W/')) return false;
  const date = dateOf(condition);
  return date !== undefined && date === seconds(file.modifiedMs) && isSettled(file.modifiedMs);
}

/** One range. Several ranges, and a value that is no range, are ignored (RFC 9110 §14.2). */
function selectRange(value: string, size: number): Selection | undefined {
  const match = /^bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*$/i.exec(value);
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  const nothing: Selection = { status: 416, start: 0, end: 0 };
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? nothing : { status: 206, start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? nothing : { status: 206, start, end };
}

/** The tags of a list, with what makes them weak; what is no list names none. */
function listedTags(value: string): string[] {
  return TAG_LIST.test(value) ? (value.match(TAG) ?? []) : [];
}

const TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g;
// with the empty members that a recipient has to take (RFC 9110 §5.6.1.2)
const TAG_LIST = /^[\t ,]*(?:(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"[\t ]*(?:,[\t ,]*|$))+$/;

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** A date of HTTP in any of its three forms, seconds since 1970; whatever else is as if it were not there. */
function dateOf(value: string | undefined): number | undefined {
  return value === undefined ? undefined : parseHttpDate(trimBlanks(value));
}

/** Dates of HTTP have no fractions. */
function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Last-Modified, never in the future (RFC 9110 §8.8.2.1). */
export function lastModified(modifiedMs: number, now: number = Date.now()): string {
  return formatHttpDate(Math.min(modifiedMs, now));
}
