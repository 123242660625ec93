/** Clients that ask for paths and hosts which are hard to find, or easy to take for others. */
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { outcomeOf } from './outcome.ts';

/** Behind the request line and the fields that stand here. */
const PATH_BYTES: number = CLIENT_LIMITS.headBytesMax - 200;

function get(path: string, host = 'a', more = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
}

/** Asks for all paths over one connection, one behind the other. */
function asks(paths: () => readonly string[]) {
  return async (target: Target): Promise<string> => {
    const list = paths();
    const bytes = list
      .map((path, i) => get(path, 'a', i === list.length - 1 ? 'Connection: close\r\n' : ''))
      .join('');
    return await outcomeOf(await target.secure(), bytes);
  };
}

/** Asks with each host once. */
function names(hosts: () => readonly string[]) {
  return async (target: Target): Promise<string> => {
    const list = hosts();
    const bytes = list
      .map((host, i) => get('/hostile/routes/x', host, i === list.length - 1 ? 'Connection: close\r\n' : ''))
      .join('');
    return await outcomeOf(await target.secure(), bytes);
  };
}

const REPEATED = 60;

export const ROUTING: readonly HostileClient[] = [
  {
    name: 'paths that every branch of overlapping patterns fits, but for their end',
    brief: true,
    act: asks(() => Array.from({ length: REPEATED }, (_, i) => `/hostile/routes${'/a'.repeat(12)}/${i}`)),
    gets: /^404, 404/,
  },
  {
    name: 'paths of thousands of segments',
    brief: true,
    act: asks(() => Array.from({ length: REPEATED }, () => `/hostile/routes${'/a'.repeat(PATH_BYTES / 3)}`)),
    gets: /^404, 404/,
  },
  {
    name: 'paths of one long segment among patterns that overlap',
    act: asks(() =>
      Array.from({ length: REPEATED }, () => `/hostile/routes/${'a'.repeat(PATH_BYTES)}${'/a'.repeat(11)}/b`),
    ),
    gets: /^404, 404/,
  },
  {
    name: 'paths of slashes',
    act: asks(() => Array.from({ length: REPEATED }, () => `/hostile/routes${'/'.repeat(PATH_BYTES)}`)),
    gets: /^404, 404/,
  },
  {
    name: 'paths of escaped slashes',
    act: asks(() => Array.from({ length: REPEATED }, () => `/hostile/routes${'%2F'.repeat(PATH_BYTES / 3)}`)),
    gets: /^404, 404/,
  },
  {
    name: 'a thousand paths, each another',
    act: asks(() => Array.from({ length: 1000 }, (_, i) => `/hostile/routes/${i}`)),
    gets: /^200 routes, 200 routes/,
  },
  {
    name: 'dots that lead out of a mapping',
    act: asks(() => [
      '/hostile/../honest/hello?x',
      '/hostile/%2e%2e/honest/hello?x',
      '/hostile/routes/..%2f..%2fhello',
    ]),
    gets: /^404, 404, 404/,
  },
  { name: 'a path with NUL', act: asks(() => ['/hostile/routes/%00']), gets: /^400/ },
  {
    name: 'a name in braces',
    act: asks(() => ['/hostile/routes/{a}', '/hostile/%7Ba%7D']),
    gets: /^200 routes, 404/,
  },
  {
    name: 'a host for each request',
    act: names(() => Array.from({ length: 1000 }, (_, i) => `${i}.${'a.'.repeat(100)}test`)),
    gets: /^200 routes, 200 routes/,
  },
  {
    name: 'hosts of strange form',
    act: names(() => ['a..b', '.', '%00', '[::1]', 'a:99999', 'A.', '127.0.0.1.']),
    gets: /^(?:200 routes|400)/,
  },
];
