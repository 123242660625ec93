import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientSessionOptions, constants } from 'node:http2';
import { connect } from 'node:net';
import { TLSSocket } from 'node:tls';
import { createLogger } from '../../../src/base/logger.ts';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { FrontEnd } from '../../../src/http/front/front-end.ts';
import { Counters } from '../../../src/metrics/worker-metrics.ts';
import { calmTest as test } from '../../support/calm.ts';
import { testCertificate } from '../../support/certificate.ts';
import { collectH2, connectH2, fetchH2 } from '../../support/h2-client.ts';
import { connectPlain, connectSecure } from '../../support/raw-client.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  streamBody,
  TEST_LIMITS,
  waitFor,
} from '../../support/test-front-end.ts';

const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const HANDLERS: Record<string, HandlerFunction> = {
  '/hello': (x) => {
    x.write(Buffer.from('hello'));
    x.end();
  },
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.write(body);
      x.end();
    }),
  '/wait': (x) => {
    setTimeout(() => {
      x.write(Buffer.from('waited'));
      x.end();
    }, 400);
  },
  '/big': (x) => streamBody(x, Buffer.alloc(65_536), 1_000),
};

test('FrontEnd closes idle connections of both protocols, and not those whose handler runs (40)', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { idleTimeoutMs: 150 } });
  const h1 = await connectSecure(front.port);
  h1.send(GET('/wait'));
  strictEqual((await h1.response()).body.toString(), 'waited');
  await h1.rest();
  const h2 = await connectH2(front.port);
  strictEqual((await fetchH2(h2, { ':path': '/wait' })).body.toString(), 'waited');
  await once(h2, 'close');
  h1.destroy();
  await waitFor(() => front.counters.get('connections') === 0, 'the sockets to close');
  await front.stop();
});

test('FrontEnd closes connections that never finish their handshake', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { handshakeTimeoutMs: 150 } });
  const socket = connect(front.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'close');
  const garbage = await connectPlain(front.port);
  garbage.send('GET / HTTP/1.1\r\n\r\n');
  await garbage.rest();
  await waitFor(() => front.counters.get('connections') === 0, 'the sockets to close');
  await front.stop();
});

test('FrontEnd closes cleartext connections that never say which protocol they speak', async () => {
  const front = await startFrontEnd(HANDLERS, { cleartext: true, limits: { handshakeTimeoutMs: 100 } });
  const client = await connectPlain(front.port);
  client.send('PRI * HTTP/2.0\r\n');
  strictEqual((await client.rest()).length, 0);
  await front.stop();
});

test('FrontEnd answers a slow head with 408', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { headTimeoutMs: 200 } });
  const client = await connectSecure(front.port);
  client.send('GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ');
  const response = await client.response();
  strictEqual(response.status, 408);
  match(response.body.toString(), /<h1>408 Request Timeout<\/h1>/);
  await client.rest();
  client.destroy();
  await front.stop();
});

test('FrontEnd cuts exchanges that wait for their client for too long', async () => {
  const aborts: string[] = [];
  const front = await startFrontEnd(
    {
      '/echo': (x, route) => {
        x.onAbort = (reason) => aborts.push(reason.code);
        HANDLERS['/echo']?.(x, route);
      },
      '/big': (x, route) => {
        x.onAbort = (reason) => aborts.push(reason.code);
        HANDLERS['/big']?.(x, route);
      },
    },
    { limits: { stallTimeoutMs: 200 } },
  );
  const post = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc';
  const sender = await connectSecure(front.port);
  sender.send(post);
  strictEqual((await sender.response()).status, 408);
  const reader = await connectSecure(front.port);
  reader.socket.pause();
  reader.send(GET('/big'));
  const session = await connectH2(front.port);
  const slow = session.request({ ':path': '/big' });
  slow.on('error', () => {});
  await waitFor(() => aborts.length === 3, 'three cut exchanges');
  deepStrictEqual(aborts, Array(3).fill('LGW_CLIENT_STALLED'));
  strictEqual((await fetchH2(session, { ':path': '/none/x' })).status, 404);
  session.destroy();
  reader.destroy();
  sender.destroy();
  await front.stop();
});

test('FrontEnd refuses bodies over the limit with 413, at the limit not', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { bodyBytesMax: 100_000 } });
  const exact = Buffer.alloc(100_000, 'x');
  const over = Buffer.alloc(100_001, 'x');
  const post = (size: number): string => `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`;
  const client = await connectSecure(front.port);
  client.send(post(exact.length));
  client.send(exact);
  strictEqual((await client.response()).body.length, exact.length);
  client.send(post(over.length));
  client.send(over);
  const declared = await client.response();
  strictEqual(declared.status, 413);
  strictEqual(declared.headers.get('connection'), 'close');
  const chunked = await connectSecure(front.port);
  chunked.send('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  chunked.send(`${over.length.toString(16)}\r\n`);
  chunked.send(over);
  strictEqual((await chunked.response()).status, 413);
  const session = await connectH2(front.port);
  const request = { ':path': '/echo', ':method': 'POST' };
  strictEqual((await fetchH2(session, request, exact)).body.length, exact.length);
  strictEqual((await fetchH2(session, request, over)).status, 413);
  strictEqual((await fetchH2(session, { ...request, 'content-length': over.length }, over)).status, 413);
  strictEqual((await fetchH2(session, { ':path': '/hello' })).status, 200);
  session.destroy();
  client.destroy();
  chunked.destroy();
  await front.stop();
});

