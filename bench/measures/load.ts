/** Sends many small requests with h2load: requests per second, and CPU time of the server for each request. */
import { fetchOnce } from '../client.ts';
import { median } from '../median.ts';
import type { ModeName } from '../peers/peers.ts';
import type { ServerProcess } from '../server-process.ts';
import { BODY, STATIC_FILES } from '../workspace.ts';
import { type Bench, type Effort, type Measure, type Sample, withServer } from './measure.ts';
import { runTool } from './run-tool.ts';

export interface Load {
  readonly handler:
    | 'hello'
    | 'module-hello'
    | 'luars-hello'
    | 'luvit-hello'
    | 'routes-1'
    | 'routes-1000'
    | 'hook-hello'
    | 'hook-response-hello'
    | 'hook-log-hello'
    | 'module-route'
    | 'env'
    | 'small-files'
    | 'fetch'
    | 'gzip'
    | 'static/10k'
    | 'static/1m'
    | 'memory-10k'
    | 'memory-1m'
    | 'proxy'
    | 'proxy-lua'
    | 'store/incr'
    | 'store/memory-incr';
  /** The rest of the path, from its `/` on. */
  readonly below?: string;
  /** The query of the target, without the `?`. */
  readonly query?: string;
  readonly protocol: 'h2' | 'http/1.1';
  /** True: without TLS. */
  readonly isPlain?: boolean;
  readonly connections: number;
  /** Concurrent requests on each connection; HTTP/1.1 pipelines them. */
  readonly streams: number;
  /** Fields sent in addition to those of h2load. */
  readonly fields?: readonly string[];
  /** Bytes of the answer, where it is no greeting. */
  readonly bytes?: number;
}

/** The servers prefer different cipher suites. One suite for all of them removes the cipher from the comparison. */
const CIPHER = 'TLS_AES_128_GCM_SHA256';
/** Limit for one run of a load, so that a server that does not answer cannot block the bench. */
export const LOAD_TIMEOUT_MS = 120_000;
/**
 * A second, longer warm-up measures the speed again, with this multiple of the warm-up requests, to choose the count of
 * requests.
 */
const CALIBRATION_FACTOR = 2;
/** In so many turns two loads are compared that differ by little: an odd number, so that the median is one of the ratios. */
const TURNS = 3;
/** Part of the requests of one turn: with much fewer, the handshakes of each run would count. */
const TURN_PART = 1 / 2;

export function load(settings: Load): Measure {
  return withServer(async (server, bench) => {
    if (settings.handler === 'small-files') bench.workspace.makeSmallFiles();
    return prepareLoad(server, settings, bench);
  });
}

/** Measures the hello of a further script, and in the same sample and process the hello of a handler. */
export function modeLoad(mode: ModeName, load: Omit<Load, 'handler'>): Measure {
  return withServer(
    async (server, bench) => {
      const runHandler = await prepareLoad(server, { ...load, handler: 'hello' }, bench);
      const runMode = await prepareLoad(server, { ...load, handler: `${mode}-hello` }, bench);
      return () => compareInTurns(runHandler, runMode);
    },
    { modes: [mode] },
  );
}

/**
 * Runs both loads in short turns, each first in every other one, and compares what lies next to each other: what else the machine does
 * in a second would otherwise be taken for a difference of some hundredths.
 */
export async function compareInTurns(runHello: LoadRun, run: LoadRun): Promise<Sample> {
  const samples: Sample[] = [];
  const hellos: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const hello = async (): Promise<void> =>
      void hellos.push((await runHello(TURN_PART))['cpuUs'] ?? Number.NaN);
    if (turn % 2 === 0) await hello();
    samples.push(await run(TURN_PART));
    if (turn % 2 === 1) await hello();
  }
  const of = (name: string): number[] => samples.map((sample) => sample[name] ?? Number.NaN);
  return {
    requestsPerSecond: median(of('requestsPerSecond')),
    cpuUs: median(of('cpuUs')),
    helloCpuUs: median(hellos),
    timesHello: median(of('cpuUs').map((us, turn) => us / (hellos[turn] ?? Number.NaN))),
  };
}

/**
 * Measures a file of a static mapping. Where the server has a handler that answers with as many bytes from memory, that is measured in the
 * same sample and process, and so is the hello.
 */
