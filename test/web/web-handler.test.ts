/** Handlers that take a Request and return a Response, over real connections: what the client receives, and failures. */

import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import type { ServerOptions, WebHandler } from '../../src/index.ts';
import { bodySourceOf } from '../../src/native/node-internals.ts';
import { WHOLE_BODY_BYTES_MAX } from '../../src/web/body-stream.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2, type H2Response } from '../support/h2-client.ts';
import { connectPlain, type RawResponse } from '../support/raw-client.ts';
import { inForm } from '../support/test-form.ts';
import { waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';

const MIB = 1024 * 1024;
/** More than the buffers of two sockets hold. */
const TEXT_BYTES = inForm(16, 32) * MIB;

let server: EmbeddedServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function serve(handler: WebHandler, options: ServerOptions = {}): Promise<EmbeddedServer> {
  server = await EmbeddedServer.start(handler, options);
  return server;
}

/** Sends one request over HTTP/1.1 on its own connection, as bytes. */
async function ask(bytes: string): Promise<RawResponse> {
  const client = await connectPlain(server?.port ?? 0);
  try {
    client.send(bytes);
    return await client.response(bytes.startsWith('HEAD'));
  } finally {
    client.destroy();
  }
}

async function askH2(headers: Record<string, string | string[]>, body?: string): Promise<H2Response> {
  const session = await connectH2(server?.port ?? 0, 'http');
  try {
    return await fetchH2(session, headers, body);
  } finally {
    session.destroy();
  }
}

const get = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: example.test\r\n${fields}\r\n`;
const post = (body: string, fields = ''): string =>
  `POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;

test('A4: a handler sees method, URL, headers and connection of the request', async () => {
  await serve((request, context) => {
    assert.ok(request instanceof Request);
    return Response.json({
      method: request.method,
      url: request.url,
      agent: request.headers.get('User-Agent'),
      cookie: request.headers.get('cookie'),
      body: request.body === null,
      version: context.version,
      peer: context.connection.peerAddress,
      known: Object.keys(context.connection),
      prefix: context.prefix,
      workerId: context.workerId,
    });
  });
  const overHttp1 = await ask(get('/a/b?c=d%20e', 'USER-AGENT: Curious/1\r\nCookie: a=1\r\n'));
  const common = {
    method: 'GET',
    agent: 'Curious/1',
    body: true,
    peer: '127.0.0.1',
    // JSON leaves undefined out, but the list of keys has it
    known: [
      'peerAddress',
      'peerPort',
      'localAddress',
      'localPort',
      'tlsProtocol',
      'tlsCipher',
      'tlsServerName',
    ],
    prefix: '/',
    workerId: 0,
  };
  assert.deepEqual(JSON.parse(overHttp1.body.toString()), {
    ...common,
    url: 'http://example.test/a/b?c=d%20e',
    cookie: 'a=1',
    version: 'HTTP/1.1',
  });
  const overHttp2 = await askH2({
    ':path': '/a/b?c=d%20e',
    ':authority': 'example.test:99',
    'user-agent': 'Curious/1',
    cookie: ['a=1', 'b=2'],
  });
  assert.deepEqual(JSON.parse(overHttp2.body.toString()), {
    ...common,
    url: 'http://example.test:99/a/b?c=d%20e',
    cookie: 'a=1; b=2',
    version: 'HTTP/2',
  });
});

test('A4: request.url is what the URL parser makes of it, and what it cannot parse gets 400', async () => {
  await serve((request) => {
    assert.equal(new URL(request.url).href, request.url);
    return new Response(request.url);
  });
  const cases: readonly (readonly [target: string, host: string, url: string])[] = [
    ['/', 'example.test', 'http://example.test/'],
    ['/a/../b/./c', 'example.test', 'http://example.test/b/c'],
    ['/a/%2e%2e/b', 'example.test', 'http://example.test/b'],
    ['/a"b?c"d', 'example.test', 'http://example.test/a%22b?c%22d'],
    ['/', 'EXAMPLE.test:80', 'http://example.test/'],
    ['/', '[::1]:8080', 'http://[::1]:8080/'],
    ['/', '127.1', 'http://127.0.0.1/'],
    ['/a/.%2e/b', 'example.test', 'http://example.test/b'],
    ['/x.y/.z', 'example.test:8080', 'http://example.test:8080/x.y/.z'],
  ];
  for (const [target, host, url] of cases) {
    const answer = await ask(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(answer.body.toString(), url, target);
  }
  for (const host of ['a:99999', '1.2.3.4.5.256', 'user@example.test']) {
    const { status } = await ask(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(status, 400, host);
  }
  const { body } = await ask('GET / HTTP/1.0\r\n\r\n');
  assert.match(body.toString(), /^http:\/\/127\.0\.0\.1:\d+\/$/);
});

test('A4: status, reason, header case, repeated set-cookie and content-length reach the client', async () => {
  await serve(() => {
    const headers = new Headers({ 'X-Mixed': 'Value KEPT', 'content-type': 'text/x' });
    headers.append('set-cookie', 'a=1; Path=/');
    headers.append('set-cookie', 'b=2, with comma');
    return new Response('né', { status: 218, statusText: 'This is fine', headers });
  });
  const answer = await ask(get('/'));
  assert.equal(answer.statusLine, 'HTTP/1.1 218 This is fine');
  assert.equal(answer.headers.get('x-mixed'), 'Value KEPT');
  assert.equal(answer.headers.get('content-type'), 'text/x');
  assert.equal(answer.headers.get('content-length'), '3');
  assert.equal(answer.body.toString('utf8'), 'né');
  assert.deepEqual(
    answer.head.match(/^set-cookie: .*$/gim)?.map((line) => line.trim().slice(12)),
    ['a=1; Path=/', 'b=2, with comma'],
  );
  const overHttp2 = await askH2({ ':path': '/' });
  assert.deepEqual(overHttp2.headers['set-cookie'], ['a=1; Path=/', 'b=2, with comma']);
  assert.equal(overHttp2.headers['content-length'], '3');
});

test('A HEAD request gets the fields of its GET and no body, from texts and from streams', async () => {
  let cancelled = 0;
  await serve((request) => {
    if (request.url.endsWith('/text')) return new Response('12345');
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1000)),
      cancel: () => {
        cancelled += 1;
      },
    });
    return new Response(body, { headers: { 'content-length': '5000' } });
  });
  // where the platform hides the source of a response, its body is a stream of unknown length
  const lengthOfText = bodySourceOf(new Response('12345')) === undefined ? undefined : '5';
  for (const [path, length] of [
    ['/text', lengthOfText],
    ['/stream', '5000'],
  ] as const) {
    const answer = await ask(`HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.deepEqual([answer.status, answer.headers.get('content-length')], [200, length]);
    const overHttp2 = await askH2({ ':method': 'HEAD', ':path': path });
    assert.equal(overHttp2.headers['content-length'], length);
    assert.equal(overHttp2.body.length, 0);
  }
  assert.equal(cancelled, 2);
});

test('204, 304 and empty responses have no body', async () => {
  await serve((request) => new Response(null, { status: Number(request.url.slice(-3)) }));
  for (const status of [204, 304, 200, 404]) {
    const answer = await ask(get(`/${status}`));
    assert.equal(answer.status, status);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers.get('content-length'), status === 204 || status === 304 ? undefined : '0');
  }
});

test('A request body is read as text, JSON, bytes, blob and form', async () => {
  await serve(async (request) => {
    switch (new URL(request.url).pathname) {
      case '/json':
        return Response.json(await request.json());
      case '/bytes':
        return new Response(await request.arrayBuffer());
      case '/blob': {
        const blob = await request.blob();
        return new Response(`${blob.type} ${await blob.text()}`);
      }
      case '/form': {
        const form = await request.formData();
        return new Response(`${form.get('a')} ${form.get('b')}`);
      }
      case '/clone': {
        const [one, two] = await Promise.all([request.clone().text(), request.text()]);
        return new Response(`${one}|${two}`);
      }
      case '/copy':
        return new Response(await new Request(request, { headers: { 'x-new': '1' } }).text());
      case '/stream':
        return new Response(request.body);
      default:
        return new Response(await request.text());
    }
  });
  const send = async (path: string, body: string, type = 'text/plain'): Promise<string> =>
    (await askH2({ ':method': 'POST', ':path': path, 'content-type': type }, body)).body.toString();
  assert.equal(await send('/json', '{"a": [1, "é"]}'), '{"a":[1,"é"]}');
  assert.equal(await send('/text', 'one é'), 'one é');
  assert.equal(await send('/bytes', '\0\x01'), '\0\x01');
  assert.equal(await send('/blob', 'x', 'image/x'), 'image/x x');
  assert.equal(await send('/form', 'a=1+2&b=%C3%A9', 'application/x-www-form-urlencoded'), '1 2 é');
  assert.equal(await send('/clone', 'twice'), 'twice|twice');
  assert.equal(await send('/copy', 'copied'), 'copied');
  assert.equal(await send('/stream', 'streamed'), 'streamed');
});

test('A request body is read once: the second reader is told so', async () => {
  await serve(async (request) => {
    const first = await request.text();
    assert.equal(request.bodyUsed, true);
    const errors: string[] = [];
    for (const read of [() => request.text(), () => request.json(), async () => request.clone()])
      await read().catch((error: Error) => errors.push(error.name));
    return new Response(`${first} ${errors.join(' ')}`);
  });
  const { body } = await ask(post('once'));
  assert.equal(body.toString(), 'once TypeError TypeError TypeError');
});

test('A request is passed on with fetch, its body and headers included', async () => {
  const upstream = await EmbeddedServer.start(
    async (request) => new Response(`${request.headers.get('x-mine')} ${await request.text()}`),
  );
  await serve((request) => fetch(new Request(upstream.url, request)));
  const { status, body } = await ask(post('through', 'X-Mine: kept\r\n'));
  assert.deepEqual([status, body.toString()], [200, 'kept through']);
  await upstream.stop();
});

test('A response of fetch is passed on as it comes', async () => {
  const upstream = await EmbeddedServer.start(() => new Response('a'.repeat(MIB), { status: 203 }));
  await serve(() => fetch(upstream.url));
  const { status, body } = await ask(get('/'));
  assert.deepEqual([status, body.length], [203, MIB]);
  await upstream.stop();
});

test('M6: a response stream is drawn at the pace of the client, and a slow reader gets all of it', async () => {
  let pulled = 0;
  const total = inForm(32, 64);
  await serve(
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            pulled += 1;
            controller.enqueue(new Uint8Array(MIB).fill(pulled));
            if (pulled === total) controller.close();
          },
        }),
      ),
  );
  const client = await connectPlain(server?.port ?? 0);
  client.socket.pause();
  client.send(get('/'));
  await waitFor(() => pulled > 1, 'the first pieces');
  await untilStill(() => pulled);
  assert.ok(pulled < total / 2, `${pulled} MiB were made for a client that reads nothing`);
  client.socket.resume();
  const { body } = await client.response();
  assert.equal(body.length, total * MIB);
  for (let i = 0; i < total; i++) assert.equal(body[i * MIB], i + 1);
  client.destroy();
});

test('M6: a large text reaches a client that reads slowly', async () => {
  const started = await serve(() => new Response('x'.repeat(TEXT_BYTES)));
  const client = await connectPlain(server?.port ?? 0);
  client.socket.pause();
  client.send(get('/'));
  await waitFor(() => started.handle.counters()[0]?.exchanges === 1, 'the request');
  await untilStill(() => client.socket.bytesRead);
  client.socket.resume();
  const { body } = await client.response();
  assert.equal(body.length, TEXT_BYTES);
  client.destroy();
});

test('A request stream is read at the pace of the handler', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await serve(async (request) => {
    const reader = request.body?.getReader();
    let size = (await reader?.read())?.value?.length ?? 0;
    await released;
    for (;;) {
      const piece = await reader?.read();
      if (piece?.value === undefined) break;
      size += piece.value.length;
    }
    return new Response(String(size));
  });
  const total = inForm(32, 64) * MIB;
  const client = await connectPlain(server?.port ?? 0);
  client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${total}\r\n\r\n`);
  let sent = 0;
  const chunk = Buffer.alloc(MIB);
  const send = (): void => {
    while (sent < total) {
      sent += chunk.length;
      if (!client.socket.write(chunk)) return;
    }
  };
  client.socket.on('drain', send);
  send();
  await untilStill(() => client.socket.bytesWritten - client.socket.writableLength);
  assert.ok(sent < total / 2, `${sent} bytes were taken from a client whose handler reads nothing`);
  release();
  assert.equal((await client.response()).body.toString(), String(total));
  client.destroy();
});

