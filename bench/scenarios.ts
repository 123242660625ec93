/**
 * The table of scenarios: what is measured, on which peers, and the thresholds for lgateway. Long because a table is read as one.
 */
import { FURTHER_SCENARIOS } from './further-scenarios.ts';
import { CONNECTIONS, ENV, ONE_AFTER_OTHER, PIPELINED, SMALL_FILES, TWENTY_STREAMS } from './loads.ts';
import { apacheBench } from './measures/apache-bench.ts';
import { besideBusy } from './measures/beside-busy.ts';
import { fetchLoad } from './measures/fetch.ts';
import { freshState } from './measures/fresh-state.ts';
import { gzipLoad } from './measures/gzip-load.ts';
import { hmac } from './measures/hmac.ts';
import { hpackSpeed } from './measures/hpack-speed.ts';
import { idleConnections } from './measures/idle-connections.ts';
import { latency } from './measures/latency.ts';
import { type Load, load, modeLoad, staticLoad } from './measures/load.ts';
import { luaSpeed } from './measures/lua-speed.ts';
import type { ProfiledLoad } from './measures/profile.ts';
import { publishEvents } from './measures/publish-events.ts';
import { routed } from './measures/routed.ts';
import { routes } from './measures/routes.ts';
import { sharedIncr } from './measures/shared-incr.ts';
import { startUp } from './measures/start-up.ts';
import {
  download,
  multipartUpload,
  slowEcho,
  slowReader,
  smallBlocks,
  smallReads,
  upload,
} from './measures/transfer.ts';
import { wrkLoad } from './measures/wrk-load.ts';
import {
  ALONE,
  COMPILE,
  CPU_EACH_US,
  CPU_MS,
  CPU_US,
  EACH,
  GROWTH,
  HELLO_CPU_US,
  HMAC,
  MEDIAN,
  MEMORY_US,
  OTHER_PATH,
  P99,
  PLAIN_US,
  RATIO,
  READ,
  READY,
  REQUESTS,
  RESPONSE_HEAD,
  SAME_HEAD,
  SECONDS,
  SPEED,
  STATE,
  TIMES_BARE,
  TIMES_HELLO,
  TIMES_HPACK_JS,
  TIMES_MEMORY,
  TIMES_ONE,
  TIMES_PLAIN,
  TIMES_UPLOAD,
  TIMES_ZLIB,
  TOGETHER,
  UNGUARDED,
  WASMOON,
  ZLIB_US,
} from './metrics.ts';
import type { ModeName, PeerName } from './peers/peers.ts';
import type { Scenario, Threshold } from './scenario.ts';
import { growthStaysFlat, http1Transfer, wholeFile } from './transfer-scenarios.ts';

