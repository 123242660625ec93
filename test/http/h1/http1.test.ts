import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import type { GatewayError } from '../../../src/base/errors.ts';
import { calmTest as test } from '../../support/calm.ts';
import { connectPlain, connectSecure, type RawClient } from '../../support/raw-client.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  streamBody,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { untilStill } from '../../support/until-still.ts';

const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');
const GET = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

const HANDLERS: Record<string, HandlerFunction> = {
  '/hello': (x) => {
    x.head(200, ['content-type', 'text/plain']);
    x.write(text('hello'));
    x.end();
  },
  '/implicit': (x) => {
    x.write(text('implicit'));
    x.end();
  },
  '/silent': (x) => x.end(),
  '/late': (x) => {
    setTimeout(() => {
      x.head(200, []);
      x.write(text('late'));
      x.end();
    }, 30);
  },
  '/stream': (x) => {
    x.head(200, []);
    x.write(text('one'));
    x.flush();
    x.write(text(''));
    setImmediate(() => {
      x.write(text('two'));
      x.trailers(['x-sum', '42']);
      x.end();
    });
  },
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.head(200, []);
      x.write(body);
      x.end();
    }),
  '/unread': (x) => {
    x.head(200, []);
    x.write(text('unread'));
    x.end();
  },
  '/long': (x) => {
    x.head(200, ['Content-Length', '3']);
    x.write(text('12345'));
    x.write(text('678'));
    x.end();
  },
  '/short': (x) => {
    x.head(200, ['Content-Length', '10']);
    x.write(text('123'));
    x.flush();
    x.end();
  },
  '/reset': (x) => {
    x.write(text('part'));
    x.flush();
    x.reset();
  },
  '/reset-unsent': (x) => {
    x.head(200, []);
    x.write(text('part'));
    x.reset();
  },
  '/empty': (x) => {
    x.head(204, ['content-length', '5']);
    x.write(text('12345'));
    x.end();
  },
  '/close': (x) => {
    x.head(200, ['Connection', 'keep-alive, Close']);
    x.end();
  },
  '/hints': (x) => {
    x.inform(103, ['link', '</a.css>; rel=preload']);
    x.inform(102, []);
    x.head(200, []);
    x.end();
  },
  '/fields': (x) => {
    x.head(200, ['X-Upper', 'a', 'transfer-encoding', 'gzip', 'date', 'never', 'X-Upper', 'b']);
    x.write(text(JSON.stringify({ fields: x.fields, target: x.target, authority: x.authority })));
    x.end();
  },
  '/throw': () => {
    throw new Error('broken handler');
  },
};

async function withFrontEnd(
  run: (front: TestFrontEnd, client: RawClient) => Promise<void>,
  limits = {},
): Promise<void> {
  const front = await startFrontEnd(HANDLERS, { limits });
  const client = await connectSecure(front.port);
  try {
    await run(front, client);
  } finally {
    client.destroy();
    await front.stop();
  }
}

test('HTTP/1.1 a short answer leaves in one piece with its Content-Length and a Date (2, 3)', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/hello'));
    const response = await client.response();
    strictEqual(response.statusLine, 'HTTP/1.1 200 OK');
    strictEqual(response.headers.get('content-length'), '5');
    match(response.headers.get('date') ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    strictEqual(response.headers.get('server'), undefined);
    strictEqual(response.body.toString(), 'hello');
    client.send(GET('/implicit'));
    strictEqual((await client.response()).body.toString(), 'implicit');
    client.send(GET('/silent'));
    strictEqual((await client.response()).headers.get('content-length'), '0');
  }));

test('HTTP/1.1 a POST is answered like a GET (1, 2)', () =>
  withFrontEnd(async (_front, client) => {
    client.send('POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
    strictEqual((await client.response()).body.toString(), 'hello');
    client.send(GET('/hello'));
    strictEqual((await client.response()).status, 200);
  }));

test('HTTP/1.1 an answer of unknown length is chunked, with trailers and no empty chunk', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/stream'));
    await client.until((received) => received.includes('42\r\n\r\n'), 'the trailers');
    const wire = client.received.toString('latin1');
    ok(wire.endsWith('\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 42\r\n\r\n'), wire);
  }));

