/** A server as an embedding program sees it: made, started, and stopped through a handle; what serves is behind it. */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { GatewayError } from '../base/errors.ts';
import type { Config, InheritedSocket, ListenAddress } from '../config/config.ts';
import type { EventSubscription } from '../events/event-subscription.ts';
import type { SubscriptionOptions, TextEvents } from '../events/text-events.ts';
import type { CounterName } from '../metrics/worker-metrics.ts';
import { whyNotListening } from '../native/posix.ts';
import { openLogger } from '../settings/log-settings.ts';
import { takeInheritedSockets } from '../supervisor/inherited-sockets.ts';
import { formatAddress } from '../supervisor/listener.ts';
import type { BoundAddress } from '../supervisor/listeners.ts';
import { LogSink } from '../supervisor/log-sink.ts';
import type { MappingUse } from '../supervisor/mapping-uses.ts';
import { toWebHandler } from '../web/load-module.ts';
import type { WebHandler, WebService } from '../web/web-handler.ts';
import {
  type CommonOptions,
  changeConfig,
  completeConfig,
  type GatewayMapping,
  tlsWith,
} from './gateway-options.ts';
import { createSupervisor } from './start-gateway.ts';
import { SERVER_LISTEN_NAMES, ThreadGateway } from './thread-gateway.ts';

/** How a server is to run; everything may be left out. */
export interface ServerOptions extends CommonOptions {
  /**
   * `127.0.0.1:3000`, `[::1]:3000`, or `:3000` for all addresses; port 0 takes any free one. Default: `127.0.0.1:8080`,
   * with TLS `127.0.0.1:8443`.
   */
  readonly address?: string;
  /**
   * Certificate and key (PEM files), or `'development'` for a certificate that the gateway makes itself; default: no
   * TLS. With TLS, HTTP/2 and HTTP/1.1 by ALPN; without it, HTTP/1.1 and HTTP/2 with prior knowledge.
   */
  readonly tls?: { readonly certificate: string; readonly key: string } | 'development';
  /** Worker threads for modules and scripts; default: one per processor. A function runs in the calling thread. */
  readonly threads?: number;
  /** TCP_NODELAY for HTTP/1.x (HTTP/2 always has it); default true. */
  readonly noDelay?: boolean;
  /** Aborting it does what the handle's `shutdown` does. */
  readonly signal?: AbortSignal;
}

/** What `reload` of a server may be given: the options that are to be other than they are. */
export type ServerChanges = Omit<ServerOptions, 'log' | 'signal'>;

/**
 * What answers: the URL of a module that every worker loads, or its file name; or a function or an object such as a
 * Router, which runs in the thread that calls `start`, because functions cannot cross threads.
 */
export type HandlerSource = URL | string | WebHandler | WebService;

/** Waits for a server and ends it, from any place. */
export interface ServerHandle {
  /** Resolves with its addresses when the server accepts connections; rejects when it cannot, or was shut down before. */
  ready(): Promise<readonly BoundAddress[]>;
  /**
   * Accepts nothing more, lets what runs finish (at most `limits.drainTimeoutMs`), and resolves when the port is free.
   * May be called again, and does nothing before `start`.
   */
  shutdown(): Promise<void>;
  /** Loads modules, scripts and certificate again, and takes the changed options, as `Gateway.reload` does. */
  reload(changes?: ServerChanges): Promise<void>;
  /**
   * Gives the message to all who have subscribed to the channel, in all threads, scripts and handlers, and in this program; returns how many
   * those of this thread are. A text goes as UTF-8. Throws GatewayError: `luaCode` limit for what is too long, LGW_STOPPED before `ready`.
   */
  publish(channel: string, message: string | Uint8Array): number;
  /**
   * Subscribes to channels, until the subscription is closed or the server has shut down. Throws GatewayError: `luaCode` limit when there is
   * no room, LGW_STOPPED before `ready`.
   */
  subscribe(channels: string | readonly string[], options?: SubscriptionOptions): EventSubscription;
  /** Where its admin listener is: `http://127.0.0.1:9443` or `unix:/PATH`; undefined before `ready`, and where it has none. */
  readonly adminAddress: string | undefined;
  /** What each thread counts at this moment; nothing before `ready`. */
  counters(): Readonly<Record<CounterName, number>>[];
  /** What each mapping of a script uses in each thread at this moment; nothing before `ready`. */
  mappingCounters(): MappingUse[];
}

/** What serves: threads, or this one. */
interface Engine {
  readonly addresses: readonly BoundAddress[];
  readonly adminAddress: string | undefined;
  readonly events: TextEvents;
  start(): Promise<void>;
  reload(change: (current: Config) => Config): Promise<unknown>;
  drain(): Promise<boolean>;
  stop(): Promise<void>;
  counters(): Readonly<Record<CounterName, number>>[];
  mappingCounters(): MappingUse[];
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8080;
const DEFAULT_TLS_PORT = 8443;

/** A promise with its two ends. */
interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(error: unknown): void;
}