export const SCENARIOS: readonly Scenario[] = [
  hello('hello-h2-20', 'hello, HTTP/2, 10 connections × 20 streams', TWENTY_STREAMS, 'always', [
    cpuTimes(1.35, 'node'),
    cpuTimes(0.35, 'nginx-lua', 'hello, HTTP/2 × 20 streams'),
    cpuTimes(1, 'lighttpd-magnet', 'hello, HTTP/2 × 20 streams'),
    cpuTimes(0.6, 'haproxy-lua'),
    cpuTimes(1.05, 'h2o-mruby'),
  ]),
  hello(
    'hello-h2-1',
    'hello, HTTP/2, 10 connections × 1 stream',
    { protocol: 'h2', connections: CONNECTIONS, streams: 1 },
    'always',
    [
      cpuTimes(1.25, 'node'),
      cpuTimes(1.15, 'nginx-lua', 'hello, HTTP/2 × 1 stream'),
      cpuTimes(0.95, 'haproxy-lua'),
    ],
  ),
  hello('hello-h1', 'hello, HTTP/1.1 keep-alive over TLS, 10 connections', ONE_AFTER_OTHER, 'asked', [
    cpuTimes(1.25, 'node'),
    cpuTimes(1.25, 'nginx-lua', 'hello, HTTP/1.1 keep-alive over TLS'),
  ]),
  hello('hello-h1-pipelined', 'hello, HTTP/1.1 over TLS, 10 connections × 14 pipelined', PIPELINED, 'asked', [
    cpuTimes(0.5, 'nginx-lua', 'hello, HTTP/1.1 over TLS, 14 pipelined'),
  ]),
  hello(
    'hello-plain-h1',
    'hello, HTTP/1.1 keep-alive without TLS, 10 connections',
    { ...ONE_AFTER_OTHER, isPlain: true },
    'asked',
    [cpuTimes(1.4, 'nginx-lua', 'hello, HTTP/1.1 cleartext')],
  ),
  hello(
    'hello-plain-h1-pipelined',
    'hello, HTTP/1.1 without TLS, 10 connections × 14 pipelined',
    { ...PIPELINED, isPlain: true },
    'asked',
    [cpuTimes(0.5, 'nginx-lua', 'hello, HTTP/1.1 cleartext, 14 pipelined')],
  ),
  {
    name: 'ab',
    title: 'hello, ab -k -c 1000: HTTP/1.0 keep-alive without TLS, 1000 connections',
    handler: 'hello',
    // apache-lua is left out: it closes idle connections where it has fewer threads than connections
    peers: [
      'lgateway',
      'against',
      'node',
      'nginx-lua',
      'haproxy-lua',
      'lighttpd-magnet',
      'h2o-mruby',
      'caddy',
    ],
    measure: apacheBench,
    metrics: [CPU_US, REQUESTS],
    thresholds: [],
  },
  {
    name: 'wrk',
    title: 'hello, wrk -t2 -c100: HTTP/1.1 without TLS, 100 connections',
    handler: 'hello',
    measure: wrkLoad,
    metrics: [CPU_US, REQUESTS],
    thresholds: [],
  },
  {
    name: 'module:hello',
    title: 'hello of a TypeScript module, HTTP/2, 10 connections × 20 streams; node by its compatibility API',
    handler: 'module-hello',
    measure: load({ handler: 'module-hello', ...TWENTY_STREAMS }),
    metrics: [CPU_US, REQUESTS],
    thresholds: [{ ...cpuTimes(1, 'node-compat'), by: 'module' }],
  },
  {
    name: 'latency',
    title: "hello, HTTP/2, 10 connections, at half of nginx-lua's peak rate with 20 streams each",
    handler: 'hello',
    measure: latency({ handler: 'hello', ...TWENTY_STREAMS }, 'nginx-lua'),
    metrics: [P99, MEDIAN, REQUESTS, CPU_US],
    thresholds: [
      { metric: 'p99Ms', bound: 'at most', value: 1, of: 'nginx-lua', goal: 'p99 at half the peak rate' },
    ],
  },
  modeHello('luars'),
  modeHello('luvit'),
  {
    ...furtherHello('hook'),
    name: 'hook-h2-20',
    title:
      'hello behind one hook that reads a field, HTTP/2, 10 connections × 20 streams, and of a handler without',
    thresholds: [
      {
        metric: 'timesHello',
        bound: 'at most',
        value: 1.15,
        goal: 'one hook before a request, × hello without',
      },
    ],
  },
  {
    ...furtherHello('hook-response'),
    name: 'hook-response-h2-20',
    title:
      'hello whose head a hook gives a field, HTTP/2, 10 connections × 20 streams, and of a handler without',
    thresholds: [],
  },
  {
    ...furtherHello('hook-log'),
    name: 'hook-log-h2-20',
    title:
      'hello with a hook behind the request that counts, HTTP/2, 10 connections × 20 streams, and of a handler without',
    thresholds: [],
  },
  {
    name: 'route',
    title:
      'hello behind the pattern /users/{id}, in Lua and of a TypeScript router, HTTP/2 × 20 streams, and hello',
    handler: 'route',
    peers: ['lgateway', 'module'],
    measure: routed(TWENTY_STREAMS),
    metrics: [CPU_US, HELLO_CPU_US, TIMES_HELLO, REQUESTS],
    thresholds: [],
  },
  {
    name: 'env-h2-20',
    title: 'listing of environment and request fields, HTTP/2, 10 connections × 20 streams',
    handler: 'env',
    measure: load(ENV),
    metrics: [CPU_US, REQUESTS],
    thresholds: [cpuTimes(0.85, 'nginx-lua', 'listing of env, HTTP/2 × 20 streams')],
    profile: { load: ENV, when: 'asked' },
  },
  {
    name: 'download',
    title: 'download of a file through a Lua loop of 64 KiB reads and writes; node pipes it',
    handler: 'download',
    measure: download('download'),
    metrics: [SPEED, CPU_MS, GROWTH],
    thresholds: [{ metric: 'mibPerSecond', bound: 'at least', value: 1, of: 'node' }, growthStaysFlat],
  },
  {
    name: 'download-4k',
    title: 'download through a Lua loop of 4 KiB reads and writes, and its ratio to one of 64 KiB',
    handler: 'download-4k',
    measure: smallBlocks,
    metrics: [SPEED, RATIO, CPU_MS, GROWTH],
    thresholds: [{ metric: 'ratio', bound: 'at least', value: 0.8 }, growthStaysFlat],
  },
  wholeFile('copy', 'download of a file by httpd.copy; node pipes it'),
  wholeFile('sendfile', 'download of a file by httpd.sendfile; node pipes it'),
  staticFile('10k', '10 KiB', 20, 1),
  staticFile('1m', '1 MiB', 2, 1.5),
  {
    name: 'small-files',
    title: '10,000 files of 1 KiB, each opened, read and sent, HTTP/2, 10 connections × 20 streams',
    handler: 'small-files',
    measure: load(SMALL_FILES),
    metrics: [REQUESTS, CPU_US],
    thresholds: [{ metric: 'requestsPerSecond', bound: 'at least', value: 0.5, of: 'node' }],
    profile: { load: SMALL_FILES, when: 'asked' },
  },
  {
    name: 'fetch',
    title:
      'httpd.fetch of a hello upstream and its body sent on, HTTP/2, 10 × 20 streams; undici alone asks 200 at a time',
    handler: 'fetch',
    measure: fetchLoad(TWENTY_STREAMS),
    metrics: [REQUESTS, CPU_US],
    thresholds: [{ metric: 'requestsPerSecond', bound: 'at least', value: 0.6, of: 'undici' }],
    profile: { load: { handler: 'fetch', ...TWENTY_STREAMS }, when: 'asked' },
  },
  {
    name: 'upload',
    title: 'upload into a file through a Lua loop of 64 KiB reads and writes; node pipes it',
    handler: 'upload',
    measure: upload(),
    metrics: [SPEED, CPU_MS, GROWTH],
    thresholds: [{ metric: 'mibPerSecond', bound: 'at least', value: 1.4, of: 'node' }, growthStaysFlat],
  },
  {
    name: 'multipart',
    title: 'upload of a file by a form (httpd.multipart, httpd.copy), and its ratio to the upload as it is',
    handler: 'multipart',
    peers: ['lgateway', 'against'],
    measure: multipartUpload,
    metrics: [SPEED, TIMES_UPLOAD, CPU_MS, GROWTH],
    thresholds: [
      { metric: 'timesUpload', bound: 'at least', value: 0.6 },
      { metric: 'growthMib', bound: 'at most', value: 32 },
    ],
  },
  http1Transfer('download', 'http/1.1'),
  http1Transfer('download', 'plain http/1.1'),
  http1Transfer('upload', 'http/1.1'),
  http1Transfer('upload', 'plain http/1.1'),
  {
    name: 'slow-reader',
    title: 'download by a client that reads 4 MiB/s',
    handler: 'download',
    measure: slowReader,
    metrics: [GROWTH, READ, CPU_MS],
    thresholds: [growthStaysFlat],
    roundsMax: 2,
  },
  {
    name: 'slow-echo',
    title: 'body sent back to a client that sends and reads 4 MiB/s',
    handler: 'echo',
    measure: slowEcho,
    metrics: [GROWTH, READ, CPU_MS],
    thresholds: [growthStaysFlat],
    roundsMax: 2,
  },
  {
    name: 'small-reads',
    title: 'upload through a loop of httpd.read(nil, 4) and f:write',
    handler: 'small-reads',
    measure: smallReads,
    metrics: [SECONDS, CPU_MS, GROWTH],
    thresholds: [{ metric: 'seconds', bound: 'at most', value: 1.5 }, growthStaysFlat],
  },
  {
    name: 'lua-speed',
    title:
      'computing in Lua, this build in the process of the bench: recursion, loops, tables, strings, gmatch',
    handler: 'hello',
    peers: ['lgateway'],
    measure: luaSpeed,
    metrics: [UNGUARDED, WASMOON],
    thresholds: [
      {
        metric: 'timesUnguarded',
        bound: 'at most',
        value: 1.2,
        goal: 'guard on / off, worst of the programs',
      },
      { metric: 'timesWasmoon', bound: 'at most', value: 1.3 },
    ],
  },
  {
    name: 'hpack',
    title: 'HPACK, this build in the process of the bench: heads of one connection, against hpack.js',
    handler: 'hello',
    peers: ['lgateway'],
    measure: hpackSpeed,
    metrics: [SAME_HEAD, OTHER_PATH, TIMES_HPACK_JS, RESPONSE_HEAD],
    thresholds: [{ metric: 'timesHpackJs', bound: 'at most', value: 0.5 }],
  },
  {
    name: 'beside-busy',
    title: '50 requests while a handler computes on the same worker',
    handler: 'busy',
    measure: besideBusy,
    metrics: [P99, MEDIAN],
    thresholds: [{ metric: 'p99Ms', bound: 'at most', value: 50 }],
    roundsMax: 3,
  },
  {
    name: 'fresh-state',
    title: 'a new Lua state from the compiled module, this build in the process of the bench',
    handler: 'hello',
    peers: ['lgateway'],
    measure: freshState,
    metrics: [STATE, COMPILE],
    thresholds: [{ metric: 'stateMs', bound: 'at most', value: 20 }],
  },
  {
    name: 'shared:incr',
    title: 'one incr of a shared counter in a Lua loop: alone, and with two workers on one key',
    handler: 'shared-incr',
    measure: sharedIncr,
    metrics: [ALONE, TOGETHER],
    thresholds: [
      { metric: 'aloneUs', bound: 'at most', value: 3 },
      { metric: 'togetherUs', bound: 'at most', value: 10 },
    ],
  },
  {
    name: 'publish',
    title: 'messages to a thousand subscribers, handlers of two workers that wait for them',
    handler: 'publish',
    measure: publishEvents,
    metrics: [CPU_EACH_US],
    thresholds: [
      { metric: 'cpuEachUs', bound: 'at most', value: 5, goal: 'publish to 1,000 subscribers, CPU µs each' },
    ],
  },
  {
    name: 'gzip-100k',
    title: 'a compressed answer of 100 KiB, twenty at once, and plain requests beside them',
    handler: 'gzip',
    peers: ['lgateway', 'against'],
    measure: gzipLoad,
    metrics: [TIMES_ZLIB, CPU_US, ZLIB_US, P99],
    thresholds: [
      { metric: 'timesZlib', bound: 'at most', value: 1.1, goal: 'gzip of 100 KiB, × node:zlib alone' },
      { metric: 'p99Ms', bound: 'at most', value: 50, goal: 'plain requests beside 20 gzip streams, p99 ms' },
    ],
  },
  {
    name: 'hmac',
    title: 'one HMAC-SHA-256 of 1 KiB in a Lua loop',
    handler: 'hmac',
    measure: hmac,
    metrics: [HMAC],
    thresholds: [{ metric: 'hmacUs', bound: 'at most', value: 5 }],
  },
  {
    name: 'routes-1000',
    title:
      'a path of one of 1,000 patterns, and a plain name beside them, against a script with one pattern in the same process',
    handler: 'routes',
    peers: ['lgateway'],
    measure: routes(TWENTY_STREAMS),
    metrics: [CPU_US, TIMES_ONE, PLAIN_US, TIMES_PLAIN],
    thresholds: [
      { metric: 'timesOne', bound: 'at most', value: 1.1, goal: 'routes: 1,000 patterns, × one' },
      {
        metric: 'timesPlain',
        bound: 'at most',
        value: 1.05,
        goal: 'routes: plain names beside 1,000 patterns',
      },
    ],
  },
  {
    name: 'start-up',
    title: 'start of the process to the first answer, 2 workers, 1 mapping',
    handler: 'hello',
    peers: ['lgateway', 'against', 'node'],
    measure: startUp,
    metrics: [READY, TIMES_BARE],
    thresholds: [
      { metric: 'timesBare', bound: 'at most', value: 4, goal: 'start to first answer, × node -e 0' },
      { metric: 'readyMs', bound: 'at most', value: 500 },
    ],
  },
  idle('idle-h2', 'h2', 'HTTP/2'),
  idle('idle-h1', 'http/1.1', 'HTTP/1.1'),
  ...FURTHER_SCENARIOS,
];

