/** Asks the supervisor which worker runs a timer that runs in one worker only. */
import type { OnceClaims, OnceGrant } from '../script/context/script-timer.ts';
import type { FromWorker } from './messages.ts';

export class OnceClient {
  readonly #post: (message: FromWorker) => void;
  /** Claims without an answer: at most one for each timer. */
  readonly #waiting = new Map<number, (grant: OnceGrant | undefined) => void>();
  /** What was granted and not given back: at most one for each timer. */
  readonly #granted = new Map<number, OnceGrant>();
  #lastId = 0;

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  /** For the scripts of one mapping in one setup. */
  claimsOf(mapping: string, generation: number): OnceClaims {
    return {
      claim: (name, times, answer) => {
        this.#lastId += 1;
        this.#waiting.set(this.#lastId, answer);
        const claim = { name: `${mapping}\0${name}`, generation, ...times };
        this.#post({ type: 'claim', id: this.#lastId, claim });
      },
    };
  }

  /** `fence` undefined: another runs it. */
  answered(id: number, fence: number | undefined): void {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (fence === undefined) {
      answer?.(undefined);
      return;
    }
    const grant: OnceGrant = {
      fence,
      onRevoked: undefined,
      release: (completed) => {
        this.#granted.delete(id);
        this.#post({ type: 'release', id, completed });
      },
    };
    this.#granted.set(id, grant);
    answer?.(grant);
  }

  revoked(id: number): void {
    this.#granted.get(id)?.onRevoked?.();
  }
}
