/** HAProxy of Debian as a test's balancer: it listens on loopback ports of the test, and passes TCP on with PROXY heads from wherever it runs. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { type ListeningSocket, listeningSocket } from './inherited-socket.ts';
import { eventually } from './script-harness.ts';

export interface BalancedServer {
  readonly name: string;
  /** HOST:PORT. */
  readonly address: string;
  /** How HAProxy tells it of the client: version 1 or 2 of the PROXY protocol. */
  readonly proxyHead: 'send-proxy' | 'send-proxy-v2';
}

/** The first of the descriptors that it inherits. */
const FIRST_DESCRIPTOR = 3;
/** Of `show stat`. */
const STATUS_COLUMN = 17;

export class HaproxyProcess {
  /** Where a client meets any server. */
  readonly port: number;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #socket: string;
  readonly #child: ChildProcess;

  private constructor(
    ports: readonly number[],
    names: readonly string[],
    socket: string,
    child: ChildProcess,
  ) {
    const [port = 0, ...own] = ports;
    this.port = port;
    this.#ports = new Map(names.map((name, i) => [name, own[i] ?? 0]));
    this.#socket = socket;
    this.#child = child;
  }

  /** `launcher`: words that start a program where it is to run. Its files are in `folder`. */
  static async start(
    servers: readonly BalancedServer[],
    launcher: readonly string[],
    folder: string,
  ): Promise<HaproxyProcess> {
    // a socket is of the network it was made in, whoever accepts from it: clients are on the test's loopback
    const sockets = await Promise.all(Array.from({ length: servers.length + 1 }, () => listeningSocket()));
    const [file, socket] = [join(folder, 'haproxy.cfg'), join(folder, 'haproxy.sock')];
    writeFileSync(file, configuration(servers, socket));
    const [program = '', ...words] = [...launcher, 'haproxy', '-db', '-q', '-f', file];
    const descriptors = sockets.map(({ descriptor }: ListeningSocket) => descriptor);
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe', ...descriptors] });
    let errors = '';
    child.stderr?.on('data', (text: Buffer) => {
      errors += String(text);
    });
    for (const one of sockets) one.close();
    const names = servers.map(({ name }) => name);
    const haproxy = new HaproxyProcess(
      sockets.map(({ port }) => port),
      names,
      socket,
      child,
    );
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`HAProxy ended with ${child.exitCode}: ${errors}`);
      await haproxy.tell('show info');
    });
    return haproxy;
  }

  /** Where a client meets this server alone. */
  portOf(name: string): number {
    return this.#ports.get(name) ?? 0;
  }

  /** Sends a command of its runtime API, and gives the answer. */
  async tell(command: string): Promise<string> {
    const client = connect(this.#socket);
    let answer = '';
    client.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    client.end(`${command}\n`);
    await once(client, 'close');
    return answer.trim();
  }

  /** Whether its checks take the server for one that serves. */
  async isUp(name: string): Promise<boolean> {
    return (await this.#statusOf(name)) === 'UP';
  }

  /** Whether its checks take the server for one that does not serve. */
  async isDown(name: string): Promise<boolean> {
    return (await this.#statusOf(name)).startsWith('DOWN');
  }

  /** Of the backend `fleet`: `UP`, `UP 2/3`, `DOWN`, … */
  async #statusOf(name: string): Promise<string> {
    const lines = (await this.tell('show stat')).split('\n').map((line) => line.split(','));
    return lines.find(([backend, server]) => backend === 'fleet' && server === name)?.[STATUS_COLUMN] ?? '';
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** docs/deployment/haproxy.cfg with the sockets and addresses of the test, and an entrance to each server alone. */
function configuration(servers: readonly BalancedServer[], socket: string): string {
  let text = readFileSync(join(PACKAGE_ROOT, 'docs/deployment/haproxy.cfg'), 'utf8');
  const replace = (pattern: RegExp, by: string): void => {
    assert.match(text, pattern);
    text = text.replace(pattern, by);
  };
  replace(/stats socket \S+/, `stats socket ${socket}`);
  replace(/bind :443$/m, `bind fd@${FIRST_DESCRIPTOR}`);
  // each server has a version of its own
  replace(/default-server send-proxy-v2 /, 'default-server ');
  for (const { name, address, proxyHead } of servers)
    replace(new RegExp(`server ${name} \\S+$`, 'm'), `server ${name} ${address} ${proxyHead}`);
  const alone = servers.flatMap(({ name, address, proxyHead }, i) => [
    `listen only-${name}`,
    `  bind fd@${FIRST_DESCRIPTOR + 1 + i}`,
    '  no option redispatch',
    `  server ${name} ${address} ${proxyHead}`,
  ]);
  return `${text}\n${alone.join('\n')}\n`;
}
