/** Reads the table of options of `httpd.websocket`. */
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { booleanOption, countOption, readOptionTable, wrongType } from '../script/run/option-table.ts';
import { SECONDS_MAX } from '../script/run/seconds.ts';
import { isProtocolName } from '../websocket/handshake.ts';
import { WEBSOCKET_DEFAULTS, type WebSocketOptions } from '../websocket/open-websocket.ts';
import { MESSAGE_BYTES_MAX, ORIGINS_MAX, PROTOCOLS_MAX } from '../websocket/websocket-limits.ts';

/** Bytes of a protocol or an origin. */
const NAME_BYTES_MAX = 256;

export interface ScriptWebSocketOptions extends WebSocketOptions {
  /** How long `recv` waits, ms; Infinity: for ever. */
  readonly timeoutMs: number;
}

type Draft = { -readonly [Name in keyof ScriptWebSocketOptions]: ScriptWebSocketOptions[Name] };

export function readWebSocketOptions(state: State, L: LuaThread): ScriptWebSocketOptions {
  const { exports: x } = state;
  const draft: Draft = { ...WEBSOCKET_DEFAULTS, timeoutMs: Number.POSITIVE_INFINITY };
  readOptionTable(state, L, 1, 'websocket', {
    protocols: (name) => {
      draft.protocols = readList(name, PROTOCOLS_MAX);
      const wrong = draft.protocols.find((protocol) => !isProtocolName(protocol));
      if (wrong !== undefined)
        throw new LuaError(`option "${name}" has ${JSON.stringify(wrong)} (a token was expected)`);
    },
    origins: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.string) draft.origins = readList(name, ORIGINS_MAX);
      else {
        const word = state.toString(L, -1, NAME_BYTES_MAX);
        if (word !== 'same' && word !== 'any')
          throw new LuaError(
            `option "${name}" is a string other than "same" and "any" (or a list was expected)`,
          );
        draft.origins = word;
      }
    },
    deflate: (name) => {
      draft.deflate = booleanOption(state, L, name);
    },
    max: (name) => {
      draft.messageBytesMax = countOption(state, L, name, MESSAGE_BYTES_MAX);
    },
    ping: (name) => {
      draft.pingMs = secondsOption(name);
    },
    timeout: (name) => {
      draft.timeoutMs = secondsOption(name);
    },
  });
  return draft;

  function readList(name: string, countMax: number): string[] {
    if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a list of strings');
    const count = Number(x.lua_rawlen(L, -1));
    if (count > countMax)
      throw new LuaError(`option "${name}" has ${count} entries and the limit is ${countMax}`);
    const list: string[] = [];
    for (let i = 1; i <= count; i++) {
      if (x.lua_rawgeti(L, -1, BigInt(i)) !== LUA_TYPE.string)
        throw wrongType(state, L, name, 'a list of strings');
      const size = Number(x.lua_rawlen(L, -1));
      if (size > NAME_BYTES_MAX)
        throw new LuaError(
          `option "${name}" has an entry of ${size} bytes and the limit is ${NAME_BYTES_MAX}`,
        );
      list.push(state.toString(L, -1, NAME_BYTES_MAX) as string);
      state.pop(L);
    }
    return list;
  }

  function secondsOption(name: string): number {
    if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'seconds');
    const seconds = x.lua_tonumberx(L, -1, NULL);
    if (seconds > 0 && seconds <= SECONDS_MAX) return Math.ceil(seconds * 1000);
    throw new LuaError(
      `option "${name}" is ${seconds} (seconds above 0, at most ${SECONDS_MAX}, were expected)`,
    );
  }
}
