/** A server that answers in the middle of a body and closes: its answer has come before the write fails, and is read first. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { ByteQueue } from '../../src/base/byte-queue.ts';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import { Http1Upstream } from '../../src/proxy/http1-upstream.ts';
import type { CallListener, UpstreamAnswer } from '../../src/proxy/upstream.ts';
import { calmTest as test } from '../support/calm.ts';
import { PLAIN_REQUEST } from '../support/upstream-request.ts';

const REQUEST = { ...PLAIN_REQUEST, method: 'POST', hasBody: true, declaredLength: 1_000_000 };
const PIECE = Buffer.alloc(10_000, 'x');

let server: Server;
let accepted: Promise<Socket>;

before(async () => {
  server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

after(() => server.close());

interface Outcome {
  status: number;
  body: string;
  failure: string | undefined;
}

/** Sends a part of a body, lets the server answer and reset the connection, and sends more before anything can have been read. */
async function sendPast(
  answer: string,
  received: (call: { resume(): void }) => boolean = () => true,
): Promise<Outcome> {
  const { port } = server.address() as { readonly port: number };
  const upstream = new Http1Upstream({
    target: parseTarget(`http://127.0.0.1:${port}`),
    tls: DEFAULT_PROXY_RULES.tls,
    lookup: undefined,
    idle: { count: 0 },
    resumption: { session: undefined },
    opened() {},
  });
  accepted = once(server, 'connection').then(([socket]) => socket as Socket);
  const outcome: Outcome = { status: 0, body: '', failure: undefined };
  await new Promise<void>((resolve) => {
    const take = ({ status }: UpstreamAnswer, body = ''): void => {
      outcome.status = status;
      outcome.body = body;
    };
    const listener: CallListener = {
      connected: () => void sendAndAnswer(),
      informed() {},
      answeredWhole: (head, body) => {
        take(head, body.toString());
        resolve();
      },
      answered: (head) => take(head),
      received: (bytes) => {
        outcome.body += bytes.toString();
        return received(call);
      },
      ended: () => resolve(),
      switched() {},
      drained() {},
      failed: (error) => {
        outcome.failure = error.message;
        resolve();
      },
    };
    const call = upstream.call(REQUEST, listener, 'fresh');
    const send = (): boolean => {
      const queue = new ByteQueue();
      queue.push(PIECE);
      return call.send(queue);
    };
    async function sendAndAnswer(): Promise<void> {
      send();
      const socket = await accepted;
      socket.on('error', () => undefined);
      if (answer !== '') socket.write(answer);
      // what it has not read makes the system reset the connection
      socket.destroy();
      send();
      call.endBody(undefined);
    }
  });
  assert.equal(upstream.linkCount, 0);
  return outcome;
}

const REFUSAL = 'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n';

test('A short answer before the write failed is passed on', async () => {
  const outcome = await sendPast(`${REFUSAL}Content-Length: 2\r\n\r\nno`);
  assert.deepEqual(outcome, { status: 413, body: 'no', failure: undefined });
});

test('So is one of many pieces, also to somebody who takes it slowly', async () => {
  const body = 'no'.repeat(40_000);
  const all = `${REFUSAL}Content-Length: ${body.length}\r\n\r\n${body}`;
  assert.deepEqual(await sendPast(all), { status: 413, body, failure: undefined });
  const outcome = await sendPast(all, (call) => {
    setTimeout(() => call.resume(), 20);
    return false;
  });
  assert.deepEqual(outcome, { status: 413, body, failure: undefined });
});

test('Where no answer came, or a part of one, the failure of the write is told', async () => {
  const none = await sendPast('');
  assert.equal(none.status, 0);
  assert.match(none.failure ?? '', /EPIPE|ECONNRESET/);
  const part = await sendPast(`${REFUSAL}Content-Length: 5\r\n\r\nno`);
  assert.deepEqual([part.status, part.body], [413, 'no']);
  assert.match(part.failure ?? '', /EPIPE|ECONNRESET|closed the connection in the middle/);
});
