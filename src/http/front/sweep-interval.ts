/** How often a front end looks at its deadlines. */
import type { ConnectionLimits } from '../../settings/limits.ts';
import type { LingerLimits } from '../h1/http1-linger.ts';

/** Deadlines are looked at this often per shortest timeout, within the bounds below. */
const SWEEPS_PER_TIMEOUT = 8;
const SWEEP_INTERVAL_MIN_MS = 25;
const SWEEP_INTERVAL_MAX_MS = 1_000;

type SweptLimits = Pick<
  ConnectionLimits,
  'idleTimeoutMs' | 'handshakeTimeoutMs' | 'headTimeoutMs' | 'stallTimeoutMs'
> & { readonly linger: LingerLimits };

/** In milliseconds, by the shortest timeout. */
export function chooseSweepInterval(limits: SweptLimits): number {
  const { idleTimeoutMs, handshakeTimeoutMs, headTimeoutMs, stallTimeoutMs, linger } = limits;
  const shortest = Math.min(idleTimeoutMs, handshakeTimeoutMs, headTimeoutMs, stallTimeoutMs, linger.idleMs);
  const wanted = Math.floor(shortest / SWEEPS_PER_TIMEOUT);
  return Math.max(SWEEP_INTERVAL_MIN_MS, Math.min(SWEEP_INTERVAL_MAX_MS, wanted));
}
