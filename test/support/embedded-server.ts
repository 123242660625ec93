/** A server inside the test's own process, and the checks that every test of one ends with. */
import assert from 'node:assert/strict';
import { type HandlerSource, Server, type ServerHandle, type ServerOptions } from '../../src/index.ts';
import { atEndOfFile } from './leftovers.ts';
import { waitFor } from './test-front-end.ts';

/** What is zero when nobody is asking any more. */
const GAUGES = ['connections', 'sessions', 'exchanges', 'coroutines', 'files', 'pipes'] as const;

const running = new Set<EmbeddedServer>();
// a test that fails leaves its server to this
atEndOfFile(() => Promise.all([...running].map((server) => server.stop().catch(() => undefined))));

export class EmbeddedServer {
  readonly handle: ServerHandle;
  readonly port: number;
  readonly lines: readonly string[];
  /** Settles as `start` does. */
  readonly done: Promise<void>;

  private constructor(handle: ServerHandle, port: number, lines: readonly string[], done: Promise<void>) {
    this.handle = handle;
    this.port = port;
    this.lines = lines;
    this.done = done;
  }

  /** Starts it on a free port of 127.0.0.1, without TLS unless the options say otherwise. */
  static async start(
    handler: HandlerSource | undefined,
    options: ServerOptions = {},
  ): Promise<EmbeddedServer> {
    const lines: string[] = [];
    const server = new Server({ address: '127.0.0.1:0', log: (line) => lines.push(line), ...options });
    const done = server.start(handler);
    done.catch(() => undefined);
    const handle = server.handle();
    const [address] = await handle.ready();
    assert.ok(address !== undefined);
    const started = new EmbeddedServer(handle, address.port, lines, done);
    running.add(started);
    return started;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get log(): string {
    return this.lines.join('\n');
  }

  async untilLog(pattern: RegExp): Promise<void> {
    await waitFor(() => pattern.test(this.log), `a line like ${pattern}`);
  }

  /** Waits until so many of something are there. */
  async until(gauge: (typeof GAUGES)[number], count: number): Promise<void> {
    await waitFor(() => this.#total(gauge) === count, `${count} ${gauge}`);
  }

  /** Waits until no exchange is open; connections may be. */
  async untilIdle(): Promise<void> {
    await waitFor(() => this.#total('exchanges') === 0, 'the end of all exchanges');
  }

  /** Shuts it down and checks that nothing is left. */
  async stop(): Promise<void> {
    running.delete(this);
    await this.handle.shutdown();
    await this.done;
    for (const gauge of GAUGES) await waitFor(() => this.#total(gauge) === 0, `no ${gauge}`);
  }

  #total(name: (typeof GAUGES)[number]): number {
    return this.handle.counters().reduce((sum, counters) => sum + counters[name], 0);
  }
}
