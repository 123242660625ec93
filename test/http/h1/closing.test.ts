/** How connections end: clients that end their side and still read, clients that continue to send, clients that have gone. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { calmTest as test } from '../../support/calm.ts';
import { connectPlain, connectSecure, type RawClient } from '../../support/raw-client.ts';
import { inForm } from '../../support/test-form.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { WireClient } from '../../support/wire-client.ts';

const BODY_MAX = 1024 * 1024 * 1024;

type Listener = 'https' | 'http';
const LISTENERS: readonly Listener[] = ['https', 'http'];

/** Handlers that continue when the test allows it. */
class Held {
  readonly waiting: (() => void)[] = [];
  readonly aborted: string[] = [];
  readonly handlers: Record<string, HandlerFunction> = {
    '/hello': (x) => {
      x.write(Buffer.from('hello'));
      x.end();
    },
    '/late': (x) => {
      x.onAbort = (reason) => this.aborted.push(reason.code);
      this.waiting.push(() => {
        x.write(Buffer.from('late'));
        x.end();
      });
    },
    '/stream': (x) => {
      x.onAbort = (reason) => this.aborted.push(reason.code);
      x.write(Buffer.from('one'));
      x.flush();
      this.waiting.push(() => {
        x.write(Buffer.from('two'));
        x.end();
      });
    },
    '/body': (x) => {
      x.onAbort = (reason) => this.aborted.push(reason.code);
      readBody(x, (body) => {
        if (body === undefined) return;
        x.write(body);
        x.end();
      });
    },
    '/no': (x) => {
      x.head(401, []);
      x.write(Buffer.from('no'));
      x.end();
    },
  };

  async release(): Promise<void> {
    await waitFor(() => this.waiting.length > 0, 'a handler');
    for (const go of this.waiting.splice(0)) go();
  }
}

const connect = (front: TestFrontEnd, listener: Listener): Promise<RawClient> =>
  listener === 'https' ? connectSecure(front.port) : connectPlain(front.port);

const GET = (path: string, version = '1.1'): string => `GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`;

test('A client that has ended its side gets its answer, late and in parts', async () => {
  for (const listener of LISTENERS) {
    const held = new Held();
    const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http' });
    for (const [path, version, end] of [
      ['/late', '1.1', /\r\n\r\nlate$/],
      ['/late', '1.0', /\r\n\r\nlate$/],
      ['/stream', '1.1', /one\r\n3\r\ntwo\r\n0\r\n\r\n$/],
      ['/stream', '1.0', /\r\n\r\nonetwo$/],
    ] as const) {
      const client = await connect(front, listener);
      client.socket.end(GET(path, version));
      await held.release();
      match((await client.rest()).toString(), end);
    }
    // all requests that came before the end
    const client = await connect(front, listener);
    client.socket.end(GET('/hello') + GET('/late') + GET('/hello'));
    await held.release();
    strictEqual((await client.rest()).toString().match(/HTTP\/1\.1 200 OK/g)?.length, 3);
    deepStrictEqual(held.aborted, []);
    await front.stop();
  }
});

