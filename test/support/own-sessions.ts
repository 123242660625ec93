/** A front end with our own HTTP/2 sessions, raw clients for it, and an honest client that checks that it still serves. */
import { ok, strictEqual } from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { connect, type TLSSocket } from 'node:tls';
import type { FrontEndLimits } from '../../src/http/front/front-end.ts';
import { connectH2, fetchH2 } from './h2-client.ts';
import { slowness } from './stretch-meter.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  streamBody,
  type TestFrontEnd,
} from './test-front-end.ts';
import { FRAME, WireClient } from './wire-client.ts';

/** The handlers for raw clients. */
export const OWN_HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  '/hello': (x) => {
    x.head(200, ['content-type', 'text/plain']);
    x.write(Buffer.from('hello'));
    x.end();
  },
  /** Answers with the length of the body. */
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.write(Buffer.from(String(body.length)));
      x.end();
    }),
  /** Does not answer. */
  '/quiet': () => {},
  /** Answers with 16 MiB. */
  '/big': (x) => streamBody(x, Buffer.alloc(65_536, 'b'), 256),
};

export function startOwn(
  limits: Partial<FrontEndLimits> = {},
  handlers: Readonly<Record<string, HandlerFunction>> = OWN_HANDLERS,
): Promise<TestFrontEnd> {
  return startFrontEnd(handlers, { limits });
}

/** Opens a TLS connection that has negotiated h2. */
export function connectTls(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      () => {
        socket.off('error', reject);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        resolve(socket);
      },
    );
    socket.once('error', reject);
  });
}

export async function connectWire(
  front: TestFrontEnd,
  settings: Readonly<Record<number, number>> = {},
): Promise<WireClient> {
  return new WireClient(await connectTls(front.port), settings);
}

/** Resolves with the error code of the GOAWAY that ends the connection. */
export async function goAwayCode(wire: WireClient): Promise<number> {
  const frame = await wire.frame(({ type }) => type === FRAME.goaway, 'GOAWAY');
  return frame.payload.readUInt32BE(4);
}

/** Resolves with the error code of the RST_STREAM on a stream. */
export async function resetCode(wire: WireClient, stream: number): Promise<number> {
  const frame = await wire.frame(
    (seen) => seen.type === FRAME.rstStream && seen.stream === stream,
    `RST_STREAM on stream ${stream}`,
  );
  return frame.payload.readUInt32BE();
}

/** Most processor time that this process, which holds the server and all clients, may use while an honest client waits. */
const HONEST_WORK_MAX_MS = 2_000;
/** Ends a wait in which nothing works; far above what a slow machine makes of the processor time above. */
const HONEST_WAIT_MAX_MS = 60_000;

/** Sends requests one after another while `attack` runs, on one connection that has to stay open. */
export async function besideHonest(front: TestFrontEnd, attack: () => Promise<void>): Promise<void> {
  const session: ClientHttp2Session = await connectH2(front.port);
  let over = false;
  let asked = 0;
  let mostWork = 0;
  let slowest = 0;
  const honest = async (): Promise<void> => {
    do {
      const start = performance.now();
      const used = process.cpuUsage();
      const response = await fetchH2(session, { ':path': '/hello' });
      strictEqual(response.body.toString(), 'hello');
      const { user, system } = process.cpuUsage(used);
      mostWork = Math.max(mostWork, (user + system) / 1_000);
      slowest = Math.max(slowest, performance.now() - start);
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    } while (!over);
  };
  const watching = honest();
  try {
    await attack();
  } finally {
    over = true;
    await watching;
    session.destroy();
  }
  ok(asked > 0);
  ok(
    mostWork < HONEST_WORK_MAX_MS * slowness(),
    `${mostWork} ms of work went by while an honest client waited`,
  );
  ok(slowest < HONEST_WAIT_MAX_MS, `an honest client waited for ${slowest} ms`);
}
