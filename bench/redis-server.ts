/** A Redis on the loopback device for the scenarios of stores: the bench starts it, and ends it by its pid. Its CPU time counts for no peer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from './measures/run-tool.ts';

const HOST = '127.0.0.1';
/** The program of the package redis-tools is the server where it is called so: the package redis-server would start a service. */
const PROGRAM = 'redis-check-rdb';
const NAME = 'redis-server';
const START_TIMEOUT_MS = 15_000;
const POLL_MS = 10;
const CLI_TIMEOUT_MS = 5000;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class RedisServer {
  readonly url: string;
  readonly #port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.#port = port;
    this.url = `redis://${HOST}:${port}`;
    this.#child = child;
  }

  /** `folder`: where it may write. Rejects where Redis is not installed. */
  static async start(folder: string): Promise<RedisServer> {
    const port = await freePort();
    // nothing is kept on the disk: what is measured is the gateway
    const words = ['--port', String(port), '--bind', HOST, '--save', '', '--dir', folder];
    const child = spawn(PROGRAM, words, { argv0: NAME, stdio: 'ignore' });
    running.add(child);
    let failure = '';
    child.once('error', ({ message }) => {
      failure = `: ${message} (apt-get install redis-tools)`;
    });
    child.once('exit', () => running.delete(child));
    const redis = new RedisServer(port, child);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (child.exitCode === null && failure === '' && performance.now() < deadline) {
      if (await isListening(port)) return redis;
      await sleep(POLL_MS);
    }
    child.kill('SIGKILL');
    running.delete(child);
    throw new Error(`Cannot start Redis${failure}`);
  }

  /** Commands that it has done, and how often it has read some from a connection: those that came together are one read. */
  async counts(): Promise<{ readonly commands: number; readonly reads: number }> {
    const { output } = await runTool(
      'redis-cli',
      ['-p', String(this.#port), 'info', 'stats'],
      CLI_TIMEOUT_MS,
    );
    const of = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(output)?.[1]);
    return { commands: of('total_commands_processed'), reads: of('total_reads_processed') };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
