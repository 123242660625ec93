/** createServer() and Server: threads and functions, handles, shutdown, limits, in the process of the test itself. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import koffi from 'koffi';
import {
  createServer,
  GatewayError,
  type GatewayMapping,
  RestartNeededError,
  Server,
  startGateway,
  type WebHandler,
} from '../../src/index.ts';
import { testCertificate } from '../support/certificate.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { connectPlain, type RawResponse } from '../support/raw-client.ts';
import { waitFor } from '../support/test-front-end.ts';

const ANSWERS = new URL('./modules/answers.js', import.meta.url);
const LOCAL = '127.0.0.1:0';
const quiet = (): void => undefined;

let folder = '';
let server: EmbeddedServer | undefined;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-embed-'));
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(...given: Parameters<typeof EmbeddedServer.start>): Promise<EmbeddedServer> {
  server = await EmbeddedServer.start(...given);
  return server;
}

/** One server with two workers for the tests that change nothing of it. */
let pair: Promise<EmbeddedServer> | undefined;
function startPair(): Promise<EmbeddedServer> {
  pair ??= EmbeddedServer.start(ANSWERS, { threads: 2 });
  return pair;
}
after(async () => (await pair)?.stop());

async function text(url: string, init?: RequestInit): Promise<string> {
  const response = await fetch(url, { ...init, headers: { connection: 'close' } });
  return await response.text();
}

/** Binds the port, which fails where it is not free. */
async function bindOnce(port: number): Promise<void> {
  const probe = createTcpServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  await new Promise((resolve) => probe.close(resolve));
}

async function seenWorkers(url: string, count: number): Promise<string[]> {
  const seen = new Set<string>();
  for (let i = 0; i < 200 && seen.size < count; i++)
    for (const id of await Promise.all(Array.from({ length: 8 }, () => text(url)))) seen.add(id);
  return [...seen].sort();
}

test('A1: createServer() takes a module alone, a function, a Router, and mappings of scripts and modules', async () => {
  assert.ok(createServer(ANSWERS) instanceof Server);
  const script = join(folder, 'app.lua');
  writeFileSync(
    script,
    "local httpd = require 'httpd'\nhttpd.register_handler('/lua', function() httpd.write(nil, 'from Lua') end)\n",
  );
  const forced = join(folder, 'forced.lua');
  writeFileSync(forced, "return function(method, path) return 200, 'text/plain', method .. path end\n");
  const mappings: GatewayMapping[] = [
    { prefix: '/app', script },
    // without its mode it would be an app of luvit's
    { prefix: '/forced', script: forced, mode: 'luars' },
    { prefix: '/other', module: ANSWERS.href },
  ];
  await start(ANSWERS, { mappings, threads: 1 });
  assert.equal(await text(`${server?.url}/app/lua`), 'from Lua');
  assert.equal(await text(`${server?.url}/forced/x`), 'GET/forced/x');
  assert.equal(await text(`${server?.url}/worker`), '1');
  // patterns are matched with the whole path
  assert.equal((await fetch(`${server?.url}/other/worker`)).status, 404);
});

