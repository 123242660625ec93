/** httpd.sendfile: a whole response from a file, or the part of it that was asked for, without passing through Lua. */

import { acceptsCoding } from '../http/semantics/accept-encoding.ts';
import { checkFields, fieldValue } from '../http/semantics/fields.ts';
import { weakTag } from '../http/semantics/representation.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { State } from '../lua/state.ts';
import { currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { type Candidate, FileAnswer, type FileSent, fileFields } from '../static/file-answer.ts';
import { pushEnded } from './copy.ts';
import { readHeadTable } from './response-head.ts';

interface SendOptions {
  type: string | undefined;
  /** Directory the path is taken from and has to stay below. */
  root: string | undefined;
  range: boolean;
  /** A tag of the script's own; false = none; true = made from size and time. */
  etag: boolean | string;
  precompressed: boolean;
  /** True, or the name to save it under. */
  download: boolean | string;
  /** Flat names and values. */
  headers: readonly string[];
}

/** Fields that say what is sent, which is not for the script to say. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['content-length', 'content-range', 'transfer-encoding']);

/** `httpd.sendfile(path [, options])`: body bytes sent and status, or nil, message, code. */
export function createSendfile(script: ScriptContext): HostFunction {
  const { state, scheduler } = script;

  return (L) => {
    checkArgumentCount(state, L, 'sendfile', 1, 2);
    const name = state.checkString(L, 1);
    const invocation = currentInvocation(scheduler);
    const options = readOptions(state, L, invocation.exchange.protocol === 'HTTP/2');
    if (invocation.exchange.finished && invocation.exchange.error === undefined) return pushEnded(script, L);
    if (!scheduler.canWait(L)) throw new LuaError('cannot send a file here: a yield cannot cross this call');
    const coroutine = scheduler.running;
    let result: FileSent | undefined;
    const answer = answerWith(script, invocation, name, options, (sent) => {
      result = sent;
      coroutine.wake();
    });
    answer.start();
    return coroutine.wait(
      L,
      (T) => finish(T, result as FileSent),
      () => answer.cancel(),
    );
  };

  function finish(L: LuaThread, sent: FileSent): number {
    if ('code' in sent) return pushFailure(script.state, L, sent);
    state.pushInteger(L, sent.bytes);
    state.pushInteger(L, sent.status);
    return 2;
  }
}

function answerWith(
  { fileSystem }: ScriptContext,
  invocation: Invocation,
  name: string,
  options: SendOptions,
  done: (sent: FileSent) => void,
): FileAnswer {
  const { exchange, operationOwner } = invocation;
  const { root, etag, range, type, download, precompressed, headers } = options;
  return new FileAnswer({
    exchange,
    name,
    candidates: candidatesOf(name, options, invocation),
    open: (candidate, opened) =>
      root === undefined
        ? fileSystem.open(candidate, 'r', opened, operationOwner)
        : fileSystem.openBelow(root, candidate, opened, operationOwner),
    describe: (file, coding) => {
      const { size, modifiedMs } = file.stat();
      const suffix = coding === undefined ? '' : `-${coding}`;
      const tag = etag === true ? weakTag(size, modifiedMs, suffix) : etag === false ? undefined : etag;
      return { size, modifiedMs, etag: tag, ranges: range };
    },
    giveHead: (chosen) => {
      invocation.sendLinks();
      const fields = fileFields({ name, type, download, varies: precompressed, headers }, chosen);
      exchange.head(chosen.selection.status, fields);
    },
    done,
  });
}

function candidatesOf(name: string, options: SendOptions, { exchange }: Invocation): Candidate[] {
  const plain: Candidate = { name, coding: undefined };
  // a coding cannot be announced any more when the head has been given
  if (!options.precompressed || exchange.headGiven) return [plain];
  const accepted = fieldValue(exchange.fields, 'accept-encoding');
  const candidates: Candidate[] = [];
  if (acceptsCoding(accepted, 'br')) candidates.push({ name: `${name}.br`, coding: 'br' });
  if (acceptsCoding(accepted, 'gzip')) candidates.push({ name: `${name}.gz`, coding: 'gzip' });
  return [...candidates, plain];
}

function readOptions(state: State, L: LuaThread, isHttp2: boolean): SendOptions {
  const { exports: x } = state;
  const options: SendOptions = {
    type: undefined,
    root: undefined,
    range: true,
    etag: true,
    precompressed: false,
    download: false,
    headers: [],
  };
  readOptionTable(state, L, 2, 'sendfile', {
    type: (name) => {
      options.type = stringOption(state, L, name);
    },
    root: (name) => {
      options.root = stringOption(state, L, name);
    },
    range: (name) => {
      options.range = booleanOption(state, L, name);
    },
    etag: (name) => {
      options.etag = isBoolean() ? booleanOption(state, L, name) : entityTag(stringOption(state, L, name));
    },
    precompressed: (name) => {
      options.precompressed = booleanOption(state, L, name);
    },
    download: (name) => {
      options.download = isBoolean() ? booleanOption(state, L, name) : stringOption(state, L, name);
    },
    headers: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
      options.headers = readHeaders(state, L, isHttp2);
    },
  });
  checkFields([...options.headers, ...(options.type === undefined ? [] : ['content-type', options.type])]);
  return options;

  function isBoolean(): boolean {
    return x.lua_type(L, -1) === LUA_TYPE.boolean;
  }
}

function readHeaders(state: State, L: LuaThread, isHttp2: boolean): readonly string[] {
  const table = readHeadTable(state, L, isHttp2 ? 'HTTP/2' : 'HTTP/1.1', state.exports.lua_gettop(L));
  if (table.status !== undefined || Object.keys(table.pseudo).length > 0)
    throw new LuaError('option "headers" holds fields only: the status follows from the request');
  for (let i = 0; i < table.fields.length; i += 2) {
    const name = table.fields[i] as string;
    if (OWN_FIELDS.has(name.toLowerCase()))
      throw new LuaError(`option "headers" cannot hold "${name}": it follows from the file`);
  }
  return table.fields;
}

/** A tag as it stands in the field; one without quotes gets them. */
function entityTag(text: string): string {
  const tag = text.includes('"') ? text : `"${text}"`;
  if (/^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/.test(tag)) return tag;
  throw new LuaError(`option "etag" is ${JSON.stringify(text)}, which is no entity tag`);
}
