/** Listener: addresses, families, and which descriptors live how long. */
import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { test } from 'node:test';
import { duplicateDescriptor } from '../../src/native/posix.ts';
import { closeSource, Listener } from '../../src/supervisor/listener.ts';

const SHARED = { duplicate: duplicateDescriptor, reusePort: false };

test('Listener.open() without an address accepts IPv4 and IPv6 on one port', async () => {
  const listener = await Listener.open({ address: undefined, port: 0 }, SHARED);
  for (const host of ['127.0.0.1', '::1']) await connect(host, listener.port);
  listener.close();
});

test('Listener.open() with an address binds only that one', async () => {
  const listener = await Listener.open({ address: '127.0.0.1', port: 0 }, SHARED);
  await connect('127.0.0.1', listener.port);
  await assert.rejects(connect('127.0.0.2', listener.port), /ECONNREFUSED/);
  listener.close();
});

test('Listener.open() says that the machine has no such address', async () => {
  await assert.rejects(
    Listener.open({ address: '192.0.2.1', port: 8443 }, SHARED),
    /^GatewayError: Cannot listen on 192\.0\.2\.1:8443: this machine has no such address$/,
  );
});

test('Listener.open() writes an IPv6 address in brackets', async () => {
  const taken = createServer().listen(0, '::1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  assert.ok(address !== null && typeof address === 'object');
  await assert.rejects(
    Listener.open({ address: '::1', port: address.port }, SHARED),
    /Cannot listen on \[::1\]:\d+: the port is in use/,
  );
  taken.close();
});

test('Listener.source() gives a descriptor of its own each time, and close() leaves those alone', async () => {
  const listener = await Listener.open({ address: '127.0.0.1', port: 0 }, SHARED);
  const one = listener.source();
  const two = listener.source();
  assert.ok(one.kind === 'descriptor' && two.kind === 'descriptor');
  assert.notEqual(one.descriptor, two.descriptor);
  listener.close();
  await connect('127.0.0.1', listener.port);
  closeSource(one);
  assert.throws(() => fstatSync(one.descriptor), /EBADF/);
  await connect('127.0.0.1', listener.port);
  closeSource(two);
  await assert.rejects(connect('127.0.0.1', listener.port), /ECONNREFUSED/);
});

test('Listener.source() names the bound address where descriptors cannot be duplicated', async () => {
  const listener = await Listener.open(
    { address: '127.0.0.1', port: 0 },
    { duplicate: undefined, reusePort: true },
  );
  assert.ok(listener.sharable);
  assert.deepEqual(listener.source(), {
    kind: 'bind',
    address: '127.0.0.1',
    port: listener.port,
    reusePort: true,
  });
  await assert.rejects(connect('127.0.0.1', listener.port), /ECONNREFUSED/);
});

function connect(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port }, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
}
