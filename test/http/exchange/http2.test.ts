import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { promisify } from 'node:util';
import type { GatewayError } from '../../../src/base/errors.ts';
import { calmTest as test } from '../../support/calm.ts';
import { collectH2, connectH2, fetchH2, type H2Response } from '../../support/h2-client.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  streamBody,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { untilStill } from '../../support/until-still.ts';

const run = promisify(execFile);
const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

const HANDLERS: Record<string, HandlerFunction> = {
  '/hello': (x) => {
    x.head(200, ['Content-Type', 'text/plain', 'Connection', 'close', 'Set-Cookie', 'a', 'set-cookie', 'b']);
    x.write(text('hello'));
    x.end();
  },
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.head(200, []);
      x.write(body);
      x.end();
    }),
  '/fields': (x) => {
    x.head(200, ['X-Twice', '1', 'x-twice', '2']);
    x.write(text(JSON.stringify({ fields: x.fields, target: x.target, authority: x.authority })));
    x.end();
  },
  '/unread': (x) => {
    x.head(200, []);
    x.write(text('unread'));
    x.end();
  },
  '/mega': (x) => streamBody(x, Buffer.alloc(100_000, 'm'), 10),
  '/reset': (x) => {
    x.write(text('part'));
    x.flush();
    setTimeout(() => x.reset(), 10);
  },
  '/throw': () => {
    throw new Error('broken handler');
  },
  '/short': (x) => {
    x.head(200, ['content-length', '10']);
    x.write(text('abc'));
    x.flush();
    x.end();
  },
  '/trailers': (x) => {
    x.head(200, ['Trailer', 'x-sum']);
    x.write(text('body'));
    x.flush();
    x.trailers(['X-Sum', '42']);
    x.end();
  },
  '/hints': (x) => {
    x.inform(103, ['Link', '</a.css>; rel=preload']);
    x.head(200, []);
    x.end();
  },
  '/empty': (x) => {
    x.head(204, ['content-length', '3']);
    x.write(text('abc'));
    x.end();
  },
};

async function withFrontEnd(
  use: (front: TestFrontEnd, get: (path: string) => Promise<H2Response>) => Promise<void>,
): Promise<void> {
  // a client of a busy machine may be slow to ask
  const front = await startFrontEnd(HANDLERS, { limits: { idleTimeoutMs: 60_000 } });
  const session = await connectH2(front.port);
  try {
    await use(front, (path) => fetchH2(session, { ':path': path }));
  } finally {
    session.destroy();
    await front.stop();
  }
}

test('HTTP/2 field names are lower case, connection-specific fields are gone (22)', () =>
  withFrontEnd(async (front, get) => {
    const response = await get('/hello');
    strictEqual(response.status, 200);
    strictEqual(response.body.toString(), 'hello');
    strictEqual(response.headers['content-type'], 'text/plain');
    strictEqual(response.headers['content-length'], '5');
    strictEqual(response.headers.connection, undefined);
    deepStrictEqual(response.headers['set-cookie'], ['a', 'b']);
    match(response.headers.date ?? '', /GMT$/);
    strictEqual((await get('/fields')).headers['x-twice'], '1, 2');
    // one exchange for each request: no second layer gets the streams as well
    strictEqual(front.counters.get('exchangesTotal'), 2);
  }));

test('HTTP/2 request fields come without pseudo-header fields, target and authority apart (23, 24)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const response = await fetchH2(session, {
      ':path': '/fields?u=/x',
      ':authority': 'example:1',
      cookie: ['a=1', 'b=2'],
      method: 'm',
    });
    const seen = JSON.parse(response.body.toString());
    strictEqual(seen.target, '/fields?u=/x');
    strictEqual(seen.authority, 'example:1');
    deepStrictEqual(seen.fields, ['cookie', 'a=1', 'cookie', 'b=2', 'method', 'm']);
    session.destroy();
  }));