test('A client that ends its side in the middle of a request is told so', async () => {
  for (const listener of LISTENERS) {
    const held = new Held();
    const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http' });
    for (const bytes of [
      'GET /hello HTTP/1.1\r\nHos',
      'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc',
      'POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    ]) {
      const client = await connect(front, listener);
      client.socket.end(bytes, 'latin1');
      match((await client.rest()).toString(), /^HTTP\/1\.1 400 /, bytes);
    }
    deepStrictEqual(held.aborted, ['LGW_CLIENT_GONE', 'LGW_CLIENT_GONE']);
    // an idle connection just closes
    const client = await connect(front, listener);
    client.socket.end();
    strictEqual((await client.rest()).length, 0);
    await front.stop();
  }
});

test('A client that breaks off is gone at once, and its handler hears of it', async () => {
  for (const listener of LISTENERS)
    for (const path of ['/late', '/stream']) {
      const held = new Held();
      const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http' });
      const client = await connect(front, listener);
      client.send(GET(path));
      await waitFor(() => held.waiting.length > 0, 'the handler');
      client.reset();
      await waitFor(() => held.aborted.length > 0, 'the abort');
      deepStrictEqual(held.aborted, ['LGW_CLIENT_GONE']);
      await front.stop();
    }
});

test('An HTTP/2 client that has ended its side gets what it has asked for, and what is incomplete is cut', async () => {
  for (const listener of LISTENERS) {
    const held = new Held();
    const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http' });
    const raw =
      listener === 'https' ? await connectSecure(front.port, ['h2']) : await connectPlain(front.port);
    const wire = new WireClient(raw.socket);
    wire.request(1, '/late');
    wire.request(3, '/body', { method: 'POST', open: true });
    wire.request(5, '/stream');
    await waitFor(() => held.waiting.length === 2, 'both handlers');
    // the client has acknowledged the settings as well
    await wire.ping();
    raw.socket.end();
    await waitFor(() => held.aborted.length === 1, 'the incomplete request to be cut');
    await held.release();
    strictEqual((await wire.response(1)).status, 200);
    strictEqual((await wire.response(5)).status, 200);
    await waitFor(() => raw.ended, 'the end of the connection');
    await front.stop();
  }
});

test('An HTTP/2 client that has closed altogether is noticed while its handler waits', async () => {
  const held = new Held();
  const front = await startFrontEnd(held.handlers, { limits: { idleTimeoutMs: 400 } });
  const raw = await connectSecure(front.port, ['h2']);
  new WireClient(raw.socket).request(1, '/late');
  await waitFor(() => held.waiting.length === 1, 'the handler');
  raw.destroy();
  await waitFor(() => held.aborted.length === 1, 'the abort');
  await front.stop();
});

/** Sends, without reading, until it has sent this much or the server ends the connection. */
function sendOn(client: RawClient, bytes: number): Promise<void> {
  const piece = Buffer.alloc(256 * 1024);
  return new Promise((resolve) => {
    let left = bytes;
    client.socket.pause();
    const step = (): void => {
      while (left > 0 && !client.socket.destroyed) {
        left -= piece.length;
        if (!client.socket.write(piece)) {
          client.socket.once('drain', step);
          return;
        }
      }
      resolve();
    };
    client.socket.once('close', resolve);
    step();
  });
}

test('An early answer reaches a client that sends 64 MB before it reads', async () => {
  for (const listener of LISTENERS)
    for (const version of ['1.1', '1.0']) {
      const held = new Held();
      const limits = { bodyBytesMax: BODY_MAX };
      const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http', limits });
      const client = await connect(front, listener);
      client.socket.pause();
      client.send(`POST /no HTTP/${version}\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n`);
      await sendOn(client, 64 * 1024 * 1024);
      client.socket.resume();
      match((await client.rest()).toString(), /^HTTP\/1\.1 401 .*\r\n\r\nno$/s);
      await front.stop();
    }
});

test('An early answer reaches a client that sends now and then for longer than the connection waits for a byte', async () => {
  const linger = { idleMs: 400, totalMs: 60_000, bytesMax: 1024 * 1024 };
  for (const listener of LISTENERS) {
    const held = new Held();
    const limits = { linger, bodyBytesMax: BODY_MAX };
    const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http', limits });
    const client = await connect(front, listener);
    client.socket.pause();
    client.send('POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
    const until = Date.now() + 3 * linger.idleMs;
    while (Date.now() < until) {
      client.send('some more of it');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    strictEqual(front.counters.get('connections'), 1, 'it was cut while it sent');
    client.socket.resume();
    match((await client.rest()).toString(), /^HTTP\/1\.1 401 /);
    await front.stop();
  }
});

test('A connection that lingers ends without a byte for so long, in all after so long, and beyond so many bytes', async () => {
  const cases = [
    { idleMs: 50, totalMs: 60_000, bytesMax: 1_000_000 },
    { idleMs: 60_000, totalMs: 50, bytesMax: 1_000_000 },
    { idleMs: 60_000, totalMs: 60_000, bytesMax: 1_000 },
  ];
  for (const linger of cases)
    for (const listener of LISTENERS) {
      const held = new Held();
      // longer than the test waits for the end
      const limits = { linger, idleTimeoutMs: 200_000, bodyBytesMax: BODY_MAX };
      const front = await startFrontEnd(held.handlers, { cleartext: listener === 'http', limits });
      const client = await connect(front, listener);
      // the client never ends its side
      client.socket.allowHalfOpen = true;
      client.send('POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n');
      await client.until((received) => received.toString().endsWith('no'), 'the answer');
      if (linger.bytesMax === 1_000) {
        strictEqual(front.counters.get('connections'), 1);
        client.send('x'.repeat(linger.bytesMax + 1));
      }
      await waitFor(() => front.counters.get('connections') === 0, 'the end');
      client.destroy();
      await front.stop();
    }
});

test('The rest of an answer is not cut because the client reads it slowly', async () => {
  const linger = { idleMs: 50, totalMs: 50, bytesMax: 1_000 };
  const size = 8 * 1024 * 1024;
  const handlers: Record<string, HandlerFunction> = {
    '/large': (x) => {
      x.head(200, ['content-length', String(size), 'connection', 'close']);
      x.write(Buffer.alloc(size));
      x.end();
    },
  };
  for (const listener of LISTENERS) {
    const front = await startFrontEnd(handlers, { cleartext: listener === 'http', limits: { linger } });
    const client = await connect(front, listener);
    let received = 0;
    client.socket.removeAllListeners('data');
    client.socket.pause();
    client.send(GET('/large'));
    await waitFor(() => front.counters.get('exchangesTotal') === 1, 'the request');
    await new Promise((resolve) => setTimeout(resolve, 5 * linger.totalMs));
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    client.socket.resume();
    await client.until((_, ended) => ended, 'the end');
    ok(received > size, `${received} bytes have come`);
    client.destroy();
    await front.stop();
  }
});

test('A cut answer that would end with the connection is a reset without TLS', async () => {
  const front = await startFrontEnd(
    {
      '/cut': (x) => {
        x.write(Buffer.from('part'));
        x.flush();
        x.reset();
      },
    },
    { cleartext: true },
  );
  // libuv reports a reset after bytes as an end, so Node's client cannot tell the difference; curl can
  const child = spawn('curl', ['-s', '--http1.0', '-m', '30', `http://127.0.0.1:${front.port}/cut`]);
  const code = await new Promise((resolve) => child.on('close', resolve));
  const receiveFailure = 56;
  strictEqual(code, receiveFailure);
  await front.stop();
});

test('curl shows the early answer to an upload over every protocol', async () => {
  for (const listener of LISTENERS)
    for (const [path, bodyBytesMax, status] of [
      ['/no', BODY_MAX, '401'],
      ['/body', 1024 * 1024, '413'],
    ] as const) {
      const front = await startFrontEnd(new Held().handlers, {
        cleartext: listener === 'http',
        limits: { bodyBytesMax },
      });
      const url = `${listener}://127.0.0.1:${front.port}${path}`;
      for (const words of [
        ['--http1.0', '--data-binary', '@-'],
        ['--http1.1', '--data-binary', '@-'],
        ['--http1.1', '-T', '-'],
      ]) {
        strictEqual(await curl([...words, '-H', 'Expect:', url]), status, `${words} ${url}`);
      }
      await front.stop();
    }
});

/** More than the buffers of two sockets hold. */
const UPLOAD_BYTES = inForm(8, 16) * 1024 * 1024;

/** Resolves with the status that curl shows for a large upload. */
function curl(words: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('curl', ['-sk', '-m', '30', '-o', '/dev/null', '-w', '%{http_code}', ...words]);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.on('close', () => resolve(text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(Buffer.alloc(UPLOAD_BYTES));
  });
}

test('A pushed-back client gets no second answer: what follows a final answer is dropped', async () => {
  const held = new Held();
  const front = await startFrontEnd(held.handlers);
  const client = await connectSecure(front.port);
  client.send(`GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${GET('/hello')}`);
  strictEqual((await client.rest()).toString().match(/HTTP\/1\.1/g)?.length, 1);
  ok(front.counters.get('exchangesTotal') === 1);
  await front.stop();
});
