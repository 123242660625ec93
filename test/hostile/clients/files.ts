/** Clients of a folder that want what is not theirs, or more work than they ask for. */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { GatewayFolder } from '../../support/run-gateway.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { outcomeOf, until } from './outcome.ts';

const END = 'Host: a\r\nConnection: close\r\n';
const CONTENT = 'content of a file';
const SECRET = 'secret';
const LARGE_BYTES = 8 * 1024 * 1024;
/** Small enough that even a busy machine sends all of it in the time that this client has. */
const RANGED_BYTES = 1024 * 1024;
const PATIENCE_MS = 12_000;
const SLOW_READERS = 40;
const SERIES = 300;
/** What an answer has beside its content. */
const HEAD_BYTES_MAX = 4096;

/** Words of the command line for the folder, and what is in it and beside it. */
export const FILES_WORDS: readonly string[] = ['-l', '/files', '$FOLDER/files/'];

export function makeFiles(folder: GatewayFolder): void {
  mkdirSync(folder.file('files/sub'), { recursive: true });
  mkdirSync(folder.file('files/.git'));
  writeFileSync(folder.file('files/small.txt'), CONTENT);
  writeFileSync(folder.file('files/large.bin'), Buffer.alloc(LARGE_BYTES, 1));
  writeFileSync(folder.file('files/ranged.bin'), Buffer.alloc(RANGED_BYTES, 1));
  for (const name of ['secret.txt', 'files/.secret', 'files/.git/config'])
    writeFileSync(folder.file(name), SECRET);
}

async function ask(target: Target, path: string, fields = ''): Promise<string> {
  return await outcomeOf(await target.secure(), `GET ${path} HTTP/1.1\r\n${END}${fields}\r\n`);
}

/** Ways to write `..`, `/` and a dot, each decoded by somebody once. */
const DOTS = [
  '..',
  '%2e%2e',
  '%2E.',
  '.%2e',
  '%252e%252e',
  '%c0%ae%c0%ae',
  '%u002e%u002e',
  '..;',
  '.. ',
  '..%00',
];
const SLASHES = ['/', '%2f', '%5c', '\\', '%252f', '%c0%af', '//'];
const HIDDEN = [
  '.secret',
  '%2esecret',
  '.git/config',
  '.git%2fconfig',
  'sub/../.secret',
  './.secret',
  '/.secret',
];

async function traverse(target: Target): Promise<string> {
  const paths = DOTS.flatMap((dots) =>
    SLASHES.flatMap((slash) => [
      `/files/${dots}${slash}secret.txt`,
      `/files/sub${slash}${dots}${slash}${dots}${slash}secret.txt`,
    ]),
  );
  for (const path of [...paths, ...HIDDEN.map((name) => `/files/${name}`)]) {
    const outcome = await ask(target, path.replaceAll(' ', '%20'));
    if (!/^4\d\d$/.test(outcome)) return `${path}: ${outcome}`;
  }
  return 'nothing';
}

/** One answer with many ranges that overlap is no longer than the file. */
async function rangeBomb(target: Target): Promise<string> {
  const client = await target.secure();
  let received = 0;
  client.socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  const ranges = Array.from({ length: 1500 }, () => '0-').join(',');
  client.send(`GET /files/ranged.bin HTTP/1.1\r\n${END}Range: bytes=${ranges}\r\n\r\n`);
  const ended = await until(() => client.ended, PATIENCE_MS);
  client.destroy();
  return ended && received <= RANGED_BYTES + HEAD_BYTES_MAX ? 'once' : `${received} bytes`;
}

async function slowReaders(target: Target): Promise<string> {
  const all = await Promise.all(Array.from({ length: SLOW_READERS }, () => target.secure()));
  for (const client of all) {
    client.socket.pause();
    client.send('GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n');
  }
  await until(() => all.every(({ socket }) => socket.destroyed), 2 * CLIENT_LIMITS.stallTimeoutMs);
  return 'not read';
}

/** Requests of one connection, one after the other; how many of the answers have this status. */
async function series(target: Target, status: number, request: (i: number) => string): Promise<string> {
  const client = await target.secure();
  const requests = Array.from({ length: SERIES }, (_, i) => request(i));
  client.send(`${requests.join('')}GET /files/small.txt HTTP/1.1\r\n${END}\r\n`);
  await until(() => client.ended, PATIENCE_MS);
  const answers = client.received.toString('latin1').match(new RegExp(`HTTP/1\\.1 ${status} `, 'g')) ?? [];
  client.destroy();
  return `${answers.length}`;
}

/** Codings that nobody has, in ever other values, so that nothing that is remembered helps. */
function noise(i: number): string {
  const members = Array.from({ length: 60 }, (_, k) => `x${i}-${k};q=0.${k % 10}`);
  return `GET /files/small.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: ${members.join(', ')}, gzip;q=0.${i}\r\n\r\n`;
}

export const FILES: readonly HostileClient[] = [
  { name: 'paths that lead out of a folder, in every writing', gets: /^nothing$/, act: traverse },
  {
    name: 'a Range of 1,500 ranges that each are the whole file',
    brief: true,
    gets: /^once$/,
    act: rangeBomb,
  },
  {
    name: 'a Range that is no range',
    brief: true,
    gets: /^200 content of a file$/,
    act: (target) => ask(target, '/files/small.txt', `Range: bytes=${'-'.repeat(4000)}\r\n`),
  },
  {
    name: 'a range beyond all numbers',
    gets: /^416$/,
    act: (target) => ask(target, '/files/small.txt', `Range: bytes=${'9'.repeat(4000)}-\r\n`),
  },
  {
    name: 'If-None-Match of a thousand tags',
    gets: /^200 content of a file$/,
    act: (target) => ask(target, '/files/small.txt', `If-None-Match: ${'"a", '.repeat(1000)}"b"\r\n`),
  },
  {
    name: `${SLOW_READERS} clients that do not read a file of 8 MiB`,
    waits: true,
    gets: /^not read$/,
    act: slowReaders,
  },
  {
    name: `${SERIES} requests with noise in Accept-Encoding`,
    brief: true,
    gets: new RegExp(`^${SERIES + 1}$`),
    act: (target) => series(target, 200, noise),
  },
  {
    name: `${SERIES} names that are not there`,
    gets: new RegExp(`^${SERIES}$`),
    act: (target) =>
      series(target, 404, (i) => `GET /files/sub/${i}/${'n'.repeat(200)} HTTP/1.1\r\nHost: a\r\n\r\n`),
  },
];
