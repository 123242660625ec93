/** What a supervisor is made of. */
import type { GatewayError } from '../base/errors.ts';
import type { LevelLogger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import type { ListenerOptions } from './listener.ts';
import type { ListenNames } from './listeners.ts';
import type { loadTls } from './load-tls.ts';
import type { LogOutputs } from './log-outputs.ts';
import type { Predecessor } from './predecessor.ts';
import type { WorkerTimes } from './worker-times.ts';

export interface SupervisorOptions {
  readonly config: Config;
  /** The one of `--config`; undefined = none. */
  readonly configFile?: string | undefined;
  /** Its level follows the settings. */
  readonly logger: LevelLogger;
  /** Takes the log lines of the workers, formatted and without line ends. */
  readonly writeLine: (line: string) => void;
  /** Takes the lines of the access log; default: they are log lines. */
  readonly outputs?: Pick<LogOutputs, 'writeAccess' | 'prepare' | 'lostLines'>;
  /**
   * Compiles the Lua machine for states that may grow to so many bytes. It is handed to the workers unread; called once for each
   * size, while their threads begin. Undefined where no script is served.
   */
  readonly compileLua: ((memoryBytesMax: number) => Promise<object>) | undefined;
  /** What messages call that which says where it listens; default: the options of the command line. */
  readonly listenNames?: ListenNames | undefined;
  /** How descriptors are duplicated and ports shared; default: what this platform can do. */
  readonly listener?: ListenerOptions;
  /** Reads certificate and key from the files of the configuration; default: just that. */
  readonly loadTls?: typeof loadTls;
  /** How long a set of ticket keys makes tickets; default: an hour. */
  readonly ticketPeriodMs?: number;
  /** The module each worker thread runs; default: the gateway's own. */
  readonly workerEntry?: URL;
  readonly times?: Partial<WorkerTimes>;
  /** Whose place this one takes; default: nobody's. */
  readonly predecessor?: Predecessor | undefined;
  /**
   * Threads are replaced in vain: they crash before they serve, or do not end. Called once. Default: the supervisor goes on with growing
   * pauses.
   */
  readonly onGivenUp?: (reason: GatewayError) => void;
}
