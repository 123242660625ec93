/** A timer with `once` on three gateways with one store: one runs it, and another when that one is killed or stands still. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { TestGateway } from '../support/test-gateway.ts';

/** A short task each half second, and one that goes on; each run tells who has it, and its fence. */
const SCRIPT = `local httpd = require 'httpd'
local runs = httpd.shared('runs')
local function note(name, fence)
    local n = runs:incr(name, 1, 0)
    runs:set(name .. ':' .. n, ('MACHINE %d'):format(fence))
    return n
end
httpd.timer(0, function(fence) note('short', fence) end, {every = 0.5, once = 'short'})
httpd.timer(0, function(fence)
    note('long', fence)
    httpd.sleep(300)
end, {every = 0.5, once = 'long', timeout = 0})
httpd.timer(0, function(fence) note('start', fence) end, {once = 'start'})
httpd.register_handler('/', function() httpd.write(nil, 'here') end)`;

const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];

let redis: RedisProcess;
const gateways = new Map<Name, TestGateway>();
before(async () => {
  redis = await RedisProcess.start();
  await Promise.all(
    NAMES.map(async (name) => {
      const scripts = { '/': SCRIPT.replaceAll('MACHINE', name) };
      const words = ['--store', redis.address];
      gateways.set(name, await TestGateway.start(scripts, { apart: true, workers: 2, words }));
    }),
  );
});
after(async () => {
  await Promise.all([...gateways.values()].map((gateway) => gateway.stop()));
  await redis?.stop();
});

interface Run {
  readonly machine: Name;
  readonly fence: number;
}

function countOf(task: string): number {
  return Number(redis.cli('get', `lg:runs:${task}`));
}

function runOf(task: string, number: number): Run {
  const [machine, fence] = redis.cli('get', `lg:runs:${task}:${number}`).slice(1).split(' ');
  return { machine: machine as Name, fence: Number(fence) };
}

async function untilRun(task: string, number: number): Promise<Run> {
  await eventually(() => assert.ok(runOf(task, number).fence > 0));
  return runOf(task, number);
}

function pidOf(name: Name): number {
  return gateways.get(name)?.process.pid ?? 0;
}

test('One machine runs a task in a period, another takes over from one that is killed or stands still, and that one is ended', async () => {
  const first = await untilRun('long', 1);
  const startedAt = performance.now();
  const from = countOf('short');
  await untilRun('short', from + 4);
  // five periods and a tenth less for each: more runs than that would be those of several machines
  const seconds = (performance.now() - startedAt) / 1000;
  assert.ok(countOf('short') - from <= seconds / 0.4 + 2);
  assert.equal(countOf('long'), 1);

  const victim = gateways.get(first.machine);
  process.kill(pidOf(first.machine), 'SIGKILL');
  const second = await untilRun('long', 2);
  assert.notEqual(second.machine, first.machine);
  assert.ok(second.fence > first.fence);
  gateways.delete(first.machine);
  await victim?.stop();

  process.kill(pidOf(second.machine), 'SIGSTOP');
  const third = await untilRun('long', 3);
  assert.ok(third.fence > second.fence && !new Set([first.machine, second.machine]).has(third.machine));
  const shorts = countOf('short');
  await untilRun('short', shorts + 2);
  process.kill(pidOf(second.machine), 'SIGCONT');
  await gateways.get(second.machine)?.untilLog(/A timer with once was ended: this machine stood still/);
  await untilRun('short', shorts + 4);
  assert.equal(countOf('long'), 3);
  // the fences of all runs count up
  const fences = Array.from({ length: countOf('short') }, (_, i) => runOf('short', i + 1).fence);
  assert.deepEqual(
    fences,
    [...fences].sort((a, b) => a - b),
  );
  assert.ok(countOf('start') >= 1 && countOf('start') <= 3);
});
