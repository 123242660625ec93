/** One peer as a running process: the bench starts it, watches it, measures it and ends it by its pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchOnce } from './client.ts';
import type { Peer, PeerFiles, StartPlan } from './peers/peers.ts';
import { cpuMs, peakResidentBytes, processTree, resetPeak, residentBytes } from './process-use.ts';
import type { PeerPorts, Workspace } from './workspace.ts';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 15_000;
/** Short in relation to the start-up time, which is some hundred ms. */
const POLL_MS = 2;
const STOP_TIMEOUT_MS = 3000;
/** Starts again where another program takes the chosen port before the server binds it. */
const START_ATTEMPTS_MAX = 3;
/** Bound for the output that is kept of a server, to print it when the server fails to start. */
const OUTPUT_CHARACTERS_MAX = 2000;

export interface ServerSettings extends Omit<StartPlan, 'files'> {
  readonly peer: Peer;
  readonly workspace: Workspace;
  readonly payloadBytes: number;
}

const running = new Set<ServerProcess>();

export class ServerProcess {
  readonly port: number;
  /** The port without TLS. */
  readonly plainPort: number;
  readonly files: PeerFiles;
  /** Time from the start of the process until it has answered a request, in ms. */
  #readyMs = 0;
  readonly #child: ChildProcess;
  #output = '';
  /** Read once when the server is ready, because no peer starts processes later. */
  #pids: readonly number[] = [];

  private constructor(settings: ServerSettings, ports: PeerPorts) {
    const { peer, workspace } = settings;
    this.port = ports.tls;
    this.plainPort = ports.plain;
    this.files = workspace.prepare(peer, ports, settings.payloadBytes, settings.upstreamPort);
    const plan = { ...settings, files: this.files };
    this.#child = spawn(peer.program, peer.arguments(plan), {
      cwd: this.files.FOLDER,
      env: { ...process.env, ...peer.environment?.(plan) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARACTERS_MAX);
    };
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.#child.on('error', (error) => keep(Buffer.from(error.message)));
    running.add(this);
  }

  /** Rejects with the output of the server when the server does not start. */
  static async start(settings: ServerSettings): Promise<ServerProcess> {
    for (let attempt = 1; ; attempt++) {
      const server = new ServerProcess(settings, await freePorts());
      const started = performance.now();
      if (await server.#becomesReady(started, settings.workspace.certificate)) {
        server.#readyMs = performance.now() - started;
        server.#pids = server.#tree();
        return server;
      }
      await server.stop();
      if (attempt === START_ATTEMPTS_MAX)
        throw new Error(`Cannot start ${settings.peer.name}: ${server.#output.trim() || 'it said nothing'}`);
    }
  }

  get readyMs(): number {
    return this.#readyMs;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  cpuMs(): number {
    return cpuMs(this.#pids);
  }

  residentBytes(): number {
    return residentBytes(this.#pids);
  }

  peakResidentBytes(): number {
    return peakResidentBytes(this.#pids);
  }

  resetPeak(): void {
    resetPeak(this.#pids);
  }

  async stop(): Promise<void> {
    const deadline = performance.now() + STOP_TIMEOUT_MS;
    const pids = this.#tree();
    if (!this.hasEnded) this.#child.kill('SIGTERM');
    while (!this.hasEnded && performance.now() < deadline) await sleep(POLL_MS);
    if (!this.hasEnded) endAll(pids);
    running.delete(this);
  }

  /** Sends SIGKILL without waiting; for the end of the bench itself. */
  kill(): void {
    if (!this.hasEnded) endAll(this.#tree());
  }

  /** Waits for an answer, not only for a connection: the kernel accepts connections as soon as the address is bound. */
  async #becomesReady(started: number, ca: string): Promise<boolean> {
    while (
      !this.hasEnded &&
      this.#child.pid !== undefined &&
      performance.now() - started < READY_TIMEOUT_MS
    ) {
      const answer = await fetchOnce({ port: this.port, path: '/bench/hello', ca }).catch(() => undefined);
      if (answer?.status === 200) return true;
      await sleep(POLL_MS);
    }
    return false;
  }

  /** Returns an empty list when the process did not start. */
  #tree(): number[] {
    return this.#child.pid === undefined ? [] : processTree(this.#child.pid);
  }
}

/** Ends all servers that still run; called after a signal. */
export function killServers(): void {
  for (const server of running) server.kill();
}

function endAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // the process has ended by itself
    }
  }
}

/** Holds both ports until both are known, so that they differ. */
async function freePorts(): Promise<PeerPorts> {
  const servers = [createServer().listen(0, HOST), createServer().listen(0, HOST)];
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const [tls = 0, plain = 0] = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return { tls, plain };
}
