/** Each setting that a reload applies takes effect in every worker, on a gateway with two of them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import { systemCodeOf } from '../../src/base/errors.ts';
import { SETTING_TABLE } from '../../src/config/setting-table.ts';
import type { ScriptMappingOptions } from '../../src/embed/script-options.ts';
import {
  DEFAULT_COMPRESSION,
  type FolderMapping,
  type Gateway,
  type GatewayChanges,
  type GatewayMapping,
  RestartNeededError,
  startGateway,
} from '../../src/index.ts';
import { DEFAULT_LOG_SETTINGS } from '../../src/settings/log-settings.ts';
import { testCertificate } from '../support/certificate.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { connectPlain, connectSecure, type RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/test-front-end.ts';

const SCRIPT = `local httpd = require 'httpd'
local function say(...)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, table.concat({...}, ' '))
end
local function on(name, handler) httpd.register_handler(name, handler) end
on('/hello', function() say 'hello' end)
on('/text', function(env)
    local kind, size = env.QUERY_INFO:match '(.+)=(.+)'
    httpd.header{[':status'] = '200', ['content-type'] = kind}
    httpd.write(nil, ('x'):rep(tonumber(size)))
end)
on('/log', function(env)
    httpd.log('debug', 'debug-' .. env.QUERY_INFO)
    httpd.log('info', 'info-' .. env.QUERY_INFO)
    say 'logged'
end)
on('/require', function() say(tostring((pcall(require, 'extra')))) end)
on('/dump', function()
    local file <close> = assert(io.open('/chunk.luac', 'wb'))
    file:write(string.dump(function() return 7 end))
    say 'dumped'
end)
on('/load', function()
    local file <close> = assert(io.open('/chunk.luac', 'rb'))
    say(type(load(file:read('a'))))
end)
on('/run', function()
    local pipe <close> = io.popen('printf hi')
    say(pipe and pipe:read('a') or 'refused')
end)
on('/grow', function() say(tostring((pcall(string.rep, 'x', 20 * 1024 * 1024)))) end)
on('/io', function() say(type(io) == 'table' and type(io.open) or 'nil') end)
on('/fetch', function(env)
    local answer, _, code = httpd.fetch('http://127.0.0.1:' .. env.QUERY_INFO .. '/')
    say(answer and 'fetched' or code)
end)
on('/getenv', function() say(tostring(os.getenv 'LGATEWAY_RELOADED')) end)
on('/body', function()
    local size = 0
    for piece in function() return httpd.read(nil) end do size = size + #piece end
    say(tostring(size))
end)
httpd.register_handler('/kept', function()
    httpd.header {[':status'] = 200, ['cache-control'] = 'max-age=3600'}
    httpd.write(nil, 'kept')
end, {cache = true})
on('/unread', function() httpd.sleep(1) end)
on('/begin', function() say 'begun' httpd.sleep(60) end)
on('/hang', function() httpd.sleep(60) say 'late' end)
on('/spin', function()
    for _ = 1, 20000000 do end
    say 'spun'
end)
on('/files', function()
    local kept, message = {}, nil
    repeat kept[#kept + 1], message = io.open('/app.lua') until message
    for _, file in ipairs(kept) do file:close() end
    say(message)
end)
on('/flood', function()
    for i = 1, 100 do print(('x'):rep(100)) end
    say 'flooded'
end)`;

/** Waits of a client end before these, so that what they would cut is not taken for the work of a reload. */
const LONG_MS = 60_000;
const SHORT_MS = 300;
const WORKERS = 2;
/** Connections at once, so that both workers get some. */
const AT_ONCE = 4;
const ROUNDS_MAX = 60;

let folder: string;
let upstream: Server;
let gateway: Gateway;
let plainPort: number;
let securePort: number;
const lines: string[] = [];
let lastToken = 0;

const START = {
  limits: {
    idleTimeoutMs: LONG_MS,
    handshakeTimeoutMs: LONG_MS,
    headTimeoutMs: LONG_MS,
    stallTimeoutMs: LONG_MS,
    drainTimeoutMs: LONG_MS,
    timeLimitMs: LONG_MS,
    cpuLimitMs: LONG_MS,
  },
  compression: { enabled: true },
} as const;

