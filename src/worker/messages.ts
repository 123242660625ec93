/** The messages between the supervisor and a worker thread; no code of either side. */

import type { ErrorCode } from '../base/error-codes.ts';
import type { LogLevel } from '../base/logger.ts';
import type { MessageForm } from '../base/message-form.ts';
import type { MappingConfig } from '../config/config.ts';
import type { EventEnd } from '../events/event-link.ts';
import type { ProxyMappingSettings } from '../mapping/proxy-settings.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { ScriptSettings } from '../mapping/script-settings.ts';
import type { FolderSettings } from '../mapping/static-settings.ts';
import type { RegisteredHandler } from '../script/context/handler-table.ts';
import type { CompressionSettings } from '../settings/compression.ts';
import type { Limits } from '../settings/limits.ts';
import type { LogSettings } from '../settings/log-settings.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import type { SharedAccess } from '../shared/shared-memory.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';

/** Where a worker accepts connections. */
export type ListenSource =
  /** A duplicate of the supervisor's listening socket, the worker's own from `listen` on. */
  | { readonly kind: 'descriptor'; readonly descriptor: number }
  /** The worker binds the address itself, as descriptors cannot be duplicated. */
  | {
      readonly kind: 'bind';
      readonly address: string;
      readonly port: number;
      readonly reusePort: boolean;
    };

/** One listener of a worker. */
export interface WorkerListener {
  readonly scheme: 'https' | 'http';
  readonly source: ListenSource;
  /** Its connections begin with a PROXY head. */
  readonly proxied: boolean;
  /** Its clients are led to this port, which speaks TLS; undefined = they are served. */
  readonly redirectPort?: number;
}

/** The settings that a reload may change in a worker. */
export interface WorkerSettings {
  readonly limits: Limits;
  readonly rights: ScriptRights;
  readonly logLevel: LogLevel;
  readonly accessLog: boolean;
  readonly logs: LogSettings;
  readonly scripts: readonly ScriptSettings[];
  readonly folders: readonly FolderSettings[];
  readonly proxies: readonly ProxyMappingSettings[];
  readonly compression: CompressionSettings;
  /** Addresses and networks that may send PROXY heads. */
  readonly trustedProxies: readonly string[];
  /** The value of Strict-Transport-Security; undefined = it is not sent. */
  readonly transportSecurity: string | undefined;
}

/** The part of a worker's configuration that a reload reads again. */
export interface WorkerSetup {
  /** Counts up with each reload. */
  readonly generation: number;
  /** The same for all workers; the supervisor reads it while it still has the rights. Undefined without an https listener. */
  readonly tls: TlsSetup | undefined;
  readonly mappings: readonly MappingConfig[];
  /** Of each of them its row of counters, which it keeps as long as the process lives. */
  readonly rows: readonly number[];
  /** Of scripts that have none of their own, and of folders. */
  readonly root: string | undefined;
  /** Those of the sizes that the scripts have. While they are being compiled for the first threads, `luaModules` follows as the next message. */
  readonly luaModules: LuaModules | 'follows';
  readonly settings: WorkerSettings;
}

/** `workerData` of a worker thread: what is known before the supervisor has bound an address or read a key. */
export interface WorkerStart {
  /** 1 and up. */
  readonly workerId: number;
  /** Memory of the worker's Counters. */
  readonly counters: SharedArrayBuffer;
  /** Memory of the counters of its mappings: a row for each, and spare ones. */
  readonly mappingCounters: SharedArrayBuffer;
  /** Memory of what is counted for each listener, in the order of `WorkerJob.listeners`. */
  readonly listenerCounters: SharedArrayBuffer;
  /** Memory of what is counted of requests: a row for what no mapping has answered, and as `mappingCounters`. Undefined: nobody asks for it. */
  readonly requests: SharedArrayBuffer | undefined;
  /**
   * One Int32, 0 until the worker has put its descriptors into its own servers: while it is 0 the supervisor closes
   * them when the thread ends, from then on the thread's loop does.
   */
  readonly descriptorsAdopted: SharedArrayBuffer;
  /** Memory of the Heartbeat of this thread. */
  readonly heartbeat: SharedArrayBuffer;
  /** Two Int32: characters of log lines, and bytes of lines of the access log, that the worker has sent and the supervisor has not taken. */
  readonly logOnTheWay: SharedArrayBuffer;
  /** How messages of the log leave this thread. */
  readonly logForm: MessageForm;
  /** Memory of the ProcessGroups of this thread: the supervisor ends those that outlive it. */
  readonly processGroups: SharedArrayBuffer;
  /** What all workers know of the servers that proxies choose among. */
  readonly health: SharedArrayBuffer;
  /** What was purged from the caches of all workers. */
  readonly purges: SharedArrayBuffer;
  /** Memory of the StoreStates of all workers. */
  readonly storeStates: SharedArrayBuffer;
  /** Requests of this worker that wait for each of these. */
  readonly waiting: SharedArrayBuffer;
  /** The dictionaries, and this thread's number among all that ever use them. */
  readonly shared: SharedAccess;
  /** Memory of the InterestTable: who has subscribed to what. */
  readonly interest: SharedArrayBuffer;
}

