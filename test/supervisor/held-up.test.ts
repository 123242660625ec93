/** Workers that are held up outside Lua, with plain workers: replaced, while the others serve; threads that do not end; crash loops. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { GatewayError } from '../../src/base/errors.ts';
import type { MappingConfig } from '../../src/config/config.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import { realSupervisor, realSupervisorOptions } from '../support/real-supervisor.ts';
import { ask as askTls, GatewayFolder } from '../support/run-gateway.ts';

const PLAIN_WORKER = new URL('./plain-worker.js', import.meta.url);
const HEARTBEAT_LIMIT_MS = 1000;
/** Nothing that is tested: a wait that lasts longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 120_000;

let folder: GatewayFolder;
let script: string;
let lines: string[] = [];
let supervisor: Supervisor | undefined;

before(() => {
  folder = new GatewayFolder();
  script = folder.file('script.lua');
});
afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
});
after(() => folder.remove());

async function start(
  workers: number,
  options: Partial<ConstructorParameters<typeof Supervisor>[0]> = {},
): Promise<{ running: Supervisor; port: number }> {
  writeFileSync(script, 'one');
  lines = [];
  const limits = { ...DEFAULT_LIMITS, heartbeatLimitMs: HEARTBEAT_LIMIT_MS };
  const config = { mappings: [{ prefix: '/', script }], workers, limits };
  const running = new Supervisor({
    ...realSupervisorOptions(folder, lines, config),
    compileLua: undefined,
    workerEntry: PLAIN_WORKER,
    ...options,
  });
  supervisor = running;
  await running.start();
  return { running, port: running.addresses[0]?.port ?? 0 };
}

function ask(port: number, path = '/', onHead?: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      onHead?.();
      response.on('error', reject);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

async function lineWith(text: string, meanwhile?: () => Promise<unknown>): Promise<string> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const line = lines.find((one) => one.includes(text));
    if (line !== undefined) return line;
    assert.ok(performance.now() < limit, `"${text}" is logged in time; there are: ${lines.join('\n')}`);
    await meanwhile?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('A worker that loops is replaced: its request ends, and those of the other go on', async () => {
  const { running, port } = await start(2);
  let looping: Promise<void> | undefined;
  await new Promise<void>((resolve) => {
    looping = assert.rejects(ask(port, '/loop', resolve));
  });
  // the one that loops takes no connection any more: the other takes all that come
  const line = await lineWith('is replaced in', async () => assert.match(await ask(port), /^[12] one$/));
  assert.match(
    line,
    /Worker [12] ended and is replaced in 0 ms: It was held up for [\d.]+ s, and computed for [\d.]+ s of that, and the limit is 1\.0 s \(--heartbeat-limit\)$/,
  );
  await looping;
  await lineWith('serves again');
  assert.equal(running.workerCount, 2);
  assert.equal(running.stuckThreads, 0);
});

test('The log names the module that held up its worker; Lua code that computes for longer is left to its own limit', async () => {
  const lua = folder.file('app.lua');
  writeFileSync(lua, LUA);
  const module = folder.file('loop.mjs');
  writeFileSync(module, 'export default () => { for (;;); };');
  const script: MappingConfig = { prefix: '/', script: lua };
  const loop: MappingConfig = { prefix: '/loop', script: pathToFileURL(module).href, kind: 'module' };
  const limits = {
    ...DEFAULT_LIMITS,
    heartbeatLimitMs: HEARTBEAT_LIMIT_MS,
    cpuLimitMs: 2 * HEARTBEAT_LIMIT_MS,
  };
  lines = [];
  const running = realSupervisor(folder, lines, { mappings: [script, loop], workers: 1, limits });
  supervisor = running;
  await running.start();
  const port = running.addresses[0]?.port ?? 0;
  assert.equal((await askTls(folder, port, '/sort')).status, 500);
  assert.ok(!lines.some((line) => line.includes('held up')), lines.join('\n'));
  await assert.rejects(askTls(folder, port, '/loop'));
  assert.match(await lineWith('held up'), /; the last request of a module was for \/loop$/);
  await lineWith('serves again');
});

/** Below `table.sort` nothing can yield: the event loop stands still. */
const LUA = `local httpd = require 'httpd'
httpd.register_handler('/sort', function()
    table.sort({3, 2, 1}, function() while true do end end)
end)`;

test('A worker that a call of the system holds is replaced, though its thread does not end', async () => {
  const pipe = makePipe('pipe');
  const { running, port } = await start(1, { times: { endTimeoutMs: 50 } });
  const waiting = assert.rejects(ask(port, `/pipe?name=${encodeURIComponent(pipe)}`));
  await lineWith('does not end: a call of the system holds it up');
  assert.match(await lineWith('is replaced in'), /It was held up for/);
  await lineWith('serves again');
  assert.equal(await ask(port), '1 one');
  assert.equal(running.stuckThreads, 1);
  // the call returns, and the thread ends
  closeSync(openSync(pipe, constants.O_WRONLY));
  await waiting;
});

test('Supervisor.stop() gives up a thread that does not end', async () => {
  const { running, port } = await start(1, { times: { endTimeoutMs: 50 } });
  const pipe = makePipe('pipe-at-stop');
  const waiting = assert.rejects(ask(port, `/pipe?name=${encodeURIComponent(pipe)}`));
  const end = await openWhenRead(pipe);
  await running.stop();
  assert.equal(running.stuckThreads, 1);
  closeSync(end);
  await waiting;
});

function makePipe(name: string): string {
  const pipe = folder.file(name);
  execFileSync('mkfifo', [pipe]);
  return pipe;
}

/** Resolves when its reader has opened it, in the one call in which it also reads it to its end. */
async function openWhenRead(pipe: string): Promise<number> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    try {
      return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      assert.ok(performance.now() < limit, 'the pipe is read in time');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

test('Supervisor gives up when threads end again and again before they serve, and says so once', async () => {
  const reasons: GatewayError[] = [];
  const { port } = await start(1, {
    times: { restartDelayFirstMs: 1, restartDelayMaxMs: 1 },
    onGivenUp: (reason) => reasons.push(reason),
  });
  writeFileSync(script, 'broken');
  await assert.rejects(ask(port, '/crash'));
  const limit = performance.now() + WAIT_MAX_MS;
  while (reasons.length === 0) {
    assert.ok(performance.now() < limit, 'it is given up in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await lineWith('is replaced in 1 ms: broken.lua:1');
  assert.deepEqual(
    reasons.map(({ code, message }) => [code, message]),
    [['LGW_CRASH_LOOP', 'Workers have ended 10 times within 120 s, and none of them has served']],
  );
});