test('A1: mappings of one host each answer that host alone, and the access log names it', async () => {
  const script = join(folder, 'of-host.lua');
  writeFileSync(
    script,
    "local httpd = require 'httpd'\nhttpd.register_handler('/worker', function() httpd.write(nil, 'from Lua') end)\n",
  );
  const mappings: GatewayMapping[] = [
    { host: 'A.test', prefix: '/', script },
    { host: '*.b.test', prefix: '/', module: ANSWERS.href },
    { host: 'c.test', prefix: '/', folder },
  ];
  const { port } = await start(undefined, { mappings, threads: 1, accessLog: true });
  for (const [host, path, status, body] of [
    ['a.test', '/worker', 200, /^from Lua$/],
    ['x.B.test:80', '/worker', 200, /^1$/],
    ['c.test', '/of-host.lua', 200, /^local httpd/],
    ['c.test', '/worker', 404, /Not Found/],
    ['b.test', '/worker', 421, /Misdirected Request/],
  ] as const) {
    const client = await connectPlain(port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const answer = await client.response();
    assert.equal(answer.status, status, host);
    assert.match(answer.body.toString(), body, host);
    await server?.untilLog(
      new RegExp(` access GET ${path} peer=127\\.0\\.0\\.1 host=${host} .* status=${status} `),
    );
    client.destroy();
  }
});

test('What a handler of TypeScript throws is answered in the form that the client wants', async () => {
  await start(() => {
    throw new Error('secret');
  });
  const ask = (accept: string): Promise<Response> => fetch(server?.url as string, { headers: { accept } });
  const problem = await ask('application/json');
  assert.deepEqual([problem.status, problem.headers.get('content-type')], [500, 'application/problem+json']);
  const { error_id: id, ...rest } = (await problem.json()) as Record<string, unknown>;
  assert.deepEqual(rest, { type: 'about:blank', title: 'Internal Server Error', status: 500 });
  await server?.untilLog(new RegExp(` request=${id}\\b`));
  assert.match(await (await ask('text/plain')).text(), /^500 Internal Server Error\nError id: \S+\n$/);
  assert.match(await (await ask('*/*')).text(), /^<!DOCTYPE html>/);
});

test('A1: with TLS a server speaks HTTP/2 by ALPN, from a module and from a function', async () => {
  const { certPath, keyPath } = testCertificate();
  const tls = { certificate: certPath, key: keyPath };
  for (const handler of [ANSWERS, () => new Response('1')]) {
    const one = await EmbeddedServer.start(handler, { tls, threads: 1 });
    const session = await connectH2(one.port);
    assert.equal((await fetchH2(session, { ':path': '/worker' })).body.toString(), '1');
    await one.handle.reload();
    assert.equal((await fetchH2(session, { ':path': '/worker' })).body.toString(), '1');
    session.destroy();
    await one.stop();
  }
});

test('A1: reload() loads modules anew, and one that fails changes nothing', async () => {
  const file = join(folder, 'reloaded.mjs');
  const write = (body: string): void => writeFileSync(file, `export default () => ${body};\n`);
  write("new Response('one')");
  await start(pathToFileURL(file), { threads: 2 });
  assert.equal(await text(server?.url ?? ''), 'one');
  write("new Response('two')");
  await server?.handle.reload();
  assert.equal(await text(server?.url ?? ''), 'two');
  write('syntax error');
  await assert.rejects(server?.handle.reload() ?? Promise.resolve(), { code: 'LGW_MODULE' });
  assert.equal(await text(server?.url ?? ''), 'two');
});

test('A1: reload(changes) changes the settings of a server, from a module and from a function', async () => {
  const shut = {
    tls: 'development',
    noDelay: false,
    limits: { memoryBytesMax: 2 ** 25 },
  } as const;
  for (const handler of [ANSWERS, async (request: Request) => new Response(await request.text())]) {
    const { url, handle } = await start(handler, handler === ANSWERS ? { threads: 1 } : {});
    // no state of a script is made in the thread of a function
    const refused = `listen cleartext noDelay${handler === ANSWERS ? '' : ' limits.memoryBytesMax'}`;
    const post = async (): Promise<number> =>
      (await fetch(`${url}/method`, { method: 'POST', body: 'body', headers: { connection: 'close' } }))
        .status;
    assert.equal(await post(), 200);
    await handle.reload({ limits: { bodyBytesMax: 3 } });
    assert.equal(await post(), 413);
    await assert.rejects(
      handle.reload(shut),
      (error) =>
        error instanceof RestartNeededError && error.refused.map(({ name }) => name).join(' ') === refused,
    );
    // limits that are not named stay
    await handle.reload({ accessLog: true, limits: { idleTimeoutMs: 5000 } });
    assert.equal(await post(), 413);
    await server?.untilLog(/access POST \/method .* status=413/);
    await server?.stop();
    server = undefined;
  }
});

test('A1: reload(changes) changes the time limit of a function', async () => {
  const { url, handle } = await start(() => new Promise<Response>(() => undefined));
  const asked = text(url);
  await server?.until('exchanges', 1);
  await handle.reload({ limits: { timeLimitMs: 100 } });
  assert.match(await asked, /504/);
});

test('A1: a module that cannot be loaded, or exports no handler, rejects the start with a typed error', async () => {
  const files: readonly (readonly [string, RegExp])[] = [
    ['export default 7;', /default export of "file:.*" is neither a function nor an object/],
    ['export const handler = () => undefined;', /neither a function nor an object/],
    ['throw new Error("no luck");', /Cannot load "file:.*": Error: no luck/],
    ['export default (', /Cannot load .*SyntaxError/],
  ];
  const [[first] = ['']] = files;
  const file = join(folder, 'bad.mjs');
  writeFileSync(file, first);
  const made = createServer({ address: LOCAL, threads: 1, log: quiet }, file);
  const ready = made.handle().ready();
  await assert.rejects(made.start(), { code: 'LGW_MODULE', message: /neither a function nor an object/ });
  await assert.rejects(ready, { code: 'LGW_MODULE' });
  await made.handle().shutdown();
  // a reload loads as a start does
  writeFileSync(file, "export default () => new Response('good');");
  const { handle } = await start(pathToFileURL(file), { threads: 1 });
  for (const [code, message] of files) {
    writeFileSync(file, code);
    await assert.rejects(
      handle.reload(),
      (error) => error instanceof GatewayError && error.code === 'LGW_MODULE' && message.test(error.message),
    );
  }
  const absent = createServer({ address: LOCAL, threads: 1, log: quiet }, join(folder, 'absent.mjs'));
  await assert.rejects(absent.start(), { code: 'LGW_MODULE', message: /Cannot find module/ });
});

test('A1: wrong options reject the start with a typed error', async () => {
  const handler = (): Response => new Response('');
  const missing: unknown = 7;
  const cases: readonly (readonly [Promise<void>, string])[] = [
    [createServer({ address: 'somewhere' }, handler).start(), 'LGW_ADDRESS'],
    [createServer({ address: '127.0.0.1:65536' }, handler).start(), 'LGW_ADDRESS'],
    [createServer({ address: '[127.0.0.1:80' }, handler).start(), 'LGW_ADDRESS'],
    [createServer({ address: '192.0.2.1:8080' }, handler).start(), 'LGW_LISTEN'],
    [createServer({ address: LOCAL, threads: 0 }, ANSWERS).start(), 'LGW_CONFIG'],
    [createServer({ address: LOCAL, threads: 2 }, handler).start(), 'LGW_HANDLER'],
    [
      createServer({ address: LOCAL, mappings: [{ prefix: '/a', module: ANSWERS }] }, handler).start(),
      'LGW_HANDLER',
    ],
    [createServer({ address: LOCAL }).start(), 'LGW_HANDLER'],
    [createServer({ address: LOCAL }, missing as URL).start(), 'LGW_HANDLER'],
    [
      createServer({ address: LOCAL, mappings: [{ prefix: '/', module: ANSWERS }] }, ANSWERS).start(),
      'LGW_CONFIG',
    ],
    [
      createServer({ address: LOCAL, mappings: [{ prefix: '/../a', module: ANSWERS }] }).start(),
      'LGW_CONFIG',
    ],
    [
      createServer({ address: LOCAL, rights: { connect: ['none', 'public'] } }, ANSWERS).start(),
      'LGW_CONFIG',
    ],
    [createServer({ address: LOCAL, rights: { connect: 'all' as never } }, ANSWERS).start(), 'LGW_CONFIG'],
    [createServer({ address: LOCAL, limits: { bodyBytesMax: -1 } }, ANSWERS).start(), 'LGW_CONFIG'],
    ...(['bodyBytesMax', 'cpuLimitMs', 'timeLimitMs', 'logBytesPerSecond'] as const).map(
      (name) =>
        [createServer({ address: LOCAL, limits: { [name]: 0 } }, ANSWERS).start(), 'LGW_CONFIG'] as const,
    ),
    [createServer({ address: LOCAL, limits: { timeLimitMs: Number.NaN } }, ANSWERS).start(), 'LGW_CONFIG'],
    [createServer({ address: LOCAL, limits: { mappingSharePercent: 101 } }, ANSWERS).start(), 'LGW_CONFIG'],
    [createServer({ address: LOCAL, limits: { other: 1 } as object }, ANSWERS).start(), 'LGW_CONFIG'],
    ...[
      { folder: '' },
      { folder: '.', index: ['.hidden'] },
      { folder: '.', index: ['a/b'] },
      { folder: '.', index: 'index.html' as never },
      { folder: '.', listing: 1 as never },
      { folder: '.', cacheControl: 'a\nb' },
    ].map(
      (folder) =>
        [
          createServer({ address: LOCAL, mappings: [{ prefix: '/', ...folder }] }).start(),
          'LGW_CONFIG',
        ] as const,
    ),
    [
      createServer({
        address: LOCAL,
        mappings: [{ prefix: '/', script: 'app.lua', mode: 'other' as 'luars' }],
      }).start(),
      'LGW_CONFIG',
    ],
  ];
  for (const [started, code] of cases)
    await assert.rejects(started, (error) => error instanceof GatewayError && error.code === code, code);
});

test('A1, A2: createServer() runs a module in every worker; ready() waits for the start, shutdown() lets what runs finish, and the port is free then', async () => {
  let release = (): void => undefined;
  for (const handler of [
    ANSWERS,
    async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return new Response('slow');
    },
  ]) {
    const made = createServer(
      { address: LOCAL, log: quiet, ...(handler === ANSWERS ? { threads: 2 } : {}) },
      handler,
    );
    const handle = made.handle();
    // nothing is started, so nothing is shut down
    await handle.shutdown();
    const ready = handle.ready();
    const done = made.start();
    const [address] = await ready;
    const port = address?.port ?? 0;
    if (handler === ANSWERS) {
      assert.equal(address?.scheme, 'http');
      const url = `http://127.0.0.1:${port}`;
      assert.deepEqual(await seenWorkers(`${url}/worker`, 2), ['1', '2']);
      assert.equal(await text(`${url}/method`, { method: 'POST' }), 'POST');
      // the answers have ended for the client, if not yet in the workers
      await waitFor(() => handle.counters().every(({ exchanges }) => exchanges === 0), 'idle workers');
    }
    const end = join(folder, 'slow-ends');
    const inFlight = text(`http://127.0.0.1:${port}/slow?${encodeURIComponent(end)}`);
    await waitFor(() => handle.counters().some(({ exchanges }) => exchanges === 1), 'the request');
    const [first, second] = [handle.shutdown(), made.handle().shutdown()];
    release();
    writeFileSync(end, '');
    assert.equal(await inFlight, 'slow');
    await Promise.all([first, second, done]);
    await bindOnce(port);
    await handle.shutdown();
    await assert.rejects(made.start(), { code: 'LGW_STARTED' });
  }
});

