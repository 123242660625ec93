/**
 * Loads Lua scripts into real mappings with files in a temporary folder, and calls them with or without sockets. Long because it stands for
 * the worker, each part of which a script needs.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectEntries, parseConnectRules } from '../../src/base/connect-rules.ts';
import type { LogFields, Logger } from '../../src/base/logger.ts';
import { ProcessGroups } from '../../src/base/process-groups.ts';
import type { LazyCache } from '../../src/cache/lazy-cache.ts';
import { createPurgeMemory } from '../../src/cache/purge-marks.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { InterestTable } from '../../src/events/interest-table.ts';
import { FileSystem } from '../../src/file/file-system.ts';
import { ProcessTable } from '../../src/file/process-table.ts';
import { FrontEnd } from '../../src/http/front/front-end.ts';
import { Dispatcher } from '../../src/http/routing/dispatcher.ts';
import { HostRouter } from '../../src/http/routing/host-router.ts';
import type { ScriptMode } from '../../src/mapping/script-mode.ts';
import { DEFAULT_SCRIPT_RIGHTS, type ScriptRights } from '../../src/mapping/script-rights.ts';
import { type Share, Shares } from '../../src/mapping/shares.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { duplicateDescriptor } from '../../src/native/posix.ts';
import { ConnectPolicy } from '../../src/outbound/connect-policy.ts';
import { Fetcher } from '../../src/outbound/fetcher.ts';
import { Proxies } from '../../src/proxy/proxies.ts';
import type { OnceClaims } from '../../src/script/context/script-timer.ts';
import { LoadedScript, type ScriptOptions } from '../../src/script/loaded-script.ts';
import type { RunLimits } from '../../src/script/run/run-limits.ts';
import { LOAD_LIMITS, type LoadLimits } from '../../src/script/script-load.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { createSharedMemory } from '../../src/shared/shared-memory.ts';
import { SharedStore } from '../../src/shared/shared-store.ts';
import { OnceRegistry } from '../../src/supervisor/once-registry.ts';
import { createWorkerCache } from '../../src/worker/worker-cache.ts';
import { testCertificate } from './certificate.ts';
import { FakeExchange, type FakeRequest } from './fake-exchange.ts';
import { testLuaModule } from './lua-modules.ts';

/** Longest time that `eventually` repeats a check, sufficient on a busy machine. */
const EVENTUALLY_MS_MAX = 60_000;
const EVENTUALLY_STEP_MS = 5;

/** Returns the module of the VM. */
export function luaModule(): Promise<WebAssembly.Module> {
  return testLuaModule(DEFAULT_LIMITS.memoryBytesMax);
}

export interface HarnessOptions {
  readonly prefix?: string;
  readonly module?: WebAssembly.Module;
  /** Maximum memory of a state; `module` has to be compiled for it. */
  readonly memoryBytesMax?: number;
  readonly filesMax?: number;
  readonly webSocketsMax?: number;
  readonly subscriptionsMax?: number;
  readonly messageBytesMax?: number;
  readonly rights?: Partial<ScriptRights>;
  readonly mode?: ScriptMode;
  /** Resolves the host names of fetches. */
  readonly lookup?: LookupFunction;
  /** True: the folder of the script is the virtual root. */
  readonly rooted?: boolean;
  readonly workerId?: number;
  readonly workerCount?: number;
  /** Shared by harnesses that represent workers of one gateway. */
  readonly once?: OnceRegistry;
  readonly limits?: Partial<RunLimits>;
  readonly loadLimits?: LoadLimits;
  /** Files written before the script is loaded. */
  readonly files?: Readonly<Record<string, string>>;
}

/** One script behind a dispatcher. */
export class ScriptHarness {
  readonly folder: string;
  readonly counters: Counters = new Counters();
  /** One `level message` for each logged line. */
  readonly log: string[] = [];
  readonly dispatcher: Dispatcher;
  readonly fileSystem: FileSystem;
  readonly share: Share;
  readonly processes: ProcessTable;
  readonly fetcher: Fetcher;
  readonly proxies: Proxies;
  readonly cache: LazyCache;
  readonly events: EventHub = new EventHub(1, new InterestTable(2));
  readonly shared: SharedStore = new SharedStore({ memory: createSharedMemory([]), owner: 1 });
  readonly prefix: string;
  readonly logger: Logger;
  readonly #module: WebAssembly.Module;
  #script: LoadedScript | undefined;
  #frontEnd: FrontEnd | undefined;

  /** Loads `source` as `script.lua`; throws the errors of loading. */
  static async load(source: string, options: HarnessOptions = {}): Promise<ScriptHarness> {
    const harness = new ScriptHarness(options.module ?? (await luaModule()), options);
    try {
      await harness.#load(source, options);
    } catch (error) {
      await harness.close();
      throw error;
    }
    return harness;
  }

