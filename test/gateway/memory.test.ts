/** Memory of a gateway that has nothing to do, and of one whose clients have nothing to say. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { untilHolds } from '../support/run-gateway.ts';
import { longTest } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/', function() httpd.header{[':status'] = 200} httpd.write(nil, 'hello') end)`;
const MIB = 1024 * 1024;
/** Measured were 113 to 117 MiB, with an admin listener, too, which this gateway has. */
const IDLE_BYTES_MAX = 128 * MIB;
const CONNECTIONS = 10_000;
/** Measured were 27 KiB. */
const CONNECTION_BYTES_MAX = 56 * 1024;

test('An idle gateway with two workers gives back what its start has needed, and is small', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 2, apart: true });
  try {
    let most = 0;
    await untilHolds(gateway.running, () => {
      const now = gateway.residentBytes;
      most = Math.max(most, now);
      return most - now > MIB && now < IDLE_BYTES_MAX;
    });
  } finally {
    await gateway.stop();
  }
});

longTest(`${CONNECTIONS} idle TLS connections on one worker are all answered, again and again`, async (t) => {
  const words = ['--max-connections', '12000', '--max-connections-per-address', '12000'];
  const patience = ['--idle-timeout', '3600', '--handshake-timeout', '60'];
  const gateway = await TestGateway.start(
    { '/': SCRIPT },
    { workers: 1, words: [...words, ...patience, '--log-level', 'error'], apart: true },
  );
  const before = gateway.residentBytes;
  const program = fileURLToPath(new URL('./idle-client.js', import.meta.url));
  const client = spawn(process.execPath, [program, String(gateway.port), String(CONNECTIONS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, String(CONNECTIONS));
    for (let round = 0; round < 2; round++) {
      client.stdin.write('again\n');
      assert.equal((await lines.next()).value, String(CONNECTIONS));
    }
    assert.equal((await gateway.counters()).connections, CONNECTIONS);
    const each = (gateway.residentBytes - before) / CONNECTIONS;
    t.diagnostic(`${(each / 1024).toFixed(1)} KiB for each connection`);
    assert.ok(each < CONNECTION_BYTES_MAX, `${each} bytes`);
    client.stdin.end();
    await once(client, 'exit');
    await gateway.untilIdle();
  } finally {
    client.kill('SIGKILL');
    await gateway.stop();
  }
});