before(async () => {
  process.env['LGATEWAY_RELOADED'] = 'shown';
  folder = mkdtempSync(join(tmpdir(), 'lgateway-settings-'));
  writeFileSync(join(folder, 'app.lua'), SCRIPT);
  writeFileSync(join(folder, 'other.lua'), "require('httpd').register_handler('/', function() end)");
  writeFileSync(join(folder, 'silent.mjs'), 'export default () => new Promise(() => undefined);');
  mkdirSync(join(folder, 'extra'));
  writeFileSync(join(folder, 'extra', 'extra.lua'), 'return true');
  // another root, with all that the mappings name
  mkdirSync(join(folder, 'second', 'extra'), { recursive: true });
  writeFileSync(join(folder, 'second', 'app.lua'), `${SCRIPT}\non('/second', function() say 'there' end)`);
  writeFileSync(
    join(folder, 'second', 'other.lua'),
    "require('httpd').register_handler('/', function() end)",
  );
  upstream = createServer((_request, response) => response.end('here')).listen(0, '127.0.0.1');
  const { certPath, keyPath } = testCertificate();
  gateway = await startGateway({
    ...START,
    listen: { address: '127.0.0.1', port: 0 },
    cleartext: { address: '127.0.0.1', port: 0 },
    certificateFiles: { certificate: certPath, key: keyPath },
    workers: WORKERS,
    root: folder,
    mappings: mappings({}),
    log: (line) => lines.push(line),
  });
  const [secure, plain] = gateway.addresses;
  securePort = secure?.port ?? 0;
  plainPort = plain?.port ?? 0;
});

function mappings(
  files: Omit<FolderMapping, 'prefix' | 'folder'>,
  target = 'http://127.0.0.1:1',
  own: ScriptMappingOptions = {},
): GatewayMapping[] {
  return [
    { prefix: '/', script: '/app.lua', ...own },
    { prefix: '/other', script: '/other.lua' },
    { prefix: '/module', module: join(folder, 'silent.mjs') },
    { prefix: '/files', folder: '/extra', ...files },
    // nobody listens there
    { prefix: '/passed', proxy: target },
  ];
}

