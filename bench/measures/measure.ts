/** What a measure is: opened once for each server, sampled once in each round, closed at the end. */
import type { Peer, StartPlan } from '../peers/peers.ts';
import { ServerProcess } from '../server-process.ts';
import type { Workspace } from '../workspace.ts';

/** How much is done; `--quick` makes all of it small. */
export interface Effort {
  /** CPU time is counted in steps of 10 ms, so a load shorter than a second says little. */
  readonly loadSeconds: number;
  /** Requests before anything counts; some thousands until the compiler of a Node server is done. */
  readonly warmUpRequests: number;
  /** How long requests are sent at a fixed rate. */
  readonly latencySeconds: number;
  readonly payloadBytes: number;
  readonly smallReadBytes: number;
  /** How long a reader dawdles. */
  readonly slowSeconds: number;
  readonly idleConnections: number;
}

export interface Bench {
  readonly workspace: Workspace;
  readonly effort: Effort;
}

/** Metric → value. */
export type Sample = Readonly<Record<string, number>>;

export interface Session {
  /** Rejects when a request failed: a number that hides failures is worth nothing. */
  sample(): Promise<Sample>;
  close(): Promise<void>;
}

export type Measure = (peer: Peer, bench: Bench) => Promise<Session>;

/** Becomes a measure once the peers of the scenario are known: what is done to all of them depends on one. */
export interface PreparedMeasure {
  prepare(peers: readonly Peer[], bench: Bench): Promise<Measure>;
}

/** What a measure may want of its server beyond the ordinary: one worker that serves one script. */
export type ServerWishes = Partial<Omit<StartPlan, 'files'>>;

export const MEBIBYTE: number = 1024 * 1024;

/** A measure that needs one server, started before it and ended with the session. */
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
  const ordinary = { workers: 1, modes: [], nodeOptions: [] };
  return ServerProcess.start({ ...ordinary, ...wishes, peer, workspace, payloadBytes: effort.payloadBytes });
}
