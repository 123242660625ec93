/** Who is judged by heartbeats: threads that could have given one, and nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heartbeat } from '../../src/base/heartbeat.ts';
import { CRASH_WINDOW_MS, CRASHES_MAX, CrashLoop } from '../../src/supervisor/crash-loop.ts';
import { HeartWatch, type WatchedWorker } from '../../src/supervisor/heart-watch.ts';
import { Silence } from '../../src/supervisor/silence.ts';
import { readThreadUse, type ThreadUse } from '../../src/supervisor/thread-use.ts';

const TICK_MS = 500;

/** What a thread does between two ticks. */
interface Part {
  readonly cpuMs?: number;
  readonly waitedMs?: number;
  readonly isRunnable?: boolean;
  readonly beats?: boolean;
  readonly elapsedMs?: number;
}

/** The silence after each part; undefined where the thread is not judged. */
function silences(parts: readonly Part[]): (number | undefined)[] {
  const silence = new Silence(TICK_MS);
  let [beats, cpuMs, waitedMs] = [1, 0, 0];
  silence.tick(beats, TICK_MS, () => undefined);
  return parts.map((part) => {
    cpuMs += part.cpuMs ?? 0;
    waitedMs += part.waitedMs ?? 0;
    if (part.beats === true) beats += 1;
    const use: ThreadUse = { cpuMs, waitedMs, isRunnable: part.isRunnable ?? false };
    return silence.tick(beats, part.elapsedMs ?? TICK_MS, () => use)?.silentMs;
  });
}

test('Silence counts the time of a thread that computes or hangs, from the second look on', () => {
  const looping: Part = { cpuMs: 500, isRunnable: true };
  assert.deepEqual(silences([looping, looping, looping]), [undefined, 500, 1000]);
  const hanging: Part = {};
  assert.deepEqual(silences([hanging, hanging, hanging]), [undefined, 500, 1000]);
});

test('Silence ends with a heartbeat', () => {
  assert.deepEqual(silences([{}, {}, { beats: true }, {}, {}]), [undefined, 500, undefined, undefined, 500]);
});

test('Silence leaves out the time that a thread waits for a processor', () => {
  const starved: Part = { isRunnable: true };
  assert.deepEqual(silences(Array(100).fill(starved)), Array(100).fill(undefined));
  const crowded: Part = { cpuMs: 50, waitedMs: 450, isRunnable: true };
  assert.equal(silences(Array(101).fill(crowded)).at(-1), 5000);
});

test('Silence counts a tick that came late as two, however late it was', () => {
  assert.deepEqual(silences([{}, { elapsedMs: 3_600_000 }, {}]), [undefined, 1000, 1500]);
});

test('Silence goes by ticks alone where the system does not tell', () => {
  const silence = new Silence(TICK_MS);
  silence.tick(1, TICK_MS, () => undefined);
  assert.deepEqual(
    silence.tick(1, TICK_MS, () => undefined),
    { silentMs: 500, cpuMs: undefined },
  );
});

function watched(ready: boolean, reasons: string[]): WatchedWorker {
  return { ready, heartbeat: new Heartbeat(), replace: (reason) => reasons.push(reason) };
}

function watchOf(
  worker: WatchedWorker,
  heartbeatLimitMs: number,
  readUse?: (id: number) => ThreadUse | undefined,
): HeartWatch {
  const nameOf = (row: number): string | undefined => ['/a', '/b'][row];
  return new HeartWatch(() => [worker], { values: { limits: { heartbeatLimitMs } } }, nameOf, readUse);
}

test('HeartWatch replaces a silent worker once, and says what it knows of it', () => {
  const reasons: string[] = [];
  const worker = watched(true, reasons);
  worker.heartbeat.systemThread = 7;
  worker.heartbeat.began(1);
  let looks = 0;
  const watch = watchOf(worker, 2000, () => {
    looks += 1;
    return { cpuMs: looks * 490, waitedMs: 0, isRunnable: true };
  });
  for (let tick = 0; tick <= 6; tick++) watch.look(tick * TICK_MS);
  assert.deepEqual(reasons, [
    'It was held up for 2.0 s, and computed for 2.0 s of that, and the limit is 2.0 s (--heartbeat-limit); the last request of a module was for /b',
  ]);
});

test('HeartWatch judges nobody who does not serve, and nobody without a limit', () => {
  const reasons: string[] = [];
  for (const [ready, limitMs] of [
    [false, 1000],
    [true, Number.POSITIVE_INFINITY],
  ] as const) {
    const worker = watched(ready, reasons);
    const watch = watchOf(worker, limitMs);
    for (let tick = 0; tick < 100; tick++) watch.look(tick * TICK_MS);
  }
  assert.deepEqual(reasons, []);
});

test('HeartWatch.allAnswer is false while a worker that serves is silent', () => {
  const worker = watched(true, []);
  const watch = watchOf(worker, 10_000);
  const answers = [0, 1, 2, 3].map((tick) => {
    watch.look(tick * TICK_MS);
    return watch.allAnswer;
  });
  worker.heartbeat.beat();
  watch.look(4 * TICK_MS);
  assert.deepEqual([...answers, watch.allAnswer], [true, true, false, false, true]);
});

test('readThreadUse() sees the processor time of a thread grow, and nothing of a thread that is not there', () => {
  const before = readThreadUse(process.pid);
  assert.ok(before !== undefined);
  // that it has used some, and not only waited for a processor
  for (const limit = performance.now() + 60_000; readThreadUse(process.pid)?.cpuMs === before.cpuMs; )
    assert.ok(performance.now() < limit, 'it grows in time');
  const after = readThreadUse(process.pid);
  assert.ok(after !== undefined && after.cpuMs > before.cpuMs && after.isRunnable);
  assert.equal(readThreadUse(2 ** 22 + 1), undefined);
});

test('CrashLoop tells at the last of so many crashes within the window, and never after one that has served', () => {
  const loop = new CrashLoop();
  const crash = (count: number, at: (i: number) => number): boolean[] =>
    Array.from({ length: count }, (_, i) => loop.ended(at(i)));
  assert.deepEqual(crash(CRASHES_MAX, (i) => i).indexOf(true), CRASHES_MAX - 1);
  loop.served();
  assert.ok(!crash(CRASHES_MAX - 1, (i) => 100 + i).includes(true));
  loop.served();
  const far = CRASH_WINDOW_MS / (CRASHES_MAX - 2);
  assert.ok(!crash(100, (i) => 1000 + i * far).includes(true));
});
