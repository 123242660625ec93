/** Suspends a script while the pool of threads computes for it. */
import { GatewayError } from '../base/errors.ts';
import type { PoolQueue } from '../crypto/pool-queue.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';

/** The end of a message when the state that asked is gone before the answer. */
const LOST = new GatewayError('LGW_CRYPTO_INVALID', 'Cannot go on: it was ended', { luaCode: 'closed' });

/** Raises where a function that computes in the pool cannot wait. */
export function checkCanCompute({ scheduler }: ScriptContext, L: LuaThread): void {
  if (!scheduler.canWait(L)) throw cannotWait('wait for a computation');
}

/**
 * Begins `work` when it is its turn, and calls `push` with its result in place of the host function; a failure becomes nil,
 * message, code. What the work reads must not lie in the VM. After `checkCanCompute`.
 */
export function computeInPool<T>(
  script: ScriptContext,
  L: LuaThread,
  queue: PoolQueue,
  work: (done: (result: T | GatewayError) => void) => void,
  push: (L: LuaThread, result: T) => number,
): number {
  const { scheduler, state, share } = script;
  const coroutine = scheduler.running;
  let result: T | GatewayError = LOST;
  // its thread may belong to another run by the time the pool is ready
  let isAwaited = true;
  let takeBack: () => void;
  try {
    takeBack = queue.enter(share, (release) => {
      work((answer) => {
        release();
        result = answer;
        if (isAwaited) coroutine.wake();
      });
    });
  } catch (error) {
    if (error instanceof GatewayError) return pushFailure(state, L, error);
    throw error;
  }
  return waitInScope(
    scheduler,
    L,
    (T) => {
      isAwaited = false;
      return result instanceof GatewayError ? pushFailure(state, T, result) : push(T, result);
    },
    () => {
      isAwaited = false;
      takeBack();
    },
  );
}
