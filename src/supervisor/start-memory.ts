/** Gives back to the system what the start has needed and nothing uses any more: some 4 MiB. */
import { returnFreeMemory } from '../native/posix.ts';

/** So long after the gateway serves: all threads have ended what they load, the second time on a busy machine, too (ms). */
const AFTER_MS = [3000, 9000] as const;

/** Holds up no end of the process. */
export function returnStartMemory(): void {
  for (const ms of AFTER_MS) setTimeout(returnFreeMemory, ms).unref();
}