test('The signal of a request is aborted when the client goes, and streams are cancelled', async () => {
  const seen: string[] = [];
  await serve((request) => {
    request.signal.addEventListener('abort', () => seen.push(`signal ${request.signal.reason?.code}`));
    if (request.url.endsWith('/waits')) return new Promise(() => undefined);
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
        cancel: () => {
          seen.push('cancelled');
        },
      }),
    );
  });
  for (const [path, count] of [
    ['/waits', 1],
    ['/stream', 3],
  ] as const) {
    const client = await connectPlain(server?.port ?? 0);
    client.send(get(path));
    await waitFor(() => server?.handle.counters()[0]?.exchanges === 1, 'the request');
    if (path === '/stream') await client.until((received) => received.length > 0, 'the first bytes');
    // after a normal end the client would still get its answer
    client.socket.resetAndDestroy();
    await waitFor(() => seen.length === count, 'the end');
  }
  assert.deepEqual(seen.sort(), ['cancelled', 'signal LGW_CLIENT_GONE', 'signal LGW_CLIENT_GONE']);
  await server?.untilIdle();
});

test('A handler whose client goes while it sends its body hears of it where it reads', async () => {
  let failure: unknown;
  await serve(async (request) => {
    try {
      return new Response(await request.text());
    } catch (error) {
      failure = error;
      throw error;
    }
  });
  const client = await connectPlain(server?.port ?? 0);
  client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc');
  await waitFor(() => server?.handle.counters()[0]?.exchanges === 1, 'the request');
  client.destroy();
  await waitFor(() => failure !== undefined, 'the failure');
  assert.match(String(failure), /GatewayError: Client has gone/);
  await server?.untilIdle();
  assert.doesNotMatch(server?.log ?? '', /Handler failed/);
});

