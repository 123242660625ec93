/** Keeps connections to upstreams: one pool of origins for each set of TLS options. Loads undici when it is first needed. */
import type Agent from 'undici/lib/dispatcher/agent.js';
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

/** The key of those that need no TLS options. */
const DEFAULT_KEY = '';

type AgentClass = typeof Agent;

export class Agents {
  /** By their TLS options, the one used last at the end. */
  readonly #agents = new Map<string, Agent>();
  #class: AgentClass | undefined;
  #loading: Promise<AgentClass> | undefined;
  #stopped = false;

  /** The agent for these options, at once when it can be. */
  get(tls: FetchTls | undefined): Agent | undefined {
    return this.#class === undefined ? undefined : this.#find(this.#class, tls);
  }

  /** The same after what it needs has been loaded. */
  async load(): Promise<void> {
    this.#loading ??= import('undici/lib/dispatcher/agent.js').then((module) => module.default);
    this.#class = await this.#loading;
  }

  /** Closes all connections; requests under way fail. */
  stop(): void {
    this.#stopped = true;
    for (const agent of this.#agents.values()) void agent.destroy();
    this.#agents.clear();
  }

  #find(agentClass: AgentClass, tls: FetchTls | undefined): Agent {
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
      agent = createAgent(agentClass, tls);
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

function createAgent(agentClass: AgentClass, tls: FetchTls | undefined): Agent {
  return new agentClass({
    allowH2: true,
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    // one request at a time on a connection, over HTTP/2 too: none waits behind another's body
    pipelining: 1,
    maxOrigins: ORIGINS_MAX,
    maxHeaderSize: RESPONSE_HEAD_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS_MAX,
    // each request has timeouts of its own
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
