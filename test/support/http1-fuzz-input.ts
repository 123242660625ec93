/**
 * Makes bytes for HTTP/1 connections that are almost correct: known inputs, changed in a few places. The same seed number gives
 * the same bytes.
 */
import { REAL_REQUESTS } from './http1-real-requests.ts';
import { STRICT_BODIES } from './strict-bodies.ts';
import type { StrictCase } from './strict-case.ts';
import { STRICT_HEADS } from './strict-heads.ts';
import { STRICT_SERIES } from './strict-series.ts';

/** Longer known inputs test limits, which this comparison leaves out. */
const SEED_BYTES_MAX = 1_000;
/** A changed input stays below the limit of a head. */
const INPUT_BYTES_MAX = 6_000;
/** Numbers of changes, one chosen at random. One change is most frequent, because it shows most differences. */
const CHANGES_MADE = [0, 1, 1, 1, 1, 2, 2, 3, 5];

const CASES: readonly StrictCase[] = [...STRICT_HEADS, ...STRICT_BODIES, ...STRICT_SERIES].filter(
  ({ bytes }) => bytes.length <= SEED_BYTES_MAX,
);
const bytesOf = (fate: (strict: StrictCase) => boolean): string[] =>
  CASES.filter(fate).map(({ bytes }) => bytes);
/** Inputs that are served and requests of real clients appear more often, because a fault hides all later faults. */
const SEEDS: readonly (readonly string[])[] = [
  REAL_REQUESTS,
  REAL_REQUESTS,
  bytesOf(({ fate }) => fate === 'kept'),
  bytesOf(({ fate }) => fate !== 'kept'),
];

/** Texts that have caused faults in parsers. */
const SPECIAL: readonly string[] = [
  ...[
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    '\n\n',
    '\n\r',
    ' ',
    '\t',
    '\0',
    '\x01',
    '\x0b',
    '\x0c',
    '\x1f',
    '\x7f',
  ],
  ...[
    '\x80',
    '\xa0',
    '\xff',
    ':',
    ': ',
    ';',
    ',',
    '"',
    '\\',
    "'",
    '=',
    '+',
    '-',
    '_',
    '.',
    '/',
    '*',
    '#',
    '?',
  ],
  ...[
    '@',
    '[',
    ']',
    '%00',
    '%0d%0a',
    '0',
    '00000000',
    'x',
    '0x',
    '\r\n ',
    '\r\n\t',
    ' \r\n',
    'HTTP/1.1',
    ';a=b',
  ],
];