after(async () => {
  await gateway?.stop();
  upstream?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** One request over HTTP/1.1 on a connection of its own: the status and the body. */
async function ask(target: string, body?: string): Promise<readonly [number, string]> {
  const client = await connectPlain(plainPort);
  try {
    send(client, target, body);
    const answer = await client.response();
    return [answer.status, answer.body.toString()];
  } finally {
    client.destroy();
  }
}

function send(client: RawClient, target: string, body?: string, length = body?.length): void {
  const head = [`${length === undefined ? 'GET' : 'POST'} ${target} HTTP/1.1`, 'host: localhost'];
  if (length !== undefined) head.push(`content-length: ${length}`);
  client.send(`${head.join('\r\n')}\r\n\r\n${body ?? ''}`);
}

/** A connection that has had an answer: one whose client stands still before it asks may have been idle for too long. */
async function answeredClient(): Promise<RawClient> {
  for (let tries = 1; ; tries++) {
    const client = await connectPlain(plainPort);
    send(client, '/hello');
    try {
      await client.response();
      return client;
    } catch (error) {
      client.destroy();
      if (tries === 20) throw error;
    }
  }
}

/** What the script says, for a request that gets 200. */
async function said(target: string): Promise<string> {
  const [status, text] = await ask(target);
  assert.equal(status, 200, text);
  return text;
}

function token(): string {
  lastToken += 1;
  return `t${lastToken}.`;
}

async function untilLogged(text: string): Promise<void> {
  await waitFor(() => lines.some((line) => line.includes(text)), `a line with ${text}`, LONG_MS);
}

/** Waits for the server to end the connection. */
async function ends(client: RawClient): Promise<boolean> {
  try {
    await client.rest();
    return true;
  } finally {
    client.destroy();
  }
}

/** The code of the GOAWAY that a session ends with, or what a request gets while it goes on. */
async function afterMisuse(misuse: 'resets' | 'pings'): Promise<string> {
  const session = await connectH2(plainPort, 'http');
  try {
    const left = new Promise<string>((resolve) =>
      session.once('goaway', (code: number) => resolve(`goaway ${code}`)),
    );
    for (let i = 0; i < 30; i++) {
      if (misuse === 'pings') session.ping(() => undefined);
      else {
        const stream = session.request({ ':path': '/begin' });
        stream.on('error', () => undefined);
        await new Promise<void>((resolve) => {
          stream.once('response', () => resolve());
          stream.once('close', () => resolve());
        });
        stream.close(8);
      }
      if (session.closed || session.destroyed) break;
    }
    const answered =
      session.closed || session.destroyed
        ? left
        : fetchH2(session, { ':path': '/hello' }).then(({ status }) =>
            status === 0 ? left : String(status),
          );
    return await Promise.race([left, answered]);
  } finally {
    session.destroy();
  }
}

/** How many of so many connections at once are answered. */
async function answeredOf(count: number): Promise<number> {
  const clients = await Promise.all(Array.from({ length: count }, () => connectPlain(plainPort)));
  const answers = await Promise.all(
    clients.map(async (client) => {
      send(client, '/hello');
      await client
        .until((received, ended) => received.length > 0 || ended, 'an answer or the end')
        .catch(() => 0);
      return client.received.length > 0;
    }),
  );
  for (const client of clients) client.destroy();
  return answers.filter((answered) => answered).length;
}

/** How the listeners of each worker have been used, in the order of the workers. */
function usage(): number[] {
  return gateway.counters().map((counters) => counters.connectionsTotal + counters.connectionsRefusedTotal);
}

async function untilIdle(): Promise<void> {
  const open = (): number => gateway.counters().reduce((sum, { connections }) => sum + connections, 0);
  await waitFor(() => open() === 0, 'the end of all connections', LONG_MS);
}

/** How an answer of this type and size comes to a client that takes gzip. */
async function codingOf(type: string, size: number): Promise<string> {
  const client = await connectPlain(plainPort);
  try {
    client.send(`GET /text?${type}=${size} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n`);
    return (await client.response()).headers.get('content-encoding') ?? 'none';
  } finally {
    client.destroy();
  }
}

interface Case {
  readonly change: GatewayChanges;
  /** Uses one new connection, or more; resolves to what shows the setting. */
  readonly probe: () => Promise<unknown>;
  /** What it shows before. Undefined: before, it would take longer than a test waits. */
  readonly was?: unknown;
  readonly is: unknown;
  /** More than one connection at once would disturb the probe. */
  readonly alone?: true;
  /** Is waited for after the probes: shows that each worker has done its part. */
  readonly both?: () => boolean;
}

const upstreamPort = (): number => (upstream.address() as AddressInfo).port;
const limits = (limit: GatewayChanges['limits'] & object): GatewayChanges => ({ limits: limit });
const rights = (right: GatewayChanges['rights'] & object): GatewayChanges => ({ rights: right });
const workersTold = (pattern: RegExp): boolean =>
  new Set(lines.filter((line) => pattern.test(line)).map((line) => /worker-\d/.exec(line)?.[0])).size ===
  WORKERS;

const CASES: Readonly<Record<string, Case>> = {
  logLevel: {
    change: { logLevel: 'debug' },
    probe: async () => {
      const mark = token();
      await said(`/log?${mark}`);
      await untilLogged(`info-${mark}`);
      return lines.some((line) => line.includes(`debug-${mark}`));
    },
    was: false,
    is: true,
  },
  accessLog: {
    change: { accessLog: true },
    probe: async () => {
      const [mark, next] = [token(), token()];
      const client = await connectPlain(plainPort);
      // a line of the second request comes after the one about the first
      for (const part of [mark, next]) {
        send(client, `/log?${part}`);
        await client.response();
      }
      await untilLogged(`info-${next}`);
      client.destroy();
      return lines.some((line) => line.includes(`access GET /log?${mark}`));
    },
    was: false,
    is: true,
  },
  'compression.enabled': {
    change: { compression: { enabled: false } },
    probe: () => codingOf('text/plain', 2000),
    was: 'gzip',
    is: 'none',
  },
  'compression.types': {
    change: { compression: { types: ['font/*'] } },
    probe: () => codingOf('font/woff', 2000),
    was: 'none',
    is: 'gzip',
  },
  'compression.bytesMin': {
    change: { compression: { bytesMin: 1000 } },
    probe: () => codingOf('text/plain', 1000),
    was: 'none',
    is: 'gzip',
  },
  mappings: {
    get change() {
      return { mappings: [...mappings({}), { prefix: '/added', script: '/app.lua' }] };
    },
    probe: async () => (await ask('/added/hello'))[0],
    was: 404,
    is: 200,
  },
  root: {
    get change() {
      return { root: join(folder, 'second') };
    },
    probe: async () => (await ask('/second'))[0],
    was: 404,
    is: 200,
  },
  folders: {
    get change() {
      return { mappings: mappings({ listing: true, index: ['main.html'], cacheControl: 'no-store' }) };
    },
    probe: async () => {
      const [status, body] = await ask('/files/');
      return [status, /extra\.lua/.test(body)];
    },
    was: [404, false],
    is: [200, true],
  },
  proxies: {
    get change() {
      const { port } = upstream.address() as AddressInfo;
      return { mappings: mappings({}, `http://127.0.0.1:${port}`) };
    },
    probe: async () => (await ask('/passed'))[0],
    was: 502,
    is: 200,
  },
  scripts: {
    get change() {
      return { mappings: mappings({}, undefined, { rights: { variables: ['LGATEWAY_RELOADED'] } }) };
    },
    probe: () => said('/getenv'),
    was: 'nil',
    is: 'shown',
  },
  'tls.certificates': {
    get change() {
      const { certPath, keyPath } = testCertificate('rsa');
      return { certificateFiles: { certificate: certPath, key: keyPath } };
    },
    probe: async () => {
      const client = await connectSecure(securePort);
      const { socket } = client;
      const curve = socket instanceof TLSSocket ? socket.getPeerCertificate().asn1Curve : 'none';
      client.destroy();
      return curve ?? 'RSA';
    },
    was: 'prime256v1',
    is: 'RSA',
  },
  'tls.strictSni': {
    change: { strictSni: true },
    probe: () => handshake({ servername: 'stranger.test' }),
    was: 'TLSv1.3',
    is: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
  },
  'tls.profile': {
    change: { tlsProfile: 'modern' },
    probe: () => handshake({ servername: 'localhost', maxVersion: 'TLSv1.2' }),
    was: 'TLSv1.2',
    is: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  },
  'tls.hsts': {
    change: { hsts: 'max-age=7' },
    probe: async () => {
      const client = await connectSecure(securePort);
      client.send('GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      const answer = (await client.rest()).toString('latin1');
      return /^strict-transport-security: (.*)\r$/im.exec(answer)?.[1] ?? 'none';
    },
    was: 'none',
    is: 'max-age=7',
  },
  'rights.luaPath': {
    change: rights({ luaPath: '/extra/?.lua' }),
    probe: () => said('/require'),
    was: 'false',
    is: 'true',
  },
  'rights.allowsBytecode': {
    change: rights({ allowsBytecode: true }),
    probe: () => said('/load'),
    was: 'nil',
    is: 'function',
  },
  'rights.commands': {
    change: rights({ commands: ['printf'] }),
    probe: () => said('/run'),
    was: 'refused',
    is: 'hi',
  },
  'rights.sandboxed': {
    change: rights({ sandboxed: true, connect: ['all'] }),
    probe: () => said('/io'),
    was: 'function',
    is: 'nil',
  },
  'rights.connect': {
    change: rights({ connect: ['none'] }),
    probe: () => said(`/fetch?${upstreamPort()}`),
    was: 'fetched',
    is: 'denied',
  },
  'rights.variables': {
    change: rights({ variables: ['LGATEWAY_RELOADED'] }),
    probe: () => said('/getenv'),
    was: 'nil',
    is: 'shown',
  },
  'limits.memoryBytesMax': {
    change: limits({ memoryBytesMax: 2 ** 25 }),
    probe: () => said('/grow'),
    was: 'true',
    is: 'false',
  },
  'limits.idleTimeoutMs': {
    change: limits({ idleTimeoutMs: SHORT_MS }),
    probe: async () => {
      const client = await answeredClient();
      const session = await connectH2(plainPort, 'http');
      const closed = new Promise<true>((resolve) => session.once('close', () => resolve(true)));
      return [await ends(client), await closed];
    },
    is: [true, true],
  },
  'limits.handshakeTimeoutMs': {
    change: limits({ handshakeTimeoutMs: SHORT_MS }),
    probe: async () => {
      const silent = await connectPlain(securePort);
      const slow = await connectPlain(securePort);
      // the start of a TLS record
      slow.send(Uint8Array.of(22, 3, 1));
      return await Promise.all([ends(silent), ends(slow)]);
    },
    is: [true, true],
  },
  'limits.headTimeoutMs': {
    change: limits({ headTimeoutMs: SHORT_MS }),
    probe: async () => {
      const client = await connectPlain(plainPort);
      client.send('GET / HTTP/1.1\r\nhost:');
      return await ends(client);
    },
    is: true,
  },
  'limits.stallTimeoutMs': {
    change: limits({ stallTimeoutMs: SHORT_MS }),
    probe: async () => {
      const client = await connectPlain(plainPort);
      send(client, '/body', 'half', 8);
      return await ends(client);
    },
    is: true,
  },
  'limits.headBytesMax': {
    change: limits({ headBytesMax: 2048 }),
    probe: async () => {
      const client = await connectPlain(plainPort);
      client.send(`GET /hello HTTP/1.1\r\nhost: localhost\r\nx-long: ${'x'.repeat(4096)}\r\n\r\n`);
      const { status } = await client.response();
      client.destroy();
      const session = await connectH2(plainPort, 'http');
      const answer = await fetchH2(session, { ':path': '/hello', 'x-long': 'x'.repeat(2500) });
      session.destroy();
      return [status, answer.status];
    },
    was: [200, 200],
    is: [431, 431],
  },
  'limits.bodyBytesMax': {
    change: limits({ bodyBytesMax: 10 }),
    probe: async () => {
      const [status] = await ask('/body', 'twenty bytes of body');
      const session = await connectH2(plainPort, 'http');
      const answer = await fetchH2(session, { ':path': '/body', ':method': 'POST' }, 'twenty bytes of body');
      session.destroy();
      return [status, answer.status];
    },
    was: [200, 200],
    is: [413, 413],
  },
  'limits.cacheBytesMax': {
    change: limits({ cacheBytesMax: 100 }),
    probe: async () => {
      const session = await connectH2(plainPort, 'http');
      await fetchH2(session, { ':path': '/kept' });
      const { headers } = await fetchH2(session, { ':path': '/kept' });
      session.destroy();
      return /hit/.test(String(headers['cache-status']));
    },
    was: true,
    is: false,
  },
  'limits.unreadBodyBytesMax': {
    change: limits({ unreadBodyBytesMax: 40_000 }),
    probe: async () => {
      const client = await connectPlain(plainPort);
      send(client, '/unread', 'x'.repeat(256 * 1024));
      await waitFor(
        () => gateway.counters().some(({ unreadBodyBytes }) => unreadBodyBytes > 0),
        'an unread body',
        LONG_MS,
      );
      client.destroy();
      return true;
    },
    is: true,
    both: () => workersTold(/Unread request bodies have used up their budget.*limit=40000 /),
  },
  'limits.streamsMax': {
    change: limits({ streamsMax: 3 }),
    probe: async () => {
      const session = await connectH2(plainPort, 'http');
      await fetchH2(session, { ':path': '/hello' });
      const { maxConcurrentStreams } = session.remoteSettings;
      session.destroy();
      return maxConcurrentStreams;
    },
    was: 128,
    is: 3,
  },
  'limits.connectionsMax': {
    change: limits({ connectionsMax: 2 }),
    probe: async () => {
      const answered = (await answeredOf(12)) <= 2 * WORKERS;
      await untilIdle();
      return answered;
    },
    was: false,
    is: true,
    alone: true,
    both: () => workersTold(/as many are open as may be.*limit=2 /),
  },
  'limits.connectionsPerAddressMax': {
    change: limits({ connectionsPerAddressMax: 2 }),
    probe: async () => {
      const answered = (await answeredOf(12)) <= 2 * WORKERS;
      await untilIdle();
      return answered;
    },
    was: false,
    is: true,
    alone: true,
    both: () => workersTold(/one address has as many as it may.*limit=2 /),
  },
  'limits.resetsPerSecond': {
    change: limits({ resetsPerSecond: 1 }),
    probe: () => afterMisuse('resets'),
    was: '200',
    is: 'goaway 11',
  },
  'limits.controlFramesPerSecond': {
    change: limits({ controlFramesPerSecond: 1 }),
    probe: () => afterMisuse('pings'),
    was: '200',
    is: 'goaway 11',
  },
  'limits.cpuLimitMs': {
    change: limits({ cpuLimitMs: 50 }),
    probe: async () => (await ask('/spin'))[0],
    was: 200,
    is: 500,
    alone: true,
  },
  'limits.timeLimitMs': {
    change: limits({ timeLimitMs: SHORT_MS }),
    probe: async () => [(await ask('/hang'))[0], (await ask('/module'))[0]],
    is: [500, 504],
  },
  'limits.mappingSharePercent': {
    change: limits({ mappingSharePercent: 10 }),
    probe: async () => /its share is \d+/.exec(await said('/files'))?.[0],
    was: 'its share is 256',
    is: 'its share is 85',
    alone: true,
  },
  'limits.logBytesPerSecond': {
    change: limits({ logBytesPerSecond: 1024 }),
    probe: async () => {
      const dropped = (): number =>
        gateway.mappingCounters().reduce((sum, { logLinesDroppedTotal }) => sum + logLinesDroppedTotal, 0);
      const past = dropped();
      await said('/flood');
      return dropped() > past;
    },
    was: false,
    is: true,
    alone: true,
  },
};

/**
 * Shown elsewhere: by a test of its own below, because a body has 20 s of grace, in test/http/front/live-limits.test.ts, and, because
 * programs have no such options, in test/gateway/access-log.test.ts.
 */
const ELSEWHERE = [
  'limits.drainTimeoutMs',
  'limits.bodyRateMin',
  // test/gateway/drain-grace.test.ts
  'limits.drainGraceMs',
  // test/http/front/proxied-connections.test.ts
  'trustedProxies',
  // test/supervisor/held-up.test.ts
  'limits.heartbeatLimitMs',
  'logFile',
  // test/gateway/tls.test.ts
  'clients',
  ...Object.keys(DEFAULT_LOG_SETTINGS)
    .filter((name) => name !== 'format' && name !== 'target')
    .map((name) => `logs.${name}`),
];

test('There is a case for each setting that a reload applies', () => {
  const applied = SETTING_TABLE.filter(({ atReload }) => atReload === 'applied').map(({ name }) => name);
  assert.deepEqual([...Object.keys(CASES), ...ELSEWHERE].sort(), applied.sort());
});

/** Probes until each worker has had connections of a probe. */
async function probeAll({ probe, is, alone, both = () => true }: Case): Promise<void> {
  const seen = new Set<number>();
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const past = usage();
    const shown = await Promise.all(Array.from({ length: alone === true ? 1 : AT_ONCE }, probe));
    for (const what of shown) assert.deepEqual(what, is);
    for (const [worker, used] of usage().entries()) if (used > (past[worker] ?? 0)) seen.add(worker);
    if (seen.size === WORKERS && both()) return;
  }
  assert.fail(`after ${ROUNDS_MAX} rounds only ${seen.size} workers have served connections`);
}

/** The version that was agreed on, or the code of the failure. */
function handshake(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls({ port: securePort, rejectUnauthorized: false, ...options });
    socket.on('secureConnect', () => {
      resolve(socket.getProtocol() ?? 'none');
      socket.destroy();
    });
    socket.on('error', (error) => resolve(systemCodeOf(error) ?? error.message));
  });
}

