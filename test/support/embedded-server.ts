/** Runs a server inside the test process, and makes the checks with which every such test ends. */
import assert from 'node:assert/strict';
import { type HandlerSource, Server, type ServerHandle, type ServerOptions } from '../../src/index.ts';
import { atEndOfFile } from './leftovers.ts';
import { waitFor } from './test-front-end.ts';

/** Gauges that are zero when no request is open. */
const GAUGES = ['connections', 'sessions', 'exchanges', 'coroutines', 'files', 'pipes'] as const;

const running = new Set<EmbeddedServer>();
// stops the servers of tests that have failed
atEndOfFile(() => Promise.all([...running].map((server) => server.stop().catch(() => undefined))));

export class EmbeddedServer {
  readonly handle: ServerHandle;
  readonly port: number;
  readonly lines: readonly string[];
  /** Settles when the promise of `start` settles. */
  readonly done: Promise<void>;

  private constructor(handle: ServerHandle, port: number, lines: readonly string[], done: Promise<void>) {
    this.handle = handle;
    this.port = port;
    this.lines = lines;
    this.done = done;
  }

  /** Starts a server on a free port of 127.0.0.1, without TLS unless the options set it. */
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

  /** Waits until the gauge has this value. */
  async until(gauge: (typeof GAUGES)[number], count: number): Promise<void> {
    await waitFor(() => this.#total(gauge) === count, `${count} ${gauge}`);
  }

  /** Waits until no exchange is open; connections may stay open. */
  async untilIdle(): Promise<void> {
    await waitFor(() => this.#total('exchanges') === 0, 'the end of all exchanges');
  }

  /** Shuts the server down and checks that all gauges are zero. */
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
