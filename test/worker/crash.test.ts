/** A worker crashes under load: the other one serves every request, and the crashed one is replaced. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { after, before, test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';

const CRASH_CHANNEL = 'lgateway-test-crash';
/** Nothing that is tested: a wait that lasts longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 120_000;
const SCRIPT = `local httpd = require 'httpd'
local count = 0
httpd.register_handler('/', function(env)
    count = count + 1
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'worker ' .. env.WORKER_ID)
end)`;

let folder: GatewayFolder;
before(() => {
  folder = new GatewayFolder();
  writeFileSync(folder.file('app.lua'), SCRIPT);
});
after(() => folder.remove());

/** Sends a request over the agent's one connection. */
function askOver(agent: Agent, port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: 'localhost', port, path, agent, ca: readFileSync(folder.certificate) }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1');
      });
      response.on('end', () => resolve(body));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** Opens connections until the wanted worker has accepted one; resolves with its agent. */
async function connectTo(worker: string, port: number): Promise<Agent> {
  for (const limit = performance.now() + WAIT_MAX_MS; performance.now() < limit; ) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    if ((await askOver(agent, port)) === worker) return agent;
    agent.destroy();
  }
  throw new Error(`No connection reached ${worker}`);
}

/** Requests that the access log names by their numbers. */
const COUNTED = 200;

test('A crashed worker is replaced, no request of the other fails, and all that were answered have their lines', async () => {
  const lines: string[] = [];
  const workerEntry = new URL('./crashing-worker.js', import.meta.url);
  const supervisor = realSupervisor(folder, lines, { accessLog: true }, { workerEntry });
  const channel = new BroadcastChannel(CRASH_CHANNEL);
  const agents: Agent[] = [];
  try {
    await supervisor.start();
    const port = supervisor.addresses[0]?.port ?? 0;
    const first = await connectTo('worker 1', port);
    const second = await connectTo('worker 2', port);
    agents.push(first, second);
    for (let i = 0; i < COUNTED; i++) assert.equal(await askOver(first, port, `/?n=${i}`), 'worker 1');
    channel.postMessage(1);
    const limit = performance.now() + WAIT_MAX_MS;
    // as often as may be while it crashes and is replaced, which a fast machine does in a moment
    for (let i = 0; i < 20 || !lines.some((line) => line.includes('Worker 1 serves again')); i++) {
      assert.equal(await askOver(second, port), 'worker 2');
      assert.ok(performance.now() < limit, `the worker is replaced in time; ${lines.join('\n')}`);
    }
    const logged = lines.flatMap(
      (line) => / worker-1 access GET \/\?n=(\d+) .* status=200 /.exec(line)?.[1] ?? [],
    );
    assert.deepEqual(
      logged,
      Array.from({ length: COUNTED }, (_, i) => String(i)),
    );
    assert.match(
      lines.join('\n'),
      /Worker 1 ended and is replaced in 0 ms: Uncaught error: Error: the test wants a crash/,
    );
    agents.push(await connectTo('worker 1', port));
    assert.equal((await ask(folder, port, '/')).status, 200);
    for (const agent of agents) agent.destroy();
    assert.equal(await supervisor.drain(), true);
    for (const counters of supervisor.counters())
      for (const name of ['connections', 'exchanges', 'coroutines', 'files', 'pipes'] as const)
        assert.equal(counters[name], 0, name);
  } finally {
    channel.close();
    for (const agent of agents) agent.destroy();
    await supervisor.stop();
  }
});