const LINES: readonly string[] = [
  ...['Host: b', 'Host:', 'host: a', 'Content-Length: 0', 'Content-Length: 3', 'Content-Length: 5'],
  ...['Content-Length: +3', 'Content-Length: 3, 3', 'Content-Length:', 'Content-Length: 0x3'],
  ...['Content-Length: 99999999999999999999', 'Content-Length : 3', 'Content-Length: 3 '],
  ...['Transfer-Encoding: chunked', 'Transfer-Encoding: Chunked', 'Transfer-Encoding: gzip, chunked'],
  ...['Transfer-Encoding: chunked, gzip', 'Transfer-Encoding: identity', 'Transfer-Encoding: xchunked'],
  ...['Transfer-Encoding:', 'Transfer-Encoding: chunked;x', 'Transfer-Encoding: "chunked"'],
  ...['Transfer-Encoding : chunked', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding: chunked,'],
  ...['Connection: close', 'Connection: keep-alive', 'Connection: keep-alive, close', 'Connection: upgrade'],
  ...['Connection: TE, close', 'Upgrade: h2c', 'Upgrade: websocket', 'Expect: 100-continue', 'Expect: x'],
  ...[
    'Proxy-Connection: close',
    'Proxy-Connection: keep-alive',
    'Keep-Alive: 5',
    'TE: trailers',
    'Trailer: X',
  ],
  ...[' folded', '\tfolded', 'no colon', ': no name', 'X: \x80', 'X\x80: y', 'GET / HTTP/1.1', ''],
];

const REQUEST_LINES: readonly string[] = [
  ...['GET / HTTP/1.0', 'GET / HTTP/1.1', 'GET / HTTP/1.2', 'GET / HTTP/2.0', 'GET / HTTP/0.9', 'GET /'],
  ...['HEAD / HTTP/1.1', 'POST / HTTP/1.1', 'PUT / HTTP/1.0', 'OPTIONS * HTTP/1.1', 'CONNECT a:1 HTTP/1.1'],
  ...['GET http://b/x HTTP/1.1', 'GET https://b/x HTTP/1.1', 'GET http://u@b/ HTTP/1.1', 'GET a:1 HTTP/1.1'],
  ...['PRI * HTTP/1.1', 'SOURCE / HTTP/1.1', 'PURGE / HTTP/1.1', 'get / HTTP/1.1', 'DESCRIBE / RTSP/1.0'],
];

const CHUNKS: readonly string[] = [
  ...[
    '0\r\n\r\n',
    '3\r\nabc\r\n',
    '3\r\nabc\r\n0\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    '3;a=b\r\nabc\r\n',
    '3;a="b"\r\nabc\r\n',
  ],
  ...[
    '00\r\n\r\n',
    '3 \r\nabc\r\n',
    '3\nabc\r\n',
    '3\r\nabc\n',
    '3\r\nabc',
    '-3\r\nabc\r\n',
    '0x3\r\nabc\r\n',
    'g\r\n',
  ],
  ...[
    '0000000000000000003\r\nabc\r\n',
    'ffffffffffffffff\r\n',
    '0\r\nContent-Length: 3\r\n\r\n',
    '0\r\n',
    '0\n\n',
  ],
];

/** A source of numbers that depend only on the seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Returns an integer from 0 to `count` - 1. */
  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % count;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

type Change = (bytes: string, dice: Dice) => string;

const replaced = (bytes: string, at: number, size: number, by: string): string =>
  bytes.slice(0, at) + by + bytes.slice(at + size);

const changeBit: Change = (bytes, dice) => {
  const at = dice.below(bytes.length);
  return replaced(bytes, at, 1, String.fromCharCode(bytes.charCodeAt(at) ^ (1 << dice.below(8))));
};
const changeByte: Change = (bytes, dice) =>
  replaced(bytes, dice.below(bytes.length), 1, String.fromCharCode(dice.below(256)));
const insertSpecial: Change = (bytes, dice) =>
  replaced(bytes, dice.below(bytes.length + 1), 0, dice.pick(SPECIAL));
const putSpecial: Change = (bytes, dice) => replaced(bytes, dice.below(bytes.length), 1, dice.pick(SPECIAL));
/** Inserts beside a byte where a parser changes its state. */
const insertAtBoundary: Change = (bytes, dice) => {
  const places = [...bytes.matchAll(/[\r\n: ;,/]/g)].map(({ index }) => index);
  if (places.length === 0) return bytes;
  return replaced(bytes, dice.pick(places) + dice.below(2), 0, dice.pick(SPECIAL));
};
const removeSpan: Change = (bytes, dice) =>
  replaced(bytes, dice.below(bytes.length), 1 + dice.below(dice.pick([1, 4, 16])), '');
const removeBoundary: Change = (bytes, dice) => {
  const places = [...bytes.matchAll(/\r\n|[\r\n: ]/g)];
  if (places.length === 0) return bytes;
  const { index, 0: text } = dice.pick(places);
  return replaced(bytes, index, text.length, dice.pick(['', '', ...SPECIAL]));
};
const cutOff: Change = (bytes, dice) => bytes.slice(0, dice.below(bytes.length) + 1);
const repeatAll: Change = (bytes) => bytes + bytes;

/** Changes the lines of the text. */
const ofLines =
  (change: (lines: string[], at: number, dice: Dice) => void): Change =>
  (bytes, dice) => {
    const lines = bytes.split('\r\n');
    change(lines, dice.below(lines.length), dice);
    return lines.join('\r\n');
  };
const repeatLine = ofLines((lines, at) => lines.splice(at, 0, lines[at] as string));
const removeLine = ofLines((lines, at) => lines.splice(at, 1));
const moveLine = ofLines((lines, at, dice) =>
  lines.splice(dice.below(lines.length), 0, ...lines.splice(at, 1)),
);
const insertLine = ofLines((lines, at, dice) => lines.splice(at, 0, dice.pick(LINES)));
const insertField = ofLines((lines, _at, dice) => lines.splice(1, 0, dice.pick(LINES)));
const changeRequestLine = ofLines((lines, _at, dice) => lines.splice(0, 1, dice.pick(REQUEST_LINES)));
const changeCase = ofLines((lines, at, dice) => {
  const line = lines[at] as string;
  lines[at] = dice.below(2) === 0 ? line.toUpperCase() : line.toLowerCase();
});

const changeNumber: Change = (bytes, dice) => {
  const numbers = [...bytes.matchAll(/[0-9a-f]+/g)];
  if (numbers.length === 0) return bytes;
  const { index, 0: text } = dice.pick(numbers);
  const others = ['0', '1', '3', '00', '+1', '-1', '0x1', '1_0', 'f', '18446744073709551617', `0${text}`];
  return replaced(bytes, index, text.length, dice.pick([...others, `${text} `, ` ${text}`, `${text}0`]));
};
const splice: Change = (bytes, dice) => {
  const other = dice.pick(dice.pick(SEEDS));
  return bytes.slice(0, dice.below(bytes.length + 1)) + other.slice(dice.below(other.length));
};
const append: Change = (bytes, dice) => bytes + dice.pick(dice.pick(SEEDS));
const insertChunk: Change = (bytes, dice) => {
  const body = bytes.indexOf('\r\n\r\n');
  const at = body === -1 ? bytes.length : body + 4 + dice.below(bytes.length - body - 3);
  return replaced(bytes, at, 0, dice.pick(CHUNKS));
};
/** Changes the head so that chunked coding follows. */
const makeChunked: Change = (bytes, dice) => {
  const chunks = Array.from({ length: 1 + dice.below(3) }, () => dice.pick(CHUNKS)).join('');
  const head = bytes.split('\r\n\r\n')[0] as string;
  return `${head}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}${dice.pick(CHUNKS)}`;
};

const CHANGES: readonly Change[] = [
  ...[changeBit, changeByte, insertSpecial, putSpecial, insertAtBoundary, insertAtBoundary, insertAtBoundary],
  ...[removeSpan, removeBoundary, removeBoundary, cutOff, repeatAll, repeatLine, removeLine, moveLine],
  ...[insertLine, insertField, insertField, changeRequestLine, changeCase, changeNumber, splice, append],
  ...[insertChunk, insertChunk, makeChunked, makeChunked],
];

/** Returns the bytes for a seed number. */
export function fuzzInput(seed: number): string {
  const dice = new Dice(seed);
  let bytes = dice.pick(dice.pick(SEEDS));
  for (let left = dice.pick(CHANGES_MADE); left > 0; left--)
    bytes = dice.pick(CHANGES)(bytes, dice).slice(0, INPUT_BYTES_MAX) || ' ';
  return bytes;
}
