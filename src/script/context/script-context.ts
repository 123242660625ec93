/** What the functions of `httpd`, the libraries' users and the runs know of the script they belong to. */
import type { GatewayError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { EventHub } from '../../events/event-hub.ts';
import type { FileSystem } from '../../file/file-system.ts';
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Route } from '../../http/exchange/handler.ts';
import type { Dispatcher } from '../../http/routing/dispatcher.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { HostFunction } from '../../lua/host-functions.ts';
import type { LazyTables } from '../../lua/lazy-tables.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Failure } from '../../lua/push-failure.ts';
import type { State } from '../../lua/state.ts';
import type { Share } from '../../mapping/shares.ts';
import type { Fetcher } from '../../outbound/fetcher.ts';
import type { Proxies } from '../../proxy/proxies.ts';
import type { SharedStore } from '../../shared/shared-store.ts';
import type { StoredDictionaries } from '../../store/stored-dictionary.ts';
import type { ByteTransfer } from '../objects/byte-transfer.ts';
import type { FileOperations } from '../objects/file-operations.ts';
import type { LuaFiles } from '../objects/lua-files.ts';
import type { LuaStreams } from '../objects/lua-streams.ts';
import type { HandlerOptions } from '../run/handler-options.ts';
import type { RunLimits } from '../run/run-limits.ts';
import type { RunTable } from '../run/run-table.ts';
import type { AnswerCache } from './answer-cache.ts';
import type { CachedHandlers } from './cached-handlers.ts';
import type { HandlerTable } from './handler-table.ts';
import type { Hooks } from './hooks.ts';
import type { ScriptLog } from './script-log.ts';

/** What is known of the call of a handler. */
export interface RequestCall {
  readonly exchange: Exchange;
  readonly route: Route;
  /** Of its run. */
  readonly number: number;
}

export interface ScriptContext {
  /** Of the mapping: `/`, `/app`. */
  /** What log lines call the mapping. */
  readonly mappingName: string;
  readonly workerId: number;
  readonly workerCount: number;
  /** Nothing of it may begin any more. */
  readonly closed: boolean;
  /** Limits of runs that do not say otherwise. */
  readonly limits: RunLimits;
  /** What the mapping uses of what the worker has. */
  readonly share: Share;
  readonly logger: Logger;
  /** The script's lines in the log, and reports of its errors. */
  readonly log: ScriptLog;

  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  readonly lazyTables: LazyTables;
  readonly transfer: ByteTransfer;
  readonly files: LuaFiles;
  readonly streams: LuaStreams;

  readonly handlers: HandlerTable;
  /** Registers the function on top of the stack. The first registration of a name holds. Says what is too much. */
  registerHandler(name: string, options: HandlerOptions, L: LuaThread): GatewayError | undefined;
  /** Pushes what the two tables of a handler are made of, as wrapped functions take it; returns how many values: two, or three. */
  pushFacts(L: LuaThread, exchange: Exchange, route: Route, number: number): number;
  /** Pushes what a function takes that LazyTables has wrapped: those facts, and the parameters of a pattern. Returns how many values. */
  readonly pushTables: (L: LuaThread, call: RequestCall) => number;
  /** What `httpd.hook` was told. */
  readonly hooks: Hooks;
  readonly runs: RunTable;
  readonly timers: {
    /** The function `httpd.timer`. */
    readonly create: HostFunction;
    /** Calls the function on top of the stack, which is popped, as soon as the script serves. */
    startAtOnce(L: LuaThread): Failure | undefined;
  };

  readonly fileOperations: FileOperations;
  /** Of the script's files: in the sandbox it opens none. */
  readonly fileSystem: FileSystem;
  readonly dispatcher: Dispatcher;
  readonly fetcher: Fetcher;
  readonly proxies: Proxies;
  /** Dictionaries that all workers share. */
  readonly shared: SharedStore;
  /** Those that live in a store instead; undefined: all are in memory. */
  readonly stored: StoredDictionaries | undefined;
  /** Answers that are kept. */
  readonly cache: AnswerCache;
  readonly cached: CachedHandlers;
  /** Messages between all threads. */
  readonly events: EventHub;
}
