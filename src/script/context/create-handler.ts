/** Makes of a function of a script the handler that calls it for each exchange, behind the hooks of its mapping where it has any. */
import type { Handler } from '../../http/exchange/handler.ts';
import type { RunLimits } from '../run/run-limits.ts';
import { HookedInvocation } from './hooked-invocation.ts';
import { type HandlerFunction, Invocation } from './invocation.ts';
import type { ScriptContext } from './script-context.ts';
import { WrappedHandler } from './wrapped-handler.ts';

/** `bodyBytesMax`: what `register_handler` was told. */
export function createHandler(
  script: ScriptContext,
  called: HandlerFunction,
  limits: RunLimits,
  bodyBytesMax: number = Number.POSITIVE_INFINITY,
): Handler {
  let wrapped: WrappedHandler | undefined;
  return {
    handle: (exchange, route) => {
      if (script.closed) {
        exchange.reset(503);
        return;
      }
      if (bodyBytesMax !== Number.POSITIVE_INFINITY) {
        exchange.limitBody(bodyBytesMax);
        if (exchange.finished) return;
      }
      const { hooks } = script;
      const invocation = hooks.areAround
        ? new HookedInvocation(script, exchange, route, limits)
        : new Invocation(script, exchange, route, limits);
      script.runs.started(invocation);
      if (!hooks.areBefore || called.callsHooks) invocation.start(called);
      else {
        wrapped ??= new WrappedHandler(script, called);
        invocation.start(wrapped);
      }
      script.runs.watch();
    },
  };
}
