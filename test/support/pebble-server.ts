/** Pebble, the ACME server of Let's Encrypt for tests, beside a DNS server of its own that has every name at 127.0.0.1. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { testCertificate } from './certificate.ts';
import { freePorts } from './free-ports.ts';

export interface PebbleOptions {
  /** Where Pebble looks for the answers to challenges. */
  readonly tlsPort?: number;
  readonly httpPort?: number;
  /** External accounts, by key id, their keys in base64url; without one is refused. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** Percent of good nonces that it refuses. */
  readonly nonceReject?: number;
  /** Seconds a certificate is valid. */
  readonly validity?: number;
}

export interface Pebble {
  /** URL of the directory. */
  readonly directory: string;
  /** The certificate that its own one comes from, PEM. */
  readonly trust: string;
  /** The certificate that it signs with, PEM. */
  root(): Promise<string>;
  /** It stands still, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

const UNUSED_PORT = 1;
const START_TRIES = 600;
const START_PAUSE_MS = 50;

export async function startPebble(options: PebbleOptions = {}): Promise<Pebble> {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-pebble-'));
  const [port = 0, management = 0, dns = 0, dnsManagement = 0] = await freePorts(4);
  const { certPath, keyPath, cert } = testCertificate();
  const configuration = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: certPath,
    privateKey: keyPath,
    httpPort: options.httpPort ?? UNUSED_PORT,
    tlsPort: options.tlsPort ?? UNUSED_PORT,
    ocspResponderURL: '',
    externalAccountBindingRequired: options.externalAccounts !== undefined,
    externalAccountMACKeys: options.externalAccounts ?? {},
    ...(options.validity === undefined ? {} : { certificateValidityPeriod: options.validity }),
  };
  const file = join(folder, 'pebble.json');
  writeFileSync(file, JSON.stringify({ pebble: configuration }));
  const names = spawn(
    'pebble-challtestsrv',
    [
      ...['-dns01', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${dnsManagement}`],
      ...['-defaultIPv6', '', '-http01', '', '-https01', '', '-tlsalpn01', ''],
    ],
    { stdio: 'ignore' },
  );
  const pebble = spawn('pebble', ['-strict', '-config', file, '-dnsserver', `127.0.0.1:${dns}`], {
    stdio: 'ignore',
    env: {
      ...process.env,
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 5),
      PEBBLE_AUTHZREUSE: '0',
    },
  });
  const stop = async (): Promise<void> => {
    await Promise.all([end(pebble), end(names)]);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilListening(port, pebble);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    directory: `https://localhost:${port}/dir`,
    trust: cert,
    root: async () => (await read(management, '/roots/0', cert)).replace(/^[\s\S]*?-----BEGIN/, '-----BEGIN'),
    freeze: () => void pebble.kill('SIGSTOP'),
    thaw: () => void pebble.kill('SIGCONT'),
    stop,
  };
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < START_TRIES; tries++) {
    if (child.exitCode !== null) throw new Error(`pebble ended with ${child.exitCode}`);
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    const isOpen = await new Promise((resolve) => {
      socket.once('secureConnect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await sleep(START_PAUSE_MS);
  }
  throw new Error('pebble did not begin to listen');
}

/** One GET without keep-alive; the whole answer as text. */
async function read(port: number, path: string, ca: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
  socket.end(`GET ${path} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
  let text = '';
  for await (const piece of socket) text += String(piece);
  return text;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
