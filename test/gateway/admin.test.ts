/** The admin listener of a gateway: health, counters, and its end. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { askAdmin } from '../support/run-gateway.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/plain', function() httpd.write(nil, 'plain') end)
httpd.register_handler('/fetch', function(env)
    local answer = assert(httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. '/plain', { tls = { verify = false } }))
    httpd.copy(nil, answer)
end)
httpd.register_handler('/slow', function() httpd.sleep(60) end)`;

let gateway: TestGateway;
before(async () => {
  const words = ['--admin', 'unix:$FOLDER/admin.sock', '--drain-timeout', '60'];
  gateway = await TestGateway.start({ '/': SCRIPT }, { words });
});
after(() => gateway.stop());

const askGateway = (path: string, method = 'GET'): ReturnType<typeof askAdmin> =>
  askAdmin(gateway.folder.file('admin.sock'), path, { method });

test('/counters tells how long handshakes and the answers of other servers took', async () => {
  assert.equal((await gateway.ask('h2', '/plain')).text, 'plain');
  assert.equal((await gateway.ask('h2', '/fetch')).text, 'plain');
  const { status, headers, body } = await askGateway('/counters');
  assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
  const { workers, times, mappings } = JSON.parse(body);
  assert.equal(workers[0].exchangesTotal, 3);
  assert.equal(mappings[0].mapping, '/');
  const [{ handshakes, answers }] = times;
  // of the client's two connections, and of the fetch's
  assert.equal(handshakes.count, 3);
  assert.equal(answers.count, 1);
  for (const { meanMs, p50Ms, p99Ms } of [handshakes, answers]) {
    assert.ok(meanMs > 0 && p50Ms > 0);
    assert.ok(p50Ms <= p99Ms && p99Ms < 60_000);
  }
});

test('A gateway is well and ready while it serves, and well and not ready while it drains', async () => {
  assert.deepEqual(pick(await askGateway('/healthz')), [200, 'well\n']);
  assert.deepEqual(pick(await askGateway('/readyz')), [200, 'ready\n']);
  const session = await gateway.session();
  const slow = session.request({ ':path': '/slow' });
  slow.on('error', () => undefined);
  await gateway.untilCounters(({ exchanges }) => exchanges === 1, 'the slow request runs');
  assert.deepEqual(pick(await askGateway('/drain', 'POST')), [202, 'draining\n']);
  assert.deepEqual(pick(await askGateway('/readyz')), [503, 'not ready: the gateway is draining\n']);
  assert.deepEqual(pick(await askGateway('/healthz')), [200, 'well\n']);
  session.destroy();
});

function pick({ status, body }: { status: number; body: string }): [number, string] {
  return [status, body];
}
