/** Lets a new process take this one's place: starts it, waits until it serves, hands over. */
import { GatewayError } from '../base/errors.ts';
import { currentOpener } from '../opener/current-opener.ts';
import type { RootOpener } from '../opener/root-opener.ts';
import type { UpgradeHold } from './succession.ts';
import { type OwnCommand, Successor, type SuccessorOptions } from './successor.ts';
import type { Supervisor } from './supervisor.ts';

/** Connections that are idle, or in their handshake, may still ask for so long when the successor serves: their next request may be on its way. */
export const IDLE_GRACE_MS = 2000;

export interface UpgraderOptions {
  readonly supervisor: Supervisor;
  readonly command: OwnCommand;
  /** Of this process; default: its own. */
  readonly pid?: number;
}

export class Upgrader {
  readonly #options: UpgraderOptions;
  #abort: AbortController | undefined;

  constructor(options: UpgraderOptions) {
    this.#options = options;
  }

  /**
   * Resolves to the process id of the successor when it has taken over: this process is to drain then. When it rejects (GatewayError),
   * nothing has changed, and no other process is left.
   */
  async upgrade(): Promise<number> {
    const { supervisor, command, pid = process.pid } = this.#options;
    // its end is the end of everything in its container
    if (pid === 1)
      throw new GatewayError(
        'LGW_UPGRADE',
        'This is process 1 of its container, which ends with it: start a container with the new version, or run the gateway below an init, as tini',
      );
    const { succession } = supervisor;
    const held = await succession.hold();
    const opener = currentOpener();
    opener?.pause();
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const successor = await Successor.start({ command, ...withOthers(held, opener) }, abort.signal);
      if (supervisor.state !== 'serving') {
        successor.end();
        throw new GatewayError('LGW_UPGRADE', `The gateway is ${supervisor.state}`);
      }
      succession.leaveAdmin();
      await successor.takeOver();
      opener?.close();
      const ended = (name: string, completed: boolean): void =>
        successor.tell({ type: 'onceEnded', name, completed });
      successor.tell({ type: 'once', records: succession.handOverOnce(ended) });
      return successor.pid;
    } catch (error) {
      opener?.resume();
      await succession.release();
      throw error;
    } finally {
      this.#abort = undefined;
    }
  }

  /** Ends a successor that does not serve yet: this process ends, and nobody is to take its place. */
  abort(): void {
    this.#abort?.abort();
  }
}

/** Behind the sockets: the opener of root, which cannot be started again, and the admin listener. */
function withOthers(
  { descriptors, handover, adminDescriptor }: UpgradeHold,
  opener: RootOpener | undefined,
): Pick<SuccessorOptions, 'descriptors' | 'handover'> {
  const openerDescriptor = opener?.descriptor;
  return {
    descriptors: [descriptors, openerDescriptor ?? [], adminDescriptor ?? []].flat(),
    handover: { ...handover, openerFiles: openerDescriptor === undefined ? undefined : opener?.files },
  };
}
