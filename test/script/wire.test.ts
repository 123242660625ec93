/** Handlers behind real TLS sockets, over HTTP/1.1 and HTTP/2. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { request as requestHttps } from 'node:https';
import { after, before, test } from 'node:test';
import { eventually, ScriptHarness } from '../support/script-harness.ts';

const BIG_BYTES = 3_000_000;

let harness: ScriptHarness;
let port: number;
let session: ClientHttp2Session;

before(async () => {
  harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.register_handler('/hello', function(env, header)
      httpd.header{[':status'] = '200', ['content-type'] = 'text/plain', ['x-method'] = header.method}
      httpd.write(nil, env.SERVER_PROTOCOL)
    end)
    httpd.register_handler('/echo', function(env, header)
      httpd.header{status = 200}
      while true do local d = httpd.read(nil, 10000) if not d then break end httpd.write(nil, d) end
    end)
    httpd.register_handler('/count', function() local n = 0 while true do local d = httpd.read(nil) if not d then break end n = n + #d end httpd.write(nil, n) end)
    httpd.register_handler('/exact', function() local d = httpd.read(nil, ${BIG_BYTES}) httpd.write(nil, #d .. ' ' .. tostring(httpd.read(nil, 1))) end)
    httpd.register_handler('/big', function() httpd.write(nil, ('0123456789'):rep(${BIG_BYTES / 10})) end)
    httpd.register_handler('/late', function() httpd.header{status = 200} httpd.write(nil, ('x'):rep(100000)) httpd.read(nil, 1) error('late') end)
    httpd.register_handler('/endless', function() local g <close> = setmetatable({}, {__close = function() print('ended') end}) while true do httpd.write(nil, ('x'):rep(65536)) end end)
    httpd.register_handler('/cookies', function(env, header) httpd.header{status = 204, ['set-cookie'] = {'a=1', 'b=2'}, ['x-all'] = '\\xe9\\xff'} end)
    httpd.register_handler('/slow', function() httpd.header{status = 200} httpd.write(nil, 'a') httpd.read(nil, 1) httpd.write(nil, 'b') end)`);
  port = await harness.listen();
  session = connectHttp2(`https://localhost:${port}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
});

after(async () => {
  await new Promise<void>((resolve) => {
    session.close(resolve);
  });
  await harness.expectNothingOpen();
  await harness.close();
});

interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | string[] | undefined;
  readonly body: Buffer;
  readonly broken: boolean;
}

interface Sent {
  readonly method?: string;
  readonly body?: Buffer;
  /** Sends the body without its length. */
  readonly chunked?: boolean;
  readonly onHead?: () => void;
}