test('A handler that throws, rejects or returns no Response gives 500, and the log says why', async () => {
  const results: Readonly<Record<string, () => unknown>> = {
    throws: () => {
      throw new Error('thrown on purpose');
    },
    rejects: () => Promise.reject(new Error('rejected on purpose')),
    throwsText: () => {
      throw 'a text on purpose';
    },
    nothing: () => undefined,
    text: () => 'text',
    later: () => Promise.resolve(null),
    object: () => ({ status: 200 }),
    error: () => Response.error(),
    used: async () => {
      const response = new Response('used');
      await response.text();
      return response;
    },
    locked: () => {
      const response = new Response(new ReadableStream());
      response.body?.getReader();
      return response;
    },
  };
  await serve((request) => (results[request.url.split('/').at(-1) ?? ''] as () => Response)());
  for (const name of Object.keys(results)) {
    const { status, body } = await ask(get(`/${name}`));
    assert.equal(status, 500, name);
    const id = /Error id: ([\w-]+)/.exec(body.toString())?.[1] ?? 'none';
    assert.ok(
      server?.lines.some((line) => line.includes(`request=${id}`)),
      name,
    );
  }
  const log = server?.log ?? '';
  for (const cause of [
    /Handler failed: Error: thrown on purpose\n {4,}at /,
    /Handler failed: Error: rejected on purpose/,
    /Handler failed: a text on purpose/,
    /The handler returned undefined in the place of a Response/,
    /The handler returned a string in the place/,
    /The handler returned null in the place/,
    /The handler returned an object of class "Object" in the place/,
    /A response of type "error" cannot be sent/,
    /The body of the response has already been read/,
  ])
    assert.match(log, cause);
});

