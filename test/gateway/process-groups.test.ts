/** Programs that scripts start, and what those start in turn, end with what they were started for. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';
import { TestGateway } from '../support/test-gateway.ts';

const CRASH_CHANNEL = 'lgateway-test-crash';
const WAIT_MAX_MS = 60_000;

const SCRIPT = `local httpd = require 'httpd'
local BACKGROUND = 'sleep 777 >/dev/null 2>&1 & echo $!'
local function say(text) httpd.header{[':status'] = '200'} httpd.write(nil, text) end
local function pid_of(pipe) return pipe:read('l') end
local ways = {
    popen = function() return pid_of(io.popen(BACKGROUND)) end,
    closed = function() local pipe = io.popen(BACKGROUND) local pid = pid_of(pipe) pipe:close() return pid end,
    execute = function()
        os.execute('sleep 777 >/dev/null 2>&1 & echo $! > $FOLDER/execute.pid')
        local file <close> = io.open('$FOLDER/execute.pid') return file:read('l')
    end,
    stubborn = function() return pid_of(io.popen('trap "" TERM; (sleep 777; sleep 777) >/dev/null 2>&1 & echo $!')) end,
    task = function()
        local task = httpd.spawn(function() return pid_of(io.popen(BACKGROUND)) end)
        local _, _, pid = httpd.wait(task)
        return pid
    end,
}
httpd.register_handler('/end', function(env)
    say(ways[env.QUERY_INFO]())
end)
httpd.register_handler('/note', function() ways.execute() httpd.sleep(100) end)
httpd.register_handler('/stay', function()
    say(pid_of(io.popen('trap "" TERM; (sleep 777; sleep 777) >/dev/null 2>&1 & echo $!')) .. '\\n')
    httpd.sleep(100)
end)`;

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

function pidOf(text: string): number {
  const pid = Number(text);
  assert.ok(pid > 1, text);
  return pid;
}

async function untilGone(pid: number): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  while (isRunning(pid)) {
    assert.ok(performance.now() < limit, `${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Asks for something that does not end, and returns its first line. */
async function firstLine(gateway: TestGateway, path: string): Promise<string> {
  const session = await gateway.session();
  const stream = session.request({ ':path': path });
  stream.on('error', () => undefined);
  return await new Promise<string>((resolve) =>
    stream.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1'))),
  );
}

test('What a program has started in the background ends with the request, however it was started', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { apart: true });
  for (const way of ['popen', 'closed', 'execute', 'stubborn', 'task']) {
    const { status, text } = await gateway.ask('h2', `/end?${way}`);
    assert.equal(status, 200, way);
    await untilGone(pidOf(text));
  }
  await gateway.untilIdle();
  // and a second signal ends the programs of scripts, too
  const pid = pidOf(await firstLine(gateway, '/stay'));
  gateway.process.child.kill('SIGTERM');
  await gateway.untilLog(/draining/);
  gateway.process.child.kill('SIGTERM');
  assert.equal((await gateway.process.ended).code, 1);
  await untilGone(pid);
  await gateway.stop();
});

test('The programs of a request that is cut at the end of a drain end with it', async () => {
  const gateway = await TestGateway.start(
    { '/': SCRIPT },
    { words: ['--drain-timeout', '0.5'], apart: true },
  );
  const pid = pidOf(await firstLine(gateway, '/stay'));
  assert.ok(isRunning(pid));
  gateway.process.child.kill('SIGTERM');
  assert.equal((await gateway.process.ended).code, 0);
  await untilGone(pid);
  await gateway.stop();
});

test('The programs of a worker that crashes end', async () => {
  const folder = new GatewayFolder();
  writeFileSync(folder.file('app.lua'), SCRIPT.replaceAll('$FOLDER', folder.path));
  const lines: string[] = [];
  const workerEntry = new URL('../worker/crashing-worker.js', import.meta.url);
  const supervisor = realSupervisor(folder, lines, { workers: 1 }, { workerEntry });
  const channel = new BroadcastChannel(CRASH_CHANNEL);
  const listeners = process.listenerCount('exit');
  try {
    await supervisor.start();
    const pidFile = folder.file('execute.pid');
    const asked = ask(folder, supervisor.addresses[0]?.port ?? 0, '/note').catch(() => undefined);
    await eventually(() => assert.match(readFileSync(pidFile, 'latin1'), /\n$/));
    const pid = pidOf(readFileSync(pidFile, 'latin1'));
    assert.ok(isRunning(pid));
    channel.postMessage(1);
    await untilGone(pid);
    await asked;
    assert.match(lines.join('\n'), /Worker 1 ended and is replaced/);
  } finally {
    channel.close();
    await supervisor.stop();
    folder.remove();
  }
  assert.equal(process.listenerCount('exit'), listeners);
});
