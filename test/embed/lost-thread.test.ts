/** A worker thread ends amid load: the requests of the other do not notice, and another thread takes its place. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { eventually } from '../support/script-harness.ts';

const ANSWERS = new URL('./modules/answers.js', import.meta.url);
/** Requests of each connection that are under way at any time. */
const AT_ONCE = 4;

/** Asks over one connection without a pause. */
class Load {
  readonly worker: string;
  answered = 0;
  /** What was no answer of the worker, while the connection was there. */
  readonly failures: string[] = [];
  readonly #session: ClientHttp2Session;
  readonly #done: Promise<unknown>;
  #isStopped = false;

  private constructor(session: ClientHttp2Session, worker: string) {
    this.#session = session;
    this.worker = worker;
    this.#done = Promise.all(Array.from({ length: AT_ONCE }, () => this.#ask()));
  }

  static async start(port: number): Promise<Load> {
    const session = await connectH2(port, 'http');
    return new Load(session, await workerOf(session));
  }

  async #ask(): Promise<void> {
    while (!this.#isStopped && !this.#session.destroyed) {
      const { status, body, rstCode } = await fetchH2(this.#session, { ':path': '/worker' });
      if (status === 200 && rstCode === 0 && body.toString() === this.worker) this.answered += 1;
      else this.failures.push(`${status} ${rstCode} ${body.toString()}`);
      // a connection that has ended answers at once
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get isCut(): boolean {
    return this.#session.destroyed;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    this.#session.destroy();
  }
}

async function workerOf(session: ClientHttp2Session): Promise<string> {
  return (await fetchH2(session, { ':path': '/worker' })).body.toString();
}

/** Connections to both workers, as many as that takes. */
async function loadBoth(port: number): Promise<readonly Load[]> {
  const loads: Load[] = [];
  while (new Set(loads.map(({ worker }) => worker)).size < 2) loads.push(await Load.start(port));
  return loads;
}

test('A thread that ends amid load is replaced, and no request of the other worker fails', async () => {
  const server = await EmbeddedServer.start(ANSWERS, { threads: 2 });
  const loads = await loadBoth(server.port);
  // the thread that takes its place waits for the end of this file
  const hold = join(mkdtempSync(join(tmpdir(), 'lgateway-embed-lost-')), 'hold');
  writeFileSync(hold, '');
  process.env['LGATEWAY_TEST_HOLD'] = hold;
  const victim = await connectH2(server.port, 'http');
  const ended = await workerOf(victim);
  await fetchH2(victim, { ':path': '/exit' });
  await server.untilLog(new RegExp(`Worker ${ended} ended and is replaced in 0 ms: .*code 7`));
  const others = loads.filter(({ worker }) => worker !== ended);
  assert.ok(others.length > 0);
  const before = others.map(({ answered }) => answered);
  // answers go on while the thread is missing
  await eventually(() => assert.ok(others.every(({ answered }, i) => answered > (before[i] as number) + 10)));
  assert.ok(!server.log.includes(`Worker ${ended} serves again`));
  delete process.env['LGATEWAY_TEST_HOLD'];
  rmSync(dirname(hold), { recursive: true });
  await server.untilLog(new RegExp(`Worker ${ended} serves again`));
  const after = await loadBoth(server.port);
  for (const load of [...loads, ...after]) await load.stop();
  for (const load of others)
    assert.deepEqual([load.failures, load.isCut], [[], true], 'cut by its own stop only');
  for (const load of loads.filter(({ worker }) => worker === ended)) assert.ok(load.isCut);
  for (const load of after) assert.deepEqual(load.failures, []);
  await server.stop();
});