test('HTTP/2 404 and a throwing handler leave the session alive (12, 13)', () =>
  withFrontEnd(async (_front, get) => {
    strictEqual((await get('/x/y')).status, 404);
    strictEqual((await get('/throw')).status, 500);
    strictEqual((await get('/a%00')).status, 400);
    strictEqual((await get('/hello')).status, 200);
  }));

test('HTTP/2 bodies of many streams are kept apart and pass the windows (7, 8)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const bodies = Array.from({ length: 8 }, (_, i) => Buffer.alloc(400_000 + i, i + 1));
    const responses = await Promise.all(
      bodies.map((body) => fetchH2(session, { ':path': '/echo', ':method': 'POST' }, body)),
    );
    responses.forEach((response, i) => {
      ok(response.body.equals(bodies[i] as Buffer), `body ${i} is intact`);
    });
    session.destroy();
  }));

test('HTTP/2 a body that nobody reads opens no window past the first (8)', async () => {
  let buffered = (): number => 0;
  const front = await startFrontEnd({
    '/slow': (x) => {
      x.body.request(1, () => {
        buffered = () => x.body.queue.length;
      });
    },
  });
  const session = await connectH2(front.port);
  const stream = session.request({ ':path': '/slow', ':method': 'POST' });
  stream.on('error', () => {});
  let sent = 0;
  const push = (): void => {
    while (sent < 3_000_000) {
      sent += 50_000;
      if (!stream.write(Buffer.alloc(50_000))) {
        stream.once('drain', push);
        return;
      }
    }
  };
  push();
  await waitFor(() => buffered() > 0, 'the first bytes');
  // nobody takes any, so that the last number is the greatest
  const bufferedMax = await untilStill(() => buffered());
  ok(bufferedMax <= 512 * 1024, `${bufferedMax} bytes were buffered`);
  ok(sent < 1_000_000, `${sent} bytes were let in`);
  session.destroy();
  await front.stop();
});

test('HTTP/2 an unread body neither blocks nor breaks the answer (29)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const small = await fetchH2(session, { ':path': '/unread', ':method': 'POST' }, 'abc');
    strictEqual(small.body.toString(), 'unread');
    const big = await fetchH2(session, { ':path': '/unread', ':method': 'POST' }, Buffer.alloc(3_000_000));
    strictEqual(big.status, 200);
    strictEqual(big.body.toString(), 'unread');
    strictEqual(big.rstCode, constants.NGHTTP2_NO_ERROR);
    strictEqual((await fetchH2(session, { ':path': '/hello' })).status, 200);
    session.destroy();
  }));

test('HTTP/2 answers of 1 MB on 50 streams all arrive (9)', () =>
  withFrontEnd(async (front) => {
    const { stdout } = await run('h2load', [
      '-n',
      '200',
      '-c',
      '2',
      '-m',
      '50',
      `https://127.0.0.1:${front.port}/mega`,
    ]);
    match(stdout, /200 succeeded, 0 failed/);
  }));

test('HTTP/2 a failing handler resets its stream after the head, and only it (14)', () =>
  withFrontEnd(async (_front, get) => {
    const response = await get('/reset');
    strictEqual(response.body.toString(), 'part');
    strictEqual(response.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
    strictEqual((await get('/short')).rstCode, constants.NGHTTP2_INTERNAL_ERROR);
    strictEqual((await get('/hello')).status, 200);
  }));

test('HTTP/2 trailers and informational heads are carried', () =>
  withFrontEnd(async (_front, get) => {
    const trailed = await get('/trailers');
    strictEqual(trailed.body.toString(), 'body');
    strictEqual(trailed.trailers?.['x-sum'], '42');
    const hinted = await get('/hints');
    strictEqual(hinted.informational[0]?.[':status'], 103);
    deepStrictEqual(
      hinted.informational.map(({ link }) => link),
      ['</a.css>; rel=preload'],
    );
    strictEqual(hinted.status, 200);
  }));

test('HTTP/2 HEAD and 204 have no body (27)', () =>
  withFrontEnd(async (front, get) => {
    const session = await connectH2(front.port);
    const head = await fetchH2(session, { ':path': '/hello', ':method': 'HEAD' });
    strictEqual(head.headers['content-length'], '5');
    strictEqual(head.body.length, 0);
    strictEqual(head.rstCode, 0);
    const empty = await get('/empty');
    strictEqual(empty.headers['content-length'], undefined);
    strictEqual(empty.body.length, 0);
    const page = await fetchH2(session, { ':path': '/x/y', ':method': 'HEAD' });
    strictEqual(page.status, 404);
    session.destroy();
  }));

test('HTTP/2 100 Continue waits for the first read; other expectations are 417; CONNECT is 501 (31)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const stream = session.request({ ':path': '/echo', ':method': 'POST', expect: '100-continue' });
    const response = collectH2(stream);
    await once(stream, 'continue');
    stream.end('abc');
    strictEqual((await response).body.toString(), 'abc');
    strictEqual((await fetchH2(session, { ':path': '/hello', expect: 'miracles' })).status, 417);
    const connect = session.request({ ':method': 'CONNECT', ':authority': 'a:1' });
    const refused = collectH2(connect);
    connect.end();
    strictEqual((await refused).status, 501);
    session.destroy();
  }));

