/** An honest client that does the same all the time, and what has happened to it. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Between an answer and the next request. */
const PAUSE_MS = 50;
/** A request is given up then: machines are slow, and a gateway whose threads are replaced answers late. */
const PATIENCE_MS = 120_000;
/** A request whose connection was cut, or that was refused with 503, is asked again, as browsers do (RFC 9110 §9.2.2), so many times. */
const TRIES_MAX = 20;
const TRY_AGAIN_MS = 200;

/** The connection has gone before the answer was whole: no fault where somebody has killed the thread at its other end. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/** 503 for what needs a descriptor beside those it has: no fault where none is left. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** What a step has found wrong; the client goes on. */
export interface Mishap {
  readonly at: number;
  readonly text: string;
}

export interface Experience {
  answers: number;
  longestMs: number;
  /** Requests that were asked again. */
  readonly cuts: Mishap[];
  /** Answers 503 behind which they were asked again. */
  readonly refusals: Mishap[];
  /** What an honest client must never see. */
  readonly failures: Mishap[];
}

/** Does one thing that has an answer; throws Cut, or any other error for a failure. */
export interface Conversation {
  readonly name: string;
  step(count: number): Promise<void>;
  close(): void;
}

export class Bystander {
  readonly name: string;
  readonly experience: Experience = { answers: 0, longestMs: 0, cuts: [], refusals: [], failures: [] };
  readonly #conversation: Conversation;
  #over = false;

  constructor(conversation: Conversation) {
    this.name = conversation.name;
    this.#conversation = conversation;
  }

  /** Resolves when `end` was called and the last step is over. */
  async run(): Promise<void> {
    for (let count = 1; !this.#over; count++) {
      const from = performance.now();
      await this.#step(count);
      this.experience.longestMs = Math.max(this.experience.longestMs, performance.now() - from);
      await sleep(PAUSE_MS);
    }
    this.#conversation.close();
  }

  end(): void {
    this.#over = true;
  }

  async #step(count: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await withPatience(this.#conversation.step(count));
        this.experience.answers += 1;
        return;
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        const isRefusal = error instanceof Refused;
        // the connection of a refusal is whole
        if (!isRefusal) this.#conversation.close();
        const { failures, refusals, cuts } = this.experience;
        if (!(isRefusal || error instanceof Cut) || tries === TRIES_MAX) {
          failures.push({ at: performance.now(), text });
          return;
        }
        (isRefusal ? refusals : cuts).push({ at: performance.now(), text });
        await sleep(TRY_AGAIN_MS);
      }
    }
  }
}

async function withPatience(step: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  try {
    await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}
