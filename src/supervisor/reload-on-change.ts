/** `--watch`: a change of a file that the gateway has read makes it reload, as SIGHUP does. */
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { FileWatch } from './file-watch.ts';
import type { Operations } from './operations.ts';
import type { Supervisor } from './supervisor.ts';
import { watchTargets } from './watched-files.ts';

/** So many names the log has of one change. */
const SHOWN_MAX = 3;

export interface ReloadOnChangeOptions {
  readonly config: Config;
  /** The one of `--config`. */
  readonly configFile: string | undefined;
  readonly supervisor: Pick<Supervisor, 'state'>;
  readonly operations: Operations;
  readonly logger: Logger;
  /** Settles when the start has come to its end; asked for after the first change. */
  readonly started: () => Promise<unknown>;
}

/** The caller starts it, before the gateway reads its files. */
export function reloadOnChange(options: ReloadOnChangeOptions): FileWatch {
  const { configFile, supervisor, operations, logger } = options;
  // also where it was refused: what it names may be mended outside the file
  let { config } = options;
  const watch = new FileWatch({
    logger,
    targets: () => watchTargets(config, configFile),
    changed: async (files) => {
      await options.started().catch(() => undefined);
      if (supervisor.state === 'serving') await operations.reload(`Changed: ${show(files)}`);
      else watch.close();
    },
  });
  operations.onReloaded = (read) => {
    config = read ?? config;
    watch.renew();
  };
  return watch;
}

function show(files: readonly string[]): string {
  const shown = files.slice(0, SHOWN_MAX).map((file) => `"${file}"`);
  const more = files.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}
