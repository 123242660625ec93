/** Runs the real program as a child process, with TLS on a port that the kernel chooses. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CounterName } from '../../src/metrics/worker-metrics.ts';
import type { MappingUse } from '../../src/supervisor/mapping-uses.ts';
import { testCertificate } from './certificate.ts';

export const MAIN: string = fileURLToPath(new URL('../../src/main.js', import.meta.url));
/** The longest wait for a start or an output: on a machine with ten times the work it can do, a start takes half a minute. */
const READY_MAX_MS = 60_000;
/** For coverage a process has to end by itself: only then does it write what ran. */
const COUNTS_COVERAGE = process.env['LGATEWAY_TEST_COVERAGE'] === '1';
const GENTLE_STEP_MS = 100;
const GENTLE_TRIES = 50;

/** A folder with its own certificate for localhost; tests also put scripts and pid files there. */
export class GatewayFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'lgateway-test-'));
  readonly certificate: string = join(this.path, 'cert.pem');
  readonly key: string = join(this.path, 'key.pem');

  constructor() {
    const { cert, key } = testCertificate();
    writeFileSync(this.certificate, cert);
    writeFileSync(this.key, key, { mode: 0o600 });
  }

  /** Words of a command line for an admin listener, of which a folder may have several. */
  adminWords(name = 'admin.sock'): readonly string[] {
    return ['--admin', `unix:${this.file(name)}`];
  }

  file(name: string): string {
    return join(this.path, name);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a gateway counts, as its admin listener tells. */
export interface CounterReport {
  /** Worker 1 first. */
  readonly workers: readonly Readonly<Record<CounterName, number>>[];
  readonly mappings: readonly MappingUse[];
}

/** What tests ask of a gateway, wherever it runs. */
export interface RunningGateway {
  /** Everything it has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** The port that the first output names. */
  readonly port: number;
  /** Resolves when it serves; rejects when it cannot. */
  ready(): Promise<this>;
  signal(name: NodeJS.Signals): void;
  counters(): Promise<CounterReport>;
  /** Resolves when `holds` returns true; calls it after every output. */
  until(holds: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** A started program, which may have ended. */
export class GatewayProcess implements RunningGateway {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  readonly #folder: GatewayFolder;
  /** What `--admin` says. */
  readonly #admin: string | undefined;

  constructor(
    folder: GatewayFolder,
    words: readonly string[],
    settings: {
      readonly uid?: number;
      readonly cwd?: string;
      /** Environment variables in addition to those of the test. */
      readonly environment?: Readonly<Record<string, string>>;
      /** Descriptors that the program inherits, from number 3 on. */
      readonly inherited?: readonly number[];
      /** A program and its first arguments, which starts the command line that follows. */
      readonly launcher?: readonly string[];
      /** The file of the program, where it is not the built one. */
      readonly main?: string;
    } = {},
  ) {
    this.#folder = folder;
    this.#admin = words.includes('--admin') ? words[words.indexOf('--admin') + 1] : undefined;
    const { environment, inherited = [], launcher = [], main = MAIN, ...rest } = settings;
    const [program = process.execPath, ...more] = [...launcher, process.execPath, main, ...words];
    this.child = spawn(program, more, {
      stdio: ['ignore', 'pipe', 'pipe', ...inherited],
      env: { ...process.env, ...environment },
      ...rest,
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code, signal) => resolve({ code, signal })),
    );
  }

  get #hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get port(): number {
    return portOf(this.stdout);
  }

  /** Resolves when the program reports that it serves; rejects with its output when it ends before. */
  async ready(): Promise<this> {
    const ended = this.ended.then(({ code }) => {
      throw new Error(`The gateway ended with code ${code}: ${this.stderr}`);
    });
    await Promise.race([this.until(() => this.port !== 0), ended]);
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  until(holds: () => boolean): Promise<void> {
    return untilHolds(this, holds);
  }

  /** Where its admin listener is: a socket file, or a port that its log names. */
  get admin(): string | number {
    const place = this.#place;
    if (place === undefined) throw new Error('The gateway has no admin listener');
    return place;
  }

  get #place(): string | number | undefined {
    if (this.#admin?.startsWith('unix:') === true) return this.#admin.slice('unix:'.length);
    const port = /Admin listener on http:\/\/[^ ]*:(\d+)/.exec(this.stderr)?.[1];
    return port === undefined ? undefined : Number(port);
  }

  async counters(): Promise<CounterReport> {
    // what it has written to standard output may come before what it wrote to the log earlier
    await this.until(() => this.#admin === undefined || this.#place !== undefined);
    const { body } = await askAdmin(this.admin, '/counters');
    return JSON.parse(body) as CounterReport;
  }

  /** Sends one request over its own connection. */
  ask(path: string): Promise<{ status: number; body: string }> {
    return ask(this.#folder, this.port, path);
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return void (await this.ended);
    if (!COUNTS_COVERAGE) this.child.kill('SIGKILL');
    // a second signal would skip what the first one waits for, and a stopped process handles no signal
    for (let tries = 0; COUNTS_COVERAGE && !this.#hasEnded; tries++) {
      this.child.kill(tries < GENTLE_TRIES ? 'SIGTERM' : 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, GENTLE_STEP_MS));
    }
    await this.ended;
  }
}

export function portOf(banner: string): number {
  return Number(/ serves https:\/\/[^ ]*:(\d+)\//.exec(banner)?.[1] ?? 0);
}

export async function untilHolds(gateway: RunningGateway, holds: () => boolean): Promise<void> {
  const limit = performance.now() + READY_MAX_MS;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`Not in time; stderr: ${gateway.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Asks an admin listener on a unix socket or a port. */
export function askAdmin(
  where: string | number,
  path: string,
  options: RequestOptions = {},
): Promise<{ status: number; body: string; headers: IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const place = typeof where === 'string' ? { socketPath: where } : { host: '127.0.0.1', port: where };
    const call = request({ ...place, path, agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
}

export function ask(
  folder: GatewayFolder,
  port: number,
  path: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      host: 'localhost',
      port,
      path,
      ca: readFileSync(folder.certificate),
      agent: false,
    } as const;
    get(options, (response) => {
      let body = '';
      response.setEncoding('latin1');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}
