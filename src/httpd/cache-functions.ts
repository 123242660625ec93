/** `httpd.cache`: what scripts do with answers that are kept. */
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type Failure, pushFailure } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { booleanOption, readOptionTable, stringOption } from '../script/run/option-table.ts';
import { readTag } from './cache-tags.ts';

/** Bytes of a URL: longer ones are not kept. */
const URL_BYTES_MAX = 8 * 1024;
/** A longer URL is cut in the message. */
const SHOWN_MAX = 100;
/** To hash a byte (1 ns and less). */
const BYTES_PER_UNIT = 4;

/** `purge{tag, url, all}`. */
export function cacheFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, cache, scheduler } = script;
  return {
    purge: (L) => {
      checkArgumentCount(state, L, 'cache.purge', 1);
      let tag: string | undefined;
      let url: string | undefined;
      let isAll = false;
      readOptionTable(state, L, 1, 'cache.purge', {
        tag: (name) => {
          tag = readTag(state, L, name);
        },
        url: (name) => {
          url = stringOption(state, L, name, URL_BYTES_MAX);
        },
        all: (name) => {
          isAll = booleanOption(state, L, name);
        },
      });
      if (tag === undefined && url === undefined && !isAll)
        throw new LuaError('cache.purge wants an option "tag", "url" or "all"');
      scheduler.guard.pay(((tag?.length ?? 0) + (url?.length ?? 0)) / BYTES_PER_UNIT);
      if (url !== undefined && !cache.purge({ url })) return pushFailure(state, L, urlFailure(url));
      if (tag !== undefined) cache.purge({ tag });
      if (isAll) cache.purge({ all: true });
      state.exports.lua_pushboolean(L, 1);
      return 1;
    },
  };
}

function urlFailure(url: string): Failure {
  const shown = JSON.stringify(url.length > SHOWN_MAX ? `${url.slice(0, SHOWN_MAX)}…` : url);
  return {
    message: `Cannot purge ${shown}: it is no URL such as https://example.com/path`,
    luaCode: 'invalid',
  };
}
