/** What scripts share outlives a worker, the end of a thread inside an operation, and a reload. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import type { Supervisor } from '../../src/supervisor/supervisor.ts';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';

const WAIT_MAX_MS = 60_000;
const SCRIPT = `local httpd = require 'httpd'
local d = assert(httpd.shared('visits'))
local other = assert(httpd.shared('undeclared'))
httpd.register_handler('/', function(env)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, VERSION .. ' ' .. d:incr('visits', 1, 0) .. ' ' .. other:incr('visits', 1, 0))
end)
httpd.register_handler('/prepare', function()
    d:set('counter', ('x'):rep(10))
    d:set('kept', 'yes')
end)
httpd.register_handler('/look', function()
    httpd.write(nil, tostring(d:get('counter')) .. ' ' .. tostring(d:get('kept')))
end)`;

let folder: GatewayFolder;
before(() => {
  folder = new GatewayFolder();
});
after(() => folder.remove());

function writeScript(version: string): void {
  writeFileSync(folder.file('app.lua'), SCRIPT.replace('VERSION', `'${version}'`));
}

async function withSupervisor(
  workerEntry: URL | undefined,
  use: (supervisor: Supervisor, port: number, lines: string[]) => Promise<void>,
): Promise<void> {
  const lines: string[] = [];
  writeScript('old');
  const shared = [{ name: 'visits', bytes: 64 * 1024 }];
  const options = workerEntry === undefined ? {} : { workerEntry };
  const supervisor = realSupervisor(folder, lines, { shared }, options);
  try {
    await supervisor.start();
    await use(supervisor, supervisor.addresses[0]?.port ?? 0, lines);
  } finally {
    await supervisor.stop();
  }
}

async function untilLine(lines: readonly string[], part: string): Promise<string> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const line = lines.find((one) => one.includes(part));
    if (line !== undefined) return line;
    assert.ok(performance.now() < limit, `"${part}" is logged; ${lines.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('Dictionaries outlive a reload with changed scripts', async () => {
  await withSupervisor(undefined, async (supervisor, port) => {
    for (let i = 1; i <= 10; i++) assert.equal((await ask(folder, port, '/')).body, `old ${i} ${i}`);
    writeScript('new');
    await supervisor.reload();
    for (let i = 11; i <= 20; i++) assert.equal((await ask(folder, port, '/')).body, `new ${i} ${i}`);
  });
});

test('Dictionaries outlive the replacement of every worker', async () => {
  const channel = new BroadcastChannel('lgateway-test-crash');
  try {
    await withSupervisor(new URL('./crashing-worker.js', import.meta.url), async (_, port, lines) => {
      for (let i = 1; i <= 10; i++) assert.equal((await ask(folder, port, '/')).body, `old ${i} ${i}`);
      for (const workerId of [1, 2]) {
        channel.postMessage(workerId);
        await untilLine(lines, `Worker ${workerId} serves again`);
      }
      for (let i = 11; i <= 20; i++) assert.equal((await ask(folder, port, '/')).body, `old ${i} ${i}`);
    });
  } finally {
    channel.close();
  }
});

test('A worker that dies inside an operation leaves no lock, and its dictionary is repaired', async () => {
  const channel = new BroadcastChannel('lgateway-test-death');
  try {
    await withSupervisor(new URL('./dying-worker.js', import.meta.url), async (_, port, lines) => {
      assert.equal((await ask(folder, port, '/')).body, 'old 1 1');
      await ask(folder, port, '/prepare');
      channel.postMessage(1);
      const line = await untilLine(lines, 'in the middle of a change');
      assert.match(
        line,
        /Worker 1 ended in the middle of a change of dictionary "visits": it has been repaired, without the entry that was being written, if any/,
      );
      assert.equal((await ask(folder, port, '/')).body, 'old 2 2');
      // the operation was about to overwrite the text with a shorter one
      assert.equal((await ask(folder, port, '/look')).body, 'nil yes');
      await untilLine(lines, 'Worker 1 serves again');
      for (let i = 3; i <= 10; i++) assert.equal((await ask(folder, port, '/')).body, `old ${i} ${i}`);
    });
  } finally {
    channel.close();
  }
});
