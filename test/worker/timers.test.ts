/** Timers with real workers: one worker of all runs a timer with a name, a crash does not stop it, a reload replaces it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import type { Supervisor } from '../../src/supervisor/supervisor.ts';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';

const CRASH_CHANNEL = 'lgateway-test-crash';
const WORKERS = 2;
const EVERY_SECONDS = 0.1;

let folder: GatewayFolder;
before(() => {
  folder = new GatewayFolder();
});
after(() => folder.remove());

async function withSupervisor(
  script: string,
  use: (supervisor: Supervisor, lines: string[]) => Promise<void>,
  { workers = WORKERS, drainTimeoutMs = 5000 } = {},
): Promise<void> {
  writeFileSync(
    folder.file('app.lua'),
    `local httpd = require 'httpd'
    httpd.register_handler('/', function() httpd.write(nil, 'alive') end)\n${script}`,
  );
  const lines: string[] = [];
  const supervisor = realSupervisor(
    folder,
    lines,
    { workers, limits: { ...DEFAULT_LIMITS, drainTimeoutMs } },
    { workerEntry: new URL('./crashing-worker.js', import.meta.url) },
  );
  try {
    await supervisor.start();
    await use(supervisor, lines);
  } finally {
    await supervisor.stop();
  }
}

/** Returns the lines that contain the word; with `worker`, only lines of that worker. */
function linesOf(lines: readonly string[], word: string, worker?: string): string[] {
  return lines.filter(
    (line) => line.includes(` ${word} `) && (worker === undefined || line.includes(` ${worker} `)),
  );
}

test('One worker of three runs a timer with "once" each time, also when the one that runs it crashes', async () => {
  const startedAt = performance.now();
  await withSupervisor(
    `httpd.timer(0, function() print('warmup') end, {once = 'warmup'})
    httpd.timer(0.01, function() print('tick') httpd.sleep(0.05) end, {every = ${EVERY_SECONDS}, once = 'tick'})`,
    async (_supervisor, lines) => {
      const channel = new BroadcastChannel(CRASH_CHANNEL);
      try {
        await eventually(() => assert(linesOf(lines, 'tick').length >= 5));
        const ticks = linesOf(lines, 'tick');
        // crashes during the run: right after the line
        await eventually(() => assert(linesOf(lines, 'tick').length > ticks.length));
        const crashing = / worker-(\d) /.exec(linesOf(lines, 'tick').at(-1) ?? '')?.[1];
        channel.postMessage(Number(crashing));
        await eventually(() => assert.match(lines.join('\n'), /Worker \d serves again/));
        const before = linesOf(lines, 'tick').length;
        await eventually(() => assert(linesOf(lines, 'tick').length >= before + 5));
        const periods = (performance.now() - startedAt) / (EVERY_SECONDS * 1000);
        // the supervisor may repeat a lost run
        assert(linesOf(lines, 'tick').length <= periods / 0.9 + 2);
        assert.equal(linesOf(lines, 'warmup').length, 1);
      } finally {
        channel.close();
      }
    },
    { workers: 3 },
  );
});

test('A reload cancels the timers of the old scripts in all workers and starts those of the new', async () => {
  const versioned = (version: number): string => `
    httpd.timer(0, function() print('load${version}') end, {once = 'load'})
    httpd.timer(0, function() print('tick${version}') end, {every = 0.02})`;
  await withSupervisor(versioned(1), async (supervisor, lines) => {
    for (let i = 1; i <= WORKERS; i++)
      await eventually(() => assert(linesOf(lines, 'tick1', `worker-${i}`).length > 0));
    writeFileSync(folder.file('app.lua'), `local httpd = require 'httpd'\n${versioned(2)}`);
    await supervisor.reload();
    for (let i = 1; i <= WORKERS; i++)
      await eventually(() => assert(linesOf(lines, 'tick2', `worker-${i}`).length > 0));
    const left = linesOf(lines, 'tick1').length;
    const ahead = linesOf(lines, 'tick2').length;
    await eventually(() => assert(linesOf(lines, 'tick2').length > ahead + 10 * WORKERS));
    assert.equal(linesOf(lines, 'tick1').length, left);
    await eventually(() => assert.equal(linesOf(lines, 'load2').length, 1));
    assert.equal(linesOf(lines, 'load1').length, 1);
  });
});

test('A reload that fails leaves the timers as they are, and starts none', async () => {
  await withSupervisor(
    `httpd.timer(0, function() print('old') end, {every = 0.02})`,
    async (supervisor, lines) => {
      writeFileSync(
        folder.file('app.lua'),
        `require 'httpd'.timer(0, function() print('new') end) error('does not load')`,
      );
      await assert.rejects(supervisor.reload(), /does not load/);
      const before = linesOf(lines, 'old').length;
      await eventually(() => assert(linesOf(lines, 'old').length > before + 10));
      assert.equal(linesOf(lines, 'new').length, 0);
    },
  );
});

test('A drain lets timers that run end, and does not wait for those that do not', async () => {
  await withSupervisor(
    `httpd.timer(0, function() print('began') httpd.sleep(0.3) print('ended') end)
    httpd.timer(100, print, {every = 100})`,
    async (supervisor, lines) => {
      await eventually(() => assert.equal(linesOf(lines, 'began').length, WORKERS));
      assert.equal(await supervisor.drain(), true);
      await eventually(() => assert.equal(linesOf(lines, 'ended').length, WORKERS));
      for (const counters of supervisor.counters()) assert.equal(counters.coroutines, 0);
    },
  );
  await withSupervisor(
    `httpd.timer(0, function() print('began') while true do httpd.sleep(0.01) end end)`,
    async (supervisor, lines) => {
      await eventually(() => assert.equal(linesOf(lines, 'began').length, WORKERS));
      assert.equal((await ask(folder, supervisor.addresses[0]?.port ?? 0, '/')).status, 200);
      const startedAt = performance.now();
      assert.equal(await supervisor.drain(), true);
      assert(performance.now() - startedAt < 20_000);
    },
    { drainTimeoutMs: 300 },
  );
});
