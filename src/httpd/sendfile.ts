/** httpd.sendfile: a whole response from a file, or the part of it that was asked for, without passing through Lua. */

import type { GatewayError } from '../base/errors.ts';
import type { ByteFile } from '../file/byte-file.ts';
import { type Copy, copyBytes } from '../file/copy-bytes.ts';
import { describeAction, FileError } from '../file/file-error.ts';
import { OpenFile } from '../file/open-file.ts';
import { errnoOf } from '../file/strerror.ts';
import { acceptsCoding } from '../http/semantics/accept-encoding.ts';
import { attachment } from '../http/semantics/content-disposition.ts';
import { checkFields, fieldValue } from '../http/semantics/fields.ts';
import { mediaTypeOf } from '../http/semantics/media-type.ts';
import {
  contentRange,
  lastModified,
  type Representation,
  type Selection,
  select,
  weakTag,
} from '../http/semantics/representation.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { State } from '../lua/state.ts';
import { currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
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

/** A form of the file: itself, or a smaller one beside it. */
interface Candidate {
  readonly name: string;
  readonly coding: 'br' | 'gzip' | undefined;
}

type Sent = GatewayError | { readonly bytes: number; readonly status: number };

/** Fields that say what is sent, which is not for the script to say. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['content-length', 'content-range', 'transfer-encoding']);
/** Of no use with 304 (RFC 9110 §15.4.5), or wrong with 412 and 416, which have no content of the file. */
const CONTENT_FIELD = /^content-(?!location$)/;

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
    let result: Sent | undefined;
    const sending = new Sending(script, invocation, name, options, (sent) => {
      result = sent;
      coroutine.wake();
    });
    sending.openNext();
    return coroutine.wait(
      L,
      (T) => finish(T, result as Sent),
      () => sending.cancel(),
    );
  };

  function finish(L: LuaThread, sent: Sent): number {
    if ('code' in sent) return pushFailure(script.state, L, sent);
    state.pushInteger(L, sent.bytes);
    state.pushInteger(L, sent.status);
    return 2;
  }
}

/** One call under way. */
class Sending {
  readonly #script: ScriptContext;
  readonly #invocation: Invocation;
  readonly #name: string;
  readonly #options: SendOptions;
  readonly #candidates: Candidate[];
  readonly #done: (sent: Sent) => void;
  #cancel: () => void = () => undefined;

  constructor(
    script: ScriptContext,
    invocation: Invocation,
    name: string,
    options: SendOptions,
    done: (sent: Sent) => void,
  ) {
    this.#script = script;
    this.#invocation = invocation;
    this.#name = name;
    this.#options = options;
    this.#done = done;
    this.#candidates = candidatesOf(name, options, invocation);
  }

  cancel(): void {
    this.#cancel();
  }

  /** Opens the best form that is left. */
  openNext(): void {
    const { fileSystem } = this.#script;
    const candidate = this.#candidates.shift() as Candidate;
    const { root } = this.#options;
    const owner = this.#invocation.operationOwner;
    const opened = (error: FileError | undefined, file: ByteFile | undefined): void => {
      const failure = error ?? this.#refusalOf(file as ByteFile);
      if (failure === undefined) this.#send(file as OpenFile, candidate);
      else if (this.#candidates.length > 0) this.openNext();
      else this.#done(failure);
    };
    const opening =
      root === undefined
        ? fileSystem.open(candidate.name, 'r', opened, owner)
        : fileSystem.openBelow(root, candidate.name, opened, owner);
    this.#cancel = () => opening.cancel();
  }

  /** Only regular files have a size to announce; whatever else it is is closed. */
  #refusalOf(file: ByteFile): FileError | undefined {
    if (file instanceof OpenFile && file.kind === 'regular') return undefined;
    file.destroy();
    const action = describeAction('send', this.#name);
    if (file instanceof OpenFile && file.kind === 'directory')
      return new FileError(action, errnoOf('EISDIR'));
    return new FileError(action, errnoOf('EINVAL'), 'it is not a regular file');
  }

  #send(file: OpenFile, { coding }: Candidate): void {
    const { exchange } = this.#invocation;
    const { etag, range } = this.#options;
    const { size, modifiedMs } = file.stat();
    const suffix = coding === undefined ? '' : `-${coding}`;
    const representation: Representation = {
      size,
      modifiedMs,
      etag: etag === true ? weakTag(size, modifiedMs, suffix) : etag === false ? undefined : etag,
      ranges: range,
    };
    let selection: Selection = { status: 200, start: 0, end: size };
    if (!exchange.headGiven) {
      selection = select(exchange.method, exchange.fields, representation);
      this.#invocation.sendLinks();
      exchange.head(selection.status, this.#fieldsOf(representation, selection, coding));
    }
    const wanted = exchange.method === 'HEAD' ? 0 : selection.end - selection.start;
    this.#cancel = () => file.destroy();
    const { start } = selection;
    if (start === 0 || wanted === 0) this.#copy(file, wanted);
    else {
      file.seek('set', start, (error) => {
        if (error === undefined) this.#copy(file, wanted);
        else this.#finish(file, error);
      });
    }
  }

  #copy(file: OpenFile, wanted: number): void {
    const { exchange } = this.#invocation;
    const copy: Copy = copyBytes(file, exchange, wanted, (error, bytes) => {
      if (error !== undefined) this.#finish(file, error);
      else if (bytes === wanted) this.#finish(file, { bytes, status: exchange.status });
      else {
        const action = describeAction('send', this.#name);
        const text = `it ended after ${bytes} of ${wanted} bytes`;
        this.#finish(file, new FileError(action, errnoOf('EIO'), text));
      }
    });
    this.#cancel = () => {
      copy.cancel();
      file.destroy();
    };
  }

  #finish(file: OpenFile, sent: Sent): void {
    file.destroy();
    this.#done(sent);
  }

  #fieldsOf(file: Representation, selection: Selection, coding: Candidate['coding']): string[] {
    const { type, precompressed, download, headers } = this.#options;
    const { status } = selection;
    const fields: string[] = [];
    const add = (name: string, value: string | undefined): void => {
      if (value === undefined || fieldValue(headers, name) !== undefined) return;
      if (!(hasNoContent(status) && CONTENT_FIELD.test(name))) fields.push(name, value);
    };
    add('content-type', type ?? mediaTypeOf(this.#name));
    add('content-encoding', coding);
    if (download !== false) add('content-disposition', attachment(download === true ? this.#name : download));
    add('last-modified', lastModified(file.modifiedMs));
    add('etag', file.etag);
    if (file.ranges) add('accept-ranges', 'bytes');
    if (precompressed) add('vary', 'accept-encoding');
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      const isContent = CONTENT_FIELD.test(name.toLowerCase());
      if (!(hasNoContent(status) && isContent)) fields.push(name, headers[i + 1] as string);
    }
    const range = contentRange(selection, file.size);
    if (range !== undefined) fields.push('content-range', range);
    if (status !== 304) fields.push('content-length', String(selection.end - selection.start));
    return fields;
  }
}

function hasNoContent(status: Selection['status']): boolean {
  return status === 304 || status === 412 || status === 416;
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
