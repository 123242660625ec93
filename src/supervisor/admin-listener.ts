/** The admin listener of a run: its paths, its token, and its end. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AdminAction,
  type AdminAnswer,
  type AdminRead,
  AdminServer,
  text,
} from '../admin/admin-server.ts';
import { readToken, TokenFile } from '../admin/admin-token.ts';
import { type AdminAddress, showAdminAddress } from '../base/admin-address.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { CounterName, TimesName } from '../metrics/worker-metrics.ts';
import { type MetricSources, writeMetrics } from './write-metrics.ts';

/** What the answers are made of; asked in the main thread at each request. */
export interface AdminView {
  /** Why the gateway is not well; undefined: it is. */
  whyNotWell(): string | undefined;
  /** Why it takes no new requests; undefined: it does. */
  whyNotReady(): string | undefined;
  /** What is wrong meanwhile, as a sentence; undefined: nothing. */
  trouble(): string | undefined;
  metricSources(): MetricSources;
  counters(): readonly Readonly<Record<CounterName, number>>[];
  times(): readonly Readonly<Record<TimesName, Histogram>>[];
  mappingCounters(): readonly (Readonly<Record<MappingCounterName, number>> & {
    readonly worker: number;
    readonly mapping: string;
  })[];
}

type AdminConfig = Pick<Config, 'admin' | 'adminTokenFile' | 'pidFile'>;

export interface AdminPlaceOptions {
  /** Of a unix socket, which another process may have still. */
  readonly replacesSocket?: boolean;
  /** Of a port: a descriptor that listens there. Undefined: it is bound. */
  readonly descriptor?: number | undefined;
}

export class AdminListener {
  readonly #server: AdminServer;
  readonly #logger: Logger;
  readonly #config: AdminConfig;
  #tokenFile: TokenFile | undefined;
  #where: AdminAddress | undefined;

  constructor(
    config: AdminConfig & { readonly admin: AdminAddress },
    view: AdminView,
    actions: ReadonlyMap<string, AdminAction>,
    logger: Logger,
    { replacesSocket = false, descriptor }: AdminPlaceOptions = {},
  ) {
    this.#config = config;
    this.#logger = logger;
    const { admin: address, adminTokenFile } = config;
    // part of another program, it has nothing to be done
    const needsToken = actions.size > 0 && (address.kind === 'tcp' || adminTokenFile !== undefined);
    const makeToken = needsToken ? (port: number): string => this.#makeToken(port) : undefined;
    this.#server = new AdminServer({
      address,
      reads: readsOf(view),
      actions,
      makeToken,
      logger,
      replacesSocket,
      descriptor,
    });
  }

  /** Resolves when it answers. Errors: LGW_LISTEN, LGW_ADMIN_TOKEN. */
  async open(): Promise<void> {
    const where = await this.#server.listen();
    this.#where = where;
    const token = this.#tokenFile?.path ?? this.#config.adminTokenFile;
    this.#logger.info(`Admin listener on ${showAdminAddress(where)}`, { token });
  }

  /** `http://127.0.0.1:9443` or `unix:/PATH`; undefined before `open`. */
  get address(): string | undefined {
    return this.#where && showAdminAddress(this.#where);
  }

  /**
   * Another process is to have the address: accepts no more connections, and answers those that there are. Connections that come now wait in
   * the queue of the socket, where another process has that, too. False: that is not needed, since the other puts its socket in the place of this one.
   */
  leave(): boolean {
    if (this.#config.admin?.kind === 'unix') return false;
    this.#server.leave();
    return true;
  }

  /** Another process has put its socket in the place of this one. */
  get isReplaced(): boolean {
    return this.#server.isReplaced;
  }

  /** May be called again. */
  close(): void {
    this.#server.close();
    this.removeToken();
  }

  /** For a process that must end without `close`. */
  removeToken(): void {
    this.#tokenFile?.remove();
    this.#tokenFile = undefined;
  }

  #makeToken(port: number): string {
    const { adminTokenFile, pidFile } = this.#config;
    if (adminTokenFile !== undefined) return readToken(adminTokenFile);
    this.#tokenFile = new TokenFile(adminTokenPath({ pidFile }, port));
    return this.#tokenFile.token;
  }
}

/** Where the token of a listener is that was given none. */
export function adminTokenPath({ pidFile }: Pick<Config, 'pidFile'>, port: number): string {
  if (pidFile !== undefined) return `${pidFile}.admin-token`;
  return join(tmpdir(), `lgateway-${process.getuid?.() ?? 0}-${port}.admin-token`);
}

function readsOf(view: AdminView): ReadonlyMap<string, AdminRead> {
  return new Map<string, AdminRead>([
    ['/healthz', () => stateAnswer('well', view.whyNotWell())],
    [
      '/metrics',
      ({ accept }) => {
        const { type, body } = writeMetrics(view.metricSources(), accept);
        return { status: 200, type, body };
      },
    ],
    ['/counters', () => countersAnswer(view)],
    ['/readyz', () => readiness(view)],
  ]);
}

function stateAnswer(state: string, fault: string | undefined): AdminAnswer {
  return fault === undefined ? text(200, state) : text(503, `not ${state}: ${fault}`);
}

/** A store that is away takes no machine out of service: it would take all of them. */
function readiness(view: AdminView): AdminAnswer {
  const answer = stateAnswer('ready', view.whyNotReady());
  const trouble = answer.status === 200 ? view.trouble() : undefined;
  return trouble === undefined ? answer : text(200, `ready, but ${trouble}`);
}

/** All counters as they are kept, by worker. */
function countersAnswer(view: AdminView): AdminAnswer {
  const times = view.times().map((observed) => {
    const entries = Object.entries(observed).map(([name, time]) => [name, summary(time)] as const);
    return Object.fromEntries(entries);
  });
  const body = JSON.stringify({ workers: view.counters(), times, mappings: view.mappingCounters() });
  return { status: 200, type: 'application/json', body: `${body}\n` };
}

/** In milliseconds, three digits: buckets are no finer. */
function summary(time: Histogram): Record<string, number> {
  const round = (ms: number): number => Number(ms.toPrecision(3));
  const { count } = time;
  const meanMs = count === 0 ? 0 : round(time.sumMs / count);
  // JSON has no Infinity
  const quantile = (share: number): number => round(Math.min(time.quantile(share), Number.MAX_SAFE_INTEGER));
  return { count, meanMs, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}