  /**
   * Loads a script whose handler `/run` has this body, with `httpd`, `env`, `header`, and `say`, which writes its values and a
   * line feed.
   */
  static run(body: string, options: HarnessOptions = {}): Promise<ScriptHarness> {
    return ScriptHarness.load(
      `httpd = require 'httpd'
      function say(...)
        local t = table.pack(...)
        for i = 1, t.n do t[i] = tostring(t[i]) end
        httpd.write(nil, table.concat(t, ' ') .. '\\n')
      end
      httpd.register_handler('/run', function(env, header) ${body}\nend)`,
      options,
    );
  }

  private constructor(module: WebAssembly.Module, options: HarnessOptions) {
    this.#module = module;
    this.prefix = options.prefix ?? '/';
    this.folder = mkdtempSync(join(tmpdir(), 'lgw-script-'));
    for (const [name, text] of Object.entries(options.files ?? {})) this.writeFile(name, text);
    const { counters } = this;
    const limits = {
      files: options.filesMax ?? 1000,
      processes: 64,
      fetches: 512,
      sockets: 512,
      tasks: 10_000,
      timers: 10_000,
      websockets: options.webSocketsMax ?? 100,
      subscriptions: options.subscriptionsMax ?? 10_000,
      messageBytes: options.messageBytesMax ?? 64 * 1024 * 1024,
      storeCalls: 100,
    };
    this.share = new Shares({ limits, percent: 50 }).of(this.prefix);
    const { connect, sandboxed = false } = options.rights ?? {};
    const rules = parseConnectRules(connectEntries(connect, sandboxed));
    assert(rules !== undefined, 'the rules of connecting are valid');
    const policy = new ConnectPolicy(rules, { lookup: options.lookup, rooted: options.rooted === true });
    this.fetcher = new Fetcher(counters, policy);
    this.proxies = new Proxies(counters, options.workerId ?? 1, policy);
    this.cache = createWorkerCache({
      counters: this.counters,
      purges: createPurgeMemory(),
      bytesMax: DEFAULT_LIMITS.cacheBytesMax,
      tell: () => undefined,
      entries: () => Promise.resolve(undefined),
    });
    this.logger = this.#createLogger();
    this.fileSystem = new FileSystem({
      root: options.rooted === true ? this.folder : undefined,
      workingDirectory: this.folder,
      operationsMax: 16,
      duplicate: duplicateDescriptor,
      counters,
      logger: this.logger,
    });
    this.processes = new ProcessTable({
      environment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      counters,
      groups: new ProcessGroups(),
      blocks: this.fileSystem.blocks,
    });
    this.dispatcher = new Dispatcher(new HostRouter(), this.logger);
  }

