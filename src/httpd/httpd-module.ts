/** The module `httpd`: register_handler, header, read and write, as lhttpd's scripts know them. */

import type { Exchange } from '../http/exchange/exchange.ts';
import { checkFields, type Fields } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { takeTurn } from '../lua/turns.ts';
import { currentClient, currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaFile } from '../script/objects/lua-files.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { acceptFunctions } from './accept-functions.ts';
import { cacheFunctions } from './cache-functions.ts';
import { codecFunctions } from './codec-functions.ts';
import { createCompress } from './compress.ts';
import { createConnect } from './connect-function.ts';
import { cookieFunctions } from './cookie-functions.ts';
import { createCopy, pushEnded } from './copy.ts';
import { cryptoFunctions } from './crypto-functions.ts';
import { eventFunctions } from './event-functions.ts';
import { createExit } from './exit.ts';
import { createFetch } from './fetch-function.ts';
import { createFieldTables } from './field-tables.ts';
import { fileFunctions } from './files-functions.ts';
import { createForm } from './form-function.ts';
import { HeadCache } from './head-cache.ts';
import { createHook } from './hook-function.ts';
import { createArrayMetatable, pushJsonModule } from './json-functions.ts';
import { jwtFunctions } from './jwt-functions.ts';
import { KeptValues } from './kept-values.ts';
import { createLog } from './log.ts';
import { createMultipart } from './multipart-function.ts';
import { createProxy } from './proxy-function.ts';
import { readHandlerOptions } from './read-handler-options.ts';
import { createRedirect } from './redirect.ts';
import { createRequest } from './request-function.ts';
import { type HeadTable, readHeadTable } from './response-head.ts';
import { createSendfile } from './sendfile.ts';
import { sharedFunction } from './shared-functions.ts';
import { createSleep } from './sleep.ts';
import { createSse } from './sse-function.ts';
import { TaskFunctions } from './task-functions.ts';
import { timeFunctions } from './time-functions.ts';
import { createUpstreams } from './upstreams-function.ts';
import { createWebSocket } from './websocket-function.ts';

/** Version of the API lhttpd's scripts look at. */
const API_VERSION = 'httpd 1.0.0';

/** Makes the module known to `require "httpd"`; nothing is global. */
export function installHttpdModule(script: ScriptContext): void {
  const { state } = script;
  const { exports: x, memory, mainThread: L } = state;
  x.luaL_getsubtable(L, REGISTRY_INDEX, memory.constant('_LOADED'));
  x.lua_createtable(L, 0, 32);
  state.setFunctions(
    L,
    -1,
    state.addFunctions({
      ...exchangeFunctions(script),
      ...codecFunctions(script),
      ...cookieFunctions(script),
      ...acceptFunctions(script),
      ...eventFunctions(script),
      shared: sharedFunction(script),
    }),
  );
  // the functions of streams are their methods, too
  x.lua_createtable(L, 0, 4);
  for (const name of ['read', 'write', 'copy', 'close']) {
    x.lua_getfield(L, -2, memory.constant(name));
    x.lua_setfield(L, -2, memory.constant(name));
  }
  script.streams.giveMethods(L);
  const arrayMetatable = createArrayMetatable(script);
  for (const [name, functions] of [
    ['crypto', cryptoFunctions(script)],
    ['jwt', jwtFunctions(script, arrayMetatable)],
    ['files', fileFunctions(script)],
    ['cache', cacheFunctions(script)],
  ] as const) {
    x.lua_createtable(L, 0, Object.keys(functions).length);
    state.setFunctions(L, -1, state.addFunctions(functions));
    x.lua_setfield(L, -2, memory.constant(name));
  }
  // the table is called, too
  x.lua_getfield(L, -1, memory.constant('cache'));
  x.lua_createtable(L, 0, 2);
  new KeptValues(script).pushFunction(L);
  x.lua_setfield(L, -2, memory.constant('__call'));
  x.lua_pushboolean(L, 0);
  x.lua_setfield(L, -2, memory.constant('__metatable'));
  x.lua_setmetatable(L, -2);
  state.pop(L);
  x.lua_pushlightuserdata(L, LIGHT_USERDATA.clientBody);
  x.lua_setfield(L, -2, memory.constant('body'));
  pushJsonModule(script, arrayMetatable);
  x.lua_setfield(L, -2, memory.constant('json'));
  x.lua_createtable(L, 0, 3);
  for (const [name, value] of [
    ['id', script.workerId],
    ['count', script.workerCount],
    ['pid', process.pid],
  ] as const) {
    state.pushInteger(L, value);
    x.lua_setfield(L, -2, memory.constant(name));
  }
  x.lua_setfield(L, -2, memory.constant('worker'));
  state.pushString(L, API_VERSION);
  x.lua_setfield(L, -2, memory.constant('_VERSION'));
  x.lua_setfield(L, -2, memory.constant('httpd'));
  state.pop(L);
}

