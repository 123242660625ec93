/** Reads the option `tls` of functions that connect to other servers, whose certificates and keys are texts or names of files. */
import { GatewayError } from '../base/errors.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { State } from '../lua/state.ts';
import type { FetchTls } from '../outbound/fetch-request.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaRun } from '../script/run/lua-run.ts';
import { booleanOption, readOptionTable, stringOption } from '../script/run/option-table.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';
import { PEM_BYTES_MAX, readPemFiles } from './pem-files.ts';

/** What does not begin like this is the name of a file. */
const PEM = /^\s*-----BEGIN /;
const PEM_OPTIONS = ['ca', 'cert', 'key'] as const;

/** TLS as it is without options. */
export const PLAIN_TLS: FetchTls = {
  verify: true,
  ca: undefined,
  cert: undefined,
  key: undefined,
  servername: undefined,
};

/** The table on top of the stack. */
export function readTls(state: State, L: LuaThread): FetchTls {
  const tls: { -readonly [Name in keyof FetchTls]: FetchTls[Name] } = { ...PLAIN_TLS };
  const index = state.exports.lua_absindex(L, -1);
  readOptionTable(state, L, index, 'tls', {
    verify: (name) => {
      tls.verify = booleanOption(state, L, name);
    },
    ca: (name) => {
      tls.ca = pemOption(state, L, name);
    },
    cert: (name) => {
      tls.cert = pemOption(state, L, name);
    },
    key: (name) => {
      tls.key = pemOption(state, L, name);
    },
    servername: (name) => {
      tls.servername = stringOption(state, L, name);
    },
  });
  if ((tls.cert === undefined) !== (tls.key === undefined))
    throw new LuaError('options "cert" and "key" need each other');
  return tls;
}

/** A text of at most as many bytes as a file may have, or the name of one. */
function pemOption(state: State, L: LuaThread, name: string): string {
  return stringOption(state, L, name, PEM_BYTES_MAX);
}

/**
 * Goes on with `next`, which gets the options with texts in place of names of files: at once where they name none, else when the files
 * have been read. A GatewayError that `next` throws is what the function returns.
 */
export function withTlsFiles(
  script: ScriptContext,
  L: LuaThread,
  { operationOwner }: LuaRun,
  tls: FetchTls | undefined,
  next: (L: LuaThread, tls: FetchTls | undefined) => number,
): number {
  const { state, scheduler, fileSystem } = script;
  const names = PEM_OPTIONS.map((option) => tls?.[option]).filter(isFileName);
  if (tls === undefined || names.length === 0) return next(L, tls);
  const coroutine = scheduler.running;
  let failed: GatewayError | undefined;
  let texts: readonly string[] = [];
  const cancel = readPemFiles(fileSystem, operationOwner, names, (failure, read) => {
    failed = failure;
    texts = read;
    coroutine.wake();
  });
  return waitInScope(
    scheduler,
    L,
    (T) => {
      if (failed !== undefined) return pushFailure(state, T, failed);
      try {
        return next(T, withTexts(tls, texts));
      } catch (error) {
        if (error instanceof GatewayError) return pushFailure(state, T, error);
        throw error;
      }
    },
    cancel,
  );
}

/** The options with these texts in place of names of files. */
function withTexts(tls: FetchTls, texts: readonly string[]): FetchTls {
  const left = [...texts];
  const complete = Object.fromEntries(
    PEM_OPTIONS.map((option) => [option, isFileName(tls[option]) ? left.shift() : tls[option]]),
  );
  return { ...tls, ...complete };
}

function isFileName(textOrName: string | undefined): textOrName is string {
  return textOrName !== undefined && !PEM.test(textOrName);
}
