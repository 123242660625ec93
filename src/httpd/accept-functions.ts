/** `httpd.accepts`: which of the forms an answer has is the one that the client wants (RFC 9110 §12.5). */
import { createRequire } from 'node:module';
import { GatewayError } from '../base/errors.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { currentInvocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { shortWord } from './short-word.ts';

/** Forms to choose from, and bytes of the name of one. */
const FORMS_MAX = 32;
const FORM_BYTES_MAX = 256;
/** Bytes of the field, and entries of it: browsers send some twenty in 200 bytes. */
const FIELD_BYTES_MAX = 4096;
const ENTRIES_MAX = 100;
/** Fuel for a form that is compared with an entry, and for a byte of the field. */
const UNITS_PER_COMPARISON = 60;
const UNITS_PER_BYTE = 4;

type NegotiatorClass = typeof import('negotiator');
type Choice = 'mediaTypes' | 'languages' | 'encodings' | 'charsets';

const CHOICES: ReadonlyMap<string, Choice> = new Map([
  ['accept', 'mediaTypes'],
  ['accept-language', 'languages'],
  ['accept-encoding', 'encodings'],
  ['accept-charset', 'charsets'],
]);

let loaded: NegotiatorClass | undefined;

/** The package, loaded at the first use. */
function negotiatorPackage(): NegotiatorClass {
  loaded ??= createRequire(import.meta.url)('negotiator') as NegotiatorClass;
  return loaded;
}

export function acceptFunctions(script: ScriptContext): Record<'accepts', HostFunction> {
  const { state, scheduler } = script;
  const { exports: x } = state;

  /** The list at index 1. */
  function takeForms(L: LuaThread): string[] {
    x.luaL_checktype(L, 1, LUA_TYPE.table);
    const count = Number(x.lua_rawlen(L, 1));
    if (count < 1 || count > FORMS_MAX)
      return state.argumentError(L, 1, `list of ${count} entries (1 to ${FORMS_MAX} were expected)`);
    const forms: string[] = [];
    for (let i = 1; i <= count; i++) {
      const type = x.lua_rawgeti(L, 1, BigInt(i));
      if (type !== LUA_TYPE.string)
        throw new LuaError(`entry ${i} of the list is a ${state.typeName(L, -1)}`);
      forms.push(state.toString(L, -1, FORM_BYTES_MAX) as string);
      state.pop(L);
    }
    return forms;
  }

  return {
    /** accepts(list [, field]): the one that is wanted most; nil when none is. */
    accepts: (L) => {
      checkArgumentCount(state, L, 'accepts', 1, 2);
      const forms = takeForms(L);
      const field = (state.optionalString(L, 2) ?? 'accept').toLowerCase();
      const choice = CHOICES.get(field);
      if (choice === undefined)
        return state.argumentError(
          L,
          2,
          `'${shortWord(field)}' is none of ${[...CHOICES.keys()].join(', ')}`,
        );
      const value = fieldValue(currentInvocation(scheduler).exchange.fields, field);
      const entries = value?.split(',', ENTRIES_MAX + 1).length ?? 0;
      if (value !== undefined && (value.length > FIELD_BYTES_MAX || entries > ENTRIES_MAX)) {
        const message = `Cannot choose: "${field}" is longer than the limits of ${FIELD_BYTES_MAX} bytes and ${ENTRIES_MAX} entries`;
        return pushFailure(state, L, new GatewayError('LGW_FIELD_LIMIT', message, { luaCode: 'limit' }));
      }
      scheduler.guard.pay(
        entries * forms.length * UNITS_PER_COMPARISON + (value?.length ?? 0) * UNITS_PER_BYTE,
      );
      const Negotiator = negotiatorPackage();
      const headers = value === undefined ? {} : { [field]: value };
      const [best] = new Negotiator({ headers })[choice](forms);
      if (best === undefined) x.lua_pushnil(L);
      else state.pushString(L, best);
      return 1;
    },
  };
}