/** The functions of the module that belong to requests and responses. */
function exchangeFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, scheduler, transfer } = script;
  const x = state.exports;
  const heads = new HeadCache(state);
  const pushFields = createFieldTables(state);

  /** The first argument, which is no stream, as a file. */
  function streamFile(L: LuaThread, name: string): LuaFile {
    const type = x.lua_type(L, 1);
    if (type !== LUA_TYPE.userdata) {
      const hint =
        name === 'write' && x.lua_gettop(L) === 1 ? '; httpd.write(nil, s) writes to the client' : '';
      state.argumentError(
        L,
        1,
        `a stream expected, or nil for the client, got ${state.typeName(L, 1)}${hint}`,
      );
    }
    return script.files.checkFile(L, 1);
  }

  return {
    register_handler: (L) => {
      checkArgumentCount(state, L, 'register_handler', 2, 3);
      const name = state.checkString(L, 1);
      x.luaL_checktype(L, 2, LUA_TYPE.function);
      const options = readHandlerOptions(state, L, 3);
      x.lua_settop(L, 2);
      const refused = script.registerHandler(name.startsWith('/') ? name : `/${name}`, options, L);
      return refused === undefined ? 0 : pushFailure(script.state, L, refused);
    },

    header: (L) => {
      checkArgumentCount(state, L, 'header', 1);
      x.luaL_checktype(L, 1, LUA_TYPE.table);
      const invocation = currentInvocation(scheduler);
      script.lazyTables.touch(L, 1);
      const table = heads.read(L, invocation.exchange.protocol);
      if (table.status === undefined) promise(script, invocation, table);
      else giveHead(invocation, table.status, table.fields);
      return 0;
    },

    read: (L) => {
      checkArgumentCount(state, L, 'read', 1, 2);
      if (x.lua_type(L, 1) !== LUA_TYPE.nil) {
        const stream = script.streams.find(L, 1);
        if (stream !== undefined) return script.streams.read(L, stream, transfer.checkWanted(L, 2));
        return script.files.readStream(L, streamFile(L, 'read'), transfer.checkWanted(L, 2));
      }
      const { exchange } = currentClient(scheduler);
      if (transfer.takeReady(L, 2, exchange.body)) return 1;
      const wanted = transfer.checkWanted(L, 2);
      if (wanted === undefined) {
        x.lua_pushnil(L);
        return 1;
      }
      return transfer.read(L, exchange.body, wanted, (T) => {
        const { error } = exchange.body;
        if (error === undefined || x.lua_type(T, -1) !== LUA_TYPE.nil) return 1;
        return pushFailure(script.state, T, error);
      });
    },

    write: (L) => {
      checkArgumentCount(state, L, 'write', 1, 2);
      const isForClient = x.lua_type(L, 1) === LUA_TYPE.nil;
      const stream = isForClient ? undefined : script.streams.find(L, 1);
      const file = isForClient || stream !== undefined ? undefined : streamFile(L, 'write');
      const type = x.lua_type(L, 2);
      if (type <= LUA_TYPE.nil) return 0;
      if (type !== LUA_TYPE.string && type !== LUA_TYPE.number)
        x.luaL_typeerror(L, 2, state.memory.constant('string'));
      if (stream !== undefined) return script.streams.write(L, stream);
      if (file !== undefined) return script.files.writeStream(L, file);
      return writeToClient(L, currentClient(scheduler));
    },

    close: (L) => {
      checkArgumentCount(state, L, 'close', 1);
      if (x.lua_type(L, 1) !== LUA_TYPE.nil) {
        if (script.streams.find(L, 1) !== undefined) return script.streams.close(L, 1);
        streamFile(L, 'close');
        return script.files.closeStream(L, 1);
      }
      const invocation = currentClient(scheduler);
      invocation.sendLinks();
      invocation.exchange.end();
      x.lua_pushboolean(L, 1);
      return 1;
    },

    trailer: (L) => {
      checkArgumentCount(state, L, 'trailer', 1);
      x.luaL_checktype(L, 1, LUA_TYPE.table);
      const invocation = currentClient(scheduler);
      script.lazyTables.touch(L, 1);
      giveTrailers(invocation, readHeadTable(state, L, invocation.exchange.protocol));
      return 0;
    },

    compress: createCompress(script),
    connect: createConnect(script),
    copy: createCopy(script),
    fetch: createFetch(script, pushFields),
    proxy: createProxy(script),
    upstreams: createUpstreams(script),
    form: createForm(script),
    multipart: createMultipart(script, pushFields),
    sendfile: createSendfile(script),
    sleep: createSleep(script),
    sse: createSse(script),
    timer: script.timers.create,
    ...new TaskFunctions(script).functions,
    exit: createExit(script),
    redirect: createRedirect(script),
    request: createRequest(script),
    hook: createHook(script),
    log: createLog(script),
    websocket: createWebSocket(script),
    ...timeFunctions(script),
  };

  function writeToClient(L: LuaThread, invocation: Invocation): number {
    const { exchange } = invocation;
    if (exchange.finished && exchange.error === undefined) return pushEnded(script, L);
    if (!exchange.headGiven) invocation.sendLinks();
    return transfer.write(L, exchange, 2, finishWrite);
  }

  function finishWrite(L: LuaThread, written: number, room: boolean): number {
    const { error } = currentInvocation(scheduler).exchange;
    if (error === undefined) {
      if (!room) throw new LuaError('cannot wait for the client here: a yield cannot cross this call');
      state.pushInteger(L, written);
      return 1;
    }
    // A script that writes for ever must not outlive its client: it ends here, where it can wait.
    if (scheduler.canWait(L)) {
      currentInvocation(scheduler).endAtNextWait();
      return scheduler.running.wait(
        L,
        () => 0,
        () => undefined,
      );
    }
    return pushFailure(script.state, L, error);
  }
}

