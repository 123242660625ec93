/** The gateway's worker, which ends inside an operation on a dictionary when the test sends a message on a channel. */
import { BroadcastChannel, workerData } from 'node:worker_threads';
import type { WorkerStart } from '../../src/worker/messages.ts';
import { openAt } from '../shared/deadly-operations.ts';
import { mortalViews } from '../shared/mortal-views.ts';

const CHANNEL = 'lgateway-test-death';

const { workerId, shared }: WorkerStart = workerData;
const channel = new BroadcastChannel(CHANNEL);
channel.onmessage = ({ data }: { data: unknown }) => {
  if (data !== workerId) return;
  const { buffer } = shared.memory.declared[0] ?? {};
  if (buffer === undefined) throw new Error('a dictionary is declared');
  // the lock is held, a change is in progress, and the next write is the first one of the value
  const views = mortalViews(buffer, 3, () => process.exit(7));
  openAt(views, shared.owner, 0).set('counter', '0');
};
channel.unref();
// the bundle, which starts in half of the time that its modules take
await import('../../src/worker/worker-start.js');