function staticFile(size: '10k' | '1m', words: string, streams: number, timesNginx: number): Scenario {
  return {
    name: `static-${size}`,
    title: `a file of ${words} of a static mapping, HTTP/2, 10 connections × ${streams} streams; and a handler that answers as much from Lua memory`,
    handler: `static/${size}`,
    measure: staticLoad(size, { ...TWENTY_STREAMS, streams }),
    metrics: [CPU_US, REQUESTS, MEMORY_US, HELLO_CPU_US, TIMES_MEMORY],
    thresholds: [
      {
        metric: 'timesMemory',
        bound: 'at most',
        value: 1.3,
        goal: `file of ${words}, × a handler with as much`,
      },
      cpuTimes(timesNginx, 'nginx-lua', `file of ${words}`),
      cpuTimes(1, 'caddy', `file of ${words}, beside Caddy`),
    ],
  };
}

function idle(name: string, protocol: Load['protocol'], words: string): Scenario {
  return {
    name,
    title: `idle ${words} connections over TLS that have served one request, on a server that has worked`,
    handler: 'hello',
    measure: idleConnections(protocol),
    metrics: [EACH],
    thresholds: [
      { metric: 'kibEach', bound: 'at most', value: 30, goal: `idle connection, ${words} over TLS, KiB` },
    ],
    roundsMax: 3,
  };
}

