/** Observes how late timers of this thread are: what any request may have to wait before the thread looks at it. */
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';

const INTERVAL_MS = 250;

/** Goes on until the thread ends, which it does not hold up. */
export function observeLoop(counters: Counters): void {
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    counters.observe(COUNT.loopDelays, Math.max(0, now - last - INTERVAL_MS));
    last = now;
  }, INTERVAL_MS).unref();
}
