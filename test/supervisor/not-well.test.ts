/** What /healthz goes by: a gateway is not well while a worker that serves gives no heartbeat. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import { realSupervisorOptions } from '../support/real-supervisor.ts';
import { GatewayFolder } from '../support/run-gateway.ts';

const PLAIN_WORKER = new URL('./plain-worker.js', import.meta.url);
/** Nothing that is tested: a wait that lasts longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 120_000;

test('A gateway is not well while a worker that serves gives no heartbeat', async () => {
  const folder = new GatewayFolder();
  const script = folder.file('script.lua');
  writeFileSync(script, 'one');
  // it is not replaced in this time
  const limits = { ...DEFAULT_LIMITS, heartbeatLimitMs: 2 * WAIT_MAX_MS };
  const config = { mappings: [{ prefix: '/', script }], workers: 1, limits };
  const supervisor = new Supervisor({
    ...realSupervisorOptions(folder, [], config),
    compileLua: undefined,
    workerEntry: PLAIN_WORKER,
  });
  await supervisor.start();
  assert.equal(supervisor.whyNotWell(), undefined);
  const port = supervisor.addresses[0]?.port ?? 0;
  const looping = new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/loop', agent: false }, (response) => {
      response.on('error', resolve).resume();
    }).on('error', resolve);
  });
  const limit = performance.now() + WAIT_MAX_MS;
  while (supervisor.whyNotWell() !== 'a worker is held up, and gives no heartbeat') {
    assert.ok(performance.now() < limit, String(supervisor.whyNotWell()));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await supervisor.stop();
  await looping;
  folder.remove();
});
