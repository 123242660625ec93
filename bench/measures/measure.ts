/** Defines a measure: the bench opens it once for each server, takes one sample in each round, and closes it at the end. */
import type { Peer, StartPlan } from '../peers/peers.ts';
import { ServerProcess } from '../server-process.ts';
import type { Workspace } from '../workspace.ts';

/** How much work a measure does; `--quick` makes every value small. */
export interface Effort {
  /** Long enough for a kernel that counts CPU time in steps of 10 ms: a load below one second would be inexact. */
  readonly loadSeconds: number;
  /** Requests sent before the measurement; V8 needs some thousands until it has optimized a Node server. */
  readonly warmUpRequests: number;
  /** How long a measure sends requests at a fixed rate, in seconds. */
  readonly latencySeconds: number;
  readonly payloadBytes: number;
  readonly smallReadBytes: number;
  /** How long a slow client reads, in seconds. */
  readonly slowSeconds: number;
  readonly idleConnections: number;
}

export interface Bench {
  readonly workspace: Workspace;
  readonly effort: Effort;
}

/** Names of metrics and their values. */
export type Sample = Readonly<Record<string, number>>;

export interface Session {
  /** Rejects when a request failed, because a value that hides failures is wrong. */
  sample(): Promise<Sample>;
  close(): Promise<void>;
}

export type Measure = (peer: Peer, bench: Bench) => Promise<Session>;

/** A measure that needs to know all peers of the scenario first, because a value of one peer decides the load of all. */
export interface PreparedMeasure {
  prepare(peers: readonly Peer[], bench: Bench): Promise<Measure>;
}

/** What a measure may change in the start of its server; default: one worker that serves one script. */
export type ServerWishes = Partial<Omit<StartPlan, 'files'>>;

export const MEBIBYTE: number = 1024 * 1024;

/** A measure that needs one server: starts it before the first sample and ends it with the session. */
export function withServer(
  prepare: (server: ServerProcess, bench: Bench) => Promise<() => Promise<Sample>>,
  wishes: ServerWishes = {},
): Measure {
  return async (peer, bench) => {
    const server = await startServer(peer, bench, wishes);
    try {
      const sample = await prepare(server, bench);
      return {
        sample: async () => {
          const result = await sample();
          if (server.hasEnded) throw new Error(`${peer.name} ended during the measurement`);
          return result;
        },
        close: () => server.stop(),
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  };
}

export function startServer(peer: Peer, bench: Bench, wishes: ServerWishes = {}): Promise<ServerProcess> {
  const { workspace, effort } = bench;
  const ordinary = { workers: 1, modes: [], further: [], options: [], nodeOptions: [] };
  return ServerProcess.start({ ...ordinary, ...wishes, peer, workspace, payloadBytes: effort.payloadBytes });
}
