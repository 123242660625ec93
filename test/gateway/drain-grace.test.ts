/** What idle connections may still do after SIGTERM. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { eventually } from '../support/script-harness.ts';
import { TestGateway, untilReceived } from '../support/test-gateway.ts';

const SCRIPT = `require 'httpd'.register_handler('/', function() require 'httpd'.write(nil, 'here') end)`;
const LISTENS = 'address = "127.0.0.1"\nport = 0\n';

async function ask(socket: TLSSocket): Promise<string> {
  const received = untilReceived(socket, /here/);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  return await received;
}

test('--drain-grace, which a reload changes, lets idle connections ask once more after SIGTERM', async () => {
  const config = `${LISTENS}drain-grace = 0\n`;
  const gateway = await TestGateway.start({ '/': SCRIPT }, { config, apart: true });
  writeFileSync(gateway.folder.file('lgateway.toml'), `${LISTENS}drain-grace = 60\n`);
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/Reloaded/);
  const [asking, silent] = await Promise.all([gateway.connect(), gateway.connect()]);
  assert.doesNotMatch(await ask(asking), /connection: close/i);
  const session = await gateway.session();
  const left = once(session, 'goaway');
  gateway.running.signal('SIGTERM');
  await left;
  await eventually(() => assert.rejects(gateway.connect(), { code: 'ECONNREFUSED' }));
  const ended = once(asking, 'close');
  assert.match(await ask(asking), /connection: close/i);
  await ended;
  assert.equal(silent.closed, false);
  silent.destroy();
  await gateway.stop();
});

test('Without --drain-grace idle connections are closed at once', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT });
  const idle = await gateway.connect();
  await ask(idle);
  const ended = once(idle, 'close');
  gateway.running.signal('SIGTERM');
  await ended;
  await gateway.stop();
});
