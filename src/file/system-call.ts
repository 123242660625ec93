/** File operations of several system calls, written once and run either without blocking or at once. */
import fs from 'node:fs';

/** One call that may wait for a disk. Names are bytes. */
export type SystemCall =
  | { readonly call: 'open'; readonly path: Buffer; readonly flags: number; readonly mode: number }
  | { readonly call: 'readlink'; readonly path: Buffer }
  | { readonly call: 'unlink'; readonly path: Buffer }
  | { readonly call: 'rmdir'; readonly path: Buffer }
  /** Waits, without a thread of the pool. */
  | { readonly call: 'pause'; readonly ms: number }
  | { readonly call: 'rename'; readonly path: Buffer; readonly to: Buffer };

export type SystemResult = number | Buffer | undefined;

/** Yields calls and gets their results; what a call fails with is thrown into it. */
export type Steps<Result> = Generator<SystemCall, Result, SystemResult>;

/** As fopen(3). */
const NEW_FILE_MODE = 0o666;

/** `mode`: permissions of a file that is made, before the umask. */
export function* open(path: Buffer, flags: number, mode: number = NEW_FILE_MODE): Steps<number> {
  return (yield { call: 'open', path, flags, mode }) as number;
}

export function* readLink(path: Buffer): Steps<Buffer> {
  return (yield { call: 'readlink', path }) as Buffer;
}

/** Runs all steps before it returns; throws what they throw. */
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

/** Makes one call on libuv's pool; `done` gets what it failed with or its result. */
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
  }
}

/** Blocks the thread; only for code that cannot wait otherwise. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
