/** Limits of a front end that change while it serves, for effects that would take too long in a whole gateway. */
import { strictEqual } from 'node:assert/strict';
import { calmTest as test } from '../../support/calm.ts';
import { connectSecure } from '../../support/raw-client.ts';
import { readBody, startFrontEnd, TEST_LIMITS } from '../../support/test-front-end.ts';

const GRACE_MS = 100;
const HANDLERS = {
  '/read': (x: Parameters<typeof readBody>[0]) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.write(Buffer.from(String(body.length)));
      x.end();
    }),
};

test('FrontEnd.setLimits() changes the least rate of bodies that come from then on', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { bodyGraceMs: GRACE_MS, stallTimeoutMs: 60_000 } });
  front.frontEnd.setLimits({ ...TEST_LIMITS, stallTimeoutMs: 60_000, bodyRateMin: 1000 });
  const client = await connectSecure(front.port);
  client.send('POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n');
  strictEqual((await client.response()).status, 408);
  client.destroy();
  await front.stop();
});

test('FrontEnd.setLimits() looks at deadlines as often as the new ones ask for', async () => {
  const front = await startFrontEnd(HANDLERS, {
    limits: { idleTimeoutMs: 60_000, headTimeoutMs: 60_000, stallTimeoutMs: 60_000 },
  });
  const client = await connectSecure(front.port);
  client.send('POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx');
  strictEqual((await client.response()).status, 200);
  // the connection is already idle
  front.frontEnd.setLimits({ ...TEST_LIMITS, idleTimeoutMs: 100 });
  await client.rest();
  client.destroy();
  await front.stop();
});

test('FrontEnd.setLimits() lets handshakes take longer than at the start', async () => {
  const front = await startFrontEnd(HANDLERS, { limits: { handshakeTimeoutMs: 1 } });
  front.frontEnd.setLimits({ ...TEST_LIMITS, handshakeTimeoutMs: 60_000 });
  const client = await connectSecure(front.port);
  client.send('POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx');
  strictEqual((await client.response()).status, 200);
  client.destroy();
  await front.stop();
});
