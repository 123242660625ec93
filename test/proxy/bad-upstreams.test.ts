/** Upstreams that break rules or their word, over HTTP/2 and HTTP/1.1 in front: what the client gets, and that nothing stays open. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { DEFAULT_PROXY_RULES, type ProxyRules } from '../../src/mapping/proxy-settings.ts';
import { calmTest as test } from '../support/calm.ts';
import { ask, type Told, type Version } from '../support/proxy-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { waitFor } from '../support/test-front-end.ts';
import { deadPort } from '../support/upstream.ts';

interface Case {
  /** What the upstream sends as soon as it has the request. */
  readonly sends: string;
  /** What it does then; default: it waits. */
  readonly last?: 'ends' | 'resets';
  readonly rules?: Partial<ProxyRules>;
  readonly gets: (told: Told) => void;
}

/** Short, since the upstream never goes on. */
const SHORT: Partial<ProxyRules> = {
  timeouts: { ...DEFAULT_PROXY_RULES.timeouts, headMs: 200, idleMs: 200 },
};

const badGateway = (told: Told): void => {
  assert.equal(told.status, 502);
  assert.match(told.body, /Error id: [\w-]+/);
};
const broken = (told: Told): void => {
  assert.equal(told.status, 200);
  assert.equal(told.isWhole, false);
};
const notWhole = (told: Told): void => assert.equal(told.isWhole && told.status === 200, false);
const whole = (body: string) => (told: Told) => {
  assert.deepEqual([told.status, told.body, told.isWhole], [200, body, true]);
};
const OK = 'HTTP/1.1 200 OK\r\n';