test('HTTP/1.0 an answer of unknown length ends with the connection (28)', () =>
  withFrontEnd(async (_front, client) => {
    client.send('GET /stream HTTP/1.0\r\n\r\n');
    const response = await client.response();
    strictEqual(response.headers.get('connection'), 'close');
    strictEqual(response.headers.get('transfer-encoding'), undefined);
    strictEqual(response.body.toString(), 'onetwo');
  }));

test('HTTP/1.0 keeps the connection only on request (28)', () =>
  withFrontEnd(async (front, client) => {
    client.send('GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n');
    strictEqual((await client.response()).headers.get('connection'), 'keep-alive');
    client.send('GET /hello HTTP/1.0\r\n\r\n');
    strictEqual((await client.response()).headers.get('connection'), 'close');
    await client.rest();
    strictEqual(front.counters.get('exchangesTotal'), 2);
  }));

test('HTTP/1.1 Connection: close is honoured from client and handler, as a list member too', () =>
  withFrontEnd(async (front, client) => {
    client.send(GET('/close'));
    strictEqual((await client.response()).headers.get('connection'), 'close');
    await client.rest();
    const second = await connectSecure(front.port);
    second.send(GET('/hello', 'Connection: TE, close\r\n'));
    strictEqual((await second.response()).headers.get('connection'), 'close');
    await second.rest();
    second.destroy();
  }));

test('HTTP/1.1 HEAD has the fields of GET and no body (27)', () =>
  withFrontEnd(async (_front, client) => {
    client.send('HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nope/x HTTP/1.1\r\nHost: a\r\n\r\n');
    const first = await client.response(true);
    strictEqual(first.headers.get('content-length'), '5');
    const second = await client.response(true);
    strictEqual(second.status, 404);
    client.send(GET('/hello'));
    strictEqual((await client.response()).body.toString(), 'hello');
  }));

test('HTTP/1.1 204 has neither body nor Content-Length', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/empty') + GET('/hello'));
    const empty = await client.response();
    strictEqual(empty.headers.get('content-length'), undefined);
    strictEqual(empty.headers.get('transfer-encoding'), undefined);
    strictEqual((await client.response()).body.toString(), 'hello');
  }));

test('HTTP/1.1 bytes past a declared Content-Length are dropped and logged', () =>
  withFrontEnd(async (front, client) => {
    client.send(GET('/long') + GET('/hello'));
    strictEqual((await client.response()).body.toString(), '123');
    strictEqual((await client.response()).body.toString(), 'hello');
    ok(front.logLines.some((line) => line.includes('longer than its Content-Length')));
  }));

test('HTTP/1.1 fewer bytes than declared destroy the connection', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/short'));
    const all = (await client.rest()).toString('latin1');
    ok(all.endsWith('\r\n\r\n123'), all);
  }));

test('HTTP/1.1 a reset after the head never looks complete (14)', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/reset'));
    const all = (await client.rest()).toString('latin1');
    ok(all.endsWith('4\r\npart\r\n'), all);
  }));

test('HTTP/1.1 a reset before anything was sent is a 500 page and keeps the connection (15)', () =>
  withFrontEnd(async (front, client) => {
    client.send(GET('/reset-unsent') + GET('/throw') + GET('/hello'));
    strictEqual((await client.response()).status, 500);
    const thrown = await client.response();
    match(thrown.body.toString(), /<h1>500 Internal Server Error<\/h1>/);
    strictEqual((await client.response()).body.toString(), 'hello');
    ok(front.logLines.some((line) => line.includes('broken handler')));
  }));

test('HTTP/1.1 informational heads precede the final one; HTTP/1.0 gets none (17)', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/hints'));
    const hint = await client.response();
    strictEqual(hint.statusLine, 'HTTP/1.1 103 Early Hints');
    strictEqual(hint.headers.get('link'), '</a.css>; rel=preload');
    strictEqual((await client.response()).status, 102);
    const final = await client.response();
    strictEqual(final.status, 200);
    ok(!final.head.includes(':status'));
    client.send('GET /hints HTTP/1.0\r\n\r\n');
    strictEqual((await client.response()).status, 200);
  }));

