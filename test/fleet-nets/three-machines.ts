/** Three gateways, each in a network namespace of its own, behind HAProxy, with a Redis and a cluster of three in the namespace of the store. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { HaproxyProcess } from '../support/haproxy-process.ts';
import { TestNetwork } from '../support/network-namespaces.ts';
import { type RedisCluster, RedisProcess, startCluster } from '../support/redis-process.ts';
import { askAdmin, type CounterReport, GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';
import { isRunning } from '../support/upgrading-gateway.ts';
import { MACHINE_SCRIPTS } from './machine-scripts.ts';

export const MACHINES = ['a', 'b', 'c'] as const;
export type MachineName = (typeof MACHINES)[number];

const PORT = 8443;
const STORE_PORT = 6379;
/** Nobody else is on the network of the test. */
const OPEN_TO_ALL = ['--protected-mode', 'no'];

/** A gateway, whose process may be another after an upgrade. */
class Machine {
  readonly name: MachineName;
  readonly #folder: GatewayFolder;
  readonly #words: readonly string[];
  readonly #launcher: readonly string[];
  #process: GatewayProcess | undefined;

  constructor(
    name: MachineName,
    folder: GatewayFolder,
    launcher: readonly string[],
    words: readonly string[],
  ) {
    this.name = name;
    this.#folder = folder;
    this.#launcher = launcher;
    this.#words = words;
  }

  /** What it has written since its last start. */
  get log(): string {
    return this.#process?.stderr ?? '';
  }

  /** Words that say where its admin listener is. */
  get admin(): readonly string[] {
    return ['--admin', `unix:${this.#folder.file(`${this.name}.sock`)}`];
  }

  /** Of the process that serves, also after an upgrade. */
  get pid(): number {
    const file = this.#folder.file(`${this.name}.pid`);
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  }

  async start(): Promise<void> {
    const words = [...this.#words, ...this.admin, '--pid-file', this.#folder.file(`${this.name}.pid`)];
    this.#process = new GatewayProcess(this.#folder, words, { launcher: this.#launcher });
    await this.#process.ready();
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Resolves when no process of it is left. */
  async untilEnded(): Promise<void> {
    const { pid } = this;
    await eventually(() => assert.ok(pid === 0 || !isRunning(pid)));
    await this.#process?.ended;
  }
}

export class ThreeMachines {
  readonly network: TestNetwork<MachineName | 'balancer' | 'store'>;
  readonly store: RedisProcess;
  readonly cluster: RedisCluster;
  readonly balancer: HaproxyProcess;
  readonly folder: GatewayFolder;
  readonly #machines: ReadonlyMap<MachineName, Machine>;

  private constructor(
    parts: Pick<ThreeMachines, 'network' | 'store' | 'cluster' | 'balancer' | 'folder'>,
    machines: ReadonlyMap<MachineName, Machine>,
  ) {
    this.network = parts.network;
    this.store = parts.store;
    this.cluster = parts.cluster;
    this.balancer = parts.balancer;
    this.folder = parts.folder;
    this.#machines = machines;
  }

  static async start(): Promise<ThreeMachines> {
    const network = await TestNetwork.make([...MACHINES, 'balancer', 'store']);
    const folder = new GatewayFolder();
    try {
      const place = { launcher: network.launcher('store'), host: network.address('store') };
      const [store, cluster, balancer] = await Promise.all([
        RedisProcess.start(OPEN_TO_ALL, STORE_PORT, place),
        startCluster(OPEN_TO_ALL, place),
        HaproxyProcess.start(
          MACHINES.map((name, i) => ({
            name,
            address: `${network.address(name)}:${PORT}`,
            proxyHead: i === 0 ? 'send-proxy' : 'send-proxy-v2',
          })),
          network.launcher('balancer'),
          folder.path,
        ),
      ]);
      writeFileSync(folder.file('lgateway.toml'), configuration(network, store, cluster));
      const machines = MACHINES.map((name) => {
        const scripts = Object.entries(MACHINE_SCRIPTS).flatMap(([prefix, text], i) => {
          const file = folder.file(`${name}-${i}.lua`);
          writeFileSync(file, text.replaceAll('MACHINE', name));
          return ['-l', prefix, file];
        });
        const own = [
          '--config',
          folder.file('lgateway.toml'),
          '-a',
          network.address(name),
          '-p',
          String(PORT),
        ];
        // one machine has two workers, which are as machines to each other
        const workers = name === 'a' ? ['-w', '2'] : [];
        const all = [...own, ...workers, ...scripts, '-l', '/chat', join(PACKAGE_ROOT, 'handlers/chat.lua')];
        return [name, new Machine(name, folder, network.launcher(name), all)] as const;
      });
      const fleet = new ThreeMachines({ network, store, cluster, balancer, folder }, new Map(machines));
      await Promise.all(MACHINES.map((name) => fleet.machine(name).start()));
      await Promise.all(MACHINES.map((name) => fleet.untilUp(name)));
      return fleet;
    } catch (error) {
      await network.stop();
      folder.remove();
      throw error;
    }
  }

  machine(name: MachineName): Machine {
    return this.#machines.get(name) as Machine;
  }

  /** Where clients meet any machine. */
  get port(): number {
    return this.balancer.port;
  }

  /** Where clients meet this machine. */
  portOf(name: MachineName): number {
    return this.balancer.portOf(name);
  }

  /** Calls of all machines that a store has not answered in time, or not as it should. */
  async storeFailures(): Promise<number> {
    const reports = await Promise.all(
      MACHINES.map((name) => askAdmin(this.folder.file(`${name}.sock`), '/counters')),
    );
    return reports
      .flatMap(({ body }) => (JSON.parse(body) as CounterReport).workers)
      .reduce((sum, { storeFailuresTotal }) => sum + storeFailuresTotal, 0);
  }

  /** Resolves when the balancer sends clients there. */
  async untilUp(name: MachineName): Promise<void> {
    await eventually(async () => assert.ok(await this.balancer.isUp(name)));
  }

  async stop(): Promise<void> {
    await this.network.stop();
    await Promise.all([this.store.stop(), this.cluster.stop(), this.balancer.stop()]);
    await Promise.all([...this.#machines.values()].map((machine) => machine.untilEnded()));
    this.folder.remove();
  }
}

function configuration(
  network: TestNetwork<MachineName | 'balancer' | 'store'>,
  store: RedisProcess,
  cluster: RedisCluster,
): string {
  return `workers = 1
store = "${store.address}"
proxy-protocol = true
drain-grace = 20
proxy-trusted = ["${network.address('balancer')}"]
[[certificate]]
cert = "cert.pem"
key = "key.pem"
[[shared]]
name = "clustered"
store = "${cluster.address}"
`;
}