/** What a reload has changed goes back to what it was. */
function undo(change: GatewayChanges): GatewayChanges {
  const { certPath, keyPath } = testCertificate();
  const defaults = {
    logLevel: 'info',
    accessLog: false,
    mappings: mappings({}),
    root: folder,
    certificateFiles: { certificate: certPath, key: keyPath },
    strictSni: false,
    tlsProfile: 'intermediate' as const,
    hsts: false,
    rights: {
      luaPath: '',
      allowsBytecode: false,
      commands: [],
      sandboxed: false,
      connect: ['all'],
      variables: [],
    },
    compression: { ...DEFAULT_COMPRESSION, ...START.compression },
    limits: { ...startLimits },
  } as const;
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => name in change));
}
const startLimits = {
  memoryBytesMax: 2 ** 28,
  bodyRateMin: 500,
  headBytesMax: 32 * 1024,
  bodyBytesMax: 2 ** 30,
  unreadBodyBytesMax: 2 ** 26,
  cacheBytesMax: 2 ** 26,
  streamsMax: 128,
  connectionsMax: 10_000,
  connectionsPerAddressMax: 2500,
  resetsPerSecond: 100,
  controlFramesPerSecond: 500,
  mappingSharePercent: 50,
  logBytesPerSecond: 256 * 1024,
  ...START.limits,
};