test('A2: an AbortSignal stops a server, before and after it is ready', async () => {
  const handler = (): Response => new Response('');
  const later = new AbortController();
  const made = createServer({ address: LOCAL, signal: later.signal, log: quiet }, handler);
  const done = made.start();
  const [address] = await made.handle().ready();
  later.abort();
  await done;
  await bindOnce(address?.port ?? 0);
  const before = createServer({ address: LOCAL, signal: AbortSignal.abort(), log: quiet }, handler);
  const ready = before.handle().ready();
  await before.start();
  await assert.rejects(ready, { code: 'LGW_STOPPED' });
});

test('A handle publishes to handlers and hears them, in all threads, from ready() to the end', async () => {
  const idle = createServer({ address: LOCAL, log: quiet }, () => new Response('')).handle();
  assert.throws(() => idle.publish('a', 'b'), { code: 'LGW_STOPPED', message: /wait for ready/ });
  assert.throws(() => idle.subscribe('a'), { code: 'LGW_STOPPED' });
  const subscribes: WebHandler = async (_request, context) => {
    const { value } = await context.subscribe('to-handlers').next();
    return new Response(value?.text);
  };
  const own = await EmbeddedServer.start(subscribes);
  // messages of a module come from threads of their own
  for (const one of [own, await startPair()]) {
    const heard = one.handle.subscribe(['from-handlers', 'own']);
    assert.equal(one.handle.publish('own', 'hello'), 1);
    assert.equal((await heard.next()).value?.text, 'hello');
    if (one === own) {
      const answer = text(one.url);
      await waitFor(() => one.handle.publish('to-handlers', 'to all') === 1, 'the handler subscribes');
      assert.equal(await answer, 'to all');
    } else {
      await text(`${one.url}/publish?from-handlers`);
      assert.equal((await heard.next()).value?.text, 'from a thread');
    }
    heard.close();
  }
  const open = own.handle.subscribe('a').next();
  await own.stop();
  assert.deepEqual(await open, { done: true, value: undefined });
  assert.throws(() => own.handle.publish('a', 'b'), { code: 'LGW_STOPPED', message: /any more/ });
});

