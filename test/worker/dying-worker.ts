/** The gateway's own worker, which dies inside an operation on a dictionary when the test asks for it on a channel. */
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
  // the lock is held, a change is under way, and the first bytes of the value are to be written
  const views = mortalViews(buffer, 3, () => process.exit(7));
  openAt(views, shared.owner, 0).set('counter', '0');
};
channel.unref();
await import('../../src/worker/worker-entry.js');