function http1(path: string, { method, body, chunked = false }: Sent = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = requestHttps(
      {
        host: '127.0.0.1',
        port,
        path,
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        rejectUnauthorized: false,
        agent: false,
        headers:
          body === undefined
            ? {}
            : chunked
              ? { 'transfer-encoding': 'chunked' }
              : { 'content-length': body.length },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        const finish = (broken: boolean) => (): void => {
          resolve({
            status: response.statusCode ?? 0,
            header: (name) => response.headers[name],
            body: Buffer.concat(chunks),
            broken,
          });
        };
        response.on('end', finish(false));
        response.on('error', finish(true));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function http2(path: string, { method, body }: Sent = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request({
      ':path': path,
      ':method': method ?? (body === undefined ? 'GET' : 'POST'),
    });
    const chunks: Buffer[] = [];
    let headers: Record<string, string | string[] | undefined> = {};
    stream.on('response', (given) => {
      headers = given as Record<string, string | string[] | undefined>;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.on('close', () => {
      resolve({
        status: Number(headers[':status'] ?? 0),
        header: (name) => headers[name],
        body: Buffer.concat(chunks),
        broken: stream.rstCode !== constants.NGHTTP2_NO_ERROR,
      });
    });
    stream.end(body);
  });
}

for (const [protocol, call] of [
  ['HTTP/1.1', http1],
  ['HTTP/2', http2],
] as const) {
  test(`A handler answers over ${protocol}`, async () => {
    const answer = await call('/hello');
    assert.deepEqual(
      [answer.status, answer.body.toString(), answer.header('content-type'), answer.header('x-method')],
      [200, protocol, 'text/plain', 'GET'],
    );
  });

  test(`A HEAD over ${protocol} has the head and no body`, async () => {
    const answer = await call('/hello', { method: 'HEAD' });
    assert.deepEqual([answer.status, answer.body.length, answer.header('x-method')], [200, 0, 'HEAD']);
  });

  test(`Bodies of all sizes and bytes come back over ${protocol}`, async () => {
    for (const size of [0, 1, 9999, 10_000, 10_001, 300_000]) {
      const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) % 256));
      assert(body.equals((await call('/echo', { body })).body), `${size} bytes`);
      if (protocol === 'HTTP/1.1')
        assert(body.equals((await call('/echo', { body, chunked: true })).body), `${size} bytes in chunks`);
    }
  });

  test(`A read larger than every buffer gets all of it over ${protocol}`, async () => {
    const body = Buffer.alloc(BIG_BYTES, 'y');
    assert.equal((await call('/exact', { body })).body.toString(), `${BIG_BYTES} nil`);
    assert.equal((await call('/count', { body })).body.toString(), String(BIG_BYTES));
  });

  test(`A large response arrives whole over ${protocol}`, async () => {
    const { body } = await call('/big');
    assert.equal(body.length, BIG_BYTES);
    assert.equal(body.subarray(BIG_BYTES - 10).toString(), '0123456789');
  });

  test(`An error after the head never looks complete over ${protocol}`, async () => {
    const answer = await call('/late', { body: Buffer.from('x') });
    assert.equal(answer.broken, true);
    assert(
      harness.log.some((line) => line.startsWith('error Lua error: script.lua:14: late')),
      harness.log.slice(-3).join('\n'),
    );
  });

  test(`Lists become repeated fields and legal bytes stay over ${protocol}`, async () => {
    const answer = await call('/cookies');
    assert.equal(answer.status, 204);
    assert.deepEqual(answer.header('set-cookie'), ['a=1', 'b=2']);
    assert.equal(Buffer.from(String(answer.header('x-all')), 'latin1').toString('hex'), 'e9ff');
  });

  test(`Requests at once are answered each with its own over ${protocol}`, async () => {
    const bodies = Array.from({ length: 30 }, (_, i) => Buffer.alloc(20_000, String.fromCharCode(33 + i)));
    const answers = await Promise.all(bodies.map((body) => call('/echo', { body })));
    answers.forEach((answer, i) => {
      assert(answer.body.equals(bodies[i] as Buffer));
    });
  });
}

test('A client that goes away ends an endless writer, over HTTP/1.1 and HTTP/2', async () => {
  const ended = (): number => harness.log.filter((line) => line.startsWith('info ended')).length;
  const before = ended();
  const stream = session.request({ ':path': '/endless' });
  stream.on('error', () => undefined);
  stream.once('data', () => stream.close(constants.NGHTTP2_CANCEL));
  await eventually(() => assert.equal(ended(), before + 1));
  const request = requestHttps(
    { host: '127.0.0.1', port, path: '/endless', rejectUnauthorized: false, agent: false },
    (response) => {
      response.on('error', () => undefined);
      response.once('data', () => request.destroy());
    },
  );
  request.on('error', () => undefined);
  request.end();
  await eventually(() => assert.equal(ended(), before + 2));
});

test('A response streams while the request is still being sent', async () => {
  const stream = session.request({ ':path': '/slow', ':method': 'POST' });
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text === 'a') stream.end('x');
  });
  await new Promise((resolve) => {
    stream.on('close', resolve);
  });
  assert.equal(text, 'ab');
});
