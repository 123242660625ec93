/** Supervisor with plain workers: start, replacement, reload, drain, stop; nothing is left behind. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { get, request } from 'node:http';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/logger.ts';
import type { Config } from '../../src/config/config.ts';
import { DEFAULT_SCRIPT_RIGHTS } from '../../src/mapping/script-rights.ts';
import { duplicateDescriptor } from '../../src/native/posix.ts';
import { DEFAULT_COMPRESSION } from '../../src/settings/compression.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { DEFAULT_LOG_SETTINGS } from '../../src/settings/log-settings.ts';
import type { LoadedCertificate } from '../../src/supervisor/load-tls.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import type { SupervisorOptions } from '../../src/supervisor/supervisor-options.ts';

const PLAIN_WORKER = new URL('./plain-worker.js', import.meta.url);
const WAIT_MAX_MS = 60_000;

let folder: string;
let script: string;
let lines: string[];
let supervisor: Supervisor | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-supervisor-'));
  script = join(folder, 'script.lua');
  writeFileSync(script, 'one');
  lines = [];
});

afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
  rmSync(folder, { recursive: true });
});

const CERTIFICATE: LoadedCertificate = { certificate: '', key: '', keyKind: 'EC', names: [], file: 'c.pem' };

function makeSupervisor(config: Partial<Config> = {}, options: Partial<SupervisorOptions> = {}): Supervisor {
  supervisor = new Supervisor({
    config: {
      mappings: [{ prefix: '/', script }],
      tls: { certificates: [], strictSni: false, profile: 'intermediate', hsts: undefined },
      listen: { address: '127.0.0.1', port: 0 },
      cleartext: undefined,
      user: undefined,
      root: undefined,
      workers: 2,
      daemon: false,
      pidFile: undefined,
      logFile: undefined,
      logLevel: 'debug',
      accessLog: false,
      logs: DEFAULT_LOG_SETTINGS,
      compression: DEFAULT_COMPRESSION,
      limits: DEFAULT_LIMITS,
      rights: DEFAULT_SCRIPT_RIGHTS,
      shared: [],
      folders: [],
      scripts: [],
      proxies: [],
      ...config,
    },
    logger: createLogger('debug', 'supervisor', (line) => lines.push(line)),
    writeLine: (line) => lines.push(line),
    compileLua: undefined,
    listener: { duplicate: duplicateDescriptor, reusePort: false },
    loadTls: async () => ({ certificates: [CERTIFICATE], clients: [], development: undefined }),
    workerEntry: PLAIN_WORKER,
    ...options,
  });
  return supervisor;
}

async function startSupervisor(
  config: Partial<Config> = {},
  options: Partial<SupervisorOptions> = {},
): Promise<{ supervisor: Supervisor; port: number }> {
  const started = makeSupervisor(config, options);
  await started.start();
  return { supervisor: started, port: started.addresses[0]?.port ?? 0 };
}

/** The body of one answer, over a connection of its own. */
function ask(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

/** Asks again and again until `wanted` holds. */
async function askUntil(port: number, wanted: (text: string) => boolean): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  while (!wanted(await ask(port))) assert.ok(performance.now() < limit, 'the wanted answer comes in time');
}

async function lineWith(text: string): Promise<string> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const line = lines.find((one) => one.includes(text));
    if (line !== undefined) return line;
    assert.ok(
      performance.now() < limit,
      `a log line with "${text}" comes in time; there are: ${lines.join('\n')}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Descriptors of this process on listening TCP sockets. */
function listeningDescriptors(): number {
  const listening = new Set<string>();
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6'])
    for (const line of readFileSync(table, 'latin1').split('\n')) {
      const columns = line.trim().split(/\s+/);
      if (columns[3] === '0A') listening.add(`socket:[${columns[9]}]`);
    }
  return readdirSync('/proc/self/fd').filter((name) => listening.has(linkOf(name))).length;
}

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // the one that read the folder
    return '';
  }
}

function isGatewayError(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

test('Supervisor.start() serves one port from all workers, and hands their log lines on', async () => {
  const { port } = await startSupervisor();
  const seen = new Set<string>();
  await askUntil(port, (text) => seen.add(text).size === 2);
  assert.deepEqual([...seen].sort(), ['1 one', '2 one']);
  await lineWith('worker 1 listens');
  await lineWith('worker 2 listens');
});

test('Supervisor.start() fails when one script fails, with its message, and leaves nothing behind', async () => {
  writeFileSync(script, 'broken');
  const before = listeningDescriptors();
  const failing = makeSupervisor();
  await assert.rejects(failing.start(), isGatewayError('LGW_SCRIPT', /broken\.lua:1: it is broken/));
  assert.equal(failing.state, 'stopped');
  assert.deepEqual(failing.addresses, []);
  assert.equal(listeningDescriptors(), before);
});

test('Supervisor.start() fails when a worker does not get ready in time', async () => {
  writeFileSync(script, 'hang');
  const failing = makeSupervisor({ workers: 1 }, { times: { readyTimeoutMs: 200 } });
  await assert.rejects(failing.start(), isGatewayError('LGW_WORKER', /did not get ready within 200 ms/));
});

test('Supervisor.start() refuses a port in use with a clear message', async () => {
  const { port } = await startSupervisor({ workers: 1 });
  const first = supervisor;
  const second = makeSupervisor({ listen: { address: '127.0.0.1', port } });
  const before = listeningDescriptors();
  await assert.rejects(
    second.start(),
    isGatewayError('LGW_LISTEN', new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use`)),
  );
  assert.equal(listeningDescriptors(), before);
  supervisor = first;
});

