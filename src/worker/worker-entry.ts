/** The first module of a worker thread: joins the worker with the messages of the supervisor. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import { messageFormatter } from '../base/message-form.ts';
import { TakenCount } from '../base/taken-count.ts';
import { EventHub } from '../events/event-hub.ts';
import { InterestTable } from '../events/interest-table.ts';
import { tellEnded } from '../http/exchange/ended-exchanges.ts';
import { COUNT, Counters } from '../metrics/worker-metrics.ts';
import { AccessBatch } from './access-batch.ts';
import { beginHeartbeat } from './beat.ts';
import { LogBatch } from './log-batch.ts';
import type { Failure, FromWorker, ToWorker, WorkerJob, WorkerStart } from './messages.ts';
import { GatewayWorker } from './worker.ts';

assert(parentPort !== null, 'this module runs in a thread of its own');
const port = parentPort;
const start: WorkerStart = workerData;
beginHeartbeat(start.heartbeat);

const formatMessage = messageFormatter(start.logForm);
const counters = new Counters(start.counters);
const post = (message: FromWorker): void => port.postMessage(message);
const accessBatch = new AccessBatch(
  start.logOnTheWay,
  (bytes, count) => {
    const { buffer } = bytes;
    const transfer = buffer instanceof ArrayBuffer ? [buffer] : [];
    port.postMessage({ type: 'access', bytes, count } satisfies FromWorker, transfer);
  },
  (dropped) => batch.write(droppedNotice(dropped)),
  () => counters.add(COUNT.accessLinesDroppedTotal, 1),
);
const batch = new LogBatch(
  `worker-${start.workerId}`,
  formatMessage,
  start.logOnTheWay,
  (lines, size) => {
    // one that ended before a line of the log was written stands before it
    sendAccessLines();
    post({ type: 'log', lines, size });
  },
  () => counters.add(COUNT.logLinesDroppedTotal, 1),
);

/** What a message tells comes after the lines that were logged before it: the receiver may end the process upon it. */
function tell(message: FromWorker): void {
  sendAccessLines();
  batch.flush();
  post(message);
}

/** Also those of exchanges that are over and wait for the end of the turn. */
function sendAccessLines(): void {
  tellEnded();
  accessBatch.flush();
}

// sends the lines that were logged right before a crash, too
process.on('exit', () => {
  sendAccessLines();
  batch.flush();
});

function droppedNotice(dropped: number): string {
  const message = `${dropped} lines of the access log were dropped: they came faster than they are taken`;
  return formatMessage(new Date(), 'warn', `worker-${start.workerId}`, message);
}

/** Ways to other threads come before the job, too. */
const hub = new EventHub(start.workerId, new InterestTable(start.interest), {
  published: () => counters.add(COUNT.messagesTotal, 1),
  lost: (count) => counters.add(COUNT.messagesLostTotal, count),
});

function toFailure(error: unknown): Failure {
  if (error instanceof GatewayError) return { code: error.code, message: error.message };
  return {
    code: 'LGW_WORKER',
    message: error instanceof Error ? (error.stack ?? error.message) : messageOf(error),
  };
}

/** Undefined until the job has come, and the Lua machines where they come later. */
let worker: GatewayWorker | undefined;
let job: WorkerJob | undefined;

async function receive(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'job':
      job = message.job;
      if (job.setup.luaModules !== 'follows') await serve(job);
      return;
    case 'peer':
      hub.connect(message.end);
      return;
    case 'luaModules':
      assert(job !== undefined, 'the job comes before the Lua machines');
      await serve({ ...job, setup: { ...job.setup, luaModules: message.modules } });
      return;
    case 'tls':
      if (worker !== undefined) worker.setTls(message.tls);
      else if (job !== undefined) job = { ...job, setup: { ...job.setup, tls: message.tls } };
      TakenCount.add(message.taken);
      return;
    default:
      assert(worker !== undefined, 'nothing else is said to a thread that is not ready');
      await obey(worker, message);
  }
}

async function obey(
  worker: GatewayWorker,
  message: Exclude<ToWorker, { type: 'job' | 'luaModules' | 'peer' | 'tls' }>,
): Promise<void> {
  switch (message.type) {
    case 'prepare': {
      const { generation } = message.setup;
      try {
        const modes = await worker.prepare(message.setup);
        tell({ type: 'prepared', generation, modes });
      } catch (error) {
        tell({ type: 'refused', generation, failure: toFailure(error) });
      }
      return;
    }
    case 'commit':
      worker.commit(message.generation);
      return;
    case 'abandon':
      worker.abandon();
      return;
    case 'drain': {
      const cut = await worker.drain(message.graceMs);
      // the thread is ended by whoever hears of it
      hub.close();
      tell({ type: 'drained', cut });
      return;
    }
    case 'claimed':
      worker.claimed(message.id, message.fence);
      return;
    case 'revoked':
      worker.revoked(message.id);
  }
}

async function serve(complete: WorkerJob): Promise<void> {
  try {
    const starting = new GatewayWorker(start, complete, hub, batch.write, accessBatch, post);
    worker = starting;
    if (complete.isTrial === true) {
      tell({ type: 'ready', modes: [], tried: await starting.try() });
      return;
    }
    await starting.start();
    tell({ type: 'ready', modes: starting.modes });
  } catch (error) {
    tell({ type: 'failed', failure: toFailure(error) });
  }
}

port.on('message', (message: ToWorker) => void receive(message));
