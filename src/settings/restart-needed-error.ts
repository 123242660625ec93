/** Why a reload was refused: it was to change settings that only a restart changes. Nothing has changed then. */
import { GatewayError } from '../base/errors.ts';

/** A setting and its two values, as messages show them. */
export interface SettingChange {
  /** As programs name it: `limits.memoryBytesMax`. */
  readonly name: string;
  /** The options that set it: `--memory`. */
  readonly options: readonly string[];
  readonly from: string;
  readonly to: string;
}

export class RestartNeededError extends GatewayError {
  /** All of them. */
  readonly refused: readonly SettingChange[];

  constructor(refused: readonly SettingChange[]) {
    const list = refused.map(({ name, options, from, to }) => {
      const named = options.length === 0 ? name : `${name} (${options.join(', ')})`;
      return `${named} from ${from} to ${to}`;
    });
    super('LGW_RESTART', `A restart is needed to change ${list.join('; ')}`);
    this.refused = refused;
  }
}
