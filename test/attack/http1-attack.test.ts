import { ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { connectPlain, connectSecure } from '../support/raw-client.ts';
import { type HandlerFunction, startFrontEnd, streamBody, waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';

const HANDLERS: Record<string, HandlerFunction> = {
  '/hello': (x) => {
    x.write(Buffer.from('hello'));
    x.end();
  },
  '/eight': (x) => streamBody(x, Buffer.alloc(64 * 1024), 128),
};

// [what, the bytes, the status of the only answer]
const MALFORMED: readonly (readonly [string, string, number])[] = [
  ['no Host', 'GET /hello HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['an invalid Host', 'GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['HTTP/0.9', 'GET /hello\r\n\r\n', 400],
  ['HTTP/2.0 in a request line', 'GET /hello HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['HTTP/3.7', 'GET /hello HTTP/3.7\r\nHost: a\r\n\r\n', 505],
  ['rubbish', '\x16\x03\x01\x02\x00\x01', 400],
  ['a blank in a field name', 'GET /hello HTTP/1.1\r\nHost : a\r\n\r\n', 400],
  ['a folded field', 'GET /hello HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n', 400],
  ['a NUL in a value', 'GET /hello HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n', 400],
  ['a field without colon', 'GET /hello HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n', 400],
  [
    'length and chunks together',
    'POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  [
    'chunks and length together',
    'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['two lengths', 'POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
  ['a signed length', 'POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na', 400],
  [
    'an unknown coding',
    'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    501,
  ],
  [
    'a coding that is not final',
    'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n',
    400,
  ],
  ['chunks in HTTP/1.0', 'POST /hello HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a bad chunk size', 'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 400],
];

test('Malformed HTTP/1 is refused with a page and the connection closed', async () => {
  const front = await startFrontEnd(HANDLERS);
  for (const [what, bytes, status] of MALFORMED) {
    const client = await connectSecure(front.port);
    client.send(bytes);
    // a handler that answered before the fault in the body was seen is no smuggling: the connection must end, though
    const response = await client.response();
    if (what !== 'a bad chunk size') {
      strictEqual(response.status, status, what);
      strictEqual(response.headers.get('connection'), 'close', what);
      ok(response.body.toString().includes(`<h1>${status} `), what);
    }
    strictEqual((await client.rest()).toString('latin1').includes('HTTP/1.1 200'), false, what);
    client.destroy();
  }
  await front.stop();
});

test('A head over the limit is 431, a target over it 414', async () => {
  const front = await startFrontEnd(HANDLERS);
  const fields = await connectSecure(front.port);
  fields.send(`GET /hello HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
  strictEqual((await fields.response()).status, 431);
  const target = await connectSecure(front.port);
  target.send(`GET /${'x'.repeat(20_000)}`);
  strictEqual((await target.response()).status, 414);
  const near = await connectSecure(front.port);
  near.send(`GET /hello HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(15_000)}\r\n\r\n`);
  strictEqual((await near.response()).status, 200);
  for (const client of [fields, target, near]) client.destroy();
  await front.stop();
});

test('A malformed request behind good ones is refused after their answers', async () => {
  const front = await startFrontEnd(HANDLERS);
  const client = await connectSecure(front.port);
  client.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\nRUBBISH\r\n\r\n');
  strictEqual((await client.response()).status, 200);
  strictEqual((await client.response()).status, 200);
  ok([400, 501].includes((await client.response()).status));
  await client.rest();
  client.destroy();
  await front.stop();
});

/** More than the first chunk of every flood takes. */
const HONEST_REQUESTS = 300;

test('Clients that pipeline 2,000 downloads and do not read hold little memory and disturb nobody', async () => {
  const front = await startFrontEnd(HANDLERS);
  const before = process.memoryUsage().rss;
  const flood = 'GET /eight HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2_000);
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectSecure(front.port)));
  for (const client of clients) {
    client.socket.pause();
    client.send(flood);
  }
  const honest = await connectSecure(front.port);
  let peak = 0;
  let mostWorkMs = 0;
  for (let asked = 0; asked < HONEST_REQUESTS; asked++) {
    const start = process.cpuUsage();
    honest.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    strictEqual((await honest.response()).body.toString(), 'hello');
    const { user, system } = process.cpuUsage(start);
    mostWorkMs = Math.max(mostWorkMs, (user + system) / 1000);
    peak = Math.max(peak, process.memoryUsage().rss - before);
  }
  ok(peak < 128 * 1024 * 1024, `memory grew by ${peak} bytes`);
  ok(mostWorkMs < 500, `an honest request waited for ${mostWorkMs} ms of work`);
  for (const client of clients) client.destroy();
  honest.destroy();
  await front.stop();
});

const REQUESTS = 2000;

test('Requests of any number wait behind one that takes its time, outside memory, and all are answered', async () => {
  const waiting: (() => void)[] = [];
  const front = await startFrontEnd({
    '/wait': (x) => {
      waiting.push(() => x.end());
    },
  });
  const client = await connectSecure(front.port);
  // more than all buffers of sockets hold: what the gateway does not take stays with the client
  const request = `GET /wait HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`;
  client.send(request.repeat(REQUESTS));
  await waitFor(() => waiting.length === 1, 'the first request');
  ok(client.socket.writableLength > 1_000_000, 'the gateway has taken all');
  strictEqual(front.counters.get('exchangesTotal'), 1);
  const timer = setInterval(() => {
    for (const finish of waiting.splice(0)) finish();
  }, 1);
  for (let answered = 0; answered < REQUESTS; answered++) strictEqual((await client.response()).status, 200);
  clearInterval(timer);
  client.destroy();
  await front.stop();
});

test('A slow reader makes a download wait instead of filling memory', async () => {
  let written = 0;
  const front = await startFrontEnd({
    '/endless': (x) => {
      const chunk = Buffer.alloc(64 * 1024);
      const step = (): void => {
        while (!x.finished) {
          written += chunk.length;
          if (!x.write(chunk)) {
            x.whenDrained(step);
            return;
          }
        }
      };
      step();
    },
  });
  const client = await connectSecure(front.port);
  client.socket.pause();
  client.send('GET /endless HTTP/1.1\r\nHost: a\r\n\r\n');
  await waitFor(() => written > 0, 'the first bytes');
  const settled = await untilStill(() => written);
  ok(settled < 16 * 1024 * 1024, `${settled} bytes were taken`);
  client.destroy();
  await front.stop();
});

test('Cleartext rubbish is refused too', async () => {
  const front = await startFrontEnd(HANDLERS, { cleartext: true });
  const client = await connectPlain(front.port);
  client.send('\x16\x03\x01\x02\x00');
  strictEqual((await client.response()).status, 400);
  client.destroy();
  await front.stop();
});
