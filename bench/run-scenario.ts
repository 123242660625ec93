/**
 * Measures one scenario on several peers in alternation, so that changes in the speed of the machine affect all peers alike.
 */
import type { Bench, Sample, Session } from './measures/measure.ts';
import type { Peer, PeerName } from './peers/peers.ts';
import { type ScenarioResult, summarize } from './result.ts';
import type { Scenario } from './scenario.ts';

/** Never rejects: a peer that fails is left out, and the result names it. */
export async function runScenario(
  scenario: Scenario,
  peers: readonly Peer[],
  rounds: number,
  bench: Bench,
  progress: (text: string) => void,
): Promise<ScenarioResult> {
  const failures: string[] = [];
  const sessions = new Map<PeerName, Session>();
  const samples = new Map<PeerName, Sample[]>();
  const attempt = async (name: PeerName, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      failures.push(`${name}: ${reasonOf(error)}`);
      samples.delete(name);
    }
  };
  let { measure } = scenario;
  if (typeof measure !== 'function') {
    progress(`${scenario.name}: preparation`);
    try {
      measure = await measure.prepare(peers, bench);
    } catch (error) {
      return summarize(scenario, samples, [`preparation: ${reasonOf(error)}`]);
    }
  }
  const measurePeer = measure;
  try {
    for (const peer of peers) {
      progress(`${scenario.name}: ${peer.name} warms up`);
      await attempt(peer.name, async () => {
        sessions.set(peer.name, await measurePeer(peer, bench));
        samples.set(peer.name, []);
      });
    }
    const roundCount = Math.min(rounds, scenario.roundsMax ?? rounds);
    for (let round = 1; round <= roundCount; round++) {
      for (const [name, session] of sessions) {
        const own = samples.get(name);
        if (own === undefined) continue;
        progress(`${scenario.name}: round ${round} of ${roundCount}, ${name}`);
        await attempt(name, async () => {
          own.push(await session.sample());
        });
      }
    }
  } finally {
    await Promise.all([...sessions.values()].map((session) => session.close()));
  }
  return summarize(scenario, samples, failures);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
