/** Each descriptor has one owner: a thread that ends closes no descriptor of another thread. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';

const CRASH_CHANNEL = 'lgateway-test-crash';
/** The kernel reuses the lowest free number first, so a wrongly closed descriptor is noticed soon. */
const DESCRIPTORS_MAX = 200;
const SCRIPT = `local httpd = require 'httpd'
local fifo
httpd.register_handler('/open', function()
    fifo = assert(io.open('$GATE', 'r+'))
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'open')
end)
httpd.register_handler('/close', function()
    fifo:write('x')
    assert(fifo:read(1) == 'x' and fifo:close())
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'closed')
end)`;

/** Returns the number of the descriptor of `path` in this process. */
function descriptorOf(path: string): number | undefined {
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === path) return Number(name);
    } catch {
      // the descriptor with which the directory itself was read
    }
  }
  return undefined;
}

test('A thread that ends does not close a number that a FIFO of it had once', async () => {
  const folder = new GatewayFolder();
  const gate = folder.file('gate');
  execFileSync('mkfifo', [gate]);
  writeFileSync(folder.file('app.lua'), SCRIPT.replace('$GATE', gate));
  const lines: string[] = [];
  const workerEntry = new URL('./crashing-worker.js', import.meta.url);
  const supervisor = realSupervisor(folder, lines, { workers: 1 }, { workerEntry });
  const channel = new BroadcastChannel(CRASH_CHANNEL);
  const opened: number[] = [];
  try {
    await supervisor.start();
    const port = supervisor.addresses[0]?.port ?? 0;
    assert.equal((await ask(folder, port, '/open')).body, 'open');
    const number = descriptorOf(gate);
    assert.ok(number !== undefined, 'the FIFO is open');
    assert.equal((await ask(folder, port, '/close')).body, 'closed');
    await eventually(() => assert.equal(descriptorOf(gate), undefined));
    while (!opened.includes(number)) {
      assert.ok(opened.length < DESCRIPTORS_MAX, 'the number is free');
      opened.push(openSync(folder.file('app.lua'), 'r'));
    }
    channel.postMessage(1);
    await eventually(() => assert.match(lines.join('\n'), /Worker 1 serves again/));
    assert.equal(fstatSync(number).ino, statSync(folder.file('app.lua')).ino);
    assert.doesNotMatch(lines.join('\n'), /unmanaged/);
  } finally {
    channel.close();
    await supervisor.stop();
    for (const descriptor of opened) closeSync(descriptor);
    folder.remove();
  }
});
