/**
 * Tests in which this process plays both sides of a short time limit: where it stood still meanwhile, as it does on a busy machine, both
 * sides were late, and what fails then is tried again.
 */
import { type TestContext, test } from 'node:test';
import { messageOf } from '../../src/base/errors.ts';
import { TimerLag } from './timer-lag.ts';

const TRIES_MAX = 4;
/** Limits of tests are 50 ms and more. */
const LAG_MS_MAX = 20;
/** Of the mean: a machine that gives this process a part of its time only holds it up often, and never for long. */
const MEAN_LAG_MS_MAX = 3;
/** Longer than the waits of a test, which say what they have waited for. */
const ATTEMPT_MS_MAX = 150_000;

/** Resolves with what `attempt` gives. A failure counts where timers were hardly late during the attempt, or in the last of all attempts. */
export async function calmly<Result>(attempt: () => Result | Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    const lag = new TimerLag();
    try {
      return await inTime(attempt);
    } catch (error) {
      const lagMs = lag.mostMs();
      const wasCalm = lagMs <= LAG_MS_MAX && lag.meanMs() <= MEAN_LAG_MS_MAX;
      if (tries === TRIES_MAX || wasCalm) throw error;
      console.log(
        `Tried again, as timers were late by ${Math.round(lagMs)} ms: ${messageOf(error).split('\n', 1)[0]}`,
      );
    } finally {
      lag.stop();
    }
  }
}

async function inTime<Result>(attempt: () => Result | Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It stands still for ${ATTEMPT_MS_MAX} ms`)), ATTEMPT_MS_MAX);
  });
  try {
    return await Promise.race([attempt(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A test whose body may run several times: it begins anew and leaves nothing behind that the next attempt could not bear. */
export function calmTest(name: string, body: (t: TestContext) => void | Promise<void>): void {
  void test(name, (t) => calmly(() => body(t)));
}
