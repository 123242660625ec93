/** Random multipart bodies: well-formed ones, and ones in which something was changed. All depends on the seed alone. */
import { Dice } from './http1-fuzz-input.ts';

export interface MultipartInput {
  readonly boundary: string;
  readonly body: string;
  /** Places at which the body is cut in pieces, in order, for each of two readers. */
  readonly cuts: readonly [readonly number[], readonly number[]];
}

const BOUNDARY_CHARACTERS = "0123456789abcXYZ'()+_,-./:=?";
const NAMES = ['a', 'field', 'x y', 'a;b', 'a=b', '\xc3\xa9', 'a[0]', 'a%22b', ''];
const TYPES = ['text/plain', 'image/png', 'text/html; charset=utf-8', 'Application/X-Thing', 'a/b'];
const SPOILT = ['\r\n', '\n', '\r', '--', '"', ';', ':', '\0', ' ', 'x', '\r\n\r\n', '\\', '=', 'name="b"'];

export function makeInput(seed: number, isSpoilt: boolean): MultipartInput {
  const dice = new Dice(seed);
  const below = (count: number): number => dice.below(count);
  const pick = <T>(list: readonly T[]): T => dice.pick(list);
  const boundary = Array.from({ length: 1 + below(pick([2, 30, 70])) }, () =>
    pick([...BOUNDARY_CHARACTERS]),
  ).join('');
  const content = (): string =>
    Array.from({ length: below(pick([2, 8, 200])) }, () =>
      pick([
        '\r',
        '\n',
        '\r\n',
        '-',
        '\r\n--',
        `\r\n--${boundary.slice(0, -1)}`,
        `--${boundary}`,
        `\n--${boundary}`,
        'x',
        'some text',
        '\0\xff',
        'y'.repeat(below(5000)),
      ]),
    ).join('');
  const part = (): string => {
    const lines = [
      `Content-Disposition: form-data; name="${pick(NAMES)}"${pick(['', '', `; filename="${pick(NAMES)}"`])}`,
    ];
    if (below(2) === 0)
      lines.push(`${pick(['Content-Type', 'content-type'])}:${pick([' ', ''])}${pick(TYPES)}`);
    if (below(4) === 0) lines.unshift('X-Other: value');
    return `${lines.join('\r\n')}\r\n\r\n${safe(content(), boundary)}`;
  };
  const parts = Array.from({ length: 1 + below(4) }, part);
  const preamble = pick(['', '', '\r\n', 'a preamble\r\n']);
  let body = `${preamble}--${boundary}\r\n${parts.join(`\r\n--${boundary}${pick(['', '', ' \t'])}\r\n`)}\r\n--${boundary}--${pick(['', '\r\n', '\r\nan epilogue'])}`;
  if (isSpoilt) body = spoil(body, boundary, dice);
  const places = (): number[] =>
    Array.from({ length: below(pick([1, 5, 40])) }, () => below(body.length)).sort((a, b) => a - b);
  return { boundary, body, cuts: [places(), places()] };
}

/** Contents of well-formed bodies hold no delimiter, also not by the line end before them. */
function safe(content: string, boundary: string): string {
  const delimiter = `\r\n--${boundary}`;
  let text = content;
  while (`\r\n${text}`.includes(delimiter))
    text = `\r\n${text}`.replaceAll(delimiter, '').replace(/^\r\n/, '');
  return text;
}

/** Cuts something out, puts something in, doubles something, or breaks it off. */
function spoil(body: string, boundary: string, dice: Dice): string {
  let text = body;
  for (let times = 1 + dice.below(3); times > 0; times--) {
    const at = dice.below(text.length + 1);
    const size = dice.below(dice.pick([3, 20]));
    switch (dice.below(4)) {
      case 0:
        text = text.slice(0, at) + text.slice(at + size);
        break;
      case 1:
        text =
          text.slice(0, at) + dice.pick([...SPOILT, `\r\n--${boundary}`, `--${boundary}`]) + text.slice(at);
        break;
      case 2:
        text = text.slice(0, at + size) + text.slice(at);
        break;
      default:
        if (dice.below(4) === 0) text = text.slice(0, at);
    }
  }
  return text;
}
