/** Handlers in TypeScript that pass requests on: answers, bodies both ways, upgrades, failures, and what is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectH2, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { after, before } from 'node:test';
import { GatewayError, Router } from '../../src/index.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { waitFor } from '../support/test-front-end.ts';
import { deadPort, plainUpstream, rawUpstream, type Upstream } from '../support/upstream.ts';

const LARGE_BYTES = 48 * 1024 * 1024;
/** More than what the proxy and the system's buffers of four sockets hold of an answer together. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;

let backend: Upstream;
/** Ends each connection within an answer, never answers, or opens a tunnel. */
let bad: Upstream;
let server: EmbeddedServer;
let target: string;
let dead: string;
let written = 0;
let isClosed = false;

before(async () => {
  backend = await plainUpstream((request, response) => {
    switch (request.url?.split('?', 1)[0]) {
      case '/echo':
        response.writeHead(200, { trailer: 'x-sum' });
        request.on('data', (chunk: Buffer) => {
          if (response.write(chunk)) return;
          request.pause();
          response.once('drain', () => request.resume());
        });
        request.on('end', () => {
          response.addTrailers({ 'x-sum': '1' });
          response.end();
        });
        return;
      case '/large': {
        const chunk = Buffer.alloc(64 * 1024, 'x');
        const go = (): void => {
          while (written < LARGE_BYTES) {
            written += chunk.length;
            if (!response.write(chunk)) {
              response.once('drain', go);
              return;
            }
          }
          response.end();
        };
        written = 0;
        go();
        return;
      }
      case '/hold':
        isClosed = false;
        response.once('close', () => {
          isClosed = true;
        });
        response.write('begun');
        return;
      case '/none':
        response.writeHead(204, { 'x-none': '1' }).end();
        return;
      default:
        response.writeHead(201, 'Made', {
          'x-up': '1',
          'content-type': 'text/plain',
          'set-cookie': ['a=1', 'b=2'],
        });
        response.end(JSON.stringify({ url: request.url, headers: request.headers }));
    }
  });
  bad = await rawUpstream((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes: Buffer) => {
      const head = bytes.toString('latin1');
      if (head.includes('/silent')) return;
      if (head.includes('/tunnel')) {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
        socket.pipe(socket);
        return;
      }
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
  });
  target = `http://127.0.0.1:${backend.port}`;
  dead = `http://127.0.0.1:${await deadPort()}`;
  const broken = `http://127.0.0.1:${bad.port}`;
  const router = new Router()
    .any('/plain', (_request, _params, context) => context.proxy(target))
    .any('/echo', (_request, _params, context) => context.proxy(target))
    .any('/large', (_request, _params, context) => context.proxy(target))
    .any('/hold', (_request, _params, context) => context.proxy(target))
    .any('/none', (_request, _params, context) => context.proxy(target))
    .get('/options', (_request, _params, context) =>
      context.proxy([target], {
        path: '/other?y',
        hostHeader: 'inner.example',
        headers: { 'X-Set': 'a', cookie: false },
        forwarded: 'rfc7239',
        balance: 'hash',
        hash: 'path',
      }),
    )
    .get('/changed', async (_request, _params, context) => {
      const response = await context.proxy(target, { path: '/echo' });
      response.headers.set('x-more', '1');
      return response;
    })
    .get('/made', async (_request, _params, context) => {
      const response = await context.proxy(target, { path: '/x' });
      const { url } = (await response.json()) as { url: string };
      return Response.json({ url, status: response.status });
    })
    .post('/upper', async (_request, _params, context) => {
      const response = await context.proxy(target, { path: '/echo' });
      const upper = new TransformStream<Uint8Array, Uint8Array>({
        transform: (bytes, controller) =>
          controller.enqueue(Buffer.from(String(Buffer.from(bytes)).toUpperCase())),
      });
      return new Response(response.body?.pipeThrough(upper), response);
    })
    .get('/dropped', async (_request, _params, context) => {
      await context.proxy(target, { path: '/hold' });
      return new Response('other');
    })
    .get('/cancelled', async (_request, _params, context) => {
      const response = await context.proxy(target, { path: '/hold' });
      await response.body?.cancel();
      await waitFor(() => isClosed, 'the end of the call');
      return new Response('gone');
    })
    .get('/dead', (_request, _params, context) => context.proxy(dead))
    .get('/late', (_request, _params, context) =>
      context.proxy(broken, { path: '/silent', timeouts: { headMs: 100 } }),
    )
    .get('/tunnel', (_request, _params, context) => context.proxy(broken))
    .get('/half', (_request, _params, context) => context.proxy(broken))
    .get('/half-text', async (_request, _params, context) => {
      const response = await context.proxy(broken);
      await assert.rejects(response.text(), /broken off/);
      return new Response('noticed');
    })
    .get('/caught', async (_request, _params, context) => {
      try {
        return await context.proxy(dead);
      } catch (error) {
        assert.ok(error instanceof GatewayError);
        return new Response(`${error.status} ${error.code} ${error.luaCode}`);
      }
    })
    .get('/chosen', (_request, _params, context) =>
      context.proxy([dead, target], { balance: (names) => names.indexOf(target), path: '/x' }),
    )
    .get('/no-choice', (_request, _params, context) =>
      context.proxy([target, `${target}/`], { balance: () => -1, path: '/x' }),
    )
    .post('/misuse', async (request, _params, context) => {
      for (const [targets, options] of [
        ['ftp://x', {}],
        [[], {}],
        [target, { retries: 9 }],
        [target, { headers: { 'content-length': '1' } }],
        [target, { path: '/a b' }],
        [target, { health: { interval: 1 } }],
        [target, { hash: 'x' }],
        [target, { tls: { verify: 1 } }],
      ] as const)
        await assert.rejects(context.proxy(targets, options as object), { code: 'LGW_CONFIG' });
      await request.text();
      await assert.rejects(context.proxy(target), /only a whole body is passed on/);
      return new Response('refused');
    });
  server = await EmbeddedServer.start(router);
});