test('A2: a port in use rejects start() and ready(), and shutdown() has nothing to do', async () => {
  await start(() => new Response(''));
  const second = createServer({ address: `127.0.0.1:${server?.port}`, log: quiet }, () => new Response(''));
  const ready = second.handle().ready();
  await assert.rejects(second.start(), {
    code: 'LGW_LISTEN',
    message: /the port is in use by another program; option "address" takes another/,
  });
  await assert.rejects(ready, { code: 'LGW_LISTEN' });
  await second.handle().shutdown();
});

test('A2: shutdown() cuts what does not finish within the drain limit', async () => {
  const limits = { drainTimeoutMs: 100 };
  const one = await EmbeddedServer.start(() => new Promise<Response>(() => undefined), { limits });
  const cut = assert.rejects(fetch(one.url));
  await waitFor(() => one.handle.counters()[0]?.exchanges === 1, 'the request');
  await one.stop();
  await cut;
});

test('A4: in workers Response is the light class, and nobody can tell; a worker that crashes is replaced', async () => {
  await start(ANSWERS, { threads: 1 });
  assert.equal(await text(`${server?.url}/classes`), 'true true true true true true true');
  assert.equal(await text(`${server?.url}/refused`), 'TypeError RangeError TypeError TypeError TypeError');
  // and a worker that a module brings down is replaced
  await text(`${server?.url}/crash`).catch(() => undefined);
  await server?.untilLog(/Worker 1 ended and is replaced in 0 ms: Uncaught error: Error: crashed on purpose/);
  await server?.untilLog(/Worker 1 serves again/);
  assert.equal(await text(`${server?.url}/worker`), '1');
});

