/** CPU limits of a gateway that has the processor a fifth of the time. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { LOSE_STATE } from '../support/lose-state.ts';
import { TestGateway } from '../support/test-gateway.ts';

/** What the gateway runs and stands still, in turns: a fifth of a core, as under a quota. */
const RUN_MS = 20;
const STOP_MS = 80;
/** Processor time of the work that is to succeed, and its limit: half. */
const WORK_MS = 150;
const LIMIT_S = 0.3;
const LIMIT_MS = LIMIT_S * 1000;
/** Rounds of a loop in Lua whose time is measured first. */
const SAMPLE_ROUNDS = 10_000_000;
const TRIES_MAX = 12;
/** The kernel counts a process's time in steps of this. */
const JIFFY_MS = 10;

const SCRIPT = `local httpd = require 'httpd'
  local function work(rounds) local n = 0 for i = 1, rounds do n = n + i end return n end
  httpd.register_handler('/sample', function(env)
    work(tonumber(env.QUERY_INFO))
    httpd.write(nil, 'done')
  end, {cpu = 0})
  httpd.register_handler('/whole', function(env)
    work(tonumber(env.QUERY_INFO))
    httpd.write(nil, 'done')
  end)
  httpd.register_handler('/pieces', function(env)
    local rounds = tonumber(env.QUERY_INFO) // 50
    for i = 1, 50 do work(rounds) httpd.sleep(0.001) end
    httpd.write(nil, 'done')
  end)
  httpd.register_handler('/sorted', function(env)
    local rounds = tonumber(env.QUERY_INFO) // 6
    table.sort({3, 2, 1, 4}, function(a, b) work(rounds) return a < b end)
    httpd.write(nil, 'done')
  end)
  httpd.register_handler('/endless', function() while true do end end)
  httpd.register_handler('/lost', function() ${LOSE_STATE} end)`;

/** Processor time of the whole process, ms (proc(5): utime and stime). */
function processCpuMs(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(words[11]) + Number(words[12])) * JIFFY_MS;
}

/** Lets the process run a fifth of the time until the result is called. */
function slowDown(pid: number): () => void {
  let timer: NodeJS.Timeout;
  const run = (): void => {
    process.kill(pid, 'SIGCONT');
    timer = setTimeout(stop, RUN_MS);
  };
  const stop = (): void => {
    process.kill(pid, 'SIGSTOP');
    timer = setTimeout(run, STOP_MS);
  };
  stop();
  return () => {
    clearTimeout(timer);
    process.kill(pid, 'SIGCONT');
  };
}

test('A gateway that has a fifth of a core ends handlers by what they used, not by how long it took', async () => {
  const gateway = await TestGateway.start(
    { '/': SCRIPT },
    { words: ['--cpu-limit', String(LIMIT_S)], apart: true },
  );
  const { pid } = gateway.process;
  // the first time its code is compiled meanwhile
  assert.equal((await gateway.ask('h1', `/sample?${SAMPLE_ROUNDS}`)).text, 'done');
  const before = processCpuMs(pid);
  assert.equal((await gateway.ask('h1', `/sample?${SAMPLE_ROUNDS}`)).text, 'done');
  const sampleMs = Math.max(JIFFY_MS, processCpuMs(pid) - before);
  const rounds = Math.round((SAMPLE_ROUNDS * WORK_MS) / sampleMs);
  const restore = slowDown(pid);
  try {
    // in slices, in pieces between waits, and where neither is possible
    for (const path of ['/whole', '/pieces', '/sorted']) {
      for (let tries = 0, work = rounds; ; tries++) {
        assert(tries < TRIES_MAX, `${path}: the machine is never as fast as it was when it was measured`);
        const [started, usedBefore] = [performance.now(), processCpuMs(pid)];
        const { status, text } = await gateway.ask('h1', `${path}?${Math.round(work)}`);
        const used = processCpuMs(pid) - usedBefore;
        const isLong = performance.now() - started > LIMIT_MS;
        // the same work takes more or less time now
        if (status === 500 && used >= LIMIT_MS - 2 * JIFFY_MS) work /= 2;
        else if (status === 200 && !isLong) work *= 2;
        else {
          assert.deepEqual([path, status, text], [path, 200, 'done'], gateway.log);
          break;
        }
      }
    }
    const usedBefore = processCpuMs(pid);
    const { status } = await gateway.ask('h1', '/endless');
    assert.equal(status, 500);
    const used = processCpuMs(pid) - usedBefore;
    assert(used >= LIMIT_MS - 2 * JIFFY_MS, `${used} ms`);
    restore();
    await gateway.running.until(() => gateway.log.includes('CPU limit reached'));
    assert(Number(/usedMs=(\d+)/.exec(gateway.log)?.[1]) >= LIMIT_MS);
    // where ending what runs does not help, the state is given up, which nobody else did before
    assert.doesNotMatch(gateway.log, /State given up/);
    assert.equal((await gateway.ask('h1', '/lost')).status, 500);
    await gateway.running.until(() => gateway.log.includes('State given up'));
    assert.equal((await gateway.ask('h1', '/whole?1')).status, 200);
  } finally {
    restore();
    await gateway.stop();
  }
});