test('HTTP/1.1 request fields keep order, case and repetition; framing fields of the handler are not sent (23, 24)', () =>
  withFrontEnd(async (_front, client) => {
    client.send(
      'GET http://Example:1/fields?a=/b HTTP/1.1\r\nHost: x\r\nCookie: a\r\nmethod: m\r\ncOOKIE: b\r\n\r\n',
    );
    const response = await client.response();
    strictEqual(response.headers.get('x-upper'), 'a, b');
    strictEqual(response.headers.get('date'), 'never');
    strictEqual(response.headers.get('transfer-encoding'), undefined);
    deepStrictEqual(JSON.parse(response.body.toString()), {
      fields: ['Host', 'Example:1', 'Cookie', 'a', 'method', 'm', 'cOOKIE', 'b'],
      target: '/fields?a=/b',
      authority: 'Example:1',
    });
  }));

test('HTTP/1.1 bodies arrive whole with a length and in chunks, byte by byte (4, 5, 6, 30)', () =>
  withFrontEnd(async (_front, client) => {
    client.send('POST /echo HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nab');
    setTimeout(() => client.send('cde'), 10);
    strictEqual((await client.response()).body.toString(), 'abcde');
    const chunked =
      'POST /echo HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: u\r\n\r\n';
    for (const byte of chunked) client.send(byte);
    strictEqual((await client.response()).body.toString(), 'abc0123456789');
    const big = Buffer.alloc(1_000_000);
    for (let i = 0; i < big.length; i++) big[i] = i * 7;
    client.send(`POST /echo HTTP/1.1\r\nHost: a\r\ncontent-length: ${big.length}\r\n\r\n`);
    client.send(big);
    ok((await client.response()).body.equals(big));
  }));

test('HTTP/1.1 an unread body is never taken for the next request (29)', () =>
  withFrontEnd(async (front, client) => {
    const smuggled = GET('/echo');
    client.send(`POST /unread HTTP/1.1\r\nHost: a\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`);
    strictEqual((await client.response()).body.toString(), 'unread');
    client.send(GET('/hello'));
    strictEqual((await client.response()).body.toString(), 'hello');
    strictEqual(front.counters.get('exchangesTotal'), 2);
    client.send('POST /unread HTTP/1.1\r\nHost: a\r\ncontent-length: 3000000\r\n\r\nabc');
    const response = await client.response();
    strictEqual(response.headers.get('connection'), 'close');
    strictEqual((await client.rest()).length, 0);
  }));

test('HTTP/1.1 100 Continue is sent when the body is first read, and not otherwise (31)', () =>
  withFrontEnd(async (_front, client) => {
    client.send('POST /echo HTTP/1.1\r\nHost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
    strictEqual((await client.response()).statusLine, 'HTTP/1.1 100 Continue');
    client.send('abc');
    strictEqual((await client.response()).body.toString(), 'abc');
    client.send('POST /unread HTTP/1.1\r\nHost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
    const unread = await client.response();
    strictEqual(unread.status, 200);
    strictEqual(unread.headers.get('connection'), 'close');
  }));

test('HTTP/1.1 another expectation is 417', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/hello', 'Expect: miracles\r\n'));
    strictEqual((await client.response()).status, 417);
  }));

test('HTTP/1.1 fourteen pipelined requests are answered in order, slow ones too', () =>
  withFrontEnd(async (_front, client) => {
    const paths = Array.from({ length: 14 }, (_, i) => (i % 3 === 0 ? '/late' : '/hello'));
    client.send(paths.map((path) => GET(path)).join(''));
    for (const path of paths) strictEqual((await client.response()).body.toString(), path.slice(1));
  }));

test('HTTP/1.1 a thousand pipelined requests are all answered', () =>
  withFrontEnd(async (_front, client) => {
    client.send(GET('/hello').repeat(1000));
    for (let i = 0; i < 1000; i++) strictEqual((await client.response()).body.toString(), 'hello');
  }));

