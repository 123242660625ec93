/** What HTTP/1 accepts as a request, on both listeners: limits at and above, framing, versions, targets, pipelines. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import { calmTest as test } from '../../support/calm.ts';
import { connectPlain, connectSecure, type RawClient } from '../../support/raw-client.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  type TestFrontEnd,
} from '../../support/test-front-end.ts';

const HEAD_MAX = 16 * 1024;

const HANDLERS: Record<string, HandlerFunction> = {
  '/': (x) => {
    x.write(Buffer.from(`${x.method} ${x.target} ${x.authority}`));
    x.end();
  },
  '/hosts': (x) => {
    const hosts = x.fields.filter((_, i) => i % 2 === 1 && /^host$/i.test(x.fields[i - 1] as string));
    x.write(Buffer.from(`${x.authority} ${hosts.join()}`));
    x.end();
  },
  '/body': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.write(body);
      x.end();
    }),
};

const LISTENERS = ['https', 'http'] as const;
const fronts = new Map<string, TestFrontEnd>();

before(async () => {
  for (const listener of LISTENERS)
    fronts.set(
      listener,
      await startFrontEnd(HANDLERS, { cleartext: listener === 'http', limits: { headBytesMax: HEAD_MAX } }),
    );
});
after(async () => {
  for (const front of fronts.values()) await front.stop();
});

/** Runs with TLS and without, each with its own connection. */
async function onBoth(run: (client: RawClient, front: TestFrontEnd) => Promise<void>): Promise<void> {
  for (const listener of LISTENERS) {
    const front = fronts.get(listener) as TestFrontEnd;
    const client = listener === 'https' ? await connectSecure(front.port) : await connectPlain(front.port);
    try {
      await run(client, front);
    } finally {
      client.destroy();
    }
  }
}

/** Resolves with the statuses of all answers to bytes that end the connection. */
async function statuses(bytes: string): Promise<number[]> {
  const seen: number[][] = [];
  await onBoth(async (client) => {
    client.send(bytes);
    const text = (await client.rest()).toString('latin1');
    seen.push([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)));
  });
  deepStrictEqual(seen[0], seen[1], bytes.slice(0, 80));
  return seen[0] as number[];
}

/** Makes a head of exactly this size. */
function headOf(size: number): string {
  const start = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ';
  return `${start}${'x'.repeat(size - start.length - 4)}\r\n\r\n`;
}

/** Makes a request after which the connection ends. */
const last = (line: string, more = ''): string => `${line}\r\nHost: a\r\nConnection: close\r\n${more}\r\n`;
const post = (more: string, body: string): string =>
  `POST /body HTTP/1.1\r\nHost: a\r\n${more}\r\n\r\n${body}`;

test('A head of the limit is served, one byte more is 431', async () => {
  deepStrictEqual(await statuses(headOf(HEAD_MAX)), [200]);
  deepStrictEqual(await statuses(headOf(HEAD_MAX + 1)), [431]);
});

test('A request line of the limit is 431 for what follows it, one byte more is 414', async () => {
  const line = (size: number): string =>
    `GET /${'x'.repeat(size - 'GET / HTTP/1.1\r\n'.length)} HTTP/1.1\r\n`;
  deepStrictEqual(await statuses(`${line(HEAD_MAX)}Host: a\r\n\r\n`), [431]);
  deepStrictEqual(await statuses(`${line(HEAD_MAX + 1)}Host: a\r\n\r\n`), [414]);
  // no line end follows
  deepStrictEqual(await statuses(`GET /${'x'.repeat(100 * 1024)}`), [414]);
});

