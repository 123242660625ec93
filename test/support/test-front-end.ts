/** Runs a front end with TypeScript handlers, and makes the checks with which every such test ends. */
import { strictEqual } from 'node:assert/strict';
import { createLogger } from '../../src/base/logger.ts';
import type { PoolTurns } from '../../src/http/coding/pool-turns.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { Handler, Mapping, Route } from '../../src/http/exchange/handler.ts';
import { FrontEnd, type FrontEndLimits, type FrontEndOptions } from '../../src/http/front/front-end.ts';
import { Dispatcher } from '../../src/http/routing/dispatcher.ts';
import { HostRouter } from '../../src/http/routing/host-router.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import type { CompressionSettings } from '../../src/settings/compression.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { testCertificate } from './certificate.ts';
import { atEndOfFile } from './leftovers.ts';
import { testCompression } from './test-compression.ts';

export type HandlerFunction = (exchange: Exchange, route: Route) => void;

export const TEST_LIMITS: FrontEndLimits = {
  idleTimeoutMs: 5_000,
  handshakeTimeoutMs: 30_000,
  headTimeoutMs: 30_000,
  stallTimeoutMs: 30_000,
  bodyRateMin: 0,
  headBytesMax: 16 * 1024,
  bodyBytesMax: 4 * 1024 * 1024,
  unreadBodyBytesMax: 64 * 1024 * 1024,
  streamsMax: 100,
  connectionsMax: 1_000,
  connectionsPerAddressMax: 1_000,
  resetsPerSecond: DEFAULT_LIMITS.resetsPerSecond,
  controlFramesPerSecond: DEFAULT_LIMITS.controlFramesPerSecond,
};

export interface TestFrontEnd {
  readonly port: number;
  readonly frontEnd: FrontEnd;
  readonly dispatcher: Dispatcher;
  readonly counters: Counters;
  readonly logLines: readonly string[];
  /** One line for each ended exchange: method, target, protocol, status, and the reason if it broke. */
  readonly accesses: readonly string[];
  /** Waits until no connection, session and exchange is open. */
  whenIdle(): Promise<void>;
  /** Stops the front end and checks that all gauges are zero. */
  stop(): Promise<void>;
}

interface TestFrontEndOptions {
  readonly limits?: Partial<FrontEndLimits>;
  /** Default: answers are compressed only where they ask for it. */
  readonly compression?: Partial<CompressionSettings>;
  /** Of compression in the pool of threads. Default: two at once. */
  readonly turns?: PoolTurns;
  /** Without TLS: HTTP/1.1 and h2c on one port. */
  readonly cleartext?: boolean;
  /** Default: the certificate for localhost. */
  readonly tls?: FrontEndOptions['tls'];
  readonly transportSecurity?: string;
  /** Gets every exchange, whatever its target. Default: the dispatcher, which calls the handlers. */
  readonly handle?: (exchange: Exchange) => void;
  /** Connections begin with a PROXY head from these. */
  readonly trustedProxies?: readonly string[];
}

const open = new Set<FrontEnd>();
// stops the front ends of tests that have failed
atEndOfFile(() => {
  for (const frontEnd of open) frontEnd.stop();
  open.clear();
});

/** Starts a front end whose mapping `/` has these handlers. */
export async function startFrontEnd(
  handlers: Readonly<Record<string, HandlerFunction>>,
  options: TestFrontEndOptions = {},
): Promise<TestFrontEnd> {
  const counters = new Counters();
  const logLines: string[] = [];
  const accesses: string[] = [];
  const logger = createLogger('debug', 'test', (line) => logLines.push(line));
  const dispatcher = new Dispatcher(new HostRouter([functionMapping('/', handlers)]), logger);
  const { cert, key } = testCertificate();
  const frontEnd = new FrontEnd(
    {
      tls: options.cleartext === true ? undefined : (options.tls ?? { cert, key }),
      limits: { ...TEST_LIMITS, ...options.limits },
      transportSecurity: options.transportSecurity,
      logger,
      counters,
      trustedProxies: options.trustedProxies,
      compression: testCompression(options.compression, counters, options.turns),
      observers: [
        ({ method, target, protocol, status, error }) =>
          accesses.push(
            [method, target, protocol, status, error?.code].filter((word) => word !== undefined).join(' '),
          ),
      ],
    },
    options.handle ?? ((exchange) => dispatcher.dispatch(exchange)),
  );
  open.add(frontEnd);
  const address = await frontEnd.listen({ port: 0, host: '127.0.0.1' });
  const whenIdle = (): Promise<void> =>
    waitFor(() => gauges(counters).every((value) => value === 0), 'all gauges to return to zero');
  return {
    port: address.port,
    frontEnd,
    dispatcher,
    counters,
    logLines,
    accesses,
    whenIdle,
    async stop() {
      open.delete(frontEnd);
      frontEnd.stop();
      await whenIdle();
      for (const value of gauges(counters)) strictEqual(value, 0);
    },
  };
}

/** Makes a mapping of plain functions. */
export function functionMapping(
  prefix: string,
  handlers: Readonly<Record<string, HandlerFunction>>,
): Mapping {
  const table = new Map<string, Handler>(
    Object.entries(handlers).map(([name, handle]) => [name, { handle }]),
  );
  return { prefix, answersAll: false, find: (name) => table.get(name) };
}

/** Polls until the condition holds; for states that emit no event. */
export async function waitFor(condition: () => boolean, what: string, timeoutMs = 90_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Reads a whole request body, then calls back; `undefined`: the client has gone. */
export function readBody(exchange: Exchange, done: (body: Buffer | undefined) => void): void {
  const chunks: Uint8Array[] = [];
  const { body } = exchange;
  const step = (): void => {
    while (body.queue.length > 0) {
      chunks.push(body.queue.takeChunk());
      body.consumed();
    }
    if (!body.ended) body.request(1, step);
    else done(body.error === undefined ? Buffer.concat(chunks) : undefined);
  };
  step();
}

/** Writes `chunk` `count` times with backpressure, then ends the response. */
export function streamBody(exchange: Exchange, chunk: Uint8Array, count: number): void {
  let left = count;
  const step = (): void => {
    while (left > 0) {
      if (exchange.finished) return;
      left -= 1;
      if (!exchange.write(chunk)) {
        exchange.whenDrained(step);
        return;
      }
    }
    exchange.end();
  };
  step();
}

function gauges(counters: Counters): number[] {
  return [counters.get('connections'), counters.get('sessions'), counters.get('exchanges')];
}