function hello(
  name: string,
  title: string,
  loadOfHello: Omit<Load, 'handler'>,
  when: ProfiledLoad['when'],
  thresholds: readonly Threshold[],
): Scenario {
  const settings: Load = { handler: 'hello', ...loadOfHello };
  return {
    name,
    title,
    handler: 'hello',
    measure: load(settings),
    metrics: [CPU_US, REQUESTS],
    thresholds,
    profile: { load: settings, when },
  };
}

function modeHello(mode: ModeName): Scenario {
  return {
    ...furtherHello(mode),
    name: `${mode}-hello`,
    title: `hello of a ${mode} script, HTTP/2, 10 connections × 20 streams, and of a handler in the same process`,
    thresholds: [{ metric: 'timesHello', bound: 'at most', value: 1.25 }],
  };
}

/** What the scenarios of further scripts have in common. */
function furtherHello(mode: ModeName): Omit<Scenario, 'name' | 'title' | 'thresholds'> {
  return {
    handler: `${mode}-hello`,
    measure: modeLoad(mode, TWENTY_STREAMS),
    metrics: [CPU_US, HELLO_CPU_US, TIMES_HELLO, REQUESTS],
    profile: { load: { handler: `${mode}-hello`, ...TWENTY_STREAMS }, modes: [mode], when: 'asked' },
  };
}

/** The CPU time is at most this multiple of the CPU time of `of`. */
function cpuTimes(value: number, of: PeerName, goal?: string): Threshold {
  return { metric: 'cpuUs', bound: 'at most', value, of, ...(goal === undefined ? {} : { goal }) };
}
