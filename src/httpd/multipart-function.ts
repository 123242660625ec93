/** `httpd.multipart`: the parts of a form one after the other, each a stream that is read as the client sends it. */
import { GatewayError } from '../base/errors.ts';
import { FormBody } from '../forms/form-body.ts';
import { wrongType } from '../forms/form-errors.ts';
import { MULTIPART_LIMITS, type MultipartLimits } from '../forms/form-limits.ts';
import { readFormType } from '../forms/form-type.ts';
import { MultipartReader, type Part } from '../forms/multipart-reader.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type LuaThread, NULL, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import { currentClient, currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { countOption, readOptionTable } from '../script/run/option-table.ts';
import type { PushFields } from './field-tables.ts';
import { pushFormFailure } from './form-failure.ts';

/** The most that the option "parts" may say. */
const PARTS_OPTION_MAX = 10_000;
/** The most that the option "head" may say: a head is gathered before it is read. */
const HEAD_OPTION_BYTES_MAX: number = 64 * 1024;
/** To read a head and to make the part's value (20 µs). */
const UNITS_PER_PART = 4000;
/** A generic `for` hands its iterator a state and a control value; whoever calls it by hand gives nothing. */
const ARGUMENTS_IN_LOOP = 2;

/** The parts of one request. */
interface Parts {
  readonly body: FormBody;
  /** An error where the request holds no multipart form. */
  readonly reader: MultipartReader | GatewayError;
  /** Ends the value of the part before. */
  closePart: ((why: string) => void) | undefined;
  isAwaited: boolean;
}

/** `httpd.multipart([options])`: an iterator. */
export function createMultipart(script: ScriptContext, pushFields: PushFields): HostFunction {
  const { state, scheduler, streams } = script;
  const { exports: x, memory } = state;
  const partsOf = new WeakMap<Invocation, Parts>();
  const { next: iterator } = state.addFunctions({ next: (L) => next(L) });

  return (L) => {
    checkArgumentCount(state, L, 'multipart', 0, 1);
    const limits = readLimits(L);
    const invocation = currentClient(scheduler);
    if (partsOf.has(invocation)) throw new LuaError('multipart was called before for this request');
    const body = unreadBody(invocation.exchange);
    const contentType = fieldValue(invocation.exchange.fields, 'content-type');
    const type = readFormType(contentType);
    const reader =
      type?.kind === 'multipart'
        ? new MultipartReader(body, type.boundary, limits)
        : wrongType('multipart/form-data with a boundary', contentType);
    const parts: Parts = { body, reader, closePart: undefined, isAwaited: false };
    partsOf.set(invocation, parts);
    invocation.scope.add(() => parts.closePart?.('the request of the part has ended'));
    state.pushInteger(L, invocation.number);
    x.lua_pushcclosure(L, iterator, 1);
    return 1;
  };

  /** The iterator. What is wrong ends the handler in a loop, whose end it would look like, and is nil, message, code elsewhere. */
  function next(L: LuaThread): number {
    const endsHandler = x.lua_gettop(L) === ARGUMENTS_IN_LOOP;
    const invocation = currentInvocation(scheduler);
    if (x.lua_tonumberx(L, REGISTRY_INDEX - 1, NULL) !== invocation.number)
      throw new LuaError('the parts belong to another request');
    const parts = partsOf.get(invocation) as Parts;
    if (parts.isAwaited) throw new LuaError('another task waits for the next part');
    parts.closePart?.('attempt to use a part after the next one was asked for');
    parts.closePart = undefined;
    return advance(L, invocation, parts, endsHandler);
  }

  function advance(L: LuaThread, invocation: Invocation, parts: Parts, endsHandler: boolean): number {
    const { reader, body } = parts;
    if (reader instanceof GatewayError) return fail(L, invocation, reader, endsHandler);
    scheduler.guard.pay(UNITS_PER_PART);
    const result = reader.advance();
    if (result instanceof GatewayError) return fail(L, invocation, result, endsHandler);
    if (result === 'end') {
      x.lua_pushnil(L);
      return 1;
    }
    if (result !== 'more') return pushPart(L, parts, result);
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for a part here: a yield cannot cross this call');
    const { wake } = scheduler.running;
    parts.isAwaited = true;
    reader.whenMore(wake);
    return waitForBytes(
      scheduler,
      L,
      () => body.position + body.source.queue.length,
      (T) => {
        parts.isAwaited = false;
        return advance(T, invocation, parts, endsHandler);
      },
      () => {
        parts.isAwaited = false;
        reader.cancelMore(wake);
      },
    );
  }

  function pushPart(L: LuaThread, parts: Parts, part: Part): number {
    x.lua_createtable(L, 0, 4);
    state.pushString(L, part.name);
    x.lua_setfield(L, -2, memory.constant('name'));
    if (part.filename !== undefined) {
      state.pushString(L, part.filename);
      x.lua_setfield(L, -2, memory.constant('filename'));
    }
    state.pushString(L, part.type);
    x.lua_setfield(L, -2, memory.constant('type'));
    pushFields(L, part.fields);
    x.lua_setfield(L, -2, memory.constant('headers'));
    parts.closePart = streams.push(L, {
      name: 'part',
      source: part.body,
      sink: undefined,
      // what is left of it is passed over when the next one is asked for
      close: () => undefined,
    });
    return 1;
  }

  function fail(L: LuaThread, invocation: Invocation, error: GatewayError, endsHandler: boolean): number {
    if (!endsHandler) return pushFormFailure(state, L, error);
    if (error.code === 'LGW_FORM_READ' || !scheduler.canWait(L)) throw new LuaError(error.message);
    // the client's mistake is no error of the script
    script.logger.debug(error.message, invocation.logFields());
    invocation.cancel(error.status ?? 400);
    return scheduler.running.wait(
      L,
      () => 0,
      () => undefined,
    );
  }

  function readLimits(L: LuaThread): MultipartLimits {
    const limits: { -readonly [K in keyof MultipartLimits]: MultipartLimits[K] } = { ...MULTIPART_LIMITS };
    readOptionTable(state, L, 1, 'multipart', {
      parts: (name) => {
        limits.parts = countOption(state, L, name, PARTS_OPTION_MAX);
      },
      head: (name) => {
        limits.headBytes = countOption(state, L, name, HEAD_OPTION_BYTES_MAX);
      },
      field: (name) => {
        limits.fieldBytes = countOption(state, L, name, Number.MAX_SAFE_INTEGER);
      },
      size: (name) => {
        limits.bytes = countOption(state, L, name, Number.MAX_SAFE_INTEGER);
      },
    });
    return limits;
  }
}

/** The body of a request, of which nothing may have been read. */
export function unreadBody({ body }: Exchange): FormBody {
  if (body.queue.taken > 0) throw new LuaError('the request body has been read already');
  return new FormBody(body);
}
