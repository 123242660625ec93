/** What a measure is: opened once for each server, sampled once in each round, closed at the end. */
import type { Peer } from '../peers/peers.ts';
import { ServerProcess } from '../server-process.ts';
import type { Workspace } from '../workspace.ts';

/** How much is done; `--quick` makes all of it small. */
export interface Effort {
  /** CPU time is counted in steps of 10 ms, so a load shorter than a second says little. */
  readonly loadSeconds: number;
  /** Requests before anything counts; some thousands until the compiler of a Node server is done. */
  readonly warmUpRequests: number;
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

export const MEBIBYTE: number = 1024 * 1024;

/** A measure that needs one server, started with one worker and ended with the session. */
export function withServer(
  prepare: (server: ServerProcess, bench: Bench) => Promise<() => Promise<Sample>>,
): Measure {
  return async (peer, bench) => {
    const server = await startServer(peer, bench, 1);
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

export function startServer(peer: Peer, bench: Bench, workers: number): Promise<ServerProcess> {
  const { workspace, effort } = bench;
  return ServerProcess.start({ peer, workspace, workers, payloadBytes: effort.payloadBytes });
}
