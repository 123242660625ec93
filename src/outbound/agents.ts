/**
 * Keeps connections to upstreams: one pool of origins for each set of TLS options. One policy holds for all connections.
 * Loads undici at the first fetch.
 */
import type Agent from 'undici/lib/dispatcher/agent.js';
import type Pool from 'undici/lib/dispatcher/pool.js';
import type { ConnectPolicy } from './connect-policy.ts';
import type { FetchTls } from './fetch-request.ts';
import {
  CONNECT_TIMEOUT_MS_MAX,
  CONNECTIONS_PER_ORIGIN_MAX,
  KEEP_ALIVE_MS,
  KEEP_ALIVE_MS_MAX,
  ORIGINS_MAX,
  RESPONSE_HEAD_BYTES_MAX,
  TLS_VARIANTS_MAX,
} from './outbound-limits.ts';
import { type ClientSymbols, passOverContinue } from './unasked-continue.ts';

/** The key of the pool without TLS options. */
const DEFAULT_KEY = '';

/** The parts of undici that are used. */
interface Client {
  readonly Agent: typeof Agent;
  readonly Pool: typeof Pool;
  readonly symbols: ClientSymbols;
}

export class Agents {
  readonly policy: ConnectPolicy;
  /** Agents by their TLS options; the one used last stands last. */
  readonly #agents = new Map<string, Agent>();
  #client: Client | undefined;
  #loading: Promise<Client> | undefined;
  #stopped = false;

  constructor(policy: ConnectPolicy) {
    this.policy = policy;
  }

  /** Returns the agent for these options; a promise while undici is not loaded. */
  get(tls: FetchTls | undefined): Agent | undefined {
    return this.#client === undefined ? undefined : this.#find(this.#client, tls);
  }

  /** Returns the agent for these options; undici has been loaded. */
  async load(): Promise<void> {
    this.#loading ??= Promise.all([
      import('undici/lib/dispatcher/agent.js'),
      import('undici/lib/dispatcher/pool.js'),
      import('undici/lib/core/symbols.js'),
    ]).then(([agent, pool, symbols]) => ({
      Agent: agent.default,
      Pool: pool.default,
      symbols: symbols.default,
    }));
    this.#client = await this.#loading;
  }

  /** Closes all connections; running requests fail. */
  stop(): void {
    this.#stopped = true;
    for (const agent of this.#agents.values()) void agent.destroy();
    this.#agents.clear();
  }

  #find(client: Client, tls: FetchTls | undefined): Agent {
    const key =
      tls === undefined
        ? DEFAULT_KEY
        : JSON.stringify([tls.verify, tls.ca, tls.cert, tls.key, tls.servername]);
    let agent = this.#agents.get(key);
    if (agent !== undefined) {
      if (key === DEFAULT_KEY) return agent;
      this.#agents.delete(key);
    } else {
      this.#makeRoom();
      agent = createAgent(client, tls, this.policy);
      passOverContinue(agent, client.symbols);
    }
    if (this.#stopped) void agent.destroy();
    else this.#agents.set(key, agent);
    return agent;
  }

  #makeRoom(): void {
    if (this.#agents.size < TLS_VARIANTS_MAX) return;
    for (const [key, agent] of this.#agents) {
      if (key === DEFAULT_KEY) continue;
      this.#agents.delete(key);
      // requests under way are finished
      void agent.close();
      return;
    }
  }
}

function createAgent(client: Client, tls: FetchTls | undefined, policy: ConnectPolicy): Agent {
  return new client.Agent({
    factory: (origin, options) => {
      const lookup = policy.lookupFor(String(origin));
      const { connect } = options as { readonly connect: object };
      return new client.Pool(
        String(origin),
        lookup === undefined ? options : { ...options, connect: { ...connect, lookup } },
      );
    },
    allowH2: true,
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    // one request at a time on a connection, also over HTTP/2: no request waits for the body of another
    pipelining: 1,
    maxOrigins: ORIGINS_MAX,
    maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS_MAX,
    // each fetch has timeouts of its own
    headersTimeout: 0,
    bodyTimeout: 0,
    pingInterval: 0,
    connect: {
      timeout: CONNECT_TIMEOUT_MS_MAX,
      ...(tls === undefined ? {} : tlsOptions(tls)),
    },
  });
}

function tlsOptions(tls: FetchTls): Record<string, unknown> {
  const { verify, ca, cert, key, servername } = tls;
  return {
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
  };
}