const CASES: Readonly<Record<string, Case>> = {
  'closes without an answer': { sends: '', last: 'ends', gets: badGateway },
  'resets the connection': { sends: '', last: 'resets', gets: badGateway },
  'closes within its head': { sends: `${OK}Content-Le`, last: 'ends', gets: badGateway },
  'never answers': { sends: '', rules: SHORT, gets: ({ status }) => assert.equal(status, 504) },
  'sends half a head and no more': {
    sends: `${OK}A: b`,
    rules: SHORT,
    gets: ({ status }) => assert.equal(status, 504),
  },
  'has two Content-Length': {
    sends: `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
    gets: badGateway,
  },
  'has a list as Content-Length': { sends: `${OK}Content-Length: 2, 2\r\n\r\nok`, gets: badGateway },
  'has a length with a sign': { sends: `${OK}Content-Length: +2\r\n\r\nok`, gets: badGateway },
  'has Content-Length and Transfer-Encoding': {
    sends: `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has two Transfer-Encoding': {
    sends: `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has another coding before chunked': {
    sends: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has chunks in HTTP/1.0': {
    sends: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    gets: badGateway,
  },
  'speaks another version': { sends: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n', gets: badGateway },
  'speaks no HTTP': { sends: 'SSH-2.0-OpenSSH_9.2\r\n\r\n', gets: badGateway },
  'has a status of two digits': { sends: 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n', gets: badGateway },
  'has a status of 999': { sends: 'HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n', gets: badGateway },
  'ends lines with LF alone': { sends: 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', gets: badGateway },
  'folds a field line': { sends: `${OK}A: b\r\n c\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has a blank before a colon': { sends: `${OK}Content-Length : 2\r\n\r\nok`, gets: badGateway },
  'has a NUL in a value': { sends: `${OK}A: b\0c\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has a head of 70 KiB': {
    sends: `${OK}A: ${'x'.repeat(70 * 1024)}\r\nContent-Length: 0\r\n\r\n`,
    gets: badGateway,
  },
  'has a thousand and one fields': { sends: `${OK}${'a: b\r\n'.repeat(1001)}\r\n`, gets: badGateway },
  'has a chunk of no size': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
    gets: notWhole,
  },
  'has bytes between chunks': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok!!\r\n0\r\n\r\n`,
    gets: notWhole,
  },
  'hides a length in its trailers': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 5\r\n\r\n`,
    gets: notWhole,
  },
  'ends within a body of known length': {
    sends: `${OK}Content-Length: 100000\r\n\r\nhalf`,
    last: 'ends',
    gets: broken,
  },
  'resets within a body of known length': {
    sends: `${OK}Content-Length: 100000\r\n\r\nhalf`,
    last: 'resets',
    gets: broken,
  },
  'ends within chunks': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`,
    last: 'ends',
    gets: broken,
  },
  'goes silent within its body': {
    sends: `${OK}Content-Length: 100000\r\n\r\nhalf`,
    rules: SHORT,
    gets: broken,
  },
  'sends more than its length': {
    sends: `${OK}Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n`,
    gets: whole('ok'),
  },
  'sends 100 unasked': {
    sends: `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    gets: whole('ok'),
  },
  'sends 103 before its answer': {
    sends: `HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    gets: (told) => {
      whole('ok')(told);
      assert.deepEqual(told.informational, [103]);
    },
  },
  'sends 101 unasked': { sends: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', gets: badGateway },
  'sends 103 for ever': { sends: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(40), gets: badGateway },
  'sends large heads of 103': {
    sends: `HTTP/1.1 103 Early Hints\r\nA: ${'x'.repeat(60_000)}\r\n\r\n`.repeat(6),
    gets: badGateway,
  },
  'sends 204 with a body': {
    sends: 'HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody',
    gets: ({ status, body }) => assert.deepEqual([status, body], [204, '']),
  },
  'sends 304 with a length': {
    sends: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\nETag: "a"\r\n\r\n',
    gets: ({ status, body, headers }) => assert.deepEqual([status, body, headers['etag']], [304, '', '"a"']),
  },
  'ends its body by closing': {
    sends: `${OK}Connection: close\r\n\r\nuntil the end`,
    last: 'ends',
    gets: whole('until the end'),
  },
  'answers as HTTP/1.0 does': { sends: 'HTTP/1.0 200 OK\r\n\r\nold', last: 'ends', gets: whole('old') },
  'has trailers': {
    sends: `${OK}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n`,
    gets: (told) => {
      whole('ok')(told);
      assert.equal(told.trailers['x-sum'], '7');
    },
  },
  'has no reason phrase': { sends: 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', gets: whole('ok') },
  // ---- shapes that two readers could understand in two ways ----
  'has two different Content-Length': {
    sends: `${OK}Content-Length: 2\r\nContent-Length: 4\r\n\r\nokok`,
    gets: badGateway,
  },
  'has an empty Content-Length': { sends: `${OK}Content-Length:\r\n\r\nok`, gets: badGateway },
  'has a negative Content-Length': { sends: `${OK}Content-Length: -1\r\n\r\nok`, gets: badGateway },
  'has a length that no double holds': {
    sends: `${OK}Content-Length: 9007199254740993\r\n\r\nok`,
    gets: badGateway,
  },
  'has a transfer coding twice in one field': {
    sends: `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has a transfer coding with a parameter': {
    sends: `${OK}Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has a transfer coding behind a vertical tab': {
    sends: `${OK}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has a transfer coding in quotes': {
    sends: `${OK}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'has identity as its transfer coding': {
    sends: `${OK}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok`,
    gets: badGateway,
  },
  'has a blank before the colon of Transfer-Encoding': {
    sends: `${OK}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'folds the line of Transfer-Encoding': {
    sends: `${OK}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`,
    gets: badGateway,
  },
  'folds its first field line': { sends: `${OK} A: b\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has a field without a name': { sends: `${OK}: b\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has a field without a colon': { sends: `${OK}A b\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has a NUL in a name': { sends: `${OK}A\0: b\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has CR alone in a value': { sends: `${OK}A: b\rC: d\r\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'has LF alone behind one line': { sends: `${OK}A: b\nContent-Length: 0\r\n\r\n`, gets: badGateway },
  'begins with an empty line': { sends: `\r\n${OK}Content-Length: 0\r\n\r\n`, gets: badGateway },
  'has two blanks in its status line': {
    sends: 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n',
    gets: badGateway,
  },
  'has a version of HTTP/1.2': { sends: 'HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n', gets: badGateway },
  'has a status of 0': { sends: 'HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n', gets: badGateway },
  'answers twice': {
    sends: `${OK}Content-Length: 2\r\n\r\nok${OK}Content-Length: 4\r\n\r\nevil`,
    gets: whole('ok'),
  },
  'sends bytes behind its last chunk': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`,
    gets: whole('ok'),
  },
  'writes its coding in another case': {
    sends: `${OK}Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
    gets: whole('ok'),
  },
  'sends 204 with chunks': {
    sends: 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    gets: ({ status, body }) => assert.deepEqual([status, body], [204, '']),
  },
  'sends 304 with a body': {
    sends: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil',
    gets: ({ status, body }) => assert.deepEqual([status, body], [304, '']),
  },
  'has a chunk size in another notation': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n`,
    gets: notWhole,
  },
  'has a negative chunk size': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n`,
    gets: notWhole,
  },
  'has a chunk size of 2^64 and 2': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n`,
    gets: notWhole,
  },
  'ends a chunk size with LF': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n`,
    gets: notWhole,
  },
  'has a chunk extension without an end': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2;a=${'x'.repeat(20_000)}`,
    gets: notWhole,
  },
  'has a chunk extension at each of many chunks': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n${`1;${'x'.repeat(1000)}\r\na\r\n`.repeat(20)}0\r\n\r\n`,
    gets: notWhole,
  },
  'has trailers without an end': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${`a: ${'x'.repeat(1000)}\r\n`.repeat(70)}`,
    gets: notWhole,
  },
  'has a trailer that is folded': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n`,
    gets: notWhole,
  },
  'has Transfer-Encoding in its trailers': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n`,
    gets: notWhole,
  },
  'ends before its last chunk': {
    sends: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n`,
    last: 'ends',
    gets: notWhole,
  },
};