test('A response stream that fails or gives no bytes cuts the answer, and the log says why', async () => {
  await serve((request) => {
    let pulls = 0;
    const wrong = request.url.endsWith('/text');
    return new Response(
      new ReadableStream<unknown>({
        pull(controller) {
          pulls += 1;
          if (pulls === 1) controller.enqueue(new Uint8Array(100_000));
          else if (wrong) controller.enqueue('text');
          else controller.error(new Error('broken on purpose'));
        },
      }) as ReadableStream<Uint8Array>,
    );
  });
  for (const path of ['/fails', '/text']) {
    const client = await connectPlain(server?.port ?? 0);
    client.send(get(path));
    const received = (await client.rest()).toString('latin1');
    assert.match(received, /^HTTP\/1\.1 200 OK/);
    assert.ok(!received.endsWith('0\r\n\r\n'), path);
    client.destroy();
    assert.notEqual((await askH2({ ':path': path })).rstCode, 0, path);
  }
  assert.match(server?.log ?? '', /Handler failed: Error: broken on purpose/);
  assert.match(server?.log ?? '', /The body of the response gave a string in the place of bytes/);
});

test('A handler that never settles gets 504 at the time limit, and its signal is aborted', async () => {
  let reason: unknown;
  await serve(
    (request) => {
      request.signal.addEventListener('abort', () => {
        reason = request.signal.reason;
      });
      return new Promise(() => undefined);
    },
    { limits: { timeLimitMs: 100 } },
  );
  const { status, body } = await ask(get('/'));
  assert.equal(status, 504);
  assert.match(body.toString(), /Error id:/);
  assert.match(String(reason), /^GatewayError: The handler has written nothing for 100 ms/);
  assert.match(
    server?.log ?? '',
    /Time limit reached: the handler has written nothing request=\S+ mapping=\//,
  );
});

