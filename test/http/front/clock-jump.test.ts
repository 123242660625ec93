/** The clock of the machine is set while connections are open: their deadlines go on as they were. */
import { ok } from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { calmTest as test } from '../../support/calm.ts';
import { startFrontEnd } from '../../support/test-front-end.ts';

const DAY_MS = 86_400_000;
const IDLE_MS = 400;

for (const [name, shiftMs] of [
  ['forward', DAY_MS],
  ['back', -DAY_MS],
] as const)
  test(`A clock that is set ${name} a day neither ends a connection early nor keeps it`, async () => {
    const front = await startFrontEnd(
      {
        '/': (exchange) => {
          exchange.head(204, []);
          exchange.end();
        },
      },
      { cleartext: true, limits: { idleTimeoutMs: IDLE_MS } },
    );
    const real = Date.now;
    try {
      const socket = connect(front.port, '127.0.0.1');
      const sentAt = performance.now();
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'data');
      Date.now = () => real() + shiftMs;
      await once(socket, 'close');
      // the loop counts in whole milliseconds
      ok(performance.now() - sentAt > IDLE_MS - 2, 'the connection was idle for as long as it may be');
    } finally {
      Date.now = real;
      await front.stop();
    }
  });
