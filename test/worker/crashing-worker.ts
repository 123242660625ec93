/** The gateway's worker, which crashes when the test sends a message on a channel that only this module knows. */
import { BroadcastChannel, workerData } from 'node:worker_threads';

const CRASH_CHANNEL = 'lgateway-test-crash';

const channel = new BroadcastChannel(CRASH_CHANNEL);
channel.onmessage = ({ data }: { data: unknown }) => {
  if (data === workerData.workerId) throw new Error('the test wants a crash');
};
channel.unref();
// the bundle, which starts in half of the time that its modules take
await import('../../src/worker/worker-start.js');
