/** Makes bytes and expected results of a row in the tables of HTTP/1 cases. */
import { describeRequest } from './http1-witness.ts';

export interface StrictCase {
  readonly what: string;
  readonly bytes: string;
  /** For each answer: a status, or a request in the form of `describeRequest`. */
  readonly answers: readonly string[];
  /** The end of the connection. `cut`: it ends because the client ends its side although the message is incomplete. */
  readonly fate: 'kept' | 'closed' | 'cut';
}

/** A request that follows each case in the same bytes. Where the connection is closed, no handler may get it. */
export const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n';
export const HIDDEN_SEEN: string = describeRequest({
  method: 'GET',
  target: '/hidden',
  version: 'HTTP/1.1',
  authority: 'hidden',
  fields: ['Host', 'hidden', 'Connection', 'close'],
  body: '',
});

/** Limits of the front end that the cases refer to. */
export const STRICT_LIMITS: { readonly headBytesMax: number; readonly bodyBytesMax: number } = {
  headBytesMax: 8 * 1024,
  bodyBytesMax: 64 * 1024,
};

/** `[name of the case, bytes that differ, expected result or status]`. */
export type Row = readonly [what: string, text: string, expected: string | number];

interface Parts {
  readonly line?: string;
  readonly authority?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
}

/** `line`: such as `GET / HTTP/1.1`; fields as `Name: value`. */
export function seen({ line = 'GET / HTTP/1.1', authority = 'a', fields = [], body = '' }: Parts): string {
  const [method = '', target = '', version = ''] = line.split(' ');
  const flat = [`Host: ${authority}`, ...fields].flatMap((field) => {
    const colon = field.indexOf(': ');
    return [field.slice(0, colon), field.slice(colon + 2)];
  });
  return describeRequest({ method, target, version, authority, fields: flat, body });
}

function toCase(row: Row, bytes: string, served: (expected: string) => string): StrictCase {
  const [what, , expected] = row;
  if (typeof expected === 'number') return { what, bytes, answers: [String(expected)], fate: 'closed' };
  return { what, bytes, answers: [served(expected)], fate: 'kept' };
}

/** Rows of request lines; expected: `method target version`, or `method target version authority`. */
export function ofRequestLines(rows: readonly Row[]): StrictCase[] {
  return rows.map((row) =>
    toCase(row, `${row[1]}\r\nHost: a\r\n\r\n`, (expected) => {
      const authority = expected.split(' ')[3];
      return seen({ line: expected, ...(authority === undefined ? {} : { authority }) });
    }),
  );
}

/** Rows of Host lines; expected: the authority. */
export function ofHosts(rows: readonly Row[]): StrictCase[] {
  return rows.map((row) =>
    toCase(row, `GET / HTTP/1.1\r\n${row[1]}\r\n`, (authority) => seen({ authority })),
  );
}

/** Rows of lines after Host; expected: the fields, with ` | ` between them. */
export function ofFields(rows: readonly Row[]): StrictCase[] {
  return rows.map((row) =>
    toCase(row, `GET / HTTP/1.1\r\nHost: a\r\n${row[1]}\r\n`, (expected) =>
      seen({ fields: expected === '' ? [] : expected.split(' | ') }),
    ),
  );
}

/** `[name of the case, field lines, bytes after the head, expected body or status]`. */
export type FramingRow = readonly [what: string, lines: string, behind: string, expected: string | number];

/** The fields of a row that is served are `Name: value`, one in each line. */
export function ofFraming(rows: readonly FramingRow[]): StrictCase[] {
  return rows.map(([what, lines, behind, expected]) => {
    const head = `POST /x HTTP/1.1\r\nHost: a\r\n${lines.replaceAll('\n', '\r\n')}\r\n\r\n`;
    const fields = lines.split('\n').map((line) => line.replace(/:[\t ]*/, ': ').trimEnd());
    return toCase([what, '', expected], head + behind, (body) =>
      seen({ line: 'POST /x HTTP/1.1', fields, body }),
    );
  });
}

/** Rows of chunked coding; expected: the body. */
export function ofChunks(rows: readonly Row[]): StrictCase[] {
  return ofFraming(rows.map(([what, coded, body]) => [what, 'Transfer-Encoding: chunked', coded, body]));
}

/** `[name of the case, bytes, targets of served requests and statuses, end of the connection]`. */
export type SeriesRow = readonly [
  what: string,
  bytes: string,
  answers: readonly StrictAnswer[],
  fate: StrictCase['fate'],
];
/** A status, or the parts of a request. */
export type StrictAnswer = number | Parts;

export function ofSeries(rows: readonly SeriesRow[]): StrictCase[] {
  return rows.map(([what, bytes, answers, fate]) => ({
    what,
    bytes,
    answers: answers.map((answer) => (typeof answer === 'number' ? String(answer) : seen(answer))),
    fate,
  }));
}