test('A response stream that falls silent is cut at the time limit; one that goes on is not', async () => {
  await serve(
    (request) => {
      let pulls = 0;
      const goesOn = request.url.endsWith('/goes-on');
      return new Response(
        new ReadableStream({
          async pull(controller) {
            pulls += 1;
            if (goesOn && pulls > 8) controller.close();
            else if (!goesOn && pulls > 1) await new Promise(() => undefined);
            else {
              await new Promise((resolve) => setTimeout(resolve, 150));
              controller.enqueue(new Uint8Array(10));
            }
          },
        }),
      );
    },
    { limits: { timeLimitMs: 1000 } },
  );
  assert.equal((await ask(get('/goes-on'))).body.length, 80);
  assert.notEqual((await askH2({ ':path': '/silent' })).rstCode, 0);
});

test('A request body that nobody reads is dropped, and the connection goes on', async () => {
  await serve(() => new Response('unread'));
  const client = await connectPlain(server?.port ?? 0);
  for (let i = 0; i < 3; i++) {
    client.send(post('x'.repeat(50_000)));
    assert.equal((await client.response()).body.toString(), 'unread');
  }
  client.destroy();
  const { body } = await askH2({ ':method': 'POST', ':path': '/' }, 'x'.repeat(100_000));
  assert.equal(body.toString(), 'unread');
});

test('An answer longer or shorter than its content-length is cut so that nobody takes it for whole', async () => {
  await serve((request) => {
    const length = request.url.endsWith('/long') ? '3' : '9';
    return new Response('12345', { headers: { 'content-length': length } });
  });
  assert.equal((await ask(get('/long'))).body.toString(), '123');
  assert.equal((await ask(get('/short'))).status, 500);
  assert.match(
    server?.log ?? '',
    /shorter than its Content-Length target=\/short request=\S+ declared=9 written=5/,
  );
});

test('A4: a light response is a Response in every way that a handler may look at', async () => {
  const { ResponseBuilder } = await import('../../src/index.ts');
  const build = (): Response => new ResponseBuilder().status(201).header('X-A', '1').body('body').build();
  const response = build();
  assert.ok(response instanceof Response);
  assert.deepEqual(
    [response.status, response.ok, response.statusText, response.type],
    [201, true, '', 'default'],
  );
  assert.equal(response.headers.get('x-a'), '1');
  response.headers.set('x-b', '2');
  assert.equal(await response.clone().text(), 'body');
  assert.equal(response.bodyUsed, false);
  assert.equal(await response.text(), 'body');
  assert.equal(response.bodyUsed, true);
  assert.deepEqual(
    await build()
      .json()
      .catch((error: Error) => error.name),
    'SyntaxError',
  );
  assert.equal((await build().blob()).size, 4);
  assert.equal((await build().arrayBuffer()).byteLength, 4);
  await serve(() => {
    const changed = build();
    changed.headers.append('x-a', '3');
    return changed;
  });
  const answer = await ask(get('/'));
  assert.equal(answer.headers.get('x-a'), '1, 3');
  assert.equal(answer.headers.get('content-type'), 'text/plain;charset=UTF-8');
});

test('What a handler gathers of a body ends at 64 MiB: one byte more is 413, however it is read', async () => {
  await serve(async (request) => {
    if (new URL(request.url).searchParams.has('stream')) assert.ok(request.body !== null);
    return new Response(String((await request.arrayBuffer()).byteLength));
  });
  const upload = async (target: string, size: number): Promise<RawResponse> => {
    const client = await connectPlain(server?.port ?? 0);
    client.send(`POST ${target} HTTP/1.1\r\nHost: example.test\r\nContent-Length: ${size}\r\n\r\n`);
    client.send(Buffer.alloc(size));
    const response = await client.response();
    client.destroy();
    return response;
  };
  for (const target of ['/', '/?stream']) {
    // in the short form one of them is sent whole
    if (inForm(target === '/', true)) {
      const { body } = await upload(target, WHOLE_BODY_BYTES_MAX);
      assert.equal(body.toString(), String(WHOLE_BODY_BYTES_MAX));
    }
    assert.equal((await upload(target, WHOLE_BODY_BYTES_MAX + 1)).status, 413);
  }
});