test('Supervisor.stop() during the start ends the start', async () => {
  writeFileSync(script, 'hang');
  const stopped = makeSupervisor({ workers: 1 });
  const outcome = assert.rejects(stopped.start(), GatewayError);
  await new Promise((resolve) => setImmediate(resolve));
  await stopped.stop();
  await outcome;
  assert.deepEqual(stopped.addresses, []);
});

test('Supervisor replaces a crashed worker while the other serves every request', async () => {
  const { supervisor: running, port } = await startSupervisor();
  // the next worker waits for its script
  rmSync(script);
  execFileSync('mkfifo', [script]);
  await assert.rejects(ask(port, '/crash'));
  await lineWith('is replaced in 0 ms');
  let answered = 0;
  for (; answered < 20; answered++) assert.match(await ask(port), /^[12] one$/);
  assert.ok(!lines.some((line) => line.includes('serves again')), 'a worker is missing all the while');
  await writeFile(script, 'one');
  await lineWith('serves again');
  assert.match(
    await lineWith('is replaced in 0 ms'),
    /Uncaught error: Error: the test wants a crash\n {4} {4}at /,
  );
  const seen = new Set<string>();
  await askUntil(port, (text) => seen.add(text).size === 2);
  assert.equal(sum(running, 'exchanges'), 0, 'gauges of the dead thread are taken back');
  assert.ok(sum(running, 'exchangesTotal') > answered, 'totals go on');
});

test('Supervisor waits longer and longer between crashes in a row', async () => {
  const { port } = await startSupervisor(
    { workers: 1 },
    { times: { restartDelayFirstMs: 20, restartDelayMaxMs: 40 } },
  );
  for (const delay of [0, 20, 40, 40]) {
    lines.length = 0;
    await assert.rejects(ask(port, '/crash'));
    await lineWith(`is replaced in ${delay} ms`);
    await lineWith('serves again');
  }
});

test('Supervisor takes a crash after a healthy time as the first', async () => {
  const { port } = await startSupervisor({ workers: 1 }, { times: { healthyAfterMs: 0 } });
  for (let i = 0; i < 3; i++) {
    lines.length = 0;
    await assert.rejects(ask(port, '/crash'));
    await lineWith('is replaced in 0 ms');
    await lineWith('serves again');
  }
});

test('Supervisor keeps trying when a replacement cannot start', async () => {
  const { port } = await startSupervisor(
    { workers: 1 },
    { times: { restartDelayFirstMs: 5, restartDelayMaxMs: 10 } },
  );
  const before = listeningDescriptors();
  writeFileSync(script, 'broken');
  await assert.rejects(ask(port, '/crash'));
  await lineWith('in 10 ms: broken.lua:1: it is broken');
  writeFileSync(script, 'mended');
  await lineWith('serves again');
  assert.equal(await ask(port), '1 mended');
  assert.equal(listeningDescriptors(), before, 'no descriptor of a failed start is left');
});

test('Supervisor.reload() changes all workers without losing a request', async () => {
  const { supervisor: running, port } = await startSupervisor();
  let asking = true;
  const answers: string[] = [];
  const load = Array.from({ length: 4 }, async () => {
    while (asking) answers.push(await ask(port));
  });
  for (const text of ['two', 'three']) {
    writeFileSync(script, text);
    await running.reload();
    await askUntil(port, (answer) => answer.endsWith(text));
  }
  asking = false;
  await Promise.all(load);
  assert.ok(answers.every((answer) => /^[12] (one|two|three)$/.test(answer)));
  for (let i = 0; i < 10; i++) assert.match(await ask(port), /^[12] three$/);
});

test('Supervisor.reload() changes nothing when one worker refuses', async () => {
  const { supervisor: running, port } = await startSupervisor();
  writeFileSync(script, 'broken in worker 2');
  await assert.rejects(running.reload(), isGatewayError('LGW_SCRIPT', /script\.lua:1: oh/));
  for (let i = 0; i < 20; i++) assert.match(await ask(port), /^[12] one$/);
  writeFileSync(script, 'two');
  await running.reload();
  await askUntil(port, (text) => text.endsWith('two'));
});

