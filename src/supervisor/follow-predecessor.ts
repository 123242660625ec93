/** Lets a successor's once-timers run when those of its predecessor do not any more. */
import type { OnceRegistry } from './once-registry.ts';
import type { Predecessor } from './predecessor.ts';

export function followPredecessor(predecessor: Predecessor, once: OnceRegistry): void {
  const now = (): number => performance.now();
  predecessor.hear((message) => {
    if (message === undefined) once.predecessorGone(now);
    else if (message.type === 'once') once.takeOver(message.records, now);
    else if (message.type === 'onceEnded') once.predecessorEnded(message.name, message.completed, now);
  });
}
