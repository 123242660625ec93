/**
 * The form of server-sent events (WHATWG HTML §9.2.5): the lines that stand for one event. Texts are as the caller has them, strings of
 * bytes or of characters; clients read the bytes as UTF-8.
 */

/** Its only character encoding is UTF-8, which no parameter need say (WHATWG HTML §9.2.7). */
export const EVENT_STREAM_TYPE = 'text/event-stream';

/** A comment, which clients pass over: it shows both sides, and whoever stands between, that the connection lives. */
export const HEARTBEAT = ':\n\n';

/** What a client can wait before it comes back, in milliseconds: a day. */
export const RETRY_MS_MAX = 86_400_000;

/** One event; without `data` the client dispatches none, and only remembers what it says. */
export interface StreamEvent {
  readonly data?: string | undefined;
  /** The type that the client dispatches; absent: `message`. */
  readonly event?: string | undefined;
  /** What the client sends as Last-Event-ID when it comes back. */
  readonly id?: string | undefined;
  /** How long the client waits before it comes back, in whole milliseconds. */
  readonly retryMs?: number | undefined;
}

/** Clients pass over an id with NUL, and a line end would begin another field. */
const NOT_IN_LINE = /[\0\r\n]/;
const LINE_ENDS = /\r\n|\r/g;

/** The lines of an event. Throws RangeError for a name or an id that no line can hold. */
export function formatEvent({ data, event, id, retryMs }: StreamEvent): string {
  let text = '';
  if (event !== undefined) text += `event: ${inOneLine('event', event)}\n`;
  if (id !== undefined) text += `id: ${inOneLine('id', id)}\n`;
  if (retryMs !== undefined) text += `retry: ${retryMs}\n`;
  if (data !== undefined) text += `data: ${splitLines(data)}\n`;
  return `${text}\n`;
}

/** Each line of the data is a field of its own, which the client joins by LF. */
function splitLines(data: string): string {
  const text = data.includes('\r') ? data.replace(LINE_ENDS, '\n') : data;
  return text.includes('\n') ? text.replaceAll('\n', '\ndata: ') : text;
}

function inOneLine(name: string, value: string): string {
  if (!NOT_IN_LINE.test(value)) return value;
  throw new RangeError(`"${name}" of an event holds NUL, CR or LF, which no line of an event stream can`);
}
