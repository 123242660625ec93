/** File operations of several system calls, written once and run with or without blocking. */
import fs, { type Dir, type Dirent, type Stats } from 'node:fs';

/** One call that may wait for a disk. Names are bytes. */
export type SystemCall =
  | { readonly call: 'open'; readonly path: Buffer; readonly flags: number; readonly mode: number }
  | { readonly call: 'readlink'; readonly path: Buffer }
  | { readonly call: 'unlink'; readonly path: Buffer }
  | { readonly call: 'rmdir'; readonly path: Buffer }
  | { readonly call: 'mkdir'; readonly path: Buffer }
  | { readonly call: 'opendir'; readonly path: Buffer }
  | { readonly call: 'readdir'; readonly directory: Dir }
  | { readonly call: 'lstat'; readonly path: Buffer }
  | { readonly call: 'fstat'; readonly descriptor: number }
  | {
      readonly call: 'read';
      readonly descriptor: number;
      readonly into: Uint8Array;
      readonly position: number;
    }
  /** Times in seconds. */
  | { readonly call: 'utimes'; readonly path: Buffer; readonly accessed: number; readonly modified: number }
  /** Waits without using a thread of the pool. */
  | { readonly call: 'pause'; readonly ms: number }
  | { readonly call: 'rename'; readonly path: Buffer; readonly to: Buffer };

/** The result of a call; readdir gives `null` behind the last entry. */
export type SystemResult = number | Buffer | Dir | Dirent | Stats | null | undefined;

/** Yields calls and gets their results; the error of a call is thrown into the generator. */
export type Steps<Result> = Generator<SystemCall, Result, SystemResult>;

/** node:fs takes these, though its types name neither the encoding of names nor a path of bytes. */
const NAMES_AS_BYTES = { encoding: 'buffer' as BufferEncoding };

/** As fopen(3). */
const NEW_FILE_MODE = 0o666;

/** `mode`: permissions of a new file, before the umask. */
export function* open(path: Buffer, flags: number, mode: number = NEW_FILE_MODE): Steps<number> {
  return (yield { call: 'open', path, flags, mode }) as number;
}

export function* readLink(path: Buffer): Steps<Buffer> {
  return (yield { call: 'readlink', path }) as Buffer;
}

export function* openDirectory(path: Buffer): Steps<Dir> {
  return (yield { call: 'opendir', path }) as Dir;
}

/** The next entry, whose name is a Buffer; null at the end. */
export function* readDirectory(directory: Dir): Steps<Dirent<Buffer> | null> {
  return (yield { call: 'readdir', directory }) as Dirent<Buffer> | null;
}

/** What lstat(2) says of a name. */
export function* lookAtName(path: Buffer): Steps<Stats> {
  return (yield { call: 'lstat', path }) as Stats;
}

/** What fstat(2) says, where that may ask a server of files. */
export function* lookAtDescriptor(descriptor: number): Steps<Stats> {
  return (yield { call: 'fstat', descriptor }) as Stats;
}

/** Reads into all of `into`, or less; 0 at the end. */
export function* readDescriptor(descriptor: number, into: Uint8Array, position: number): Steps<number> {
  return (yield { call: 'read', descriptor, into, position }) as number;
}

/** Runs all steps before it returns; throws the error of the steps. */
export function runSync<Result>(steps: Steps<Result>): Result {
  let state = steps.next();
  while (state.done !== true) {
    let result: SystemResult;
    try {
      result = performSync(state.value);
    } catch (thrown) {
      state = steps.throw(thrown);
      continue;
    }
    state = steps.next(result);
  }
  return state.value;
}

/** Makes one call on libuv's pool; `done` gets its error or its result. */
export function perform(call: SystemCall, done: (thrown: unknown, result: SystemResult) => void): void {
  const finish = (thrown: NodeJS.ErrnoException | null, result?: SystemResult): void =>
    done(thrown ?? undefined, result);
  switch (call.call) {
    case 'open':
      fs.open(call.path, call.flags, call.mode, finish);
      break;
    case 'readlink':
      fs.readlink(call.path, { encoding: 'buffer' }, finish);
      break;
    case 'pause':
      setTimeout(finish, call.ms, null);
      break;
    case 'unlink':
      fs.unlink(call.path, finish);
      break;
    case 'rmdir':
      fs.rmdir(call.path, finish);
      break;
    case 'rename':
      fs.rename(call.path, call.to, finish);
      break;
    case 'mkdir':
      fs.mkdir(call.path, (thrown) => finish(thrown));
      break;
    case 'opendir':
      fs.opendir(call.path as unknown as string, NAMES_AS_BYTES, finish);
      break;
    case 'readdir':
      call.directory.read(finish);
      break;
    case 'lstat':
      fs.lstat(call.path, finish);
      break;
    case 'fstat':
      fs.fstat(call.descriptor, finish);
      break;
    case 'read':
      fs.read(call.descriptor, call.into, 0, call.into.length, call.position, finish);
      break;
    case 'utimes':
      fs.utimes(call.path, call.accessed, call.modified, finish);
      break;
  }
}

function performSync(call: SystemCall): SystemResult {
  switch (call.call) {
    case 'open':
      return fs.openSync(call.path, call.flags, call.mode);
    case 'readlink':
      return fs.readlinkSync(call.path, { encoding: 'buffer' });
    case 'pause':
      sleepSync(call.ms);
      return undefined;
    case 'unlink':
      return void fs.unlinkSync(call.path);
    case 'rmdir':
      return void fs.rmdirSync(call.path);
    case 'rename':
      return void fs.renameSync(call.path, call.to);
    case 'mkdir':
      return void fs.mkdirSync(call.path);
    case 'opendir':
      return fs.opendirSync(call.path as unknown as string, NAMES_AS_BYTES);
    case 'readdir':
      return call.directory.readSync();
    case 'lstat':
      return fs.lstatSync(call.path);
    case 'fstat':
      return fs.fstatSync(call.descriptor);
    case 'read':
      return fs.readSync(call.descriptor, call.into, 0, call.into.length, call.position);
    case 'utimes':
      return void fs.utimesSync(call.path, call.accessed, call.modified);
  }
}

/** Blocks the thread, for callers that cannot wait otherwise. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