export function staticLoad(size: keyof typeof STATIC_FILES, load: Omit<Load, 'handler'>): Measure {
  return async (peer, bench) => {
    const hasMemory = peer.handlers.includes(`memory-${size}`);
    const measure = withServer(async (server) => {
      // a hundred times as many bytes as a small file has
      const warmUpRequests = Math.ceil(bench.effort.warmUpRequests / (size === '1m' ? 100 : 1));
      const effort = { ...bench.effort, warmUpRequests };
      const run = (handler: Load['handler']): Promise<() => Promise<Sample>> =>
        prepareLoad(server, { ...load, handler }, { ...bench, effort });
      const runFile = await run(`static/${size}`);
      if (!hasMemory) return runFile;
      const [runMemory, runHello] = [await run(`memory-${size}`), await run('hello')];
      return async () => {
        const { cpuUs: helloCpuUs = Number.NaN } = await runHello();
        const { cpuUs: memoryCpuUs = Number.NaN } = await runMemory();
        const sample = await runFile();
        return {
          ...sample,
          helloCpuUs,
          memoryCpuUs,
          timesMemory: (sample['cpuUs'] ?? Number.NaN) / memoryCpuUs,
        };
      };
    });
    return await measure(peer, bench);
  };
}

/** Runs a load once; `part`: with this part of its requests, default 1. */
export type LoadRun = (part?: number) => Promise<Sample>;

/** Resolves to a function that runs the load once. */
export async function prepareLoad(
  server: ServerProcess,
  settings: Load,
  { workspace, effort }: Bench,
): Promise<LoadRun> {
  await checkAnswer(server, settings, workspace.certificate);
  return prepareRuns((count) => runLoad(server, settings, count), effort);
}

/** Warms the server up and chooses the number of requests from its speed. */
export async function prepareRuns(
  run: (count: number) => Promise<Sample>,
  { warmUpRequests, loadSeconds }: Effort,
): Promise<LoadRun> {
  await run(warmUpRequests);
  const warm = await run(warmUpRequests * CALIBRATION_FACTOR);
  const count = Math.max(warmUpRequests, Math.round((warm['requestsPerSecond'] ?? 0) * loadSeconds));
  return (part = 1) => run(Math.ceil(count * part));
}

/** Checks that every peer sends the same answer, because only equal work is comparable. */
async function checkAnswer(server: ServerProcess, settings: Load, ca: string): Promise<void> {
  const { handler, bytes } = settings;
  const { status, type, body } = await fetchOnce({ port: server.port, path: pathOf(settings), ca });
  const isFile = /^(?:static\/|memory-)/.test(handler);
  if (isFile || bytes !== undefined) {
    const size = bytes ?? STATIC_FILES[handler.endsWith('10k') ? '10k' : '1m'];
    if (status === 200 && Buffer.byteLength(body, 'latin1') === size) return;
    throw new Error(`The answer to ${handler} is wrong: ${status} with ${body.length} characters of ${size}`);
  }
  const expected = handler === 'small-files' ? 'application/octet-stream' : 'text/plain';
  const greets = handler.endsWith('hello') || handler.includes('route') || handler === 'fetch';
  if (status === 200 && type === expected && (!greets || body === BODY)) return;
  throw new Error(`The answer to ${handler} is wrong: ${status} "${type}" "${body}"`);
}

function pathOf({ handler, below = '', query }: Load): string {
  return `/bench/${handler}${below}${query === undefined ? '' : `?${query}`}`;
}

function urlOf({ port, plainPort }: ServerProcess, settings: Load): string {
  const origin = settings.isPlain ? `http://127.0.0.1:${plainPort}` : `https://127.0.0.1:${port}`;
  return `${origin}${pathOf(settings)}`;
}

async function runLoad(server: ServerProcess, settings: Load, count: number): Promise<Sample> {
  const before = server.cpuMs();
  const output = await h2load(server, settings, count, []);
  const usedMs = server.cpuMs() - before;
  const requestsPerSecond = Number(output.match(/finished in .*?, ([\d.]+) req\/s/)?.[1]);
  return { requestsPerSecond, cpuUs: (usedMs * 1000) / count };
}

/** Runs h2load once; rejects unless every request succeeded. */
export async function h2load(
  server: ServerProcess,
  settings: Load,
  count: number,
  moreWords: readonly string[],
): Promise<string> {
  const words = [
    ...['-n', String(count), '-c', String(settings.connections), '-m', String(settings.streams)],
    ...['--tls13-ciphers', CIPHER, ...(settings.protocol === 'h2' ? [] : ['--h1'])],
    ...(settings.fields ?? []).flatMap((field) => ['-H', field]),
    ...moreWords,
    urlOf(server, settings),
  ];
  const { output } = await runTool('h2load', words, LOAD_TIMEOUT_MS);
  checkAllSucceeded(output, count, settings.protocol);
  return output;
}

function checkAllSucceeded(output: string, count: number, protocol: string): void {
  const succeeded = Number(output.match(/(\d+) succeeded/)?.[1] ?? 0);
  const good = Number(output.match(/status codes: (\d+) 2xx/)?.[1] ?? 0);
  if (succeeded !== count || good !== count)
    throw new Error(`${succeeded} of ${count} requests succeeded, ${good} with status 2xx`);
  if (!output.includes(`Application protocol: ${protocol}`))
    throw new Error(`h2load did not speak ${protocol}`);
}
