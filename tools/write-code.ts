/**
 * Part of the build: keeps what the engine compiles of the bundles until a first answer, so that a start need not compile it
 * (base/run-bundle.ts). Each bundle runs as it does in a gateway, and serves a request.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BroadcastChannel } from 'node:worker_threads';
import { createLogger } from '../src/base/logger.ts';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { parsePlainWords } from '../src/config/plain-words.ts';
import { compileLuaModule } from '../src/lua/wasm-module.ts';
import { Supervisor } from '../src/supervisor/supervisor.ts';
import { makeCertificate } from '../src/tls/make-certificate.ts';
import { COMMAND_BUNDLE, RECORD_CHANNEL, WORKER_BUNDLE } from './bundles.ts';

const DAY_MS = 86_400_000;
const HOST = '127.0.0.1';
/** For a machine that is busy with other builds. */
const START_TIMEOUT_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'lgateway-code-'));
const certificate = join(folder, 'certificate.pem');
const key = join(folder, 'key.pem');
const words = ['-a', HOST, '-p', '0', '-w', '1', '-c', certificate, '-k', key];
words.push('--log-level', 'error', '-l', '/', join(PACKAGE_ROOT, 'handlers/hello.lua'));

try {
  // what was compiled of the bundle of before could fit by its length
  for (const bundle of [COMMAND_BUNDLE, WORKER_BUNDLE]) removeCode(dirname(bundle));
  const now = Date.now();
  const made = makeCertificate({
    hostNames: ['localhost'],
    addresses: [],
    organization: 'lgateway build',
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + DAY_MS),
  });
  writeFileSync(certificate, made.certificate);
  writeFileSync(key, made.key);
  await recordCommand();
  await recordWorker();
} finally {
  rmSync(folder, { recursive: true });
}

function removeCode(of: string): void {
  for (const name of readdirSync(of)) if (name.endsWith('.code')) rmSync(join(of, name));
}

/** It writes at its end, which a signal brings. */
async function recordCommand(): Promise<void> {
  const recorder = fileURLToPath(new URL('record-command.js', import.meta.url));
  const command = spawn(process.execPath, [recorder, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: START_TIMEOUT_MS,
  });
  const ended = once(command, 'exit');
  // the banner says that it serves; without one it has failed
  await Promise.race([once(command.stdout, 'data'), ended]);
  command.stdout.resume();
  command.kill('SIGTERM');
  const [status] = await ended;
  if (status !== 0) throw new Error(`The command ended with ${status}`);
}

async function recordWorker(): Promise<void> {
  const config = parsePlainWords(words);
  if (config === undefined) throw new Error('The words of the build are no plain ones');
  const writeLine = (line: string): void => console.error(line);
  const supervisor = new Supervisor({
    config,
    logger: createLogger(config.logLevel, 'supervisor', writeLine),
    writeLine,
    compileLua: (memoryBytesMax) => compileLuaModule({ memoryBytesMax }),
    workerEntry: new URL('record-worker.js', import.meta.url),
  });
  await supervisor.start();
  const channel = new BroadcastChannel(RECORD_CHANNEL);
  try {
    await ask(supervisor.addresses[0]?.port ?? 0);
    const written = new Promise<void>((resolve) => {
      channel.onmessage = () => resolve();
    });
    channel.postMessage('write');
    await written;
  } finally {
    channel.close();
    await supervisor.stop();
  }
}

/** One answer, whatever it says. */
function ask(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { host: HOST, port, path: '/', agent: false, rejectUnauthorized: false };
    const request = get({ ...options, timeout: START_TIMEOUT_MS }, (response) => {
      response.resume().on('end', resolve);
    });
    request.on('timeout', () => request.destroy(new Error('No answer in time')));
    request.on('error', reject);
  });
}
