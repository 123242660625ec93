/**
 * Whose turn it is: about one slice of computing for each round of the event loop, whatever the number of those that
 * have something to do, so that whoever has little to do waits for two slices at most.
 *
 * Nobody waits for a turn while the round has time left: what begins then begins at once. Those that wait take turns by
 * owner (a connection, or the script of a timer), so that hundreds of requests of one connection count as one. Those that
 * begin or wake come before the next slices of those that compute, which get one slice of each round at least.
 */
import { Fifo } from '../base/fifo.ts';

/** Time of one round for Lua code, ms: that of one slice. */
const ROUND_MS = 5;

/** What waits of one owner, in order. */
class OwnTurns {
  readonly owner: object;
  readonly turns: Fifo<Turn> = new Fifo();
  /** Those that were not taken out. */
  left = 0;

  constructor(owner: object) {
    this.owner = owner;
  }
}

/** What is to be called; undefined = it was taken out. */
interface Turn {
  go: (() => void) | undefined;
}

/** What waits, in turns by owner. Nothing is moved or hashed twice when one goes: what was taken out is passed over when it is due. */
class Rotation {
  readonly #byOwner = new Map<object, OwnTurns>();
  readonly #order = new Fifo<OwnTurns>();

  get isEmpty(): boolean {
    return this.#byOwner.size === 0;
  }

  /** The result takes it out again. */
  add(owner: object, go: () => void): () => void {
    let own = this.#byOwner.get(owner);
    if (own === undefined) {
      own = new OwnTurns(owner);
      this.#byOwner.set(owner, own);
      this.#order.push(own);
    }
    const turn: Turn = { go };
    own.turns.push(turn);
    own.left += 1;
    return () => this.#takeOut(turn, own);
  }

  /** Takes the next one out; undefined when there is none. */
  take(): (() => void) | undefined {
    for (let own = this.#order.shift(); own !== undefined; own = this.#order.shift()) {
      const go = this.#next(own);
      if (go === undefined) continue;
      own.left -= 1;
      if (own.left > 0) this.#order.push(own);
      else this.#byOwner.delete(own.owner);
      return go;
    }
    return undefined;
  }

  #next({ turns }: OwnTurns): (() => void) | undefined {
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
      const { go } = turn;
      turn.go = undefined;
      if (go !== undefined) return go;
    }
    return undefined;
  }

  #takeOut(turn: Turn, own: OwnTurns): void {
    if (turn.go === undefined) return;
    turn.go = undefined;
    own.left -= 1;
    if (own.left === 0) this.#byOwner.delete(own.owner);
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
