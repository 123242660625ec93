/** `httpd.exit`: answers and ends the handler where it stands, with all its tasks. */
import type { Exchange } from '../http/exchange/exchange.ts';
import { checkFields } from '../http/semantics/fields.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import { currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { JsonEncoder } from './json-encoder.ts';
import { readHeadTable } from './response-head.ts';

/** A status below is no end of a handler. */
const FINAL_STATUS_MIN = 200;
const ERROR_STATUS_MIN = 400;
const STATUS_MAX = 599;
/** What a body is when the script does not say. */
const TEXT_TYPE = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';

/** `exit([status [, body [, headers]]])`: does not return. */
export function createExit(script: ScriptContext): HostFunction {
  const { state, scheduler, transfer } = script;
  const { exports: x } = state;

  return (L) => {
    checkArgumentCount(state, L, 'exit', 0, 3);
    x.lua_settop(L, 3);
    if (x.lua_type(L, 2) !== LUA_TYPE.table) return answer(L, TEXT_TYPE);
    const encoder = new JsonEncoder(state, { pretty: false, sorted: undefined }, (T) =>
      script.lazyTables.touch(T, -1),
    );
    x.lua_pushvalue(L, 2);
    return workInSlices(
      scheduler,
      L,
      (T) => encoder.step(T),
      (T) => {
        x.lua_copy(T, -1, 2);
        x.lua_settop(T, 3);
        return answer(T, JSON_TYPE);
      },
      () => encoder.cancel(),
    );
  };

  /** Status, body and headers are arguments 1 to 3. */
  function answer(L: LuaThread, bodyType: string): number {
    const status = readStatus(L);
    const hasBody = readBody(L);
    const invocation = currentInvocation(scheduler);
    const { exchange } = invocation;
    const fields = readThirdTable(script, L, exchange, 'exit');
    if (!scheduler.canWait(L)) throw new LuaError('cannot end here: a yield cannot cross this call');
    if (exchange.finished || status === undefined) return leaveRun(scheduler, L, invocation);
    if (exchange.headGiven) throw new LuaError('headers already sent');
    if (!hasBody && fields === undefined && status >= ERROR_STATUS_MIN) {
      exchange.reset(status);
      return leaveRun(scheduler, L, invocation);
    }
    giveHead(invocation, status, fields, hasBody ? bodyType : undefined);
    if (!hasBody) return finish(L);
    return transfer.write(L, exchange, 2, finish);
  }

  /** The status; undefined when there is none. */
  function readStatus(L: LuaThread): number | undefined {
    if (x.lua_type(L, 1) === LUA_TYPE.nil) return undefined;
    const status = state.checkInteger(L, 1);
    if (status >= FINAL_STATUS_MIN && status <= STATUS_MAX) return status;
    return state.argumentError(L, 1, `status from ${FINAL_STATUS_MIN} to ${STATUS_MAX} expected`);
  }

  /** Leaves a body as a string at index 2; false when there is none. */
  function readBody(L: LuaThread): boolean {
    if (x.lua_type(L, 2) === LUA_TYPE.nil) return false;
    x.luaL_checklstring(L, 2, state.memory.sizeOut);
    return true;
  }

  function giveHead(
    invocation: Invocation,
    status: number,
    fields: readonly string[] | undefined,
    bodyType: string | undefined,
  ): void {
    const given = fields ?? [];
    const isTyped = given.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type');
    invocation.sendLinks();
    invocation.exchange.head(
      status,
      bodyType !== undefined && !isTyped ? [...given, 'content-type', bodyType] : given,
    );
  }

  /** All of the answer is written, or the client is gone. */
  function finish(L: LuaThread): number {
    return leaveRun(scheduler, L, currentInvocation(scheduler));
  }
}

/** The fields in the table of headers at index 3 of the function `name`; undefined where there is none. */
export function readThirdTable(
  { state, lazyTables }: ScriptContext,
  L: LuaThread,
  { protocol }: Exchange,
  name: string,
): readonly string[] | undefined {
  const { exports: x } = state;
  if (x.lua_type(L, 3) <= LUA_TYPE.nil) return undefined;
  x.luaL_checktype(L, 3, LUA_TYPE.table);
  lazyTables.touch(L, 3);
  const head = readHeadTable(state, L, protocol, 3);
  const [pseudo] = [...(head.status === undefined ? [] : [':status']), ...Object.keys(head.pseudo)];
  if (pseudo !== undefined) throw new LuaError(`the headers of '${name}' cannot hold "${pseudo}"`);
  checkFields(head.fields);
  return head.fields;
}

/** Ends whatever the invocation runs; the coroutine that calls ends in the wait. */
export function leaveRun(scheduler: CoroutineScheduler, L: LuaThread, invocation: Invocation): number {
  invocation.leave();
  return scheduler.running.wait(
    L,
    () => 0,
    () => undefined,
  );
}
