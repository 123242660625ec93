/**
 * A program without free descriptors for clients: it logs so, serves the clients that it has, and accepts others when some
 * leave.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { TestGateway, untilReceived, WAIT_MAX_MS } from '../../support/test-gateway.ts';

/** The program uses about 30 with one worker, and 10 more for each further worker. */
const DESCRIPTORS_MAX = 100;
const CLIENTS = 160;
const WORKERS = 4;
const USED_UP = /Descriptors are used up/g;
const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/', function() httpd.header { status = 200 } httpd.write(nil, 'served') end)`;

const limited = (workers: number): Promise<TestGateway> =>
  TestGateway.start(
    { '/': SCRIPT },
    { workers, launcher: ['/bin/sh', '-c', `ulimit -n ${DESCRIPTORS_MAX}; exec "$@"`, 'sh'] },
  );

async function untilServed(gateway: TestGateway): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const text = await gateway.ask('h1', '/').then((answer) => answer.text, String);
    if (text === 'served') return;
    assert.ok(performance.now() < limit, text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('Descriptors that are used up are counted and told once a minute; who is connected is served, and others when some go', async () => {
  const gateway = await limited(1);
  const asked = await Promise.allSettled(Array.from({ length: CLIENTS }, () => gateway.connect()));
  const clients = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assert.ok(clients.length > 0 && clients.length < DESCRIPTORS_MAX, `${clients.length} are connected`);
  await gateway.untilLog(USED_UP);
  const [first] = clients;
  assert.ok(first !== undefined);
  first.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await untilReceived(first, /served$/);
  for (const client of clients) client.destroy();
  await untilServed(gateway);
  // the admin listener has no descriptor either before some go
  await gateway.untilCounters((now) => now.descriptorsUsedUpTotal >= 1, 'it has been seen');
  assert.equal(gateway.log.match(USED_UP)?.length, 1, gateway.log);
  await gateway.stop();
});

test('No client of workers without descriptors waits for an answer to its connection, however often they come', async () => {
  const gateway = await limited(WORKERS);
  for (let wave = 0; wave < 8; wave++) {
    const sockets = Array.from({ length: CLIENTS }, () => connect(gateway.port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined);
    await untilClosed(sockets, CLIENTS - DESCRIPTORS_MAX, gateway);
    for (const socket of sockets) socket.destroy();
    await untilServed(gateway);
  }
  await gateway.stop();
});

async function untilClosed(sockets: readonly Socket[], count: number, gateway: TestGateway): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const closed = sockets.filter((socket) => socket.closed).length;
    if (closed >= count) return;
    assert.ok(
      performance.now() < limit,
      `${closed} of ${sockets.length} connections are refused: ${gateway.log}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