  /** Returns the options for another script of the folder that is loaded in addition to this one. */
  optionsOf(script: string, options: HarnessOptions = {}): ScriptOptions {
    return { ...this.#scriptOptions(options), script };
  }

  get script(): LoadedScript {
    assert(this.#script !== undefined, 'the script is loaded');
    return this.#script;
  }

  /** Memory of Lua's objects after a full collection, in KiB. */
  luaHeapKiB(): number {
    const { state } = this.script;
    const L = state.mainThread;
    const x = state.exports;
    const collect = (option: string): number => {
      x.lua_getglobal(L, state.memory.constant('collectgarbage'));
      state.pushString(L, option);
      state.call(L, 1, 1);
      const result = x.lua_tonumberx(L, -1, 0 as never);
      state.pop(L);
      return result;
    };
    collect('collect');
    collect('collect');
    return collect('count');
  }

  writeFile(name: string, text: string | Uint8Array): void {
    writeFileSync(join(this.folder, name), typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Reads a file of the folder as a byte string. */
  readFile(name: string): string {
    return readFileSync(join(this.folder, name), 'latin1');
  }

  /** Begins a request without a socket. */
  begin(target: string, request: FakeRequest = {}): FakeExchange {
    const exchange = new FakeExchange(target, request);
    this.dispatcher.dispatch(exchange);
    return exchange;
  }

  /** Makes a request without a socket and waits for the end of the response. */
  async request(target: string, request: FakeRequest = {}): Promise<FakeExchange> {
    const exchange = this.begin(target, request);
    await exchange.closed;
    return exchange;
  }

  /** Resolves with the body of a GET request for `/run`; fails unless it succeeds. */
  async output(request: FakeRequest = {}): Promise<string> {
    const exchange = await this.request(this.prefix === '/' ? '/run' : `${this.prefix}/run`, request);
    assert(!exchange.broken && exchange.status === 200, `status ${exchange.status}: ${this.log.join('\n')}`);
    return exchange.text;
  }

  /** Serves the script over TLS on a free port of 127.0.0.1. */
  async listen(): Promise<number> {
    const { cert, key } = testCertificate();
    this.#frontEnd = new FrontEnd(
      {
        tls: { key, cert },
        // client and server share a thread that other tests may keep busy
        limits: { ...DEFAULT_LIMITS, handshakeTimeoutMs: 120_000 },
        logger: this.logger,
        counters: this.counters,
      },
      (exchange) => this.dispatcher.dispatch(exchange),
    );
    return (await this.#frontEnd.listen({ port: 0, host: '127.0.0.1' })).port;
  }

  /** Fails when anything of a request is still open. */
  async expectNothingOpen(): Promise<void> {
    await eventually(() => {
      const { exchanges, coroutines, files, pipes, fetches, sockets } = this.counters.snapshot();
      assert.deepEqual(
        { exchanges, coroutines, files, pipes, fetches, sockets },
        { exchanges: 0, coroutines: 0, files: 0, pipes: 0, fetches: 0, sockets: 0 },
      );
      assert.equal(this.script.scheduler.active, 0);
    });
  }

  async close(): Promise<void> {
    this.#frontEnd?.stop();
    this.#script?.close();
    this.fetcher.stop();
    this.proxies.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #load(source: string, options: HarnessOptions): Promise<void> {
    this.writeFile('script.lua', source);
    const script = await LoadedScript.load(this.#scriptOptions(options), {
      abandoned: () => this.log.push('error abandoned'),
      overgrown: () => this.log.push('warn overgrown'),
    });
    this.#script = script;
    script.serve();
    const { handlers } = script;
    const { answersAll } = handlers;
    this.dispatcher.router.replace([
      {
        prefix: this.prefix,
        answersAll,
        find: (name) => handlers.find(name),
        findPattern: (name, method) => handlers.findPattern(name, method),
      },
    ]);
  }

  #scriptOptions(options: HarnessOptions): ScriptOptions {
    const { workerId = 1 } = options;
    return {
      prefix: this.prefix,
      script: 'script.lua',
      module: this.#module,
      fileSystem: this.fileSystem,
      processes: this.processes,
      fetcher: this.fetcher,
      proxies: this.proxies,
      dispatcher: this.dispatcher,
      logger: this.logger,
      counters: this.counters,
      serverPort: 8443,
      workerId,
      workerCount: options.workerCount ?? 1,
      mode: options.mode,
      onceClaims: claimsOf(options.once ?? new OnceRegistry(), workerId),
      shared: this.shared,
      cache: this.cache,
      events: this.events,
      share: this.share,
      // a busy machine must not end the code that a test runs
      limits: {
        cpuLimitMs: Number.POSITIVE_INFINITY,
        timeLimitMs: Number.POSITIVE_INFINITY,
        ...options.limits,
      },
      loadLimits: options.loadLimits ?? LOAD_LIMITS,
      rights: { ...DEFAULT_SCRIPT_RIGHTS, ...options.rights },
      memoryBytesMax: DEFAULT_LIMITS.memoryBytesMax,
    };
  }

  #createLogger(): Logger {
    const write =
      (level: string) =>
      (message: string, fields: LogFields = {}): void => {
        const parts = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`);
        this.log.push(`${level} ${message}${parts.join('')}`);
      };
    return {
      level: 'debug',
      error: write('error'),
      warn: write('warn'),
      info: write('info'),
      debug: write('debug'),
    };
  }
}

/** Handles the messages for timers with `once`, as supervisor and worker do, for a script without either. */
export function claimsOf(registry: OnceRegistry, workerId: number, generation = 0): OnceClaims {
  let lastId = 0;
  return {
    claim: (name, times, answer) => {
      lastId += 1;
      const id = lastId;
      setImmediate(() => {
        const granted = registry.claim(workerId, id, { name, generation, ...times }, performance.now());
        const release = (completed: boolean): void => registry.release(workerId, id, completed);
        answer(granted ? { fence: id, onRevoked: undefined, release } : undefined);
      });
    },
  };
}

/** Resolves with the answer of a handler of `body`; `check` gets the harness before it is closed. */
export async function outputOf(
  body: string,
  options: HarnessOptions = {},
  check?: (harness: ScriptHarness) => void | Promise<void>,
): Promise<string> {
  const harness = await ScriptHarness.run(body, options);
  try {
    const text = await harness.output();
    await check?.(harness);
    return text;
  } finally {
    await harness.close();
  }
}

/** A check for `outputOf`: the state was not given up. */
export function keepsItsState({ log }: ScriptHarness): void {
  assert.ok(!log.includes('error abandoned'), log.join('\n'));
}

/** Repeats a check until it passes, and resolves to what it gives, or until the time is over. */
export async function eventually<Found = void>(check: () => Found | Promise<Found>): Promise<Found> {
  const deadline = performance.now() + EVENTUALLY_MS_MAX;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, EVENTUALLY_STEP_MS);
    });
  }
}

/** Resolves after all callbacks that are ready have run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
