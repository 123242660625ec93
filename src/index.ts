/** What a TypeScript or JavaScript program that embeds the gateway may use; everything else is internal. */

import { availableParallelism } from 'node:os';
import type { CounterName } from './base/counters.ts';
import { type ErrorCode, GatewayError } from './base/errors.ts';
import { createLogger, type LogLevel } from './base/logger.ts';
import { DEFAULT_SCRIPT_RIGHTS, type ScriptRights } from './base/script-rights.ts';
import type { SharedSize } from './base/shared-size.ts';
import {
  type Config,
  DEFAULT_HTTP2_LAYER,
  type Http2Layer,
  type ListenAddress,
  type MappingConfig,
} from './config/config.ts';
import { DEFAULT_LIMITS, type Limits } from './config/limits.ts';
import { withMappings } from './config/ready-made-mappings.ts';
import { compileLuaModule } from './lua/wasm-module.ts';
import type { IncrementStart, SharedDictionary, SharedValue } from './shared/shared-dictionary.ts';
import { LogSink } from './supervisor/log-sink.ts';
import { type BoundAddress, Supervisor } from './supervisor/supervisor.ts';

export type {
  BoundAddress,
  CounterName,
  Http2Layer,
  IncrementStart,
  Limits,
  ListenAddress,
  LogLevel,
  MappingConfig,
  SharedDictionary,
  SharedSize,
  SharedValue,
};
export { DEFAULT_LIMITS, type ErrorCode, GatewayError };

/** How a gateway inside another program is to run; everything may be left out. */
export interface GatewayOptions {
  /** Scripts and their path prefixes; default: the ready-made handlers of the package. */
  readonly mappings?: readonly MappingConfig[];
  /** PEM files; default: a development certificate. */
  readonly certificateFiles?: { readonly certificate: string; readonly key: string };
  /** Default: port 8443 on all addresses. Port 0 takes any free one. */
  readonly listen?: Partial<ListenAddress>;
  /** A second listener without TLS; default: none. */
  readonly cleartext?: ListenAddress;
  /** Whose HTTP/2 sessions; default: `node`. */
  readonly http2?: Http2Layer;
  /** Virtual root of scripts and of all file access from Lua; default: none. */
  readonly root?: string;
  /** Worker threads; default: one per processor. */
  readonly workers?: number;
  /** Limits that differ from DEFAULT_LIMITS. */
  readonly limits?: Partial<Limits>;
  /** What scripts may do beyond the default. */
  readonly rights?: Partial<ScriptRights>;
  /** Sizes of dictionaries of `httpd.shared`; default: none, and each that a script asks for has 16 MiB. */
  readonly shared?: readonly SharedSize[];
  /** Least important lines to keep; default `info`. */
  readonly logLevel?: LogLevel;
  /** One line per exchange; default false. */
  readonly accessLog?: boolean;
  /** Takes each log line, without its line end; default: standard error. */
  readonly log?: (line: string) => void;
}

/** A gateway that serves. */
export interface Gateway {
  /** Where it accepts connections; empty once it drains. */
  readonly addresses: readonly BoundAddress[];
  /**
   * Reads scripts and certificate again; all workers go over to them at once and no request is lost. Rejects with a
   * GatewayError when anything is wrong with them, and then nothing has changed.
   */
  reload(): Promise<void>;
  /**
   * Refuses new connections and resolves when all open exchanges have ended (true), or when
   * `limits.drainTimeoutMs` has passed (false). Call `stop` next.
   */
  drain(): Promise<boolean>;
  /** Ends all threads; open exchanges are cut. The port is free when it resolves. */
  stop(): Promise<void>;
  /**
   * The dictionary that scripts know as `httpd.shared(name)`. Throws RangeError for what is no name, and GatewayError
   * (`luaCode` limit) when too many were opened that are not in `GatewayOptions.shared`.
   */
  shared(name: string): SharedDictionary;
  /** What each worker counts at this moment. */
  counters(): Readonly<Record<CounterName, number>>[];
}

const DEFAULT_PORT = 8443;

/**
 * Starts a gateway in this process; resolves when every worker serves. Rejects with a GatewayError (a port in use, an
 * unreadable key, a script that fails), and then nothing is left behind. Installs no signal handlers.
 */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const config = withMappings(completeConfig(options));
  const writeLine = options.log ?? new LogSink().write;
  const logger = createLogger(config.logLevel, 'supervisor', writeLine);
  const supervisor = new Supervisor({
    config,
    logger,
    writeLine,
    luaModule: compileLuaModule(config.limits),
  });
  await supervisor.start();
  return {
    get addresses(): readonly BoundAddress[] {
      return supervisor.addresses;
    },
    reload: () => supervisor.reload(),
    drain: () => supervisor.drain(),
    stop: () => supervisor.stop(),
    shared: (name) => supervisor.shared(name),
    counters: () => supervisor.counters(),
  };
}

function completeConfig(options: GatewayOptions): Config {
  return {
    mappings: options.mappings ?? [],
    certificateFiles: options.certificateFiles,
    listen: { address: options.listen?.address, port: options.listen?.port ?? DEFAULT_PORT },
    cleartext: options.cleartext,
    http2: options.http2 ?? DEFAULT_HTTP2_LAYER,
    root: options.root,
    workers: options.workers ?? availableParallelism(),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    rights: { ...DEFAULT_SCRIPT_RIGHTS, ...options.rights },
    shared: options.shared ?? [],
    logLevel: options.logLevel ?? 'info',
    accessLog: options.accessLog ?? false,
    // the affairs of a process, not of a part of one
    user: undefined,
    daemon: false,
    pidFile: undefined,
    logFile: undefined,
  };
}