test('A7: 14 requests in one buffer get 14 answers in order', async () => {
  let count = 0;
  await start(async (request) => {
    const mine = count++;
    await new Promise((resolve) => setTimeout(resolve, mine % 3));
    return new Response(`${mine} ${await request.text()}`);
  });
  const client = await connectPlain(server?.port ?? 0);
  const one = (i: number): string => `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n${i + 10}`;
  client.send(Array.from({ length: 14 }, (_, i) => one(i)).join(''));
  for (let i = 0; i < 14; i++) assert.equal((await client.response()).body.toString(), `${i} ${i + 10}`);
  client.destroy();
});

test('A7: a request that comes byte by byte is answered after the last one', async () => {
  await start(async (request) => new Response(await request.text()));
  const client = await connectPlain(server?.port ?? 0);
  client.socket.setNoDelay();
  for (const byte of 'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc') {
    assert.equal(client.received.length, 0);
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await client.response()).body.toString(), 'abc');
  client.destroy();
});

test('A7: 20 connections at once ask 20 times each', async () => {
  const { port } = await startPair();
  const talk = async (method: string): Promise<void> => {
    const client = await connectPlain(port);
    for (let i = 0; i < 20; i++) {
      client.send(`${method} /method HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
      assert.equal((await client.response()).body.toString(), method);
    }
    client.destroy();
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => talk(i % 2 === 0 ? 'GET' : 'POST')));
});

test('A7: Connection: close is honoured in any case', async () => {
  await start(() => new Response('bye'));
  const client = await connectPlain(server?.port ?? 0);
  client.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: CLOSE\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.equal((await client.response()).headers.get('connection'), 'close');
  assert.equal((await client.rest()).length, 0);
  client.destroy();
});

test('A8: handlers that wait hold up nobody, and one that computes holds up only its own thread', async () => {
  const { url, handle } = await startPair();
  const slow = Array.from({ length: 50 }, () => text(`${url}/slow`));
  assert.match(await text(`${url}/worker`), /^[12]$/);
  await Promise.all(slow);
  await waitFor(() => handle.counters().every(({ exchanges }) => exchanges === 0), 'idle workers');
  const end = join(folder, 'spin-ends');
  const spinning = text(`${url}/spin?${encodeURIComponent(end)}`);
  await waitFor(() => handle.counters().some(({ exchanges }) => exchanges > 0), 'the request');
  // the thread that computes is let go when the other has answered
  for (let i = 0; i < 10; i++) assert.match(await text(`${url}/worker`), /^[12]$/);
  writeFileSync(end, '');
  assert.equal(await spinning, 'spun');
});

test('M1: new Server(address).noDelay(true).start(handler) serves a function, and sets TCP_NODELAY', async () => {
  for (const on of [true, false]) {
    const made = new Server(LOCAL).noDelay(on);
    const done = made.start(() => new Response('Hello!\n'));
    const [address] = await made.handle().ready();
    const client = await connectPlain(address?.port ?? 0);
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await client.response()).body.toString(), 'Hello!\n');
    assert.equal(hasNoDelay(address?.port ?? 0, client.socket.localPort ?? 0), on);
    client.destroy();
    await made.handle().shutdown();
    await done;
  }
});

/** Whether the server's end of a connection inside this process has TCP_NODELAY. */
function hasNoDelay(localPort: number, remotePort: number): boolean {
  const end = (port: number): string => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const row = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, remote]) => local === end(localPort) && remote === end(remotePort));
  const descriptor = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === `socket:[${row?.[9]}]`;
    } catch {
      // the descriptor of the listing itself
      return false;
    }
  });
  const getsockopt = koffi.load(null).func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint32_t *)');
  const value = [-1];
  // IPPROTO_TCP, TCP_NODELAY
  assert.equal(getsockopt(Number(descriptor), 6, 1, value, [4]), 0);
  return value[0] === 1;
}

test('M4: a head too large gets 431, a body over the limit 413, and what is malformed 400', async () => {
  const limits = { headBytesMax: 4096, bodyBytesMax: 1000 };
  await start(async (request) => new Response(String((await request.text()).length)), { limits });
  const ask = async (bytes: string): Promise<RawResponse> => {
    const client = await connectPlain(server?.port ?? 0);
    client.send(bytes);
    const answer = await client.response();
    client.destroy();
    return answer;
  };
  const field = (size: number): string => `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(size)}\r\n\r\n`;
  assert.equal((await ask(field(3000))).status, 200);
  assert.equal((await ask(field(5000))).status, 431);
  const body = (size: number): string =>
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`;
  assert.equal((await ask(body(1000))).body.toString(), '1000');
  assert.equal((await ask(body(1001))).status, 413);
  const chunk = 'x'.repeat(1001);
  const chunked = `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${chunk}\r\n0\r\n\r\n`;
  assert.equal((await ask(chunked)).status, 413);
  for (const bytes of ['nonsense\r\n\r\n', 'GET / HTTP/1.1\r\nno colon\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n'])
    assert.equal((await ask(bytes)).status, 400, bytes);
});

test('A1: startGateway() serves a module; both listeners of a worker count the connections of an address together', async () => {
  const { certPath, keyPath } = testCertificate();
  const lines: string[] = [];
  const gateway = await startGateway({
    mappings: [{ prefix: '/', module: ANSWERS }],
    certificateFiles: { certificate: certPath, key: keyPath },
    listen: { address: '127.0.0.1', port: 0 },
    cleartext: { address: '127.0.0.1', port: 0 },
    limits: { connectionsPerAddressMax: 2 },
    workers: 1,
    log: (line) => lines.push(line),
  });
  const portOf = (scheme: string): number =>
    gateway.addresses.find((address) => address.scheme === scheme)?.port ?? 0;
  const session = await connectH2(portOf('https'));
  assert.equal((await fetchH2(session, { ':path': '/worker' })).body.toString(), '1');
  const plain = await connectPlain(portOf('http'));
  plain.send('GET /worker HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await plain.response()).status, 200);
  await assert.rejects(connectH2(portOf('https')));
  const third = await connectPlain(portOf('http'));
  assert.equal((await third.rest()).length, 0);
  await waitFor(() => lines.some((line) => line.includes('--max-connections-per-address')), 'the line');
  assert.equal(lines.filter((line) => line.includes('--max-connections-per-address')).length, 1);
  plain.destroy();
  session.destroy();
  await gateway.stop();
});

test('Limits of Infinity are none, over every protocol, and 0 is refused with the word for it', async () => {
  const zero = createServer({ address: LOCAL, limits: { bodyBytesMax: 0 } }, ANSWERS).start();
  await assert.rejects(
    zero,
    /^GatewayError: Limit bodyBytesMax is 0 and has to be above; Infinity is no limit$/,
  );
  const none = Number.POSITIVE_INFINITY;
  const limits = { bodyBytesMax: none, cpuLimitMs: none, timeLimitMs: none, logBytesPerSecond: none };
  const body = 'x'.repeat(100_000);
  const { port } = await start(async (request) => new Response(String((await request.text()).length)), {
    limits,
  });
  for (const framed of [
    `Content-Length: ${body.length}\r\n\r\n${body}`,
    `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  ]) {
    const client = await connectPlain(port);
    client.send(`POST / HTTP/1.1\r\nHost: x\r\n${framed}`);
    assert.equal((await client.response()).body.toString(), String(body.length));
    client.destroy();
  }
  const session = await connectH2(port, 'http');
  for (const length of [{}, { 'content-length': body.length }]) {
    const answer = await fetchH2(session, { ':method': 'POST', ':path': '/', ...length }, body);
    assert.equal(answer.body.toString(), String(body.length));
  }
  session.destroy();
  await server?.stop();
});