test('Before any reload each setting is what it was at the start', async () => {
  await said('/dump');
  // states that have not made the chunk themselves
  await gateway.reload();
  for (const [name, { probe, was }] of Object.entries(CASES))
    if (was !== undefined) assert.deepEqual(await probe(), was, name);
});

/** What the test before has changed. */
let changed: GatewayChanges = {};

for (const [name, it] of Object.entries(CASES)) {
  test(`A reload changes ${name} in every worker`, async () => {
    await untilIdle();
    const back = undo(changed);
    changed = it.change;
    await gateway.reload(merged(back, changed));
    await probeAll(it);
  });
}

test('A reload takes the last change back', async () => {
  await gateway.reload(undo(changed));
  assert.equal(await said('/hello'), 'hello');
});

/** Both, where the second counts for what both name. */
function merged(first: GatewayChanges, second: GatewayChanges): GatewayChanges {
  const { limits: firstLimits, rights: firstRights, compression: firstCompression } = first;
  const { limits: secondLimits, rights: secondRights, compression: secondCompression } = second;
  const groups = {
    limits: { ...firstLimits, ...secondLimits },
    rights: { ...firstRights, ...secondRights },
    compression: { ...firstCompression, ...secondCompression },
  };
  return { ...first, ...second, ...groups };
}

