/** A worker thread for the tests of the supervisor: plain HTTP, answers with the text of its first mapping's file. */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import { COUNT, Counters } from '../../src/metrics/worker-metrics.ts';
import { beginHeartbeat } from '../../src/worker/beat.ts';
import type {
  FromWorker,
  ListenSource,
  ToWorker,
  WorkerJob,
  WorkerSetup,
  WorkerStart,
} from '../../src/worker/messages.ts';

/** Longer than any test: a worker that never reports. */
const FOR_EVER_MS = 600_000;

const start = workerData as WorkerStart;
const counters = new Counters(start.counters);
beginHeartbeat(start.heartbeat);
let current = { generation: 0, text: '' };
let prepared: { generation: number; text: string } | undefined;

function post(message: FromWorker): void {
  parentPort?.postMessage(message);
}

/** A file that says `broken` is a script with an error. */
function load(setup: WorkerSetup): { generation: number; text: string } {
  const text = readFileSync(setup.mappings[0]?.script ?? '', 'utf8').trim();
  if (text === 'broken') {
    post({ type: 'failed', failure: { code: 'LGW_SCRIPT', message: 'broken.lua:1: it is broken' } });
    // the supervisor ends it; an error thrown at the same time would abort node 20 ("Empty MaybeLocal")
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FOR_EVER_MS);
  }
  return { generation: setup.generation, text };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  counters.add(COUNT.exchangesTotal, 1);
  const url = new URL(request.url ?? '/', 'http://localhost');
  const end = (): void => void response.end(`${start.workerId} ${current.text}`);
  if (url.pathname === '/crash' || url.pathname === '/crash-behind') {
    counters.add(COUNT.exchanges, 1);
    const crash = (): never => {
      throw new Error('the test wants a crash');
    };
    if (url.pathname === '/crash') crash();
    // behind its body, whose end its client holds back
    request.resume().on('end', crash);
    return;
  }
  if (url.pathname === '/loop') {
    // the head leaves in this turn: who has it knows that this worker takes no connection any more
    response.flushHeaders();
    for (;;);
  }
  // a pipe that nobody writes to
  // as text: it is one call of the system's, from opening it to its end
  if (url.pathname === '/pipe') readFileSync(url.searchParams.get('name') ?? '', 'utf8');
  if (url.pathname === '/slow') setTimeout(end, Number(url.searchParams.get('ms')));
  else end();
}

const server = createServer(answer);

parentPort?.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'job':
      current = load(message.job.setup);
      if (current.text === 'hang') setTimeout(() => undefined, FOR_EVER_MS);
      else void serve(message.job);
      return;
    case 'prepare': {
      const text = readFileSync(message.setup.mappings[0]?.script ?? '', 'utf8').trim();
      const { generation } = message.setup;
      if (text === `crash in worker ${start.workerId}`) throw new Error('the test wants a crash in prepare');
      if (text === 'broken' || text === `broken in worker ${start.workerId}`)
        post({ type: 'refused', generation, failure: { code: 'LGW_SCRIPT', message: 'script.lua:1: oh' } });
      else {
        prepared = { generation, text };
        post({ type: 'prepared', generation, modes: [] });
      }
      return;
    }
    case 'commit':
      if (prepared?.generation === message.generation) current = prepared;
      return;
    case 'abandon':
      prepared = undefined;
      return;
    case 'drain':
      server.close(() => post({ type: 'drained', cut: 0 }));
      server.closeIdleConnections();
  }
});

async function listen(on: Server, source: ListenSource): Promise<void> {
  await new Promise<void>((resolve) => {
    if (source.kind === 'descriptor') on.listen({ fd: source.descriptor }, resolve);
    else on.listen({ port: source.port, host: source.address }, resolve);
  });
}

async function serve({ listeners }: WorkerJob): Promise<void> {
  Atomics.store(new Int32Array(start.descriptorsAdopted), 0, 1);
  await Promise.all(
    listeners.map(({ source }, i) => listen(i === 0 ? server : createServer(answer), source)),
  );
  post({ type: 'log', lines: [`worker ${start.workerId} listens`], size: 0 });
  post({ type: 'ready', modes: [] });
}