after(async () => {
  await server.stop();
  await Promise.all([backend.close(), bad.close()]);
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

async function askH1(path: string, body?: string): Promise<Answer> {
  const request = httpRequest({
    port: server.port,
    path,
    method: body === undefined ? 'GET' : 'POST',
    agent: false,
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const text = await readText(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    trailers: response.trailers,
    body: text,
  };
}

async function askH2(path: string, body?: string): Promise<Answer> {
  const session = connectH2(server.url);
  try {
    const stream = session.request(
      { ':path': path, ':method': body === undefined ? 'GET' : 'POST' },
      { endStream: body === undefined },
    );
    if (body !== undefined) stream.end(body);
    let trailers = {};
    stream.on('trailers', (fields: object) => {
      trailers = fields;
    });
    const [headers] = (await once(stream, 'response')) as [Record<string, string>];
    const text = await readText(stream);
    return { status: Number(headers[':status']), headers, trailers, body: text };
  } finally {
    session.close();
  }
}

for (const [version, ask] of [
  ['HTTP/1.1', askH1],
  ['HTTP/2', askH2],
] as const) {
  test(`${version}: context.proxy passes the request on and gives the answer`, async () => {
    const { status, headers, body } = await ask('/plain?y=%20');
    assert.deepEqual([status, headers['x-up'], headers['set-cookie']], [201, '1', ['a=1', 'b=2']]);
    const seen = JSON.parse(body);
    assert.equal(seen.url, '/plain?y=%20');
    assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
    assert.equal((await ask('/none')).headers['x-none'], '1');
  });

  test(`${version}: bodies go both ways, with trailers`, async () => {
    const text = 'abc'.repeat(700_000);
    const { body, trailers } = await ask('/echo', text);
    assert.ok(body === text);
    assert.equal(trailers['x-sum'], '1');
    const upper = await ask('/upper', 'text');
    assert.deepEqual([upper.status, upper.body], [200, 'TEXT']);
  });

  test(`${version}: an upstream that is down or late is 502 or 504, with the id that the log has`, async () => {
    const { status, body } = await ask('/dead');
    assert.equal(status, 502);
    const id = /Error id: ([\w-]+)|"id":"([\w-]+)"/.exec(body)?.slice(1).find(Boolean);
    assert.ok(id !== undefined, body);
    await server.untilLog(new RegExp(`ECONNREFUSED.*${id}`));
    assert.equal((await ask('/late')).status, 504);
    assert.equal((await ask('/caught')).body, '502 LGW_PROXY_REFUSED refused');
  });

  test(`${version}: an answer that breaks off does not look whole`, async () => {
    await assert.rejects(ask('/half'));
    assert.equal((await ask('/half-text')).body, 'noticed');
  });

  test(`${version}: a handler changes the answer, reads it, drops it, or gives it up`, async () => {
    const changed = await ask('/changed');
    assert.deepEqual([changed.status, changed.headers['x-more']], [200, '1']);
    assert.deepEqual(JSON.parse((await ask('/made')).body), { url: '/x', status: 201 });
    assert.equal((await ask('/dropped')).body, 'other');
    await waitFor(() => isClosed, 'the end of the call');
    assert.equal((await ask('/cancelled')).body, 'gone');
  });
}

test('context.proxy takes the options of httpd.proxy', async () => {
  const { url, headers } = JSON.parse((await askH1('/options')).body);
  assert.equal(url, '/other?y');
  assert.deepEqual([headers.host, headers['x-set']], ['inner.example', 'a']);
  assert.match(headers.forwarded, /^for=127\.0\.0\.1;proto=http/);
  assert.equal((await askH1('/misuse', 'body')).body, 'refused');
});

test('A function chooses the server; where it fails, the gateway does', async () => {
  assert.equal((await askH1('/chosen')).status, 201);
  assert.equal((await askH1('/no-choice')).status, 201);
  assert.match(server.log, /Function of option balance failed: it gave no index from 0 to 1/);
});

test('A client that does not read holds the upstream back', async () => {
  const request = httpRequest({ port: server.port, path: '/large', agent: false });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let before = -1;
  await waitFor(() => {
    const isStill = written === before;
    before = written;
    return isStill && written > 0;
  }, 'the upstream to wait');
  assert.ok(written < HELD_BYTES_MAX, `${written} bytes were taken`);
  let size = 0;
  for await (const chunk of response) size += (chunk as Buffer).length;
  assert.equal(size, LARGE_BYTES);
});

test('A client that goes ends the call to the upstream', async () => {
  const session = connectH2(server.url);
  const stream = session.request({ ':path': '/hold' });
  stream.on('error', () => undefined);
  await once(stream, 'data');
  stream.close(constants.NGHTTP2_CANCEL);
  await waitFor(() => isClosed, 'the end of the call');
  session.close();
});

test('An upgrade becomes a tunnel', async () => {
  const request = httpRequest({
    port: server.port,
    path: '/tunnel',
    agent: false,
    headers: { connection: 'Upgrade', upgrade: 'echo' },
  });
  request.end();
  const [response, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Socket];
  assert.equal(response.statusCode, 101);
  socket.write('ping');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  assert.equal(bytes.toString(), 'ping');
  socket.end();
  await once(socket, 'close');
});
