/** Redis servers of Debian for tests: one, or a cluster of masters; each ends with `stop`. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from './free-ports.ts';

/** Where a server runs that is to be on another machine than the test: words that start a program there, and its address. */
export interface RedisPlace {
  readonly launcher: readonly string[];
  readonly host: string;
}

const HERE: RedisPlace = { launcher: [], host: '127.0.0.1' };

/** The program of the package redis-tools is the server, too, where it is called so: the package redis-server would start a service. */
const PROGRAM = 'redis-check-rdb';
const NAME = 'redis-server';
/** Of a sentinel: on a busy machine a server is silent for seconds. */
const DOWN_AFTER_MS = 600_000;
const TRIES = 600;
const PAUSE_MS = 50;

/** None outlives the test that has started it, however that ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class RedisProcess {
  readonly port: number;
  readonly folder: string;
  readonly #words: readonly string[];
  readonly #place: RedisPlace;
  #child: ChildProcess;

  private constructor(port: number, folder: string, words: readonly string[], place = HERE) {
    this.port = port;
    this.folder = folder;
    this.#words = words;
    this.#place = place;
    this.#child = this.#spawn();
  }

  /** `words`: options of the server; `$FOLDER` is its folder. */
  static async start(
    words: readonly string[] = [],
    port?: number,
    place: RedisPlace = HERE,
  ): Promise<RedisProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'lgateway-redis-'));
    const [free = 0] = port === undefined ? await freePorts(1) : [port];
    const own = words.map((word) => word.replaceAll('$FOLDER', folder));
    const redis = new RedisProcess(free, folder, own, place);
    try {
      await redis.ready();
    } catch (error) {
      await redis.stop();
      throw error;
    }
    return redis;
  }

  /** One that watches the master of these, as the set `name`, alone; it takes no silent master for gone until `hurry` is called. */
  static async startSentinel(name: string, { port }: RedisProcess): Promise<RedisProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'lgateway-sentinel-'));
    const file = join(folder, 'sentinel.conf');
    const [free = 0] = await freePorts(1);
    const lines = [
      `sentinel monitor ${name} 127.0.0.1 ${port} 1`,
      `sentinel down-after-milliseconds ${name} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${name} 3000`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const sentinel = new RedisProcess(free, folder, [file, '--sentinel']);
    await sentinel.ready();
    return sentinel;
  }

  /** Of a sentinel: from now on it takes a master that is silent for half a second for gone. */
  hurry(name: string): void {
    this.cli('sentinel', 'set', name, 'down-after-milliseconds', '500');
  }

  get address(): string {
    return `redis://${this.host}:${this.port}`;
  }

  get host(): string {
    return this.#place.host;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What redis-cli prints for these words. */
  cli(...words: readonly string[]): string {
    const { launcher, host } = this.#place;
    const [program = '', ...more] = [...launcher, 'redis-cli', '-h', host, '-p', String(this.port), ...words];
    const { stdout, stderr } = spawnSync(program, more, { encoding: 'utf8' });
    return `${stdout}${stderr}`.trim();
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Resolves when it stands still, until `thaw`. */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${this.pid}/status`, 'utf8'))) await sleep(1);
  }

  thaw(): void {
    this.signal('SIGCONT');
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** The same server once more, without what it had in memory. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.ready();
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async ready(): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (this.#child.exitCode !== null) throw new Error(`Redis ended with ${this.#child.exitCode}`);
      if (await this.#isListening()) return;
      await sleep(PAUSE_MS);
    }
    throw new Error('Redis did not begin to listen');
  }

  async #isListening(): Promise<boolean> {
    return this.#place === HERE ? await isListening(this.port) : /PONG|NOAUTH/.test(this.cli('ping'));
  }

  #spawn(): ChildProcess {
    const { launcher, host } = this.#place;
    const usual = [
      ...['--port', String(this.port), '--bind', host, '--save', '', '--dir', this.folder],
      // a master waits five seconds for further replicas before it sends its data
      ...['--repl-diskless-sync-delay', '0'],
    ];
    // a configuration file stands first, and a sentinel keeps no data
    const isSentinel = this.#words.includes('--sentinel');
    const words = isSentinel ? [...this.#words, ...usual.slice(0, 4)] : [...usual, ...this.#words];
    const [starter, ...more] = launcher;
    const child =
      starter === undefined
        ? spawn(PROGRAM, words, { argv0: NAME, stdio: 'ignore' })
        : spawn(starter, [...more, 'bash', '-c', `exec -a ${NAME} ${PROGRAM} "$@"`, NAME, ...words], {
            stdio: 'ignore',
          });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return child;
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export interface RedisCluster {
  readonly nodes: readonly RedisProcess[];
  /** Names one of them. */
  readonly address: string;
  stop(): Promise<void>;
}

/** Three masters without replicas. */
export async function startCluster(
  words: readonly string[] = [],
  place: RedisPlace = HERE,
): Promise<RedisCluster> {
  const { host } = place;
  const ports = await freePorts(6);
  const nodes = await Promise.all(
    ports
      .slice(0, 3)
      .map((port, i) =>
        RedisProcess.start(
          [...['--cluster-enabled', 'yes', '--cluster-port', String(ports[i + 3])], ...words],
          port,
          place,
        ),
      ),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  const [first] = nodes as [RedisProcess];
  const hosts = nodes.map(({ port }, i) => `${host}:${port}@${ports[i + 3]}`);
  try {
    // redis-cli --cluster create takes bus ports of its own choice for granted
    for (const [i, node] of nodes.entries())
      node.cli(
        'cluster',
        'addslotsrange',
        String(Math.ceil((i * 16_384) / 3)),
        String(Math.ceil(((i + 1) * 16_384) / 3) - 1),
      );
    for (const [i, { port }] of nodes.entries())
      first.cli('cluster', 'meet', host, String(port), String(ports[i + 3]));
    await untilWhole(nodes, host);
  } catch (error) {
    await stop();
    throw new Error(`No cluster of ${hosts.join(' ')}`, { cause: error });
  }
  return { nodes, address: `${first.address},`, stop };
}

async function untilWhole(nodes: readonly RedisProcess[], host: string): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const states = nodes.map((node) => node.cli('cluster', 'info'));
    const areWhole = states.every(
      (state) => state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3'),
    );
    const know = nodes.every((node) => node.cli('cluster', 'slots').split(host).length > 3);
    if (areWhole && know) return;
    await sleep(PAUSE_MS);
  }
  throw new Error('the nodes do not agree');
}

export interface WatchedPair {
  readonly master: RedisProcess;
  readonly replica: RedisProcess;
  readonly sentinel: RedisProcess;
  /** Names the sentinel. */
  readonly address: string;
  stop(): Promise<void>;
}

/** A master with a replica, and a sentinel that knows both, as the set `set`. */
export async function startWatchedPair(): Promise<WatchedPair> {
  const master = await RedisProcess.start();
  const started = [master];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop()));
  };
  try {
    const replica = await RedisProcess.start(['--replicaof', `127.0.0.1 ${master.port}`]);
    started.push(replica);
    await until(() => replica.cli('info', 'replication').includes('master_link_status:up'));
    // a sentinel asks for replicas when it begins, and then each ten seconds
    const sentinel = await RedisProcess.startSentinel('set', master);
    started.push(sentinel);
    await until(() => sentinel.cli('sentinel', 'replicas', 'set').includes(String(replica.port)));
    return { master, replica, sentinel, address: `redis+sentinel://127.0.0.1:${sentinel.port}/set`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (isSo()) return;
    await sleep(PAUSE_MS);
  }
  throw new Error('the servers do not find each other');
}
