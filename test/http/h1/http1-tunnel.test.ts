/** Exchanges that switch to another protocol (RFC 9110 §7.8), with TLS and without. */
import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { calmTest as test } from '../../support/calm.ts';
import { connectPlain, connectSecure, type RawClient } from '../../support/raw-client.ts';
import {
  type HandlerFunction,
  startFrontEnd,
  TEST_LIMITS,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';

/** Writes back what it reads, and ends when the client does. */
function echo(exchange: Exchange): void {
  const { body } = exchange;
  const step = (): void => {
    while (body.queue.length > 0) {
      exchange.write(body.queue.takeChunk());
      body.consumed();
    }
    exchange.flush();
    if (body.ended) exchange.end();
    else body.request(1, step);
  };
  step();
}

const events: string[] = [];

const HANDLERS: Record<string, HandlerFunction> = {
  '/echo': (x) => {
    x.onClose = () => events.push(`closed ${x.status}`);
    if (x.openTunnel('echo', ['x-room', '7', 'connection', 'close'])) echo(x);
    else {
      x.write(Buffer.from('no tunnel'));
      x.end();
    }
  },
  '/later': (x) => {
    setImmediate(() => {
      if (x.openTunnel('ECHO', [])) echo(x);
    });
  },
  '/late': (x) => {
    x.head(200, []);
    x.write(Buffer.from(String(x.openTunnel('echo', []))));
    x.end();
  },
  '/push': (x) => {
    if (!x.openTunnel('echo', [])) return;
    const step = (): void => {
      if (x.finished) return;
      while (!x.finished && x.write(Buffer.alloc(60_000, 'p')));
      x.whenDrained(step);
    };
    x.onAbort = () => events.push('aborted');
    step();
  },
};

const LISTENERS = ['https', 'http'] as const;
const fronts = new Map<string, TestFrontEnd>();
const limits = { bodyBytesMax: 1000, stallTimeoutMs: 300, idleTimeoutMs: 300 };

before(async () => {
  for (const listener of LISTENERS)
    fronts.set(listener, await startFrontEnd(HANDLERS, { cleartext: listener === 'http', limits }));
});
after(async () => {
  for (const front of fronts.values()) await front.stop();
});

for (const listener of LISTENERS) {
  const connect = (): Promise<RawClient> => {
    const { port } = fronts.get(listener) as TestFrontEnd;
    return listener === 'https' ? connectSecure(port) : connectPlain(port);
  };
  const upgrade = (path: string, more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, Echo\r\n${more}\r\n`;
  /** Resolves with the received text as soon as it ends with `end`. */
  const until = async (client: RawClient, end: string): Promise<string> => {
    let text = '';
    const take = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
    };
    client.socket.on('data', take);
    await waitFor(() => text.endsWith(end), JSON.stringify(end));
    client.socket.off('data', take);
    return text;
  };

  test(`${listener}: a tunnel carries bytes both ways, those behind the head too, and ends with either side`, async () => {
    const client = await connect();
    events.length = 0;
    const first = until(client, 'GET / HTTP/1.1\r\n\r\n');
    client.send(`${upgrade('/echo')}GET / HTTP/1.1\r\n\r\n`);
    const [head = '', body] = (await first).split(/(?<=\r\n\r\n)/);
    match(
      head,
      /^HTTP\/1\.1 101 Switching Protocols\r\nx-room: 7\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n$/,
    );
    strictEqual(body, 'GET / HTTP/1.1\r\n\r\n');
    // far above the limit of a body
    const large = `${'0123456789'.repeat(20_000)}.`;
    const back = until(client, '.');
    client.send(large);
    strictEqual(await back, large);
    const ended = new Promise((resolve) => client.socket.once('end', resolve));
    client.socket.end();
    await ended;
    await waitFor(() => events.length > 0, 'the end of the exchange');
    deepStrictEqual(events, ['closed 101']);
  });

  test(`${listener}: a tunnel that is opened later has what came meanwhile, and may be silent`, async () => {
    const client = await connect();
    const first = until(client, 'early');
    client.send(`${upgrade('/later')}early`);
    match(await first, /^HTTP\/1\.1 101 .*\r\n\r\nearly$/s);
    // longer than a client may be silent without a tunnel; several sweeps pass
    await new Promise((resolve) => setTimeout(resolve, 3 * limits.stallTimeoutMs));
    const back = until(client, 'still here');
    client.send('still here');
    strictEqual(await back, 'still here');
    client.destroy();
  });

  test(`${listener}: no tunnel is opened that the client has not offered, or that comes too late`, async () => {
    const client = await connect();
    const ask = async (request: string): Promise<string> => {
      client.send(request);
      return (await client.response()).body.toString();
    };
    const plain = 'GET /echo HTTP/1.1\r\nHost: a\r\n';
    strictEqual(await ask(`${plain}\r\n`), 'no tunnel');
    strictEqual(await ask(`${plain}Upgrade: echo\r\n\r\n`), 'no tunnel');
    strictEqual(await ask(`${plain}Connection: upgrade\r\n\r\n`), 'no tunnel');
    strictEqual(await ask(`${plain}Connection: upgrade\r\nUpgrade: echo/2, xecho\r\n\r\n`), 'no tunnel');
    strictEqual(await ask(`${upgrade('/echo', 'Content-Length: 1\r\n')}x`), 'no tunnel');
    const old = 'GET /echo HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo\r\n\r\n';
    strictEqual(await ask(old), 'no tunnel');
    strictEqual(await ask(upgrade('/late')), 'false');
    client.destroy();
  });

  test(`${listener}: a tunnel whose client does not read is cut at last`, async () => {
    const client = await connect();
    events.length = 0;
    client.socket.pause();
    client.send(upgrade('/push'));
    await waitFor(() => events.length > 0, 'the end of the exchange', 4 * TEST_LIMITS.stallTimeoutMs);
    deepStrictEqual(events, ['aborted']);
    const access = 'GET /push HTTP/1.1 101 LGW_CLIENT_STALLED';
    await waitFor(() => fronts.get(listener)?.accesses.includes(access) === true, 'the access line');
    client.destroy();
  });
}
