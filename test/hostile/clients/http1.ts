/** Clients of HTTP/1.1 that are slow, greedy, or say one thing and mean another. */
import type { RawClient } from '../../support/raw-client.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { drip, outcomeOf, until } from './outcome.ts';

const GET = 'GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST /hostile/echo HTTP/1.1\r\nHost: a\r\n';

/** Sends the bytes over TLS; what comes back, until the end of the connection or of the client's patience. */
function sends(bytes: string | (() => string), over: 'secure' | 'plain' = 'secure') {
  return async (target: Target): Promise<string> => {
    const client = await target[over]();
    client.send(typeof bytes === 'string' ? bytes : bytes());
    return await outcomeOf(client);
  };
}

/** Sends a byte again and again, and tells how it ended. */
function drips(first: string, byte: string, everyMs: number, over: 'secure' | 'plain' = 'secure') {
  return async (target: Target): Promise<string> => {
    const client = await target[over]();
    client.send(first);
    return await drip(client, byte, everyMs);
  };
}

/** A second request that must never be answered hides in the body of the first. */
const HIDDEN = 'GET /hostile/large HTTP/1.1\r\nHost: a\r\n\r\n';
const SMUGGLING: Readonly<Record<string, string>> = {
  'length and chunks': `${POST}Content-Length: ${HIDDEN.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunks and length': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'two lengths': `${POST}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'a list of lengths': `${POST}Content-Length: 0, ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'a signed length': `${POST}Content-Length: +${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  'a length with a blank': `${POST}Content-Length: 4 2\r\n\r\n${HIDDEN}`,
  'a hexadecimal length': `${POST}Content-Length: 0x10\r\n\r\n${HIDDEN}`,
  'a length beyond 64 bits': `${POST}Content-Length: 18446744073709551616\r\n\r\n${HIDDEN}`,
  'an unknown coding': `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunked twice': `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunked that is not last': `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunked with a vertical tab': `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a blank before the colon': `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a folded coding': `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunks in HTTP/1.0': `POST /hostile/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'line feeds alone': `${POST}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a chunk size with a sign': `${POST}Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n${HIDDEN}`,
  'a chunk size with 0x': `${POST}Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n${HIDDEN}`,
  'a chunk size beyond 64 bits': `${POST}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n${HIDDEN}`,
  'a chunk that is longer than it says': `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n${HIDDEN}`,
  'a chunk extension with a line feed': `${POST}Transfer-Encoding: chunked\r\n\r\n0;a=\nb\r\n\r\n${HIDDEN}`,
  'a NUL in a name': `${POST}X\0: y\r\n\r\n${HIDDEN}`,
  'a carriage return in a value': `${POST}X: a\rContent-Length: 5\r\n\r\n${HIDDEN}`,
  'two hosts': `GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
  'no host': `GET /hostile/hello?x HTTP/1.1\r\n\r\n`,
  'an obsolete version': `GET /hostile/hello?x\r\n\r\n`,
};

/** Bytes of the large answer must not come: the hidden request was no request. */
async function smuggle(target: Target, bytes: string): Promise<string> {
  const outcome = await outcomeOf(await target.secure(), bytes);
  return outcome.includes('8 bytes') ? `SMUGGLED ${outcome}` : outcome;
}

async function pipelines(target: Target, path: string, count: number, clients: number): Promise<string> {
  const all = await Promise.all(Array.from({ length: clients }, () => target.secure()));
  for (const client of all) {
    client.socket.pause();
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count));
  }
  await until(() => all.every(({ socket }) => socket.destroyed), 2 * CLIENT_LIMITS.stallTimeoutMs);
  return 'not read';
}

async function uploads(
  target: Target,
  path: string,
  piece: string,
  over: 'secure' | 'plain',
): Promise<string> {
  const client: RawClient = await target[over]();
  client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`);
  return await drip(client, piece, 0);
}

