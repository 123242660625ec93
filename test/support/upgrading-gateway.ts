/** A gateway in a process of its own that is upgraded: its pid file says which process serves. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type GatewayFolder, GatewayProcess } from './run-gateway.ts';

export class UpgradingGateway {
  readonly first: GatewayProcess;
  readonly pidFile: string;
  readonly #seen = new Set<number>();

  /** `words` follow those for certificate, address and pid file. */
  constructor(
    folder: GatewayFolder,
    words: readonly string[],
    settings: ConstructorParameters<typeof GatewayProcess>[2] & { readonly pidFile?: string } = {},
  ) {
    const { pidFile = folder.file('pid'), ...more } = settings;
    this.pidFile = pidFile;
    const usual = ['-c', folder.certificate, '-k', folder.key, '-a', '127.0.0.1', '-p', '0', '-w', '1'];
    this.first = new GatewayProcess(folder, [...usual, '--pid-file', pidFile, ...words], more);
  }

  /** Of the process that serves. */
  get pid(): number {
    const pid = existsSync(this.pidFile) ? Number(readFileSync(this.pidFile, 'utf8')) : 0;
    if (pid > 0) this.#seen.add(pid);
    return pid;
  }

  /** What all of its processes have written. */
  get log(): string {
    return this.first.stderr;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  until(holds: () => boolean): Promise<void> {
    return this.first.until(holds);
  }

  /** Upgrades; resolves when the old process has ended. */
  async upgrade(): Promise<void> {
    const before = this.pid;
    const length = this.log.length;
    this.signal('SIGUSR2');
    await this.until(() => this.pid !== before || this.log.slice(length).includes('refused'));
    if (this.pid === before) throw new Error(`No upgrade: ${this.log.slice(length)}`);
    await this.until(() => !isRunning(before));
  }

  /** Asks for an upgrade that has to be refused; resolves to what the log says of it. */
  async refusedUpgrade(): Promise<string> {
    const length = this.log.length;
    const reason = /Upgrade refused, everything stays as it was: (.*)\n/;
    this.signal('SIGUSR2');
    await this.until(() => reason.test(this.log.slice(length)));
    return reason.exec(this.log.slice(length))?.[1] ?? '';
  }

  async stop(): Promise<void> {
    // whoever has been seen, should a test have failed amid an upgrade
    for (const pid of [this.pid, ...this.#seen, ...childrenOf(this.pid)]) if (pid > 0) kill(pid);
    await this.first.stop();
  }
}

/** Ended processes whose status nobody has asked for run no more. */
export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/status`) && !/^State:\s+Z/m.test(readOrNothing(`/proc/${pid}/status`));
}

/** Zombies among them. */
export function childrenOf(pid: number): number[] {
  return readdirOrNothing(`/proc/${pid}/task`).flatMap((task) =>
    readOrNothing(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  );
}

export function descriptorCount(pid: number): number {
  return readdirOrNothing(`/proc/${pid}/fd`).length;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function readdirOrNothing(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
