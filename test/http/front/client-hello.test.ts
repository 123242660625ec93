/** The first message of TLS as OpenSSL writes it, in pieces of any size, and damaged: it is read, waited for, or asks for nothing. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { HELLO_BYTES_MAX, readClientHello } from '../../../src/http/front/client-hello.ts';

/** What a client of OpenSSL sends first. */
async function recordHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ ...options, port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  client.on('error', () => undefined);
  const [socket] = await accepted;
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}

const ASKED = { servername: 'name.test', ALPNProtocols: ['h2', 'http/1.1'] };
const EXPECTED = { serverName: 'name.test', protocols: ['h2', 'http/1.1'], takesP256: true };

test('readClientHello() reads name and protocols of TLS 1.2 and 1.3, and their lack', async () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    deepEqual(readClientHello(await recordHello({ ...ASKED, maxVersion })), EXPECTED);
    const bare = await recordHello({ maxVersion, servername: '' });
    deepEqual(readClientHello(bare), { serverName: undefined, protocols: [], takesP256: true });
  }
});

test('readClientHello() says whether a client takes a key on P-256: signature, curve, and a suite or TLS 1.3', async () => {
  const suites = 'ECDHE-RSA-AES128-GCM-SHA256';
  const cases: readonly (readonly [ConnectionOptions, boolean])[] = [
    [{ sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' }, false],
    [{ sigalgs: 'ECDSA+SHA384:RSA-PSS+SHA256' }, false],
    [{ sigalgs: 'RSA-PSS+SHA256:ECDSA+SHA256' }, true],
    [{ ecdhCurve: 'X25519:P-384' }, false],
    [{ ecdhCurve: 'X25519:P-256' }, true],
    [{ maxVersion: 'TLSv1.2', ciphers: suites }, false],
    [{ maxVersion: 'TLSv1.2', ciphers: `${suites}:ECDHE-ECDSA-AES256-GCM-SHA384` }, true],
    [{ minVersion: 'TLSv1.3' }, true],
  ];
  for (const [options, takes] of cases) {
    const hello = readClientHello(await recordHello(options));
    equal(hello === 'more' ? undefined : hello.takesP256, takes, JSON.stringify(options));
  }
});

test('readClientHello() waits for the rest of a message, in one record or in many', async () => {
  const hello = await recordHello(ASKED);
  for (let size = 0; size < hello.length; size++) equal(readClientHello(hello.subarray(0, size)), 'more');
  deepEqual(readClientHello(Buffer.concat([hello, Buffer.from('more that came with it')])), EXPECTED);
  for (const size of [1, 7, 100]) {
    const message = hello.subarray(5);
    const records: Buffer[] = [];
    for (let at = 0; at < message.length; at += size) {
      const part = message.subarray(at, at + size);
      records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
    }
    const split = Buffer.concat(records);
    deepEqual(readClientHello(split), EXPECTED);
    equal(readClientHello(split.subarray(0, split.length - 1)), 'more');
  }
});

test('readClientHello() takes a message at its limit, and leaves a longer one to TLS', async () => {
  const nothing = { serverName: undefined, protocols: [], takesP256: false };
  const start = (size: number): Buffer =>
    Buffer.from([22, 3, 1, 0x40, 0, 1, (size >> 16) & 255, (size >> 8) & 255, size & 255]);
  equal(readClientHello(start(HELLO_BYTES_MAX - 4)), 'more');
  deepEqual(readClientHello(Buffer.concat([start(HELLO_BYTES_MAX - 3), Buffer.alloc(100)])), nothing);
  // records without end that never make a message
  const small = Buffer.from([22, 3, 1, 0, 1, 1]);
  equal(readClientHello(small), 'more');
  for (const wrong of [
    [22, 3, 1, 0, 0],
    [22, 3, 1, 0x40, 1],
    [21, 3, 1, 0, 2],
    [22, 3, 1, 0, 4, 2, 0, 0, 0],
  ])
    deepEqual(readClientHello(Buffer.from(wrong)), nothing);
});

test('readClientHello() bears any change of a message', async () => {
  const hello = await recordHello(ASKED);
  let read = 0;
  for (let at = 5; at < hello.length; at++) {
    for (const value of [0, 1, 127, 255]) {
      const changed = Buffer.from(hello);
      changed[at] = value;
      const found = readClientHello(changed);
      if (found === 'more') continue;
      read += 1;
      ok(found.serverName === undefined || found.serverName.length < HELLO_BYTES_MAX);
    }
  }
  ok(read > hello.length);
});