export class Server {
  readonly #options: ServerOptions;
  #handler: HandlerSource | undefined;
  #noDelay: boolean;
  #inherited: readonly InheritedSocket[] = [];
  #engine: Engine | undefined;
  #starting: Promise<void> | undefined;
  #shutdown: Promise<void> | undefined;
  readonly #ready = deferred<readonly BoundAddress[]>();
  readonly #stopped = deferred<void>();

  /** A server that has not started; a text stands for its address. */
  constructor(options: ServerOptions | string = {}, handler?: HandlerSource) {
    this.#options = typeof options === 'string' ? { address: options } : options;
    this.#handler = handler;
    this.#noDelay = this.#options.noDelay ?? true;
    // whoever never asks need not hear of it
    this.#ready.promise.catch(() => undefined);
  }

  /**
   * A server on the sockets that this process was started with (LISTEN_FDS, as systemd gives them); the variables are
   * removed. Sockets named `http` are cleartext and those named `https` TLS, others TLS when `options.tls` is given.
   * Errors: LGW_SOCKETS, LGW_LISTEN.
   */
  static preopened(options: Omit<ServerOptions, 'address'> = {}, handler?: HandlerSource): Server {
    const scheme = options.tls === undefined ? 'http' : 'https';
    const { sockets, notice } = takeInheritedSockets(process.env, process.pid, scheme);
    if (sockets.length === 0)
      throw new GatewayError('LGW_SOCKETS', notice ?? 'There is no preopened socket: LISTEN_FDS names none');
    for (const { descriptor } of sockets) {
      const reason = whyNotListening(descriptor);
      if (reason !== undefined)
        throw new GatewayError('LGW_LISTEN', `Cannot listen on descriptor ${descriptor}: it ${reason}`);
    }
    const server = new Server(options, handler);
    server.#inherited = sockets;
    return server;
  }

  /** Sets TCP_NODELAY for HTTP/1.x. Before `start` only. */
  noDelay(on = true): this {
    this.#noDelay = on;
    return this;
  }

  /** For another part of the program. */
  handle(): ServerHandle {
    const adminAddress = (): string | undefined => this.#engine?.adminAddress;
    return {
      get adminAddress(): string | undefined {
        return adminAddress();
      },
      ready: () => this.#ready.promise,
      shutdown: () => this.#stop(),
      reload: async (changes = {}) => {
        await this.#ready.promise;
        await this.#engine?.reload((current) => this.#changeConfig(current, changes));
      },
      publish: (channel, message) => this.#events('publish').publish(channel, message),
      subscribe: (channels, options) => this.#events('subscribe').subscribe(channels, options),
      counters: () => this.#engine?.counters() ?? [],
      mappingCounters: () => this.#engine?.mappingCounters() ?? [],
    };
  }

