/**
 * Sockets that are read into the shared buffer: with TLS and cleartext, paused and resumed, with bytes that had already
 * arrived.
 */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { readSocket, readsIntoShared } from '../../../src/http/exchange/socket-reader.ts';
import { testCertificate } from '../../support/certificate.ts';

/** Connects a client and a server socket, and closes both after `use`. */
async function withPair(
  server: Server,
  event: 'connection' | 'secureConnection',
  open: (port: number) => Socket,
  use: (client: Socket, accepted: Socket) => Promise<void>,
): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, event);
  const client = open((server.address() as AddressInfo).port);
  client.on('error', () => undefined);
  const [accepted] = (await accepting) as [Socket];
  try {
    await use(client, accepted);
  } finally {
    client.destroy();
    accepted.destroy();
    server.close();
    await once(server, 'close');
  }
}

const withPlainPair = (use: (client: Socket, accepted: Socket) => Promise<void>): Promise<void> =>
  withPair(createServer(), 'connection', (port) => connect(port, '127.0.0.1'), use);

test('A socket of a TLS server and one of a plain server read into the shared buffer on this Node', async () => {
  await withPlainPair(async (_client, accepted) => {
    strictEqual(
      readsIntoShared(accepted, () => undefined),
      true,
    );
  });
  const { cert, key } = testCertificate();
  await withPair(
    createTlsServer({ cert, key }),
    'secureConnection',
    (port) => connectTls({ port, host: '127.0.0.1', ca: cert, checkServerIdentity: () => undefined }),
    async (client, accepted) => {
      const buffers = new Set<ArrayBufferLike>();
      let text = '';
      readSocket(accepted, (bytes) => {
        buffers.add(bytes.buffer);
        text += bytes.toString('latin1');
      });
      for (const word of ['one', 'two', 'three']) {
        client.write(word);
        while (!text.endsWith(word)) await new Promise(setImmediate);
      }
      strictEqual(text, 'onetwothree');
      strictEqual(buffers.size, 1);
    },
  );
});

test('readSocket() begins with what the socket held before, and ends with the end', async () => {
  await withPlainPair(async (client, accepted) => {
    client.write('before ');
    await once(accepted, 'readable');
    const first: unknown = accepted.read();
    accepted.unshift(first as Buffer);
    let text = '';
    readSocket(accepted, (bytes) => {
      text += bytes.toString('latin1');
    });
    client.end('and after');
    await once(accepted, 'end');
    strictEqual(text, 'before and after');
  });
});

test('readSocket() stops while the socket is paused, and loses nothing', async () => {
  await withPlainPair(async (client, accepted) => {
    const sent = Buffer.alloc(8 * 1024 * 1024, 'abcdefghij');
    const received: Buffer[] = [];
    let size = 0;
    let takenWhilePaused = 0;
    readSocket(accepted, (bytes) => {
      if (accepted.isPaused()) takenWhilePaused += 1;
      received.push(Buffer.from(bytes));
      size += bytes.length;
      if (received.length % 7 === 0) {
        accepted.pause();
        setTimeout(() => accepted.resume(), 1);
      }
    });
    client.write(sent);
    while (size < sent.length) await new Promise((resolve) => setTimeout(resolve, 2));
    strictEqual(takenWhilePaused, 0);
    strictEqual(Buffer.concat(received).compare(sent), 0);
  });
});

test('A socket that is read by its own events is left with them when it has no such places', () => {
  const nothing = {} as Socket;
  deepStrictEqual(
    readsIntoShared(nothing, () => undefined),
    false,
  );
});
