/** The line `times` that SIGUSR1 writes for each worker. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/plain', function() httpd.write(nil, 'plain') end)
httpd.register_handler('/fetch', function(env)
    local answer = assert(httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. '/plain', { tls = { verify = false } }))
    httpd.copy(nil, answer)
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT });
});
after(() => gateway.stop());

test('SIGUSR1 tells how long handshakes and the answers of other servers took', async () => {
  assert.equal((await gateway.ask('h2', '/plain')).text, 'plain');
  assert.equal((await gateway.ask('h2', '/fetch')).text, 'plain');
  gateway.running.signal('SIGUSR1');
  await gateway.untilLog(/ times \{.*"handshakes":\{"count":[1-9].*\}\n/);
  const lines = [...gateway.log.matchAll(/ times (\{.*\})\n/g)];
  const { worker, handshakes, answers } = JSON.parse(lines.at(-1)?.[1] ?? '');
  assert.equal(worker, 1);
  // of the client's two connections, and of the fetch's
  assert.equal(handshakes.count, 3);
  assert.equal(answers.count, 1);
  for (const { meanMs, p50Ms, p99Ms } of [handshakes, answers]) {
    assert.ok(meanMs > 0 && p50Ms > 0);
    assert.ok(p50Ms <= p99Ms && p99Ms < 60_000);
  }
});
