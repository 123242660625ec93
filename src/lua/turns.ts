/**
 * Whose turn it is: about one slice of computing for each round of the event loop, whatever the number of those that
 * have something to do, so that whoever has little to do waits for two slices at most.
 *
 * Nobody waits for a turn while the round has time left: what begins then begins at once. Those that wait take turns by
 * owner (a connection, or the script of a timer), so that hundreds of requests of one connection count as one. Those that
 * begin or wake come before the next slices of those that compute, which get one slice of each round at least.
 */

/** Time of one round for Lua code, ms: that of one slice. */
const ROUND_MS = 5;

/** What waits, in turns by owner and in order for each; a Map, so that one can leave in the middle. */
class Rotation {
  readonly #owners = new Map<object, Map<object, () => void>>();

  get isEmpty(): boolean {
    return this.#owners.size === 0;
  }

  /** The result takes it out again. */
  add(owner: object, go: () => void): () => void {
    let own = this.#owners.get(owner);
    if (own === undefined) {
      own = new Map();
      this.#owners.set(owner, own);
    }
    const ticket = {};
    own.set(ticket, go);
    return () => {
      const left = this.#owners.get(owner);
      if (left?.delete(ticket) === true && left.size === 0) this.#owners.delete(owner);
    };
  }

  /** Takes the next one out; undefined when there is none. */
  take(): (() => void) | undefined {
    for (const [owner, own] of this.#owners) {
      this.#owners.delete(owner);
      for (const [ticket, go] of own) {
        own.delete(ticket);
        if (own.size > 0) this.#owners.set(owner, own);
        return go;
      }
    }
    return undefined;
  }
}

const ready = new Rotation();
const computing = new Rotation();
let scheduled = false;
/** Since when the round has seen computing, and whether its time is used up. */
let computingSince = 0;
let isFull = false;
let endScheduled = false;

/** True when the time of the round is used up: what begins, wakes or can wait takes its turn then, and else need not. */
export function isRoundFull(): boolean {
  return isFull;
}

/** About a millisecond of computing is over (the guard's fuel); `now` is a time of `performance.now`. */
export function hasComputed(now: number): void {
  if (computingSince === 0) {
    computingSince = now;
    if (endScheduled) return;
    endScheduled = true;
    setImmediate(endRound);
  } else if (now - computingSince >= ROUND_MS - 1) isFull = true;
}

/** Calls `go` when it is the turn of what `owner` begins or goes on with; the result takes it out of the queue. */
export function takeTurn(owner: object, go: () => void): () => void {
  const leave = ready.add(owner, go);
  schedule();
  return leave;
}

/** The same for the next slice of what computes. */
export function takeSlice(owner: object, go: () => void): () => void {
  const leave = computing.add(owner, go);
  schedule();
  return leave;
}

function schedule(): void {
  if (scheduled || (ready.isEmpty && computing.isEmpty)) return;
  scheduled = true;
  setImmediate(next);
}

function next(): void {
  scheduled = false;
  const endsAt = performance.now() + ROUND_MS;
  run(ready, endsAt);
  run(computing, endsAt);
  startRound();
}

/** One of them, and more until `endsAt`. */
function run(queue: Rotation, endsAt: number): void {
  for (;;) {
    const go = queue.take();
    if (go === undefined) return;
    // before it runs: whatever it throws, the others get their turns
    schedule();
    startRound();
    go();
    if (performance.now() >= endsAt) return;
  }
}

function endRound(): void {
  endScheduled = false;
  startRound();
}

function startRound(): void {
  computingSince = 0;
  isFull = false;
}
