/**
 * Steps that a store does as a whole, in one round trip: functions of Redis 7, or scripts where there are none. The code gets there when it is
 * found missing.
 */
import { createHash } from 'node:crypto';
import { readLuaSource } from '../lua/lua-source.ts';
import { command, commandHead, wordText } from './resp-command.ts';
import { ReplyError } from './resp-reply.ts';
import type { Answer, StoreClient } from './store-client.ts';

export type StepName = 'incr' | 'expire' | 'claim' | 'renew' | 'release' | 'purges' | 'purge';

const STEP_NAMES: readonly StepName[] = ['incr', 'expire', 'claim', 'renew', 'release', 'purges', 'purge'];
const SOURCE: string = readLuaSource('store/steps.lua').toString('latin1');
/** Gateways of different versions may use one store. */
const VERSION: string = createHash('sha1').update(SOURCE).digest('hex').slice(0, 12);
const LIBRARY: string = [
  `#!lua name=lgateway_${VERSION}`,
  `local steps = (function() ${SOURCE} end)()`,
  // hardly anything of Lua is there while a library is loaded
  ...STEP_NAMES.map((name) => `redis.register_function('lgateway_${name}_${VERSION}', steps.${name})`),
].join('\n');
const SCRIPT = `local steps = (function() ${SOURCE} end)()\nreturn steps[table.remove(ARGV, 1)](KEYS, ARGV)`;
const SCRIPT_SHA: string = createHash('sha1').update(SCRIPT).digest('hex');

/** Up to the key; each step has its number of words. */
const FUNCTION_HEADS: Readonly<Record<StepName, string>> = {
  incr: commandHead(8, 'FCALL', `lgateway_incr_${VERSION}`, '1'),
  expire: commandHead(5, 'FCALL', `lgateway_expire_${VERSION}`, '1'),
  claim: commandHead(6, 'FCALL', `lgateway_claim_${VERSION}`, '1'),
  renew: commandHead(6, 'FCALL', `lgateway_renew_${VERSION}`, '1'),
  release: commandHead(6, 'FCALL', `lgateway_release_${VERSION}`, '1'),
  purges: commandHead(7, 'FCALL', `lgateway_purges_${VERSION}`, '1'),
  purge: commandHead(8, 'FCALL', `lgateway_purge_${VERSION}`, '1'),
};

export class AtomicSteps {
  readonly #client: StoreClient;
  /** False as soon as the server is known to have no functions, or to refuse them. */
  #hasFunctions = true;

  constructor(client: StoreClient) {
    this.#client = client;
  }

  /** `words` as the step takes them; texts are bytes. */
  run(step: StepName, key: string, words: readonly string[], timeoutMs: number, answer: Answer): void {
    if (this.#hasFunctions) this.#callFunction(step, key, words, timeoutMs, answer);
    else this.#evaluate(step, key, words, timeoutMs, answer);
  }

  #callFunction(
    step: StepName,
    key: string,
    words: readonly string[],
    timeoutMs: number,
    answer: Answer,
  ): void {
    let call = FUNCTION_HEADS[step] + wordText(key);
    for (const word of words) call += wordText(word);
    this.#client.call(key, call, timeoutMs, (outcome) => {
      if (!(outcome instanceof ReplyError)) return answer(outcome);
      if (outcome.code === 'NOPERM' || /unknown command/i.test(outcome.message)) {
        this.#hasFunctions = false;
        return this.#evaluate(step, key, words, timeoutMs, answer);
      }
      if (!/function not found/i.test(outcome.message)) return answer(outcome);
      // both go to the same server, one behind the other
      const load = command('FUNCTION', 'LOAD', 'REPLACE', LIBRARY);
      let refusal: ReplyError | undefined;
      this.#client.call(key, load, timeoutMs, (loaded) => {
        if (loaded instanceof ReplyError) refusal = loaded;
      });
      this.#client.call(key, call, timeoutMs, (again) => {
        if (!(again instanceof ReplyError && /function not found/i.test(again.message))) return answer(again);
        // who may not load functions may run scripts; others may do neither
        if (refusal !== undefined && refusal.code !== 'NOPERM') return answer(refusal);
        this.#hasFunctions = false;
        this.#evaluate(step, key, words, timeoutMs, answer);
      });
    });
  }

  #evaluate(step: StepName, key: string, words: readonly string[], timeoutMs: number, answer: Answer): void {
    const rest = ['1', key, step, ...words];
    this.#client.call(key, command('EVALSHA', SCRIPT_SHA, ...rest), timeoutMs, (outcome) => {
      if (!(outcome instanceof ReplyError && outcome.code === 'NOSCRIPT')) return answer(outcome);
      this.#client.call(key, command('EVAL', SCRIPT, ...rest), timeoutMs, answer);
    });
  }
}
