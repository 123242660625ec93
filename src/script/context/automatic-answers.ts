/** Makes the handlers that answer methods which no handler of a script takes: in a mapping with hooks, behind these. */
import { answerMethod, type MethodStatus } from '../../http/exchange/answer-method.ts';
import type { Handler } from '../../http/exchange/handler.ts';
import type { Reference } from '../../lua/state.ts';
import { createHandler } from './create-handler.ts';
import { currentInvocation } from './invocation.ts';
import type { ScriptContext } from './script-context.ts';

/** Those of one script. */
export class AutomaticAnswers {
  readonly #script: ScriptContext;
  /** The handler behind the hooks: Lua calls a function of ours in the place of one of the script. */
  #hooked: Handler | undefined;

  constructor(script: ScriptContext) {
    this.#script = script;
  }

  create(status: MethodStatus, allow: string): Handler {
    const script = this.#script;
    const automatic = { status, allow };
    return {
      handle: (exchange, route) => {
        if (script.closed || !script.hooks.areForRequests) {
          answerMethod(exchange, status, allow);
          return;
        }
        this.#hooked ??= this.#createHooked();
        if (this.#hooked === undefined) exchange.reset(503);
        else this.#hooked.handle(exchange, { ...route, automatic });
      },
    };
  }

  /** Undefined where the script has no memory left for it. */
  #createHooked(): Handler | undefined {
    const script = this.#script;
    const reference = this.#pushFunction();
    if (reference === undefined) return undefined;
    return createHandler(script, { reference, pushArguments: undefined, callsHooks: false }, script.limits);
  }

  #pushFunction(): Reference | undefined {
    const { state, scheduler } = this.#script;
    const kept = scheduler.attempt(() => {
      const { answer } = state.addFunctions({
        answer: () => {
          const { exchange, route } = currentInvocation(scheduler);
          const { automatic } = route;
          if (automatic !== undefined && !exchange.headGiven)
            answerMethod(exchange, automatic.status, automatic.allow);
          return 0;
        },
      });
      state.exports.lua_pushcclosure(state.mainThread, answer, 0);
      return state.keep(state.mainThread);
    });
    return typeof kept === 'number' ? kept : undefined;
  }
}