test('FrontEnd closes connections past its maximum', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { connectionsMax: 2 } });
  const first = await connectSecure(front.port);
  const second = await connectSecure(front.port);
  await rejects(connectSecure(front.port));
  first.destroy();
  second.destroy();
  await waitFor(() => front.counters.get('connections') === 0, 'the sockets to close');
  const third = await connectSecure(front.port);
  third.destroy();
  await front.stop();
});

test('FrontEnd closes connections past the maximum of their address, and says so once a minute', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { connectionsPerAddressMax: 2 } });
  const first = await connectSecure(front.port);
  const second = await connectSecure(front.port);
  for (let i = 0; i < 3; i++) await rejects(connectSecure(front.port));
  strictEqual(front.counters.get('connectionsRefusedTotal'), 3);
  const lines = front.logLines.filter((line) => line.includes('--max-connections-per-address'));
  strictEqual(lines.length, 1, front.logLines.join('\n'));
  const elsewhere = { localAddress: '127.0.0.2' } as ClientSessionOptions;
  const other = await connectH2(front.port, 'https', elsewhere);
  strictEqual((await fetchH2(other, { ':path': '/hello' })).status, 200);
  first.destroy();
  second.destroy();
  await waitFor(() => front.counters.get('connections') === 1, 'the sockets to close');
  const third = await connectSecure(front.port);
  third.destroy();
  front.frontEnd.stop();
  await front.stop();
});

test('FrontEnd.drain() finishes what runs, announces the end, and resolves to 0', async () => {
  const front = await startFrontEnd(HANDLERS);
  const h1 = await connectSecure(front.port);
  const idle = await connectSecure(front.port);
  const h2 = await connectH2(front.port);
  let goaway: number | undefined;
  h2.on('goaway', (code) => {
    goaway = code;
  });
  h1.send(GET('/wait'));
  const answer = fetchH2(h2, { ':path': '/wait' });
  await waitFor(() => front.counters.get('exchanges') === 2, 'both exchanges');
  const drained = front.frontEnd.drain(5_000);
  const response = await h1.response();
  strictEqual(response.body.toString(), 'waited');
  strictEqual(response.headers.get('connection'), 'close');
  strictEqual((await answer).body.toString(), 'waited');
  strictEqual(goaway, constants.NGHTTP2_NO_ERROR);
  await idle.rest();
  await rejects(connectPlain(front.port));
  strictEqual(await drained, 0);
  await front.stop();
});

test('FrontEnd.drain() with a grace lets connections that are idle, or in their handshake, ask once more', async () => {
  const front = await startFrontEnd(HANDLERS);
  const idle = await connectSecure(front.port);
  const silent = await connectSecure(front.port);
  idle.send(GET('/wait'));
  strictEqual((await idle.response()).headers.get('connection'), undefined);
  // accepted, and nothing of its handshake has come
  const early = await connectPlain(front.port);
  await waitFor(() => front.counters.get('connections') === 3, 'three connections');
  const drained = front.frontEnd.drain(5_000, 300);
  idle.send(GET('/wait'));
  const response = await idle.response();
  strictEqual(response.body.toString(), 'waited');
  strictEqual(response.headers.get('connection'), 'close');
  early.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await Promise.all([idle.rest(), silent.rest(), early.rest()]);
  early.socket.destroy();
  strictEqual(await drained, 0);
  await front.stop();
});

test('FrontEnd.drain() cuts what is left after its time', async () => {
  let seen: Exchange | undefined;
  let aborted = false;
  const front = await startFrontEnd({
    '/never': (x) => {
      seen = x;
      x.onAbort = () => {
        aborted = true;
      };
    },
  });
  const session = await connectH2(front.port);
  const response = collectH2(session.request({ ':path': '/never' }));
  await waitFor(() => seen !== undefined, 'the exchange');
  strictEqual(await front.frontEnd.drain(100), 1);
  await response;
  await waitFor(() => aborted, 'the abort');
  await front.stop();
});

test('FrontEnd.listen() rejects with the reason when the port is taken', async () => {
  const front = await startFrontEnd(HANDLERS);
  const logger = createLogger('error', 'test', () => {});
  const counters = new Counters();
  const other = new FrontEnd({ tls: undefined, limits: TEST_LIMITS, logger, counters }, () => {});
  await rejects(other.listen({ port: front.port, host: '127.0.0.1' }), /Cannot listen: .*EADDRINUSE/);
  other.stop();
  await front.stop();
});

test('FrontEnd.setTls() changes the certificate of new connections', async () => {
  const front = await startFrontEnd(HANDLERS);
  const kind = async (): Promise<string | undefined> => {
    const client = await connectSecure(front.port);
    const { socket } = client;
    const peer = socket instanceof TLSSocket ? socket.getPeerCertificate() : undefined;
    client.destroy();
    return peer?.asn1Curve;
  };
  strictEqual(await kind(), 'prime256v1');
  const { cert, key } = testCertificate('rsa');
  front.frontEnd.setTls({ cert, key });
  strictEqual(await kind(), undefined);
  await front.stop();
});

test('FrontEnd tells handlers about the connection', async () => {
  let seen: Exchange['connection'] | undefined;
  const front = await startFrontEnd({
    '/': (x) => {
      seen = x.connection;
      x.end();
    },
  });
  const session = await connectH2(front.port);
  await fetchH2(session, { ':path': '/' });
  strictEqual(seen?.peerAddress, '127.0.0.1');
  strictEqual(seen?.localPort, front.port);
  strictEqual(seen?.tlsProtocol, 'TLSv1.3');
  strictEqual(seen?.tlsServerName, 'localhost');
  ok((seen?.tlsCipher ?? '').startsWith('TLS_'));
  session.destroy();
  await front.stop();
});
