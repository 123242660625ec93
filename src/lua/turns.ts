/**
 * Whose slice comes next: about one slice for each round of the event loop, whatever the number of those that compute,
 * so that whoever has nothing to compute waits for two slices at most.
 */

/** Those that are done at once share a round until it has taken this long: the time of one slice. */
const ROUND_MS = 5;

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
  const endsAt = performance.now() + ROUND_MS;
  for (const [ticket, go] of waiting) {
    waiting.delete(ticket);
    // before it runs: whatever it throws, the others get their turns
    schedule();
    go();
    if (performance.now() >= endsAt) return;
  }
}
