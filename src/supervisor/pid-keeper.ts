/** When the pid file and the file of outcomes beside it are written: at the start, or when a successor takes the place of the gateway before it. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { OutcomeFile } from './outcome-file.ts';
import { PidFile } from './pid-file.ts';

export class PidKeeper {
  readonly #path: string | undefined;
  readonly #predecessor: number | undefined;
  readonly #logger: Logger;
  #file: PidFile | undefined;
  #outcomes: OutcomeFile | undefined;

  /** `path` undefined: there is no pid file. `predecessor`: the process that has it still. */
  constructor(path: string | undefined, predecessor: number | undefined, logger: Logger) {
    this.#path = path;
    this.#predecessor = predecessor;
    this.#logger = logger;
  }

  /** Where to write what comes of reloads and upgrades; undefined: nowhere. */
  get outcomes(): OutcomeFile | undefined {
    return this.#outcomes;
  }

  /** The port is bound. Errors: LGW_PID_FILE. */
  begin(): void {
    if (this.#path === undefined || this.#predecessor !== undefined) return;
    this.#file = PidFile.write(this.#path);
    this.#outcomes = OutcomeFile.create(this.#path, this.#logger);
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
      if (this.#path === undefined) return;
      this.#outcomes = OutcomeFile.create(this.#path, this.#logger);
      this.#file = PidFile.replace(this.#path);
    } catch (error) {
      // the predecessor is about to go, and somebody has to serve
      this.#logger.error(messageOf(error));
    }
  }

  /** Removes the files if they are those of this process. */
  remove(): void {
    this.#outcomes?.remove();
    this.#outcomes = undefined;
    this.#file?.remove();
    this.#file = undefined;
  }
}