test('Supervisor.reload() keeps the certificate when the dropped user may not read it', async () => {
  let calls = 0;
  const loadTls: NonNullable<SupervisorOptions['loadTls']> = async () => {
    calls += 1;
    if (calls > 1) {
      const cause = Object.assign(new Error('permission denied'), { code: 'EACCES' });
      throw new GatewayError('LGW_CERTIFICATE_READ', 'Cannot read "key.pem"', { cause });
    }
    return { certificates: [CERTIFICATE], clients: [], development: undefined };
  };
  const user = process.getuid?.() === 0 ? 'root' : undefined;
  const { supervisor: running, port } = await startSupervisor({ user, workers: 1 }, { loadTls });
  writeFileSync(script, 'two');
  if (user === undefined) await assert.rejects(running.reload(), GatewayError);
  else {
    assert.match(
      (await running.reload()) ?? '',
      /^user "root" may not read it again: Cannot read "key\.pem"$/,
    );
    await askUntil(port, (text) => text.endsWith('two'));
  }
});

test('Supervisor.drain() finishes what runs, refuses what is new, and stop() ends the rest', async () => {
  const { supervisor: running, port } = await startSupervisor({ workers: 1 });
  const slow = ask(port, '/slow?ms=300');
  await untilCounted(running, 1);
  const drained = running.drain();
  await untilRefused(port);
  assert.equal(await drained, true);
  assert.match(await slow, /^[12] one$/);
});

test('Supervisor.drain() gives up at its limit', async () => {
  const { supervisor: running, port } = await startSupervisor({
    workers: 1,
    limits: { ...DEFAULT_LIMITS, drainTimeoutMs: 100 },
  });
  const slow = assert.rejects(ask(port, '/slow?ms=60000'));
  await untilCounted(running, 1);
  assert.equal(await running.drain(), false);
  await running.stop();
  await slow;
});

test('Supervisor without dup lets one worker bind by itself and says so', async () => {
  const { supervisor: running, port } = await startSupervisor(
    {},
    { listener: { duplicate: undefined, reusePort: false } },
  );
  assert.equal(running.workerCount, 1);
  await lineWith('one worker serves alone');
  assert.equal(await ask(port), '1 one');
});

test('Supervisor.start() serves the cleartext listener beside the other', async () => {
  const cleartextAddress = { address: '127.0.0.1', port: 0 };
  const { supervisor: running } = await startSupervisor({ workers: 1, cleartext: cleartextAddress });
  const [secure, cleartext] = running.addresses;
  assert.ok(secure !== undefined && cleartext !== undefined);
  assert.deepEqual([secure.scheme, cleartext.scheme], ['https', 'http']);
  assert.match(await ask(cleartext.port), /^[12] one$/);
  assert.match(await ask(secure.port), /^[12] one$/);
});

test('Supervisor.reload() fails when a worker crashes over it, and both serve as before', async () => {
  const { supervisor: running, port } = await startSupervisor();
  writeFileSync(script, 'crash in worker 1');
  await assert.rejects(running.reload(), isGatewayError('LGW_WORKER', /the test wants a crash in prepare/));
  writeFileSync(script, 'one');
  await lineWith('Worker 1 serves again');
  const seen = new Set<string>();
  await askUntil(port, (text) => seen.add(text).size === 2);
  assert.deepEqual([...seen].sort(), ['1 one', '2 one']);
});

test('Supervisor brings a worker that was starting during a reload up to date', async () => {
  const { supervisor: running, port } = await startSupervisor();
  await assert.rejects(ask(port, '/crash'));
  await lineWith('is replaced in');
  // one worker is on its way up now, with the setup from before
  await running.reload();
  writeFileSync(script, 'two');
  await running.reload();
  const seen = new Set<string>();
  await askUntil(port, (text) => text.endsWith('two') && seen.add(text).size === 2);
});

test('Supervisor.drain() does not wait for a worker that crashes meanwhile', async () => {
  const { supervisor: running, port } = await startSupervisor({ workers: 1 });
  const slow = assert.rejects(ask(port, '/slow?ms=60000'));
  const crash = request({ host: '127.0.0.1', port, path: '/crash-behind', method: 'POST', agent: false });
  const crashed = once(crash, 'error');
  crash.write('begins');
  await untilCounted(running, 2);
  const drained = running.drain();
  await untilRefused(port);
  crash.end();
  assert.equal(await drained, true);
  await Promise.all([slow, crashed]);
  await lineWith('Worker 1 ended while it drained');
});

test('Supervisor.drain() and stop() may be called in any state', async () => {
  const idle = makeSupervisor();
  assert.equal(await idle.drain(), true);
  await idle.stop();
  await idle.stop();
  await assert.rejects(idle.reload(), isGatewayError('LGW_RELOAD', /Cannot reload: the gateway is stopped/));
});

function sum(running: Supervisor, name: 'exchanges' | 'exchangesTotal'): number {
  return running.counters().reduce((total, counters) => total + counters[name], 0);
}

async function untilCounted(running: Supervisor, exchanges: number): Promise<void> {
  // looks again after a while, as the workers need the processor
  while (sum(running, 'exchangesTotal') < exchanges) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Resolves when the kernel refuses a connection. */
async function untilRefused(port: number): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const refused = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.once('connect', () => {
        socket.destroy();
        resolve(false);
      });
      socket.once('error', () => resolve(true));
    });
    if (refused) return;
    assert.ok(performance.now() < limit, 'new connections are refused in time');
  }
}
