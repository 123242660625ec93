/**
 * Network namespaces of Linux, each with one address on a network that a bridge in a further one makes: several machines in one. All of it has names
 * inside these namespaces only, so that runs beside each other do not meet, and goes with them.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

const NETWORK = '10.77.0';
const PREFIX_BITS = 24;
const START_MAX_MS = 60_000;

/**
 * Keeps a namespace while somebody holds its standard input; then, also when the test was killed, ends what runs there, and with the last process
 * the namespace is gone. A program that was started with `launcher` is in no other one.
 */
const KEEPER = `echo ready
cat > /dev/null
mine=$(readlink /proc/self/ns/net | sed 's/[][]/\\\\&/g')
for link in $(find /proc/[0-9]*/ns/net -lname "$mine" 2> /dev/null); do
  pid=\${link#/proc/}
  pid=\${pid%%/*}
  [ "$pid" = $$ ] || kill -KILL "$pid"
done 2> /dev/null`;

/** One of them. */
class Namespace {
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
  }

  static async make(): Promise<Namespace> {
    // detached, so that a signal of the terminal ends the test first
    const keeper = spawn('unshare', ['--net', 'sh', '-c', KEEPER], { detached: true });
    let failure = '';
    keeper.stderr.on('data', (text: Buffer) => {
      failure += String(text);
    });
    keeper.stdin.on('error', () => undefined);
    const made = once(keeper.stdout, 'data').then(() => true);
    const ended = Promise.race([once(keeper, 'close'), once(keeper, 'error')]).then(() => false);
    if (await Promise.race([made, ended])) return new Namespace(keeper);
    throw missingRights(failure);
  }

  /** Words before a command line that run it here, as the same process. */
  get launcher(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, '--'];
  }

  get pid(): number {
    return this.#keeper.pid ?? 0;
  }

  /** Runs `ip` here with these lines. */
  configure(lines: readonly string[]): void {
    const [program = '', ...words] = [...this.launcher, 'ip', '-batch', '-'];
    const { status, stderr, error } = spawnSync(program, words, {
      input: lines.map((line) => `${line}\n`).join(''),
      encoding: 'utf8',
      timeout: START_MAX_MS,
    });
    if (status !== 0) throw missingRights(`${lines.join('; ')}: ${stderr ?? ''}${error ?? ''}`);
  }

  async stop(): Promise<void> {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return;
    const ended = once(this.#keeper, 'close');
    this.#keeper.stdin?.end();
    await ended;
  }
}

function missingRights(failure: string): Error {
  return new Error(
    `Network namespaces cannot be made: ${failure.trim()}. The tests need the rights CAP_SYS_ADMIN and CAP_NET_ADMIN: run them as root`,
  );
}

/** Machines with addresses 10.77.0.1 and so on, in the order of their names. */
export class TestNetwork<Name extends string> {
  readonly #switch: Namespace;
  readonly #machines: ReadonlyMap<Name, Namespace>;

  private constructor(hub: Namespace, machines: ReadonlyMap<Name, Namespace>) {
    this.#switch = hub;
    this.#machines = machines;
  }

  static async make<Name extends string>(names: readonly Name[]): Promise<TestNetwork<Name>> {
    const made = await Promise.allSettled(['switch', ...names].map(() => Namespace.make()));
    const namespaces = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = made.find((one) => one.status === 'rejected');
    const [hub, ...machines] = namespaces as [Namespace, ...Namespace[]];
    try {
      if (failed !== undefined) throw failed.reason;
      hub.configure([
        'link add name bridge type bridge',
        'link set dev bridge up',
        ...machines.flatMap(({ pid }, i) => [
          `link add name ${portOf(i)} type veth peer name eth0 netns ${pid}`,
          `link set dev ${portOf(i)} master bridge`,
          `link set dev ${portOf(i)} up`,
        ]),
      ]);
      for (const [i, machine] of machines.entries())
        machine.configure([
          'link set dev lo up',
          `address add ${addressOf(i)}/${PREFIX_BITS} dev eth0`,
          'link set dev eth0 up',
        ]);
      return new TestNetwork(hub, new Map(names.map((name, i) => [name, machines[i] as Namespace])));
    } catch (error) {
      await Promise.all(namespaces.map((one) => one.stop()));
      throw error;
    }
  }

  address(name: Name): string {
    return addressOf(this.#indexOf(name));
  }

  /** Words before a command line that run it on this machine, as the same process. */
  launcher(name: Name): readonly string[] {
    return this.#machine(name).launcher;
  }

  /** As if the cable of this machine were pulled out, or put in again. */
  cable(name: Name, state: 'out' | 'in'): void {
    const port = portOf(this.#indexOf(name));
    this.#switch.configure([`link set dev ${port} ${state === 'in' ? 'up' : 'down'}`]);
  }

  /** Ends what still runs on the machines, too. */
  async stop(): Promise<void> {
    await Promise.all([this.#switch, ...this.#machines.values()].map((one) => one.stop()));
  }

  #indexOf(name: Name): number {
    return [...this.#machines.keys()].indexOf(name);
  }

  #machine(name: Name): Namespace {
    return this.#machines.get(name) as Namespace;
  }
}

function addressOf(index: number): string {
  return `${NETWORK}.${index + 1}`;
}

function portOf(index: number): string {
  return `port${index + 1}`;
}