test('One field of 100 KiB and 5,000 small ones are 431, in one piece and in many', async () => {
  const large = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100 * 1024)}\r\n\r\n`;
  const many = `GET / HTTP/1.1\r\nHost: a\r\n${'x: 123\r\n'.repeat(5_000)}\r\n`;
  for (const bytes of [large, many]) deepStrictEqual(await statuses(bytes), [431]);
  await onBoth(async (client) => {
    client.socket.setNoDelay(true);
    for (let at = 0; at < large.length; at += 10_000) {
      client.send(large.slice(at, at + 10_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    strictEqual((await client.response()).status, 431);
  });
});

test('A thousand fields are served, one more is 431', async () => {
  const fields = (count: number): string => 'x:1\r\n'.repeat(count - 2);
  deepStrictEqual(await statuses(last('GET / HTTP/1.1', fields(1000))), [200]);
  deepStrictEqual(await statuses(last('GET / HTTP/1.1', fields(1001))), [431]);
});

// [name, bytes, statuses of all answers]
const HEADS: readonly (readonly [string, string, readonly number[]])[] = [
  ['bare LF everywhere', 'GET / HTTP/1.1\nHost: a\n\n', [400]],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', [400]],
  ['a bare LF after a field', 'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n', [400]],
  ['a bare LF as the last line', 'GET / HTTP/1.1\r\nHost: a\r\n\n', [400]],
  ['a bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n', [400]],
  ['a bare CR in the request line', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a NUL in a name', 'GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n', [400]],
  ['a NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n', [400]],
  ['a NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a blank before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', [400]],
  ['a tab before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n', [400]],
  ['a folded field', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n', [400]],
  ['a blank before the first field', 'GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n', [400]],
  ['a field without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n', [400]],
  ['two blanks in the request line', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a tab in the request line', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a blank at the end of the request line', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', [400]],
  ['HTTP/1.2', last('GET / HTTP/1.2'), [200]],
  ['HTTP/1.9', last('GET / HTTP/1.9'), [200]],
  ['HTTP/1.10', last('GET / HTTP/1.10'), [400]],
  ['HTTP/2.0', last('GET / HTTP/2.0'), [505]],
  ['HTTP/0.9', 'GET /\r\n', [400]],
  ['http/1.1', last('GET / http/1.1'), [400]],
  ['an unknown method', last('FOO / HTTP/1.1'), [501]],
  ['a method in lower case', last('get / HTTP/1.1'), [501]],
  ['a method without an end', 'x'.repeat(100), [501]],
  ['PRI in HTTP/1.1', last('PRI * HTTP/1.1'), [400]],
  ['SOURCE', last('SOURCE / HTTP/1.1'), [200]],
  ['CONNECT', last('CONNECT a:1 HTTP/1.1'), [501]],
  ['no Host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', [400]],
  ['no Host, the target absolute', 'GET http://a/ HTTP/1.1\r\nConnection: close\r\n\r\n', [400]],
  ['two Hosts that are the same', last('GET / HTTP/1.1', 'host: a\r\n'), [400]],
  ['a Host with userinfo', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', [400]],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', [400]],
  ['a Host with two ports', 'GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n', [400]],
  ['a Host with a word as port', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', [400]],
  ['a list as Host', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', [400]],
  ['an IPv6 address as Host', 'GET / HTTP/1.1\r\nHost: [::1]:8\r\nConnection: close\r\n\r\n', [200]],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n', [200]],
  ['an absolute target with userinfo', last('GET http://u@a/ HTTP/1.1'), [400]],
  ['an absolute target without a host', last('GET http:/// HTTP/1.1'), [400]],
  ['a target that is no path', last('GET x HTTP/1.1'), [400]],
  ['a target of another scheme', last('GET ftp://a/ HTTP/1.1'), [400]],
  ['* for GET', last('GET * HTTP/1.1'), [400]],
  ['* for OPTIONS', last('OPTIONS * HTTP/1.1'), [204]],
  ['OPTIONS of a whole server by its name', last('OPTIONS http://a HTTP/1.1'), [204]],
  ['empty lines before the request', `\r\n\r\n${last('GET / HTTP/1.1')}`, [200]],
  ['nothing but empty lines', '\r\n'.repeat(100), [400]],
  ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', [200]],
  ['Expect in HTTP/1.0', 'GET / HTTP/1.0\r\nExpect: wonders\r\n\r\n', [200]],
];

test('Heads that are not well-formed, or unusual, get one answer each', async () => {
  for (const [what, bytes, expected] of HEADS) {
    const got = await statuses(bytes).catch((error: Error) => error.message);
    deepStrictEqual(got, expected, what);
  }
});

// [name, bytes, statuses of all answers]; each contains a second request, which must not be served
const HIDDEN = 'GET / HTTP/1.1\r\nHost: hidden\r\n\r\n';
const BODIES: readonly (readonly [string, string, readonly number[]])[] = [
  [
    'a length and chunks',
    post('Content-Length: 5\r\nTransfer-Encoding: chunked', `0\r\n\r\n${HIDDEN}`),
    [400],
  ],
  [
    'chunks and a length',
    post('Transfer-Encoding: chunked\r\nContent-Length: 5', `0\r\n\r\n${HIDDEN}`),
    [400],
  ],
  ['two lengths', post('Content-Length: 0\r\nContent-Length: 5', HIDDEN), [400]],
  ['two lengths that are the same', post('Content-Length: 5\r\nContent-Length: 5', `12345${HIDDEN}`), [400]],
  ['a list of lengths', post('Content-Length: 5, 5', `12345${HIDDEN}`), [400]],
  ['a signed length', post('Content-Length: +5', `12345${HIDDEN}`), [400]],
  ['a negative length', post('Content-Length: -5', HIDDEN), [400]],
  ['a hexadecimal length', post('Content-Length: 0x5', `12345${HIDDEN}`), [400]],
  ['an empty length', post('Content-Length: ', HIDDEN), [400]],
  ['a length beyond 2^64', post('Content-Length: 18446744073709551621', `12345${HIDDEN}`), [400]],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked', `0\r\n\r\n${HIDDEN}`), [400]],
  ['chunked in two fields', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', HIDDEN), [400]],
  ['chunked not last', post('Transfer-Encoding: chunked, identity', HIDDEN), [400]],
  ['identity', post('Transfer-Encoding: identity', HIDDEN), [400]],
  ['an unknown coding', post('Transfer-Encoding: xchunked', `0\r\n\r\n${HIDDEN}`), [400]],
  ['a vertical tab before chunked', post('Transfer-Encoding: \x0bchunked', `0\r\n\r\n${HIDDEN}`), [400]],
  [
    'chunks in HTTP/1.0',
    `POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    [400],
  ],
];
const CHUNKS: readonly (readonly [string, string, readonly number[]])[] = [
  ['a signed size', '+3\r\nabc\r\n0\r\n\r\n', [400]],
  ['a size with 0x', '0x3\r\nabc\r\n0\r\n\r\n', [400]],
  ['a blank before the size', ' 3\r\nabc\r\n0\r\n\r\n', [400]],
  ['a blank behind the size', '3 \r\nabc\r\n0\r\n\r\n', [400]],
  ['no size', '\r\nabc\r\n0\r\n\r\n', [400]],
  ['a size beyond 2^64', '10000000000000003\r\nabc\r\n0\r\n\r\n', [400]],
  ['a bare LF behind the size', '3\nabc\r\n0\r\n\r\n', [400]],
  ['a bare LF behind the data', '3\r\nabc\n0\r\n\r\n', [400]],
  ['data longer than their size', '3\r\nabcd\r\n0\r\n\r\n', [400]],
  ['a bare LF as end', '3\r\nabc\r\n0\r\n\n', [400]],
  ['a bare CR in an extension', '3;a=\rb\r\nabc\r\n0\r\n\r\n', [400]],
  ['a bare LF in an extension', '3;a=\nb\r\nabc\r\n0\r\n\r\n', [400]],
  ['a folded trailer', '3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n', [400]],
  ['extensions without end', `3;${'x'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, [413]],
  ['trailers without end', `3\r\nabc\r\n0\r\n${'a: b\r\n'.repeat(4_000)}\r\n`, [431]],
];

test('A request that could be read in two ways is refused, and what hides behind it is not served', async () => {
  for (const [what, bytes, expected] of BODIES) {
    deepStrictEqual(await statuses(bytes).catch((error: Error) => error.message), expected, what);
  }
  for (const [what, body, expected] of CHUNKS) {
    const bytes = post('Transfer-Encoding: chunked', `${body}${HIDDEN}`);
    deepStrictEqual(await statuses(bytes).catch((error: Error) => error.message), expected, what);
  }
});

test('Chunks with extensions and trailers are taken byte by byte, and the next request behind them', () =>
  onBoth(async (client) => {
    client.socket.setNoDelay(true);
    const body = '3;a=b;c="d e"\r\nabc\r\n000a\r\n0123456789\r\n0;x\r\nTrailer-Field: x\r\n\r\n';
    const bytes = `${post('Transfer-Encoding: chunked', body)}${last('GET /next HTTP/1.1')}`;
    for (const byte of bytes) client.send(byte);
    strictEqual((await client.response()).body.toString(), 'abc0123456789');
    strictEqual((await client.response()).status, 404);
  }));

test('A request that asks for an upgrade is answered as if it had not, and so is the one behind it', () =>
  onBoth(async (client) => {
    const upgrades = [
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
      'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n',
      'Connection: Upgrade\r\nUpgrade: TLS/1.0, foo/2\r\n',
    ];
    for (const upgrade of upgrades) {
      const bodyless = `GET / HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`;
      const long = post(`${upgrade}Content-Length: 5`, '12345');
      const chunked = post(`${upgrade}Transfer-Encoding: chunked`, '5\r\n54321\r\n0\r\n\r\n');
      // all in one segment
      client.send(`${bodyless}${long}${chunked}${bodyless}`);
      const answers = [];
      for (let i = 0; i < 4; i++) answers.push((await client.response()).body.toString());
      deepStrictEqual(answers, ['GET / a', '12345', '54321', 'GET / a']);
    }
  }));

test('The authority of an absolute target takes the place of Host, in a pipeline with others too', () =>
  onBoth(async (client) => {
    const ask = (target: string): void =>
      client.send(`GET ${target} HTTP/1.1\r\nHost: wrong.example\r\n\r\n`);
    ask('http://right.example:81/hosts');
    ask('/hosts');
    ask('HTTP://Other.Example/hosts');
    ask('http://right.example:81/hosts');
    ask('http://right.example:81/hosts?a=http://x/');
    client.send('GET http://old.example/hosts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push((await client.response()).body.toString());
    deepStrictEqual(answers, [
      'right.example:81 right.example:81',
      'wrong.example wrong.example',
      'Other.Example Other.Example',
      'right.example:81 right.example:81',
      'right.example:81 right.example:81',
      'old.example old.example',
    ]);
  }));

test('A target of https is misdirected to a listener without TLS', async () => {
  for (const [listener, status] of [
    ['https', 200],
    ['http', 421],
  ] as const) {
    const { port } = fronts.get(listener) as TestFrontEnd;
    const client = listener === 'https' ? await connectSecure(port) : await connectPlain(port);
    client.send('GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n');
    strictEqual((await client.response()).status, status);
    client.destroy();
  }
});

test('Expect: 100-continue without a body keeps the connection and sends no 100', () =>
  onBoth(async (client) => {
    client.send('GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n');
    const { status, headers } = await client.response();
    deepStrictEqual([status, headers.get('connection')], [200, undefined]);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n');
    strictEqual((await client.response()).headers.get('connection'), undefined);
    client.send('GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n');
    strictEqual((await client.response()).status, 417);
    client.send(last('GET / HTTP/1.1'));
    strictEqual((await client.response()).status, 200);
  }));

test('Every refusal is an access line with its status and why', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { headBytesMax: 2048, headTimeoutMs: 50 } });
  const refused: readonly (readonly [string, string])[] = [
    ['\x01rubbish', '- - HTTP/1.1 400 LGW_HEAD_MALFORMED'],
    [`GET /large HTTP/1.1\r\nX: ${'x'.repeat(3000)}`, 'GET /large HTTP/1.1 431 LGW_HEAD_TOO_LARGE'],
    [`GET /${'x'.repeat(3000)}`, '- - HTTP/1.1 414 LGW_TARGET_TOO_LONG'],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'CONNECT a:1 HTTP/1.1 501 LGW_METHOD'],
    ['GET /two HTTP/2.0\r\n\r\n', 'GET /two HTTP/1.1 505 LGW_VERSION'],
    ['GET /slow HTTP/1.0\r\nX: y', 'GET /slow HTTP/1.0 408 LGW_HEAD_TIMEOUT'],
    ['GET /bad HTTP/1.1\r\nHost: a\r\nX\r\n\r\n', 'GET /bad HTTP/1.1 400 LGW_HEAD_MALFORMED'],
    [post('Transfer-Encoding: chunked', 'x'), 'POST /body HTTP/1.1 400 LGW_BODY_MALFORMED'],
    ['GET /host HTTP/1.1\r\n\r\n', 'GET /host HTTP/1.1 400'],
  ];
  for (const [bytes, line] of refused) {
    const client = await connectSecure(front.port);
    client.send(bytes);
    const text = (await client.rest()).toString('latin1');
    match(text, /^HTTP\/1\.1 [45]\d\d /, line);
    match(text, /\r\nDate: .*\r\n/, line);
    strictEqual(front.accesses.at(-1), line);
    client.destroy();
  }
  strictEqual(front.counters.get('exchangesTotal'), refused.length);
  await front.stop();
});

test('A client that pipelines and does not read is cut at last', async () => {
  const chunk = Buffer.alloc(64 * 1024);
  const front = await startFrontEnd(
    {
      '/large': (x) => {
        for (let i = 0; i < 8; i++) x.write(chunk);
        x.end();
      },
    },
    { limits: { stallTimeoutMs: 200, idleTimeoutMs: 60_000 }, cleartext: true },
  );
  const client = await connectPlain(front.port);
  client.socket.pause();
  client.send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200));
  const closed = new Promise((resolve) => client.socket.once('close', resolve));
  client.socket.once('error', () => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  const deadline = Date.now() + 90_000;
  while (front.counters.get('connections') !== 0 || front.counters.get('connectionsTotal') === 0) {
    ok(Date.now() < deadline, 'the connection stays');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  client.destroy();
  await closed;
  await front.stop();
});