test('What needs a restart is refused by name, with all that would have changed, and nothing changes', async () => {
  const before = await said('/hello');
  await assert.rejects(
    gateway.reload({
      workers: 3,
      limits: { cpuLimitMs: 1 },
      shared: [{ name: 'one', bytes: 65_536 }],
    }),
    (error) =>
      error instanceof RestartNeededError &&
      error.code === 'LGW_RESTART' &&
      error.refused.map(({ name }) => name).join(' ') === 'workers shared' &&
      error.message.includes('workers (--workers) from 2 to 3'),
  );
  assert.equal(await said('/hello'), before);
  assert.equal((await ask('/spin'))[0], 200);
});

test('Wrong values and options that count at the start only are refused before anything else', async () => {
  await assert.rejects(gateway.reload({ limits: { cpuLimitMs: 0 } }), { code: 'LGW_CONFIG' });
  await assert.rejects(gateway.reload({ log: () => undefined } as GatewayChanges), { code: 'LGW_CONFIG' });
});

test('A reload whose script fails leaves the settings as they were', async () => {
  writeFileSync(join(folder, 'other.lua'), 'error "broken"');
  try {
    await assert.rejects(gateway.reload({ limits: { bodyBytesMax: 10 } }), /broken/);
    assert.equal((await ask('/body', 'twenty bytes of body'))[0], 200);
  } finally {
    writeFileSync(join(folder, 'other.lua'), "require('httpd').register_handler('/', function() end)");
  }
});

test('A reload changes limits.drainTimeoutMs in every worker', async () => {
  await gateway.reload({ limits: { drainTimeoutMs: SHORT_MS } });
  const sockets = Array.from({ length: 8 }, () => connectTcp({ port: plainPort, host: '127.0.0.1' }));
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.write('GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n');
  }
  await waitFor(
    () => gateway.counters().reduce((sum, { exchanges }) => sum + exchanges, 0) === sockets.length,
    'all requests to run',
    LONG_MS,
  );
  const startedAt = performance.now();
  assert.equal(await gateway.drain(), false);
  assert.ok(performance.now() - startedAt < LONG_MS / 2);
  for (const socket of sockets) socket.destroy();
});
