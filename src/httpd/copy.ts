/** httpd.copy: moves bytes from one stream to another without passing through Lua. */

import type { ByteSink, ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';
import type { ByteFile } from '../file/byte-file.ts';
import { copyBytes, copyRest } from '../file/copy-bytes.ts';
import { OpenFile } from '../file/open-file.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { currentClient, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { noteMoved, waitForBytes } from '../script/objects/byte-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';

/** To begin a copy and wait for its end (40 µs). */
const UNITS_PER_COPY = 8000;
/** Bytes moved in one go where nothing can wait. */
const SYNC_PIECE_BYTES = 256 * 1024;

/** `httpd.copy(dst, src [, n])`: the bytes moved, or nil, message, code. */
export function createCopy(script: ScriptContext): HostFunction {
  const { state, scheduler, files, streams } = script;
  const x = state.exports;

  return (L) => {
    checkArgumentCount(state, L, 'copy', 2, 3);
    const toStream = streams.find(L, 1);
    const fromStream = streams.find(L, 2);
    const to = toStream === undefined ? files.optionalFile(L, 1)?.file : undefined;
    const from = fromStream === undefined ? files.optionalFile(L, 2)?.file : undefined;
    const toClient = toStream === undefined && to === undefined;
    const fromClient = fromStream === undefined && from === undefined;
    const size = x.lua_type(L, 3) <= LUA_TYPE.nil ? undefined : state.checkInteger(L, 3);
    if (size !== undefined && size < 0) state.argumentError(L, 3, 'count must not be negative');
    if (to !== undefined && to === from) throw new LuaError('cannot copy a file to itself');
    if (toStream !== undefined && toStream === fromStream)
      throw new LuaError('cannot copy a stream to itself');
    const invocation = toClient || fromClient ? currentClient(scheduler) : undefined;
    if (toClient) {
      const { exchange } = invocation as Invocation;
      if (exchange.finished && exchange.error === undefined) return pushEnded(script, L);
      if (!exchange.headGiven) invocation?.sendLinks();
    }
    if (!scheduler.canWait(L)) return finish(L, copySync(to, from, size ?? Number.POSITIVE_INFINITY));
    const source: ByteSource | undefined =
      fromStream === undefined ? (from ?? (invocation as Invocation).exchange.body) : fromStream.source;
    const sink: ByteSink | undefined =
      toStream === undefined ? (to ?? (invocation as Invocation).exchange) : toStream.sink;
    if (source === undefined) throw new LuaError(`cannot read from a ${fromStream?.name}`);
    if (sink === undefined) throw new LuaError(`cannot write to a ${toStream?.name}`);
    // a short response of an upstream has often come whole; files are asked for more even at their ends
    const rest = toClient && from === undefined ? copyRest(source, sink, size) : undefined;
    if (rest !== undefined) return finish(L, rest);
    // the disk answers soon; another source may take long, so the client gets the bytes that are there
    const isSlow = toClient && !(from instanceof OpenFile && from.kind === 'regular');
    const coroutine = scheduler.running;
    scheduler.guard.pay(UNITS_PER_COPY);
    let failure: GatewayError | undefined;
    const copy = copyBytes(
      source,
      sink,
      size,
      (error) => {
        failure = error;
        from?.takeError();
        to?.takeError();
        coroutine.wake();
      },
      isSlow ? () => invocation?.exchange.flush() : undefined,
    );
    return waitForBytes(
      scheduler,
      L,
      () => copy.bytes,
      (T) => {
        noteMoved(scheduler, copy.bytes);
        return finish(T, failure ?? copy.bytes);
      },
      () => copy.cancel(),
    );
  };

  function finish(L: LuaThread, result: GatewayError | number): number {
    if (typeof result !== 'number') return pushFailure(script.state, L, result);
    state.pushInteger(L, result);
    return 1;
  }
}

/** `nil, message, code` for a response that the script has ended itself. */
export function pushEnded({ state }: ScriptContext, L: LuaThread): number {
  return pushFailure(state, L, { message: 'The response has ended', luaCode: 'closed' });
}

/** Between files only: nobody can wait for a client here. */
function copySync(to: ByteFile | undefined, from: ByteFile | undefined, size: number): GatewayError | number {
  if (to === undefined || from === undefined)
    throw new LuaError('cannot wait for a stream here: a yield cannot cross this call');
  let copied = 0;
  while (copied < size) {
    const failure = from.fillSync(Math.min(SYNC_PIECE_BYTES, size - copied));
    if (failure !== undefined) return failure;
    const chunk = from.queue.takeChunk(size - copied);
    if (chunk.length === 0) break;
    from.consumed();
    to.write(chunk);
    const refused = to.takeError() ?? to.flushSync();
    if (refused !== undefined) return refused;
    copied += chunk.length;
  }
  return copied;
}
