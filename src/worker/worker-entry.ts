/** The first module of a worker thread: joins the worker with the messages of the supervisor. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import { LogBatch } from './log-batch.ts';
import type { Failure, FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { GatewayWorker } from './worker.ts';

assert(parentPort !== null, 'this module runs in a thread of its own');
const port = parentPort;
const start: WorkerStart = workerData;

const post = (message: FromWorker): void => port.postMessage(message);
const batch = new LogBatch(`worker-${start.workerId}`, start.logOnTheWay, (lines, size) =>
  post({ type: 'log', lines, size }),
);
// the last lines before a crash are the ones that matter
process.on('exit', batch.flush);

function toFailure(error: unknown): Failure {
  if (error instanceof GatewayError) return { code: error.code, message: error.message };
  return {
    code: 'LGW_WORKER',
    message: error instanceof Error ? (error.stack ?? error.message) : messageOf(error),
  };
}

async function receive(worker: GatewayWorker, message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'prepare': {
      const { generation } = message.setup;
      try {
        await worker.prepare(message.setup);
        post({ type: 'prepared', generation });
      } catch (error) {
        post({ type: 'refused', generation, failure: toFailure(error) });
      }
      return;
    }
    case 'commit':
      worker.commit(message.generation);
      return;
    case 'abandon':
      worker.abandon();
      return;
    case 'drain':
      post({ type: 'drained', cut: await worker.drain() });
      return;
    case 'claimed':
      worker.claimed(message.id, message.granted);
  }
}

/** The start with the Lua machine, which may come later: nothing else is said to a thread that is not ready. */
async function complete(): Promise<WorkerStart> {
  if (start.luaModule !== 'follows') return start;
  const message = await new Promise<ToWorker>((resolve) => port.once('message', resolve));
  assert(message.type === 'luaModule', 'the first message is the one that was promised');
  return { ...start, luaModule: message.module };
}

try {
  const worker = new GatewayWorker(await complete(), batch.write, post);
  await worker.start();
  port.on('message', (message: ToWorker) => void receive(worker, message));
  post({ type: 'ready', modes: worker.modes });
} catch (error) {
  post({ type: 'failed', failure: toFailure(error) });
}