  /**
   * Serves, and resolves when the server has been shut down. Rejects with a GatewayError when it cannot start (a port in
   * use, a module that fails), and then nothing is left behind. A server is started once.
   */
  async start(handler: HandlerSource | undefined = this.#handler): Promise<void> {
    if (this.#starting !== undefined)
      throw new GatewayError('LGW_STARTED', 'The server has been started before');
    const { signal } = this.#options;
    // `start` rejects with whatever goes wrong there
    const abort = (): void => void this.#stop().catch(() => undefined);
    this.#handler = handler;
    this.#starting = this.#startEngine(handler);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    try {
      await this.#starting;
      await this.#stopped.promise;
    } catch (error) {
      this.#ready.reject(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async #startEngine(handler: HandlerSource | undefined): Promise<void> {
    const engine = this.#createEngine(handler);
    await engine.start();
    this.#engine = engine;
    const { log, logLevel = 'info', logFormat: format = 'text' } = this.#options;
    const logs = { format, target: undefined };
    const logger = openLogger({ logLevel, logs }, 'server', log ?? new LogSink().write);
    for (const { scheme, address, port } of engine.addresses)
      logger.info(`Listening on ${scheme}://${formatAddress(address, port)}`);
    if (this.#shutdown !== undefined)
      this.#ready.reject(new GatewayError('LGW_STOPPED', 'The server was shut down before it was ready'));
    else this.#ready.resolve(engine.addresses);
  }

  #events(call: string): TextEvents {
    if (this.#engine === undefined || this.#shutdown !== undefined)
      throw new GatewayError(
        'LGW_STOPPED',
        `Cannot ${call}: the server does not serve${this.#shutdown === undefined ? ' yet, wait for ready()' : ' any more'}`,
      );
    return this.#engine.events;
  }

  /** Ends the server once; every call waits for that. */
  async #stop(): Promise<void> {
    if (this.#starting === undefined) return;
    this.#shutdown ??= this.#stopOnce(this.#starting);
    await this.#shutdown;
  }

  async #stopOnce(starting: Promise<void>): Promise<void> {
    try {
      await starting;
    } catch {
      // `start` says why, and nothing is left behind
      return;
    }
    try {
      await this.#engine?.drain();
      await this.#engine?.stop();
      this.#stopped.resolve();
    } catch (error) {
      this.#stopped.reject(error);
      throw error;
    }
  }

  #createEngine(handler: HandlerSource | undefined): Engine {
    const { mappings = [], threads, log } = this.#options;
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
      throw new GatewayError(
        'LGW_CONFIG',
        `Option threads is ${threads} and has to be a whole number from 1 up`,
      );
    if (handler === undefined) {
      if (mappings.length > 0) return createSupervisor(this.#config(this.#options), log, SERVER_LISTEN_NAMES);
      throw new GatewayError('LGW_HANDLER', 'There is no handler and no mapping to serve');
    }
    if (typeof handler === 'string' || handler instanceof URL) {
      const all = [...mappings, ...this.#ownMappings()];
      return createSupervisor(this.#config({ ...this.#options, mappings: all }), log, SERVER_LISTEN_NAMES);
    }
    const web = toWebHandler(handler);
    if (web === undefined)
      throw new GatewayError(
        'LGW_HANDLER',
        'The handler is neither a function, nor an object with a method "fetch", nor the URL of a module',
      );
    if ((threads ?? 1) > 1 || mappings.length > 0)
      throw new GatewayError(
        'LGW_HANDLER',
        `A function cannot cross to ${threads === undefined ? 'the threads of mappings' : `${threads} threads`}: give the URL of a module whose default export it is`,
      );
    if (this.#options.store !== undefined)
      throw new GatewayError(
        'LGW_HANDLER',
        'Option store is for handlers in workers: give the URL of a module, or mappings',
      );
    return new ThreadGateway(this.#config(this.#options), log ?? new LogSink().write, web);
  }

  #changeConfig(current: Config, changes: ServerChanges): Config {
    const { mappings, threads, tls, address, noDelay } = changes;
    const isSecure = tls === undefined ? current.listen !== undefined : true;
    const old = current.listen ?? current.cleartext;
    const where = address === undefined ? old : parseAddress(address, DEFAULT_PORT);
    const listening = {
      listen: isSecure ? where : undefined,
      cleartext: isSecure ? undefined : where,
      ...(tls === undefined
        ? {}
        : { tls: tlsWith(tls === undefined || tls === 'development' ? {} : { certificateFiles: tls }) }),
      ...(noDelay === undefined ? {} : { noDelay }),
    };
    const changed =
      mappings === undefined ? changes : { ...changes, mappings: [...mappings, ...this.#ownMappings()] };
    return changeConfig(current, changed, listening, threads);
  }

  /** The handler, where it is a module. */
  #ownMappings(): GatewayMapping[] {
    const module = this.#handler;
    return typeof module === 'string' || module instanceof URL ? [{ prefix: '/', module }] : [];
  }

  #config(options: ServerOptions): Config {
    const { tls, address, threads = availableParallelism() } = options;
    const where = parseAddress(address, tls === undefined ? DEFAULT_PORT : DEFAULT_TLS_PORT);
    return completeConfig(
      options,
      {
        tls: tlsWith(tls === undefined || tls === 'development' ? {} : { certificateFiles: tls }),
        listen: tls === undefined ? undefined : where,
        cleartext: tls === undefined ? where : undefined,
        inherited: this.#inherited,
        noDelay: this.#noDelay,
      },
      threads,
    );
  }
}

/**
 * A server with its handler; nothing happens before its `start`.
 *
 * ```ts
 * await createServer({ address: '127.0.0.1:3000' }, new URL('./handler.js', import.meta.url)).start();
 * ```
 *
 * Without a handler the `mappings` of the options are served; a handler alone is served with all defaults.
 */
export function createServer(handler: Exclude<HandlerSource, string>): Server;
export function createServer(options: ServerOptions | string, handler?: HandlerSource): Server;
export function createServer(first: ServerOptions | HandlerSource, handler?: HandlerSource): Server {
  if (typeof first === 'function' || first instanceof URL || isService(first)) return new Server({}, first);
  return new Server(first, handler);
}

function isService(value: ServerOptions | string | WebService): value is WebService {
  return typeof value === 'object' && 'fetch' in value;
}

/** `host:port`, with brackets around an IPv6 address. Errors: LGW_ADDRESS. */
function parseAddress(text: string | undefined, defaultPort: number): ListenAddress {
  if (text === undefined) return { address: DEFAULT_HOST, port: defaultPort };
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const address = host === 'localhost' ? DEFAULT_HOST : host;
  const isKnown = address === '' ? match?.[1] === undefined : isIP(address) !== 0;
  if (match === null || !isKnown || port > 65_535)
    throw new GatewayError(
      'LGW_ADDRESS',
      `Address ${JSON.stringify(text)} is not ADDRESS:PORT, :PORT or [IPV6]:PORT with a port from 0 to 65535`,
    );
  return { address: address === '' ? undefined : address, port };
}

function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