test('HTTP/2 large request heads come over CONTINUATION, larger ones are 431 (10)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const near = await fetchH2(session, { ':path': '/hello', 'x-big': 'b'.repeat(15_000) });
    strictEqual(near.status, 200);
    const over = await fetchH2(session, { ':path': '/hello', 'x-big': 'b'.repeat(17_000) });
    strictEqual(over.status, 431);
    strictEqual((await fetchH2(session, { ':path': '/hello' })).status, 200);
    session.destroy();
  }));

test('HTTP/2 PING is answered with its own payload (11)', () =>
  withFrontEnd(async (front) => {
    const session = await connectH2(front.port);
    const payload = Buffer.from('12345678');
    const echoed = await new Promise<Buffer>((resolve, reject) => {
      session.ping(payload, (error, _duration, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    ok(echoed.equals(payload));
    session.destroy();
  }));

test('HTTP/2 with prior knowledge works in cleartext, nghttp and curl agree', async () => {
  const front = await startFrontEnd(HANDLERS, { cleartext: true });
  const session = await connectH2(front.port, 'http');
  strictEqual((await fetchH2(session, { ':path': '/hello' })).body.toString(), 'hello');
  session.destroy();
  const url = `http://127.0.0.1:${front.port}/hello`;
  strictEqual((await run('curl', ['-s', '--http2-prior-knowledge', url])).stdout, 'hello');
  strictEqual((await run('curl', ['-s', '--http1.1', url])).stdout, 'hello');
  strictEqual((await run('nghttp', [url])).stdout, 'hello');
  await front.stop();
});

test('HTTP/2 an exchange whose client goes is aborted once and closed once, whatever it was doing', async () => {
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
  for (const way of ['cancel', 'no error', 'destroy'] as const) {
    for (const name of ['quiet', 'body', 'mid', 'blocked']) {
      // Node's client ends the request body normally before it resets with NO_ERROR
      if (way === 'no error' && name === 'body') continue;
      events.length = 0;
      const session = await connectH2(front.port);
      const abort = new AbortController();
      const stream = session.request(
        { ':path': `/${name}`, ':method': 'POST' },
        { endStream: name !== 'body', signal: abort.signal },
      );
      stream.on('error', () => {});
      if (name === 'body') stream.write('abc');
      await waitFor(() => front.counters.get('exchanges') === 1, 'the exchange to start');
      await untilStill(() => events.length);
      if (way === 'destroy') session.destroy();
      else if (way === 'cancel') abort.abort();
      else stream.close(constants.NGHTTP2_NO_ERROR);
      await waitFor(() => front.counters.get('exchanges') === 0, `${name} to close after ${way}`);
      const expected = [`${name} abort LGW_CLIENT_GONE`, `${name} close`];
      if (name === 'body') expected.splice(1, 0, 'body read undefined');
      deepStrictEqual(events, expected, `${name} ${way}`);
      session.destroy();
    }
  }
  await front.stop();
});
