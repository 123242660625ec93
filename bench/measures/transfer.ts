/** Transfers one large body with curl in either direction: speed, CPU time, and growth of the server's memory. */
import { rmSync, statSync } from 'node:fs';
import type { ServerProcess } from '../server-process.ts';
import { type Bench, MEBIBYTE, type Measure, type Sample, withServer } from './measure.ts';
import { runTool } from './run-tool.ts';

const TRANSFER_TIMEOUT_MS = 120_000;
/** The rate at which a slow client reads, far below what any server can send. */
const SLOW_BYTES_PER_SECOND = 4 * MEBIBYTE;
/** The exit status of curl when `--max-time` has ended the transfer. */
const CURL_TIMED_OUT = 28;
const WRITE_OUT = '%{http_code} %{size_download} %{size_upload} %{time_pretransfer} %{time_total}';

/** HTTP version and transport: with TLS unless the name says plain. */
export type Way = 'h2' | 'http/1.1' | 'plain http/1.1';

interface Transfer {
  readonly status: number;
  readonly curlStatus: number;
  readonly downloaded: number;
  readonly uploaded: number;
  /** Seconds since the connection was established. */
  readonly seconds: number;
}

/** Measures one of the handlers that send the payload. */
export function download(handler: 'download' | 'copy' | 'sendfile', way: Way = 'h2'): Measure {
  return measureTransfer(async (server, bench) => ({
    mibPerSecond: await downloadSpeed(server, bench, handler, way),
  }));
}

/** Alternates reads of 4 KiB and of 64 KiB: the speed of the small reads, and its ratio to that of the large ones. */
export const smallBlocks: Measure = measureTransfer(async (server, bench) => {
  const large = await downloadSpeed(server, bench, 'download');
  const small = await downloadSpeed(server, bench, 'download-4k');
  return { mibPerSecond: small, ratio: small / large };
});

async function downloadSpeed(
  server: ServerProcess,
  { effort }: Bench,
  handler: string,
  way: Way = 'h2',
): Promise<number> {
  const result = await curl(server, handler, [], way);
  checkComplete(result, result.downloaded, effort.payloadBytes);
  return effort.payloadBytes / MEBIBYTE / result.seconds;
}

export function upload(way: Way = 'h2'): Measure {
  return measureTransfer(async (server, { effort }) => {
    removeStored(server);
    const result = await curl(server, 'upload', ['-T', server.files.PAYLOAD], way);
    checkComplete(result, statSync(server.files.STORE).size, effort.payloadBytes);
    return { mibPerSecond: effort.payloadBytes / MEBIBYTE / result.seconds };
  });
}

/** Alternates an upload as it is and one by a form: the speed of the form, and its ratio to the other. */
export const multipartUpload: Measure = measureTransfer(async (server, { effort }) => {
  const speed = async (handler: string, words: readonly string[]): Promise<number> => {
    removeStored(server);
    const result = await curl(server, handler, words);
    checkComplete(result, statSync(server.files.STORE).size, effort.payloadBytes);
    return effort.payloadBytes / MEBIBYTE / result.seconds;
  };
  const plain = await speed('upload', ['-T', server.files.PAYLOAD]);
  const form = await speed('multipart', ['-F', `file=@${server.files.PAYLOAD}`]);
  return { mibPerSecond: form, timesUpload: form / plain };
});

/** Calls `httpd.read(nil, 4)` and `f:write` for a whole body: the cost of the smallest steps. */
export const smallReads: Measure = measureTransfer(async (server, { workspace, effort }) => {
  removeStored(server);
  const result = await curl(server, 'small-reads', ['-T', workspace.payload(effort.smallReadBytes)]);
  checkComplete(result, statSync(server.files.STORE).size, effort.smallReadBytes);
  return { seconds: result.seconds };
});

/** The server reads from the disk faster than its client reads. It has to wait, because its memory must not grow. */
export const slowReader: Measure = measureTransfer((server, bench) => dawdle(server, bench, 'download', []));

/** The client sends as fast as it can and reads slowly what comes back. */
export const slowEcho: Measure = measureTransfer((server, bench) =>
  dawdle(server, bench, 'echo', ['-T', server.files.PAYLOAD]),
);

/** Adds CPU time and memory to what `run` measures. Growth counts from the moment when the server had answered one request. */
function measureTransfer(run: (server: ServerProcess, bench: Bench) => Promise<Sample>): Measure {
  return withServer(async (server, bench) => {
    const residentAtStart = server.residentBytes();
    return async () => {
      server.resetPeak();
      const before = server.cpuMs();
      const sample = await run(server, bench);
      const growth = server.peakResidentBytes() - residentAtStart;
      return { ...sample, cpuMs: server.cpuMs() - before, growthMib: growth / MEBIBYTE };
    };
  });
}

async function dawdle(
  server: ServerProcess,
  bench: Bench,
  handler: string,
  words: readonly string[],
): Promise<Sample> {
  const { slowSeconds } = bench.effort;
  const limits = ['--limit-rate', String(SLOW_BYTES_PER_SECOND), '--max-time', String(slowSeconds)];
  const result = await curl(server, handler, [...limits, ...words]);
  if (result.status !== 200) throw new Error(`Status ${result.status} instead of 200`);
  if (result.curlStatus !== CURL_TIMED_OUT) throw new Error('The transfer ended too soon to show anything');
  return { readMib: result.downloaded / MEBIBYTE };
}

async function curl(
  server: ServerProcess,
  handler: string,
  words: readonly string[],
  way: Way = 'h2',
): Promise<Transfer> {
  const origin =
    way === 'plain http/1.1' ? `http://127.0.0.1:${server.plainPort}` : `https://127.0.0.1:${server.port}`;
  const url = `${origin}/bench/${handler}`;
  const fixed = [
    '-s',
    way === 'h2' ? '--http2' : '--http1.1',
    '--cacert',
    server.files.CERTIFICATE,
    '-o',
    '/dev/null',
    '-w',
    WRITE_OUT,
  ];
  const { status: curlStatus, output } = await runTool(
    'curl',
    [...fixed, ...words, url],
    TRANSFER_TIMEOUT_MS,
  );
  const [status = 0, downloaded = 0, uploaded = 0, connected = 0, total = 0] = output.split(' ').map(Number);
  return { status, curlStatus, downloaded, uploaded, seconds: total - connected };
}

/** Deletes the file, because to truncate a large file whose pages are not yet written takes as long as the upload. */
function removeStored(server: ServerProcess): void {
  rmSync(server.files.STORE, { force: true });
}

function checkComplete({ status, curlStatus }: Transfer, bytes: number, expected: number): void {
  if (status !== 200 || curlStatus !== 0 || bytes !== expected)
    throw new Error(`Status ${status}, curl's ${curlStatus}, ${bytes} of ${expected} bytes arrived`);
}