export const HTTP1: readonly HostileClient[] = [
  {
    waits: true,
    name: 'a head of one byte in a tenth of a second',
    brief: true,
    act: drips('GET /hostile/hello HTTP/1.1\r\nHost: ', 'a', 100),
    gets: /^408/,
  },
  {
    name: 'the same without TLS',
    act: drips('GET /hostile/hello HTTP/1.1\r\nHost: ', 'a', 100, 'plain'),
    gets: /^(?:408|closed)/,
  },
  { name: 'a connection that never says anything', act: sends(''), gets: /^closed/ },
  { name: 'a cleartext connection that never says anything', act: sends('', 'plain'), gets: /^closed/ },
  { name: 'empty lines in place of a request', act: drips('', '\r\n', 50), gets: /^(?:400|408|closed)/ },
  {
    waits: true,
    name: 'a body that does not come',
    brief: true,
    act: sends(`${POST}Content-Length: 1000\r\n\r\nx`),
    gets: /^(?:408|closed)/,
  },
  {
    name: 'a body of one byte in a tenth of a second',
    act: drips(`${POST}Content-Length: 100000\r\n\r\n`, 'x', 100),
    gets: /^(?:408|closed)/,
  },
  {
    name: 'a head that is too large',
    act: sends(() => `${GET.slice(0, -2)}X: ${'x'.repeat(CLIENT_LIMITS.headBytesMax)}\r\n\r\n`),
    gets: /^431/,
  },
  {
    name: 'a head that never ends',

    act: drips('GET / HTTP/1.1\r\nHost: a\r\n', 'X-Field: value\r\n'.repeat(20), 1),
    gets: /^(?:431|closed)/,
  },
  { name: 'a target that never ends', act: drips('GET /', 'x'.repeat(1000), 1), gets: /^(?:414|431|closed)/ },
  {
    name: 'very many small fields',
    act: sends(
      () => `${GET.slice(0, -2)}${Array.from({ length: 2000 }, (_, i) => `x${i}: y\r\n`).join('')}\r\n`,
    ),
    gets: /^431/,
  },
  {
    name: 'a body without end',
    brief: true,
    act: (target) => uploads(target, '/hostile/echo', `1000\r\n${'x'.repeat(4096)}\r\n`, 'secure'),
    gets: /^413/,
  },
  {
    name: 'a body without end to a handler that sleeps',
    act: (target) => uploads(target, '/hostile/later', `1000\r\n${'x'.repeat(4096)}\r\n`, 'plain'),
    gets: /^(?:200 later|408|413|closed)/,
  },
  {
    name: 'a body without end to a handler that ignores it',
    act: (target) => uploads(target, '/hostile/ignore', `1000\r\n${'x'.repeat(4096)}\r\n`, 'plain'),
    gets: /^(?:200|413)/,
  },
  {
    name: 'chunks of one byte',

    act: (target) => uploads(target, '/hostile/echo', '1\r\nx\r\n'.repeat(2000), 'plain'),
    gets: /^(?:413|200 read|closed|400|408)/,
  },
  {
    name: 'chunk extensions without end',

    act: (target) =>
      uploads(target, '/hostile/echo', `1;${'e'.repeat(1000)}=${'v'.repeat(1000)}\r\nx\r\n`, 'plain'),
    gets: /^(?:400|408|413|431|closed)/,
  },
  {
    name: 'one chunk extension that never ends',
    act: async (target) => {
      const client = await target.plain();
      client.send(`${POST}Transfer-Encoding: chunked\r\n\r\n1;`);
      return await drip(client, 'e'.repeat(4096), 0);
    },
    gets: /^(?:400|408|413|431|closed)/,
  },
  {
    name: 'trailers that never end',

    act: async (target) => {
      const client = await target.plain();
      client.send(`${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n`);
      return await drip(client, 'X-Trailer: value\r\n'.repeat(100), 1);
    },
    gets: /^(?:400|413|431|closed|200)/,
  },
  {
    name: 'pipelined downloads that nobody reads',
    act: (target) => pipelines(target, '/hostile/large', 2000, 4),
    gets: /not read/,
  },
  {
    name: 'thousands of pipelined hellos that nobody reads',
    act: (target) => pipelines(target, '/hostile/hello?x', 20000, 4),
    gets: /not read/,
  },
  {
    name: 'an upgrade to h2c with a second request behind it',
    act: sends(
      `GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n${GET}`,
      'plain',
    ),
    gets: /^200 hello x, 200 hello x/,
  },
  {
    name: 'an upgrade to a WebSocket',
    act: sends(
      `GET /hostile/hello?x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    ),
    gets: /^200 hello x/,
  },
  {
    name: 'a tunnel by CONNECT',
    act: sends('CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n'),
    gets: /^(?:400|405|501|404|closed)/,
  },
  { name: 'a request of nothing but NUL', act: sends('\0'.repeat(10_000)), gets: /^(?:400|408|414|closed)/ },
  {
    name: 'an expectation and no body',
    act: sends(`${POST}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n`),
    gets: /^(?:100, )?(?:408|closed)/,
  },
  {
    waits: true,
    name: 'a half-closed connection',

    act: async (target) => {
      const client = await target.plain();
      client.socket.end('GET /hostile/later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      return await outcomeOf(client);
    },
    gets: /^200 later/,
  },
  {
    name: 'two hundred clients that leave in mid-answer',

    act: async (target) => {
      for (let i = 0; i < 10; i++)
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const client = await target.plain();
            client.send('GET /hostile/large HTTP/1.1\r\nHost: a\r\n\r\n');
            await client
              .until((received, ended) => ended || received.length > 100, 'a beginning')
              .catch(() => undefined);
            client.socket.destroy();
          }),
        );
      return 'left';
    },
    gets: /left/,
  },
  {
    name: 'a reset in mid-upload',
    act: async (target) => {
      const client = await target.plain();
      client.send(`${POST}Content-Length: 100000\r\n\r\n${'x'.repeat(50_000)}`);
      client.socket.resetAndDestroy();
      return 'reset';
    },
    gets: /reset/,
  },
  ...Object.entries(SMUGGLING).map(
    ([what, bytes], i): HostileClient => ({
      name: `a request smuggled by ${what}`,
      brief: i % 5 === 0,
      act: (target) => smuggle(target, bytes),
      gets: /^(?:400|501|505|413|200 read|closed)/,
    }),
  ),
];
