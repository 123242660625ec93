/** When the pid file is written: at the start, or when a successor takes the place of the gateway before it. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { PidFile } from './pid-file.ts';

export class PidKeeper {
  readonly #path: string | undefined;
  readonly #predecessor: number | undefined;
  readonly #logger: Logger;
  #file: PidFile | undefined;

  /** `path` undefined: there is no pid file. `predecessor`: the process that has it still. */
  constructor(path: string | undefined, predecessor: number | undefined, logger: Logger) {
    this.#path = path;
    this.#predecessor = predecessor;
    this.#logger = logger;
  }

  /** The port is bound. Errors: LGW_PID_FILE. */
  begin(): void {
    if (this.#path !== undefined && this.#predecessor === undefined) this.#file = PidFile.write(this.#path);
  }

  /** Finds out, with the rights that the process keeps, whether it could take over the file. Errors: LGW_PID_FILE. */
  look(): void {
    if (this.#path === undefined || this.#predecessor === undefined) return;
    const reason = PidFile.whyNotReplaceable(this.#path, this.#predecessor);
    if (reason !== undefined)
      throw new GatewayError(
        'LGW_PID_FILE',
        `The pid file "${this.#path}" cannot be taken over: it ${reason}`,
      );
  }

  /** The predecessor gives it up. */
  takeOver(): void {
    try {
      if (this.#path !== undefined) this.#file = PidFile.replace(this.#path);
    } catch (error) {
      // the predecessor is about to go, and somebody has to serve
      this.#logger.error(messageOf(error));
    }
  }

  /** Removes the file if it names this process. */
  remove(): void {
    this.#file?.remove();
    this.#file = undefined;
  }
}
