/** Asks the supervisor which worker runs a timer that runs in one worker only. */
import type { OnceClaims, OnceGrant } from '../script/context/script-timer.ts';
import type { FromWorker } from './messages.ts';

export class OnceClient {
  readonly #post: (message: FromWorker) => void;
  /** Claims without an answer: at most one for each timer. */
  readonly #waiting = new Map<number, (grant: OnceGrant | undefined) => void>();
  #lastId = 0;

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  /** For the scripts of one mapping in one setup. */
  claimsOf(mapping: string, generation: number): OnceClaims {
    return {
      claim: (name, waitMs, answer) => {
        this.#lastId += 1;
        this.#waiting.set(this.#lastId, answer);
        this.#post({
          type: 'claim',
          id: this.#lastId,
          claim: { name: `${mapping}\0${name}`, generation, waitMs },
        });
      },
    };
  }

  answered(id: number, granted: boolean): void {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    answer?.(
      granted ? { release: (completed) => this.#post({ type: 'release', id, completed }) } : undefined,
    );
  }
}