function giveHead(invocation: Invocation, status: number, fields: Fields): void {
  const { exchange } = invocation;
  if (exchange.finished) {
    checkFields(fields);
    return;
  }
  if (status === 101)
    throw new LuaError('header cannot send status 101: the connection belongs to the gateway');
  if (exchange.headGiven) throw new LuaError('headers already sent');
  invocation.sendLinks();
  if (status < 200) exchange.inform(status, fields);
  else exchange.head(status, fields);
}

/** Trailers must not frame, route or describe the content they come after (RFC 9110 §6.5.1). */
const NO_TRAILERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'host',
  'set-cookie',
  'trailer',
  'transfer-encoding',
]);

function giveTrailers({ exchange }: Invocation, table: HeadTable): void {
  const { status, pseudo, fields } = table;
  const [name] = [...(status === undefined ? [] : [':status']), ...Object.keys(pseudo)];
  if (name !== undefined) throw new LuaError(`a trailer cannot hold "${name}"`);
  for (let i = 0; i < fields.length; i += 2) {
    if (NO_TRAILERS.has((fields[i] as string).toLowerCase()))
      throw new LuaError(`a trailer cannot hold "${fields[i]}"`);
  }
  exchange.trailers(fields);
}

/** A table without a status: pushes where the client allows it, else notes a preload link. */
function promise(script: ScriptContext, invocation: Invocation, table: HeadTable): void {
  const { exchange } = invocation;
  const target = table.pseudo[':path'];
  if (target === undefined) throw new LuaError('header needs a ":status", or a ":path" for a push promise');
  if (!/^\/[\x21-\x3b\x3d\x3f-\x7e]*$/.test(target)) {
    throw new LuaError(
      `header ":path" is ${JSON.stringify(target)} (a path that starts with "/" was expected)`,
    );
  }
  checkFields(table.fields);
  checkPseudo(table, ':scheme', /^https?$/);
  checkPseudo(table, ':authority', /^[\x21-\x7e]+$/);
  if (exchange.finished || exchange.pushed || !invocation.admitPromise()) return;
  const method = table.pseudo[':method'] ?? 'GET';
  const authority = table.pseudo[':authority'] ?? exchange.authority;
  if ((method !== 'GET' && method !== 'HEAD') || !script.dispatcher.resolves(target, authority)) {
    script.logger.warn('Push promise dropped: no handler or not GET or HEAD', { method, target });
    return;
  }
  const pushed = exchange.canPush ? pushTarget(exchange, table, method, target) : undefined;
  if (pushed === undefined) invocation.links.add(target);
  else dispatchLater(script, pushed);
}

/** Answers a pushed exchange after the Lua code that promised it has returned. */
function dispatchLater({ dispatcher }: ScriptContext, exchange: Exchange): void {
  takeTurn(exchange.connection, () => {
    // the client may have refused it
    if (!exchange.finished && exchange.error === undefined) dispatcher.dispatch(exchange);
  });
}

function checkPseudo(table: HeadTable, name: string, legal: RegExp): void {
  const value = table.pseudo[name];
  if (value === undefined || legal.test(value)) return;
  throw new LuaError(`header "${name}" is ${JSON.stringify(value)}, which cannot be promised`);
}

function pushTarget(
  exchange: Exchange,
  table: HeadTable,
  method: string,
  target: string,
): Exchange | undefined {
  return exchange.push({
    method,
    scheme: table.pseudo[':scheme'] ?? exchange.scheme,
    authority: table.pseudo[':authority'] ?? exchange.authority,
    target,
    fields: table.fields,
  });
}