/** The job of a worker. It comes as a message, as threads begin and read their code before the supervisor knows the job. */
export interface WorkerJob {
  readonly workerCount: number;
  readonly listeners: readonly WorkerListener[];
  readonly noDelay: boolean;
  /** The port of the first listener, as scripts see it. */
  readonly serverPort: number;
  readonly setup: WorkerSetup;
  /** Where dictionaries live that are not in memory. */
  readonly stores: readonly StoreSettings[];
  /** Made of the secret of --store-secret: what the cache puts into the store is sealed with it. Undefined: there is none. */
  readonly entryKey?: Uint8Array | undefined;
  /** The scripts are loaded, each for itself, and nothing serves. */
  readonly isTrial?: true;
}

/** The compiled Lua machines (each a WebAssembly.Module) by the bytes that their states may grow to, shared by all workers. */
export type LuaModules = ReadonlyMap<number, object>;

/** Supervisor → worker. */
export type ToWorker =
  /** Comes once, before all others; answered by `ready` or `failed`. */
  | { readonly type: 'job'; readonly job: WorkerJob }
  /** Comes once, after the job, where the job says so. */
  | { readonly type: 'luaModules'; readonly modules: LuaModules }
  /** Another thread has begun: the way to it, for what is published. Comes at any time. */
  | { readonly type: 'peer'; readonly end: EventEnd }
  /** Reload, first phase: prepare new states beside those that serve, change nothing; answered by `prepared` or `refused`. */
  | { readonly type: 'prepare'; readonly setup: WorkerSetup }
  /** Reload, second phase: new exchanges go to the prepared states. */
  | { readonly type: 'commit'; readonly generation: number }
  /** The reload is given up: drop the prepared states. */
  | { readonly type: 'abandon'; readonly generation: number }
  /** New handshakes go by this, at once: ticket keys were changed, or a certificate was obtained. Whoever has taken it is counted in `taken`. */
  | { readonly type: 'tls'; readonly tls: TlsSetup; readonly taken: SharedArrayBuffer }
  /** Accept nothing more, finish what runs, answer `drained`. Idle connections may ask once more for so long. */
  | { readonly type: 'drain'; readonly graceMs: number }
  /** The answer to `claim`. */
  /** `fence` undefined: another runs it. */
  | { readonly type: 'claimed'; readonly id: number; readonly fence: number | undefined }
  /** The leave for a run is over although it goes on: another may have got it. */
  | { readonly type: 'revoked'; readonly id: number };

/** Worker → supervisor. */
export type FromWorker =
  /** Connections are accepted from now on. What the scripts are, in the order of the setup; undefined for a module. */
  | {
      readonly type: 'ready';
      readonly modes: readonly (ScriptMode | undefined)[];
      /** Of a trial, in the order of the setup: nothing is accepted then. */
      readonly tried?: readonly TriedMapping[];
    }
  /** The worker cannot start; the thread ends after this. */
  | { readonly type: 'failed'; readonly failure: Failure }
  /** `modes`: as those of `ready`. */
  | {
      readonly type: 'prepared';
      readonly generation: number;
      readonly modes: readonly (ScriptMode | undefined)[];
    }
  /** The last exchange of a generation that was replaced has ended, and nothing of it is left. */
  | { readonly type: 'ended'; readonly generation: number }
  | { readonly type: 'refused'; readonly generation: number; readonly failure: Failure }
  /** No exchange is open any more; so many connections had to be cut at the limit. */
  | { readonly type: 'drained'; readonly cut: number }
  /** May this worker run a timer that only one of all is to run? */
  | { readonly type: 'claim'; readonly id: number; readonly claim: OnceClaim }
  /** The run that `claim` was granted for is over; `completed` false: it was lost. */
  | { readonly type: 'release'; readonly id: number; readonly completed: boolean }
  /** Marks of the cache that a thread has purged, for the other machines; `epoch`: of the secret they were made with. */
  | { readonly type: 'purged'; readonly epoch: number; readonly marks: readonly number[] }
  /** Formatted log lines without line ends; `size`, in characters, is taken off `logOnTheWay` when they have been taken. */
  | { readonly type: 'log'; readonly lines: readonly string[]; readonly size: number }
  /** Lines of the access log, each with its line end, and their number. Whoever has read the bytes gives them back (`giveBack`). */
  | { readonly type: 'access'; readonly bytes: Uint8Array; readonly count: number };

/** What came of the load of one mapping. */
export interface TriedMapping {
  /** Why it could not be loaded; undefined = it could. */
  readonly failure: string | undefined;
  /** What the script is; undefined for other kinds. */
  readonly mode: ScriptMode | undefined;
  /** What the script has registered; one function that answers every path has no name. */
  readonly handlers: readonly RegisteredHandler[];
}

/** The question of a worker before it runs a timer that only one worker runs. */
export interface OnceClaim {
  /** Mapping and name. */
  readonly name: string;
  /** Of the setup the script was loaded with. */
  readonly generation: number;
  /** How long the worker's timer has waited for this run, ms; undefined: since the script was loaded. */
  readonly waitMs: number | undefined;
  /** From one run to the next, ms; undefined: it runs once. */
  readonly everyMs?: number | undefined;
}

/** A GatewayError in transit: errors lose their class between threads. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}
