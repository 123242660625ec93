/** Releases the upstream of a session when the session ends. */
import { Upstream, type UpstreamKind } from '../upstream.ts';
import type { Measure, Session } from './measure.ts';

/** Releases it also where the session cannot be opened. */
export async function releaseUpstream(kind: UpstreamKind, opening: ReturnType<Measure>): Promise<Session> {
  try {
    const session = await opening;
    return {
      sample: () => session.sample(),
      close: async () => {
        await session.close();
        Upstream.release(kind);
      },
    };
  } catch (error) {
    Upstream.release(kind);
    throw error;
  }
}
