/** Requests passed on to servers of HTTP/2 (node:http2), which behave as gRPC services do, over TLS and with prior knowledge. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before } from 'node:test';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { inForm } from '../support/test-form.ts';
import { waitFor } from '../support/test-front-end.ts';
import { plainUpstream } from '../support/upstream.ts';

const MESSAGES = inForm(500, 10_000);
const { cert, key } = testCertificate();

type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

let front: ProxyFront;
let client: ClientHttp2Session;
let server: Http2Server;
let port: number;
const sessions = new Set<ServerHttp2Session>();
/** Heads that have come, the newest last. */
const heads: Headers[] = [];

/** A message of gRPC: not compressed, length, bytes. */
function frame(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** The messages in a body. */
function unframe(body: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < body.length; ) {
    const size = body.readUInt32BE(at + 1);
    texts.push(body.subarray(at + 5, at + 5 + size).toString());
    at += 5 + size;
  }
  return texts;
}

const GRPC = { ':status': 200, 'content-type': 'application/grpc' };

const SERVICE: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  '/svc/Unary': (stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      stream.respond(GRPC, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
      stream.end(frame(`hello ${unframe(Buffer.concat(chunks)).join()}`));
    });
  },
  '/svc/List': (stream) => {
    stream.respond(GRPC, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    for (let i = 0; i < 100; i++) stream.write(frame(`item ${i}`));
    stream.end();
  },
  '/svc/Chat': (stream) => {
    stream.respond(GRPC, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
  },
  '/svc/Fails': (stream) => stream.respond({ ...GRPC, 'grpc-status': '5' }, { endStream: true }),
  '/early': (stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</x.css>; rel=preload' });
    stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] });
    stream.end('body');
  },
  '/reset': (stream) => {
    stream.respond({ ':status': 200, 'content-length': '100' });
    stream.write('part', () => stream.close(2));
  },
  '/silent': () => undefined,
  '/goaway': (stream) => {
    // behind the stream that is answered nothing is done any more
    stream.session?.goaway(0, stream.id);
    stream.respond({ ':status': 200 });
    stream.end('last');
  },
};

let refusals = 0;

before(async () => {
  server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    heads.push(headers);
    if (refusals > 0) {
      refusals -= 1;
      stream.close(7);
      return;
    }
    const path = String(headers[':path']).split('?', 1)[0] as string;
    const serve = SERVICE[path];
    if (serve !== undefined) serve(stream);
    else {
      stream.respond({ ':status': 200 });
      stream.end('ok');
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  front = await startProxyFront();
  client = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  front.passTo([`h2c://127.0.0.1:${port}`]);
});

after(async () => {
  client.destroy();
  await front.stop();
  for (const session of sessions) session.destroy();
  server.close();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly trailers: Headers;
  readonly body: Buffer;
  readonly code: number;
  readonly informed: readonly Headers[];
}

function open(headers: Headers, endStream: boolean): { stream: ClientHttp2Stream; answer: Promise<Answer> } {
  const stream = client.request({ ':authority': 'example.org', ...headers }, { endStream });
  const chunks: Buffer[] = [];
  const informed: Headers[] = [];
  let head: Headers = {};
  let trailers: Headers = {};
  stream.on('error', () => undefined);
  stream.on('headers', (one) => informed.push(one));
  stream.on('response', (one) => {
    head = one;
  });
  stream.on('trailers', (one) => {
    trailers = one;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const answer = new Promise<Answer>((resolve) => {
    stream.on('close', () =>
      resolve({
        status: Number(head[':status']),
        headers: head,
        trailers,
        body: Buffer.concat(chunks),
        code: stream.rstCode ?? 0,
        informed,
      }),
    );
  });
  return { stream, answer };
}

function ask(headers: Headers, body?: Buffer): Promise<Answer> {
  const { stream, answer } = open(headers, body === undefined);
  if (body !== undefined) stream.end(body);
  return answer;
}

const call = (path: string): Headers => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
});

test('A unary call has its trailers, and the upstream learns that they are taken', async () => {
  const { status, body, trailers, code } = await ask(call('/svc/Unary'), frame('ann'));
  assert.deepEqual([status, unframe(body), code], [200, ['hello ann'], 0]);
  assert.deepEqual([trailers['grpc-status'], trailers['grpc-message']], ['0', 'fine']);
  const head = heads.at(-1) as Headers;
  assert.deepEqual(
    [
      head['te'],
      head[':authority'],
      head[':scheme'],
      head['x-forwarded-for'],
      head['via'],
      head['content-type'],
    ],
    ['trailers', 'example.org', 'http', '127.0.0.1', '2.0 lgateway', 'application/grpc'],
  );
});

test('A stream of answers comes whole, and an answer that is nothing but trailers ends with its head', async () => {
  const { body, trailers } = await ask(call('/svc/List'), frame('x'));
  assert.deepEqual([unframe(body).length, trailers['grpc-status']], [100, '0']);
  const { stream, answer } = open(call('/svc/Fails'), false);
  let flags = 0;
  stream.on('response', (_headers, given) => {
    flags = given;
  });
  stream.end(frame('x'));
  const failed = await answer;
  assert.deepEqual([failed.headers['grpc-status'], failed.body.length, flags & 1], ['5', 0, 1]);
});

test(`${MESSAGES} messages go both ways at the same time, each answered before the next is sent`, async () => {
  const { stream, answer } = open(call('/svc/Chat'), false);
  for (let i = 0; i < MESSAGES; i++) {
    stream.write(frame(`message ${i}`));
    await once(stream, 'data');
  }
  stream.end();
  const { body, trailers, code } = await answer;
  const texts = unframe(body);
  assert.deepEqual(
    [texts.length, texts.at(-1), trailers['grpc-status'], code],
    [MESSAGES, `message ${MESSAGES - 1}`, '0', 0],
  );
});

test('Fields of every name and number reach the server, with one value for each name', async () => {
  const raw = await connectRaw(front.port);
  const { head } = await raw.ask(
    'GET /names HTTP/1.1\r\nHost: a\r\nconstructor: x\r\n__proto__: y\r\nUser-Agent: a\r\nUser-Agent: b\r\nX-A: 1\r\nx-a: 2\r\n\r\n',
  );
  raw.close();
  assert.match(head, /^HTTP\/1\.1 200 /);
  const arrived = heads.at(-1) as Headers;
  assert.deepEqual(
    ['constructor', '__proto__', 'user-agent', 'x-a'].map(
      (name) => Object.getOwnPropertyDescriptor(arrived, name)?.value,
    ),
    ['x', 'y', 'a, b', '1, 2'],
  );
});

test('Informational heads and repeated fields go on; a body that breaks off does not look whole', async () => {
  const early = await ask({ ':path': '/early' });
  assert.deepEqual(
    early.informed.map((one) => one['link']),
    ['</x.css>; rel=preload'],
  );
  assert.deepEqual([early.headers['set-cookie'], early.body.toString()], [['a=1', 'b=2'], 'body']);
  const broken = await ask({ ':path': '/reset' });
  assert.equal(broken.status, 200);
  assert.notEqual(broken.code, 0);
});

test('Calls at the same time share one connection, and each body is held back by itself', async () => {
  const big = Buffer.alloc(2 * 1024 * 1024, 'x');
  const { stream, answer } = open(call('/svc/Chat'), false);
  stream.pause();
  stream.end(big);
  const others = await Promise.all(Array.from({ length: 30 }, () => ask(call('/svc/Unary'), frame('bob'))));
  for (const { body } of others) assert.deepEqual(unframe(body), ['hello bob']);
  assert.equal(sessions.size, 1);
  stream.resume();
  assert.equal((await answer).body.length, big.length);
});

test('A stream that the server refuses is tried at the next server, also one that cannot be repeated', async () => {
  const other = await plainUpstream((_request, response) => response.end('other'));
  try {
    front.passTo([`h2c://127.0.0.1:${port}`, other.url]);
    refusals = 1;
    const before = heads.length;
    const { status, body } = await ask({ ':path': '/refused', ':method': 'POST' });
    // the first one has had it, and has refused it
    assert.deepEqual([refusals, heads.length, heads.at(-1)?.[':path']], [0, before + 1, '/refused']);
    assert.deepEqual([status, body.toString()], [200, 'other']);
    // where no try is left it fails
    front.passTo([`h2c://127.0.0.1:${port}`, other.url], { retries: 0 });
    refusals = 1;
    assert.equal((await ask({ ':path': '/', ':method': 'POST' })).status, 502);
    // a body of which a part has left is sent to nobody else
    front.passTo([`h2c://127.0.0.1:${port}`, other.url]);
    refusals = 1;
    assert.equal((await ask({ ':path': '/', ':method': 'PUT' }, Buffer.alloc(100_000))).status, 502);
    assert.equal(refusals, 0);
  } finally {
    front.passTo([`h2c://127.0.0.1:${port}`]);
    await other.close();
  }
});

test('After a GOAWAY further calls get a connection of their own', async () => {
  assert.equal((await ask({ ':path': '/goaway' })).body.toString(), 'last');
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask({ ':path': '/after' })));
  for (const { body } of answers) assert.equal(body.toString(), 'ok');
});