let front: ProxyFront;
let backend: RecordingBackend;
let current: Case | undefined;

before(async () => {
  front = await startProxyFront();
  backend = await recordingBackend((_request, socket) => {
    const { sends = '', last } = current ?? {};
    if (sends !== '') socket.write(sends, 'latin1');
    if (last === 'ends') socket.end();
    else if (last === 'resets') setImmediate(() => socket.resetAndDestroy());
  });
});

after(async () => {
  await backend.close();
  await front.stop();
});

for (const version of ['h2', 'h1'] as const satisfies readonly Version[])
  for (const [what, one] of Object.entries(CASES))
    test(`An upstream that ${what} (${version} in front)`, async () => {
      current = one;
      front.passTo([backend.url], { retries: 0, ...one.rules });
      one.gets(await ask(version, front.port, '/'));
      await front.whenPassed();
      await front.whenIdle();
    });

test('An upstream that is down gives 502, and its other requests go on', async () => {
  current = { sends: `${OK}Content-Length: 2\r\n\r\nok`, gets: whole('ok') };
  const dead = `http://127.0.0.1:${await deadPort()}`;
  front.passTo([dead], { retries: 0 });
  badGateway(await ask('h2', front.port, '/'));
  // whichever comes first, the other is tried
  front.passTo([dead, backend.url]);
  for (let i = 0; i < 2; i++) whole('ok')(await ask('h2', front.port, '/', i === 0 ? undefined : 'body'));
});

test('Bytes that nobody asked for close an idle connection', async () => {
  current = { sends: `${OK}Content-Length: 2\r\n\r\nok`, gets: whole('ok') };
  const later = await recordingBackend((_request, socket) => {
    socket.write(`${OK}Content-Length: 2\r\n\r\nok`);
    setTimeout(() => socket.write(`${OK}Content-Length: 4\r\n\r\nevil`), 20);
  });
  try {
    front.passTo([later.url]);
    whole('ok')(await ask('h2', front.port, '/'));
    await waitFor(() => later.open() === 0, 'the connection to close');
    whole('ok')(await ask('h2', front.port, '/'));
  } finally {
    await later.close();
  }
});

test('A client that goes ends the request to the upstream', async () => {
  current = { sends: '', gets: () => undefined };
  front.passTo([backend.url]);
  const { connect } = await import('node:http2');
  const session = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': '/' });
  stream.on('error', () => undefined);
  const before = backend.requests.length;
  await waitFor(() => backend.requests.length > before, 'the request to arrive');
  session.destroy();
  await waitFor(() => backend.open() === 0, 'the connection to the upstream to close');
  await front.whenPassed();
});
