/** The gateway's worker, which crashes, or says what is in memory that it shares, when the test sends a message on a channel that only this module knows. */
import { BroadcastChannel, workerData } from 'node:worker_threads';

const CRASH_CHANNEL = 'lgateway-test-crash';
/** As in src/events/interest-table.ts. */
const INTEREST_SLOTS = 4096;

const channel = new BroadcastChannel(CRASH_CHANNEL);
channel.onmessage = ({ data }: { data: unknown }) => {
  if (data === workerData.workerId) throw new Error('the test wants a crash');
  if (data === 'interest' && workerData.workerId === 1) channel.postMessage(interestOf(workerData.interest));
};
channel.unref();
// the bundle, which starts in half of the time that its modules take
await import('../../src/worker/worker-start.js');

/** Subscriptions that the table of interest counts, of all threads: the main thread, worker 1, worker 2 … */
function interestOf(memory: SharedArrayBuffer): { readonly interest: readonly number[] } {
  const slots = new Int32Array(memory);
  const threads = slots.length / INTEREST_SLOTS;
  const rows = Array.from({ length: threads }, (_, i) =>
    slots.subarray(i * INTEREST_SLOTS, (i + 1) * INTEREST_SLOTS),
  );
  return { interest: rows.map((row) => row.reduce((sum, count) => sum + count, 0)) };
}
