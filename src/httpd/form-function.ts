/** `httpd.form`: the fields of a form as a table, which is kept for the request. */
import { GatewayError } from '../base/errors.ts';
import { beyondLimit, wrongType } from '../forms/form-errors.ts';
import { MULTIPART_LIMITS } from '../forms/form-limits.ts';
import { readFormType } from '../forms/form-type.ts';
import { MultipartReader } from '../forms/multipart-reader.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { Failure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import type { Reference } from '../lua/state.ts';
import { currentClient, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { wantSize } from '../script/objects/byte-transfer.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { countOption, readOptionTable } from '../script/run/option-table.ts';
import { FieldCollection } from './field-collection.ts';
import { pushFormFailure } from './form-failure.ts';
import { unreadBody } from './multipart-function.ts';
import { parseQuery } from './parse-query.ts';
import { QUERY_PARTS_MAX } from './query-parser.ts';

/** Bytes of a form that is read into a table: names and values, and what encodes them. */
const FORM_BYTES = 1024 * 1024;
/** The most that the option "size" may say: all of it stands in the memory of the script. */
const FORM_BYTES_MAX = 16 * 1024 * 1024;

/** What has become of the form of a request. */
type Form = Reference | Failure | 'begun';

/** `httpd.form([options])`: a table, or nil, message, code; each call for a request gives the same. */
export function createForm(script: ScriptContext): HostFunction {
  const { state, scheduler, transfer } = script;
  const { exports: x } = state;
  const forms = new WeakMap<Invocation, Form>();

  return (L) => {
    checkArgumentCount(state, L, 'form', 0, 1);
    const bytesMax = readSize(L);
    const invocation = currentClient(scheduler);
    const known = forms.get(invocation);
    if (known === 'begun') throw new LuaError('another task reads the form, or was ended while it did');
    if (typeof known === 'number') {
      state.pushReference(L, known);
      return 1;
    }
    if (known !== undefined) return pushFormFailure(state, L, known);
    const contentType = fieldValue(invocation.exchange.fields, 'content-type');
    const type = readFormType(contentType);
    if (type === undefined) {
      const expected = 'form (application/x-www-form-urlencoded, or multipart/form-data with a boundary)';
      return pushFormFailure(state, L, wrongType(expected, contentType));
    }
    const body = unreadBody(invocation.exchange);
    forms.set(invocation, 'begun');
    x.lua_settop(L, 0);
    if (type.kind === 'urlencoded') return readUrlencoded(L, invocation, bytesMax);
    const reader = new MultipartReader(body, type.boundary, {
      ...MULTIPART_LIMITS,
      parts: QUERY_PARTS_MAX,
      fieldBytes: Number.POSITIVE_INFINITY,
    });
    x.lua_createtable(L, 0, 4);
    return collect(L, invocation, new FieldCollection(script, reader, bytesMax));
  };

  function readUrlencoded(L: LuaThread, invocation: Invocation, bytesMax: number): number {
    const { body } = invocation.exchange;
    if ((body.expected ?? 0) > bytesMax) return fail(L, invocation, tooLarge(bytesMax));
    return transfer.read(L, body, wantSize(bytesMax + 1), (T) => {
      if (body.error !== undefined) return fail(T, invocation, body.error);
      if (x.lua_type(T, -1) === LUA_TYPE.nil) state.pushString(T, '');
      if (Number(x.lua_rawlen(T, -1)) > bytesMax) return fail(T, invocation, tooLarge(bytesMax));
      return parseQuery(scheduler, T, 'form', x.lua_gettop(T), (U, failure) =>
        failure === undefined ? keep(U, invocation) : fail(U, invocation, failure),
      );
    });
  }

  /** The table is on top of the stack, and perhaps what is read for it. */
  function collect(L: LuaThread, invocation: Invocation, fields: FieldCollection): number {
    return workInSlices(
      scheduler,
      L,
      (T) => fields.step(T),
      (T) => {
        const { outcome } = fields;
        if (outcome instanceof GatewayError) return fail(T, invocation, outcome);
        if (outcome === 'end') {
          x.lua_settop(T, 1);
          return keep(T, invocation);
        }
        if (!scheduler.canWait(T))
          throw new LuaError('cannot wait for a form here: a yield cannot cross this call');
        const { wake } = scheduler.running;
        fields.whenMore(wake);
        return waitForBytes(
          scheduler,
          T,
          () => invocation.exchange.body.queue.taken + invocation.exchange.body.queue.length,
          (U) => collect(U, invocation, fields),
          () => fields.cancelMore(wake),
        );
      },
    );
  }

  /** The table on top of the stack is the result, now and for the next call. */
  function keep(L: LuaThread, invocation: Invocation): number {
    x.lua_pushvalue(L, -1);
    const reference = state.keep(L);
    forms.set(invocation, reference);
    invocation.scope.add(() => {
      if (!state.closed) state.release(reference);
    });
    return 1;
  }

  function fail(L: LuaThread, invocation: Invocation, failure: Failure): number {
    forms.set(invocation, failure);
    return pushFormFailure(state, L, failure);
  }

  function readSize(L: LuaThread): number {
    let size = FORM_BYTES;
    readOptionTable(state, L, 1, 'form', {
      size: (name) => {
        size = countOption(state, L, name, FORM_BYTES_MAX);
      },
    });
    return size;
  }
}

function tooLarge(bytesMax: number): GatewayError {
  return beyondLimit(`it has more bytes than the limit of ${bytesMax} ("size")`);
}
