/** Makes the handlers that answer methods which no handler of a script takes: in a mapping with hooks, behind these. */
import { answerMethod, type MethodStatus } from '../../http/exchange/answer-method.ts';
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Handler } from '../../http/exchange/handler.ts';
import type { Reference } from '../../lua/state.ts';
import { createHandler } from './create-handler.ts';
import { currentInvocation } from './invocation.ts';
import type { ScriptContext } from './script-context.ts';

/** What is to be answered while the hooks of an exchange run. */
const pending = new WeakMap<Exchange, { readonly status: MethodStatus; readonly allow: string }>();
/** The function of each script that Lua code calls in the place of a handler. */
const functions = new WeakMap<ScriptContext, Reference>();

export function createAutomaticAnswer(script: ScriptContext, status: MethodStatus, allow: string): Handler {
  const answer = { status, allow };
  let hooked: Handler | undefined;
  return {
    handle: (exchange, route) => {
      if (script.closed || !script.hooks.areForRequests) {
        answerMethod(exchange, status, allow);
        return;
      }
      if (hooked === undefined) {
        const plain = functionOf(script);
        if (plain === undefined) {
          exchange.reset(503);
          return;
        }
        hooked = createHandler(script, { reference: plain, pushArguments: undefined, plain }, script.limits);
      }
      pending.set(exchange, answer);
      hooked.handle(exchange, route);
    },
  };
}

/** Undefined where the script has no memory left for it. */
function functionOf(script: ScriptContext): Reference | undefined {
  const known = functions.get(script);
  if (known !== undefined) return known;
  const { state, scheduler } = script;
  const kept = scheduler.attempt(() => {
    const { answer } = state.addFunctions({
      answer: () => {
        const { exchange } = currentInvocation(scheduler);
        const given = pending.get(exchange);
        if (given !== undefined && !exchange.headGiven) answerMethod(exchange, given.status, given.allow);
        return 0;
      },
    });
    state.exports.lua_pushcclosure(state.mainThread, answer, 0);
    return state.keep(state.mainThread);
  });
  if (typeof kept !== 'number') return undefined;
  functions.set(script, kept);
  return kept;
}
