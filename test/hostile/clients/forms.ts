/** Clients whose forms are bombs, never end, come slowly, or could be read in two ways. */
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { drip, outcomeOf } from './outcome.ts';

const MULTIPART = 'multipart/form-data; boundary=b';
const END = '\r\n--b--\r\n';

function head(path: string, type: string, framing: string): string {
  return `POST /hostile/${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`;
}

/** Sends a whole form. */
function sends(body: string | (() => string), path = 'parts', type = MULTIPART) {
  return async (target: Target): Promise<string> => {
    const text = typeof body === 'string' ? body : body();
    return await outcomeOf(await target.secure(), head(path, type, `Content-Length: ${text.length}`) + text);
  };
}

/** Sends a form that goes on with `piece` for ever. */
function drips(first: string, piece: string, everyMs: number, path = 'parts') {
  return async (target: Target): Promise<string> => {
    const client = await target.secure();
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
    client.send(head(path, MULTIPART, 'Transfer-Encoding: chunked') + chunk(first));
    return await drip(client, chunk(piece), everyMs);
  };
}

const part = (parameters: string, content: string): string =>
  `--b\r\nContent-Disposition: form-data; ${parameters}\r\n\r\n${content}\r\n`;
const many = (count: number): string => `${part('name="a"', '').repeat(count)}--b--\r\n`;
/** As much as a body may be, and a little less for what stands around. */
const LARGE: number = CLIENT_LIMITS.bodyBytesMax - 1000;
const file = (content: string): string => `${part('name="f"; filename="f"', content)}--b--\r\n`;

export const FORMS: readonly HostileClient[] = [
  { name: 'a form of ten thousand parts', brief: true, act: sends(() => many(10_000)), gets: /^413/ },
  {
    name: 'a form of ten thousand parts, its fields alone',
    act: sends(() => many(10_000), 'form'),
    gets: /^200 limit/,
  },
  {
    name: 'a part with a head of 500 KiB',
    brief: true,
    act: sends(() => `--b\r\nX: ${'x'.repeat(500 * 1024)}\r\n\r\n${END}`),
    gets: /^413/,
  },
  {
    name: 'a part with ten thousand lines in its head',
    act: sends(() => `--b\r\n${'X: y\r\n'.repeat(10_000)}\r\n${END}`),
    gets: /^413/,
  },
  {
    name: 'a part whose head never ends',
    act: drips('--b\r\n', 'X: y\r\n', 10),
    gets: /^(?:413|408|closed)/,
  },
  {
    name: 'a boundary whose line never ends',
    act: drips('--b', ' '.repeat(1000), 0),
    gets: /^(?:400|413|408|closed)/,
  },
  {
    name: 'blanks for ever in a head',
    act: drips('--b\r\nX:', ' '.repeat(1000), 0),
    gets: /^(?:413|408|closed)/,
  },
  {
    name: 'a form that never begins',
    act: drips('x', 'x'.repeat(10_000), 0),
    gets: /^(?:413|408|closed)/,
  },
  {
    name: 'a file of almost boundaries',
    brief: true,
    act: sends(() => file('\r\n--a'.repeat(LARGE / 5))),
    gets: /^200 1 parts \d+/,
  },
  {
    name: 'a file of beginnings of a boundary of 70 characters',
    act: sends(
      () => {
        const boundary = 'b'.repeat(70);
        const almost = `\r\n--${boundary.slice(1)}`;
        return `--${boundary}\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n${almost.repeat(LARGE / almost.length)}\r\n--${boundary}--`;
      },
      'parts',
      `multipart/form-data; boundary=${'b'.repeat(70)}`,
    ),
    gets: /^200 1 parts \d+/,
  },
  { name: 'a file of line ends', act: sends(() => file('\r\n'.repeat(LARGE / 2))), gets: /^200 1 parts \d+/ },
  {
    name: 'a file of carriage returns',
    act: sends(() => file('\r'.repeat(LARGE))),
    gets: /^200 1 parts \d+/,
  },
  { name: 'a file of hyphens', act: sends(() => file('-'.repeat(LARGE))), gets: /^200 1 parts \d+/ },
  {
    waits: true,
    name: 'a file of one byte in a tenth of a second',
    act: drips('--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n', 'x', 100),
    gets: /^(?:408|closed)/,
  },
  {
    waits: true,
    name: 'a part that begins and does not come',
    act: async (target) =>
      await outcomeOf(
        await target.secure(),
        `${head('parts', MULTIPART, 'Content-Length: 1000')}--b\r\nContent-Disp`,
      ),
    gets: /^(?:408|closed)/,
  },
  { name: 'a form without an end', act: sends(part('name="a"', 'x')), gets: /^400/ },
  { name: 'a form that ends in its head', act: sends('--b\r\nContent-Disposition: form'), gets: /^400/ },
  { name: 'a part of two names', act: sends(`${part('name="a"; name="b"', 'x')}--b--`), gets: /^400/ },
  {
    name: 'a part of two dispositions',
    act: sends(
      '--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\nx\r\n--b--',
    ),
    gets: /^400/,
  },
  { name: 'text behind a boundary', act: sends('--bx\r\n\r\n--b--'), gets: /^400/ },
  {
    name: 'a head of line feeds alone',
    act: sends('--b\nContent-Disposition: form-data; name="a"\n\nx\n--b--'),
    gets: /^400/,
  },
  { name: 'a name with a line end', act: sends(`${part('name="a\r\nb"', 'x')}--b--`), gets: /^400/ },
  {
    name: 'a name of 7,000 backslashes',
    act: sends(`${part(`name="${'\\'.repeat(7000)}"`, 'x')}--b--`),
    gets: /^(?:400|200)/,
  },
  {
    name: 'a boundary of 71 characters',
    act: sends('x', 'parts', `multipart/form-data; boundary=${'b'.repeat(71)}`),
    gets: /^4(?:00|15)/,
  },
  { name: 'a form without a boundary', act: sends('x', 'parts', 'multipart/form-data'), gets: /^4(?:00|15)/ },
  {
    name: 'two boundaries',
    act: sends(`${part('name="a"', 'x')}--b--`, 'parts', `${MULTIPART}; boundary=c`),
    gets: /^(?:4(?:00|15)|200)/,
  },
  { name: 'a form of another type', act: sends('x', 'parts', 'text/plain'), gets: /^415/ },
  {
    name: 'a field of a megabyte',
    act: sends(() => `${part('name="a"', 'x'.repeat(LARGE))}--b--`, 'form'),
    gets: /^200 (?:form|limit)/,
  },
  {
    name: 'an urlencoded form of a hundred thousand fields',
    brief: true,
    act: sends(() => 'a&'.repeat(100_000), 'form', 'application/x-www-form-urlencoded'),
    gets: /^200 limit/,
  },
  {
    name: 'an urlencoded form of percent signs',
    act: sends(() => '%'.repeat(LARGE), 'form', 'application/x-www-form-urlencoded'),
    gets: /^200 (?:form|limit|invalid)/,
  },
  {
    name: 'an urlencoded form of one name, a thousand times',
    act: sends(() => 'a=1&'.repeat(999), 'form', 'application/x-www-form-urlencoded'),
    gets: /^200 form/,
  },
];
