/**
 * Whose slice comes next: one slice for each round of the event loop, whatever the number of those that compute, so
 * that whoever has nothing to compute waits for one slice at most.
 */

/** Those that wait for their turn, in order; a Map, so that one can leave in the middle. */
const waiting = new Map<object, () => void>();
let scheduled = false;

/** Calls `go` when it is its turn; the result takes it out of the queue. */
export function takeTurn(go: () => void): () => void {
  const ticket = {};
  waiting.set(ticket, go);
  schedule();
  return () => waiting.delete(ticket);
}

function schedule(): void {
  if (scheduled || waiting.size === 0) return;
  scheduled = true;
  setImmediate(next);
}

function next(): void {
  scheduled = false;
  for (const [ticket, go] of waiting) {
    waiting.delete(ticket);
    // before it runs: whatever it throws, the others get their turns
    schedule();
    go();
    return;
  }
}