test('A connection whose server has gone is replaced, and a server that is silent is not asked on the same one again', async () => {
  await ask({ ':path': '/' });
  for (const session of [...sessions]) session.destroy();
  await waitFor(() => sessions.size === 0, 'the connections to end');
  assert.equal((await ask({ ':path': '/' })).body.toString(), 'ok');

  front.passTo([`h2c://127.0.0.1:${port}`], {
    timeouts: { ...DEFAULT_PROXY_RULES.timeouts, headMs: 200 },
  });
  assert.equal((await ask({ ':path': '/silent' })).status, 504);
  const [before] = [...sessions];
  assert.equal((await ask({ ':path': '/' })).body.toString(), 'ok');
  assert.notEqual([...sessions].at(-1), before);
  front.passTo([`h2c://127.0.0.1:${port}`]);
});

test('Over TLS the certificate is checked, and a server that speaks HTTP/1.1 only gets its clients 502', async () => {
  const secure = createSecureServer({ cert, key }, (request, response) =>
    response.end(`over ${request.httpVersion}`),
  );
  secure.listen(0, '127.0.0.1');
  await once(secure, 'listening');
  const plain = await plainUpstream((_request, response) => response.end('x'));
  try {
    const target = `h2://127.0.0.1:${(secure.address() as AddressInfo).port}`;
    front.passTo([target]);
    assert.equal((await ask({ ':path': '/' })).status, 502);
    front.passTo([target], { tls: { verify: true, ca: cert, servername: undefined } });
    assert.equal((await ask({ ':path': '/' })).body.toString(), 'over 2.0');
    front.passTo([`h2c://127.0.0.1:${plain.port}`]);
    assert.equal((await ask({ ':path': '/' })).status, 502);
  } finally {
    front.passTo([`h2c://127.0.0.1:${port}`]);
    await plain.close();
    secure.close();
  }
});

test('A call that its client gives up ends the stream, and nothing is left', async () => {
  const { stream } = open({ ':path': '/silent' }, true);
  await waitFor(() => heads.at(-1)?.[':path'] === '/silent', 'the request to arrive');
  stream.close(8);
  await front.whenPassed();
  assert.equal((await ask({ ':path': '/' })).body.toString(), 'ok');
});