test('HTTP/1.1 pipelined requests let those of other connections in between, and the end of their side waits for all', async (t) => {
  const order: string[] = [];
  const note: HandlerFunction = (x, { path }) => {
    order.push(path);
    x.head(200, []);
    x.end();
  };
  const server = await startFrontEnd({ '/many': note, '/one': note }, { cleartext: true });
  const many = await connectPlain(server.port);
  const one = await connectPlain(server.port);
  t.after(async () => {
    one.destroy();
    many.destroy();
    await server.stop();
  });
  many.send(GET('/many').repeat(1000));
  many.socket.end();
  one.send(GET('/one'));
  strictEqual((await one.response()).status, 200);
  await waitFor(() => order.length === 1001, 'all to be served');
  ok(order.indexOf('/one') < 900, `/one was number ${order.indexOf('/one')}`);
  for (let i = 0; i < 1000; i++) strictEqual((await many.response()).status, 200);
  await waitFor(() => many.ended, 'the end of the connection');
});

test('HTTP/1.1 registered methods reach the handler, others and CONNECT are 501', () =>
  withFrontEnd(async (_front, client) => {
    client.send('PROPFIND /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    strictEqual((await client.response()).status, 200);
    client.send(`FROB /hello HTTP/1.1\r\nHost: a\r\n\r\n${GET('/hello')}`);
    strictEqual((await client.response()).status, 501);
    strictEqual((await client.response()).status, 200);
    client.send('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    strictEqual((await client.response()).status, 501);
  }));

test('HTTP/1.1 the end of a connection is announced in TLS (42)', () =>
  withFrontEnd(async (_front, client) => {
    let ended = false;
    client.socket.on('end', () => {
      ended = true;
    });
    client.send(GET('/hello', 'Connection: close\r\n'));
    await client.rest();
    await waitFor(() => ended, 'close_notify');
  }));

test('HTTP/1.1 an exchange whose client goes is aborted once and closed once, whatever it was doing', async () => {
  const events: string[] = [];
  const watch =
    (name: string, handle: HandlerFunction): HandlerFunction =>
    (x, route) => {
      x.onAbort = (reason: GatewayError) => events.push(`${name} abort ${reason.code}`);
      x.onClose = () => events.push(`${name} close`);
      handle(x, route);
    };
  const front = await startFrontEnd({
    '/quiet': watch('quiet', () => {}),
    '/body': watch('body', (x) => readBody(x, (body) => events.push(`body read ${body}`))),
    '/mid': watch('mid', (x) => {
      x.write(text('part'));
      x.flush();
    }),
    '/blocked': watch('blocked', (x) => streamBody(x, Buffer.alloc(65_536), 10_000)),
  });
  const requests: Record<string, string> = {
    quiet: GET('/quiet'),
    body: 'POST /body HTTP/1.1\r\nHost: a\r\ncontent-length: 9\r\n\r\nabc',
    mid: GET('/mid'),
    blocked: GET('/blocked'),
  };
  for (const [name, bytes] of Object.entries(requests)) {
    events.length = 0;
    const client = await connectSecure(front.port);
    if (name === 'blocked') client.socket.pause();
    client.send(bytes);
    await waitFor(() => front.counters.get('exchanges') === 1, 'the exchange to start');
    await untilStill(() => events.length);
    client.reset();
    await waitFor(() => front.counters.get('exchanges') === 0, `the ${name} exchange to close`);
    const expected = [`${name} abort LGW_CLIENT_GONE`, `${name} close`];
    if (name === 'body') expected.splice(1, 0, 'body read undefined');
    deepStrictEqual(events, expected);
  }
  await front.stop();
});

test('cleartext HTTP/1.1 works on the port that speaks h2c too, even when bytes trickle in', async () => {
  const front = await startFrontEnd(HANDLERS, { cleartext: true });
  const client = await connectPlain(front.port);
  for (const byte of `P${GET('/hello').slice(1)}`.replace('PET', 'PUT')) {
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  strictEqual((await client.response()).body.toString(), 'hello');
  client.send(GET('/hello'));
  strictEqual((await client.response()).body.toString(), 'hello');
  client.destroy();
  await front.stop();
});
