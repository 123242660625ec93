/** Opens, removes and renames files for one worker: bounded, inside the root, with C's errors. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/logger.ts';
import { BlockPool } from './block-pool.ts';
import type { ByteFile } from './byte-file.ts';
import { Descriptor } from './descriptor.ts';
import { describeAction, FileError, fileErrorOf } from './file-error.ts';
import { OpenFile } from './open-file.ts';
import { flagsOf, type OpenMode, parseMode } from './open-mode.ts';
import { OperationOwner, OperationQueue } from './operation-queue.ts';
import { PipeFile } from './pipe-file.ts';
import { linkFound, Root } from './root.ts';
import { errnoOf } from './strerror.ts';
import { open, runSync, type Steps } from './system-call.ts';
import { type Cancellable, Task } from './task.ts';

export interface FileSystemOptions {
  /** Directory that every name stays in; undefined = whatever the user may. */
  readonly root: string | undefined;
  /** Where relative names start without a root. */
  readonly workingDirectory: string;
  /** Open files of this worker. */
  readonly filesMax: number;
  /** Operations handed to libuv's pool at once. */
  readonly operationsMax: number;
  readonly counters: Counters;
  /** Hears of failed writes nobody was left to hear of. */
  readonly logger: Logger | undefined;
}

export type OpenDone = (error: FileError | undefined, file: ByteFile | undefined) => void;
export type FileDone = (error: FileError | undefined) => void;

/** What a name stands for. */
export interface FileFacts {
  readonly size: number;
  /** Time of the last change, ms since 1970. */
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
}

interface Opened {
  readonly fd: number;
  readonly stats: Stats;
  readonly mode: OpenMode;
}

/** Opens a name without touching what it stands for. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
/** Makes a file without a name in a directory. Linux, asm-generic/fcntl.h. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
/** A FIFO that nobody reads yet is tried again after this time, as C's open would wait. */
const FIFO_RETRY_MS = 20;
/** Names tried for a temporary file before the directory must be odd. */
const TEMPORARY_NAMES_MAX = 100;
/** Code that cannot wait gives a FIFO this many tries (10 s). */
const FIFO_TRIES_SYNC_MAX = 500;

const UPDATE: OpenMode = { readable: true, writable: true, append: false, truncate: false, create: true };

export class FileSystem {
  readonly root: Root | undefined;
  /** Where processes start and relative names too: the root, when there is one. */
  readonly workingDirectory: string;
  readonly blocks: BlockPool = new BlockPool();
  readonly operations: OperationQueue;
  readonly #options: FileSystemOptions;
  readonly #open = new Set<ByteFile>();
  /** Open files and those being opened. */
  #files = 0;

  /** Throws when the root does not exist. */
  constructor(options: FileSystemOptions) {
    this.#options = options;
    this.root = options.root === undefined ? undefined : new Root(options.root);
    this.workingDirectory =
      this.root === undefined ? options.workingDirectory : Buffer.from(this.root.path, 'latin1').toString();
    this.operations = new OperationQueue(options.operationsMax);
  }

  /** Files open or being opened. */
  get files(): number {
    return this.#files;
  }

  /**
   * As fopen(3); `mode` as in C. Operations of files with the same `owner` take turns among themselves only. Throws
   * RangeError for a mode that C does not know.
   */
  open(
    name: string,
    mode: string,
    done: OpenDone,
    owner: OperationOwner = new OperationOwner(),
  ): Cancellable {
    const action = describeAction('open', name);
    const parsed = needMode(mode);
    return this.#run(
      action,
      this.#reserved(action, this.#openSteps(name, parsed, action)),
      owner,
      (error, opened) => done(error, opened === undefined ? undefined : this.#fileOf(name, opened, owner)),
    );
  }

  /** As `open`, before it returns; throws FileError. */
  openSync(name: string, mode: string, owner: OperationOwner = new OperationOwner()): ByteFile {
    const action = describeAction('open', name);
    const opened = attempt(action, () =>
      runSync(this.#reserved(action, this.#openSteps(name, needMode(mode), action, FIFO_TRIES_SYNC_MAX))),
    );
    return this.#fileOf(name, opened, owner);
  }

  /** As tmpfile(3): open for update, without a name, gone when closed. */
  openTemporary(done: OpenDone, owner: OperationOwner = new OperationOwner()): Cancellable {
    const action = 'Cannot open a temporary file';
    return this.#run(action, this.#reserved(action, this.#temporarySteps(action)), owner, (error, opened) =>
      done(error, opened === undefined ? undefined : this.#fileOf('(temporary file)', opened, owner)),
    );
  }

  openTemporarySync(owner: OperationOwner = new OperationOwner()): ByteFile {
    const action = 'Cannot open a temporary file';
    const opened = attempt(action, () => runSync(this.#reserved(action, this.#temporarySteps(action))));
    return this.#fileOf('(temporary file)', opened, owner);
  }

  /** As mkstemp(3): makes an empty file and returns its name, as a script may open it. Throws FileError. */
  temporaryNameSync(): string {
    const action = 'Cannot make a temporary file';
    return attempt(action, () => runSync(this.#temporaryNameSteps(action)));
  }

  /** As remove(3): files and empty directories. */
  remove(name: string, done: FileDone): Cancellable {
    const action = describeAction('remove', name);
    return this.#run(action, this.#removeSteps(name, action), new OperationOwner(), done);
  }

  removeSync(name: string): void {
    const action = describeAction('remove', name);
    attempt(action, () => runSync(this.#removeSteps(name, action)));
  }

  /** As rename(2). */
  rename(from: string, to: string, done: FileDone): Cancellable {
    const action = describeAction('rename', from);
    return this.#run(action, this.#renameSteps(from, to, action), new OperationOwner(), done);
  }

  renameSync(from: string, to: string): void {
    const action = describeAction('rename', from);
    attempt(action, () => runSync(this.#renameSteps(from, to, action)));
  }

  /** What stat(2) says of a name. */
  stat(
    name: string,
    done: (error: FileError | undefined, facts: FileFacts | undefined) => void,
  ): Cancellable {
    const action = describeAction('look at', name);
    return this.#run(action, this.#statSteps(name, action), new OperationOwner(), done);
  }

  statSync(name: string): FileFacts {
    const action = describeAction('look at', name);
    return attempt(action, () => runSync(this.#statSteps(name, action)));
  }

  /** Closes all files that are still open; what was written to them still goes to the disk. */
  stop(): void {
    for (const file of [...this.#open]) file.destroy();
  }

  // --- the steps

  /** The place of a name, for `use`; whatever was opened to find it is closed afterwards. */
  *#at<Result>(
    name: string,
    followLast: boolean,
    action: string,
    use: (path: Buffer, noFollow: number) => Steps<Result>,
  ): Steps<Result> {
    if (name.includes('\0')) throw new FileError(action, errnoOf('EINVAL'), 'the name holds a NUL byte');
    if (name === '') throw new FileError(action, errnoOf('ENOENT'));
    if (this.root === undefined) return yield* use(this.#absolute(name), 0);
    return yield* this.root.within(name, followLast, action, (path) => use(path, constants.O_NOFOLLOW));
  }

  #absolute(name: string): Buffer {
    if (name.startsWith('/')) return Buffer.from(name, 'latin1');
    return Buffer.concat([Buffer.from(`${this.workingDirectory}/`), Buffer.from(name, 'latin1')]);
  }

  *#openSteps(name: string, mode: OpenMode, action: string, triesMax: number = Infinity): Steps<Opened> {
    const fd = yield* this.#at(name, true, action, (path, noFollow) =>
      // O_NONBLOCK: a FIFO must not hold a thread of the pool; it changes nothing for other files
      openPatiently(path, flagsOf(mode) | noFollow | constants.O_NONBLOCK | constants.O_NOCTTY, triesMax),
    );
    return openedOf(fd, mode);
  }

  *#temporarySteps(action: string): Steps<Opened> {
    const flags = constants.O_RDWR | constants.O_EXCL;
    const directory = Buffer.from(this.root === undefined ? tmpdir() : this.workingDirectory);
    let fd: number;
    try {
      fd = yield* open(directory, O_TMPFILE | flags);
    } catch {
      // a file system without O_TMPFILE: a name for a moment
      const name = yield* this.#temporaryNameSteps(action);
      const path =
        this.root === undefined ? this.#absolute(name) : Buffer.from(`${this.workingDirectory}/${name}`);
      fd = yield* open(path, constants.O_RDWR | constants.O_NOFOLLOW);
      yield { call: 'unlink', path };
    }
    return openedOf(fd, UPDATE);
  }

  *#temporaryNameSteps(action: string): Steps<string> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    for (let tries = 0; tries < TEMPORARY_NAMES_MAX; tries++) {
      const short = `lua_${randomBytes(6).toString('base64url')}`;
      const name = this.root === undefined ? `${tmpdir()}/${short}` : short;
      try {
        closeSync(yield* this.#at(name, false, action, (path, noFollow) => open(path, flags | noFollow)));
        return name;
      } catch (thrown) {
        if (fileErrorOf(action, thrown).errno !== errnoOf('EEXIST')) throw thrown;
      }
    }
    throw new FileError(action, errnoOf('EEXIST'));
  }

  *#removeSteps(name: string, action: string): Steps<void> {
    yield* this.#at(name, false, action, function* (path): Steps<void> {
      try {
        yield { call: 'unlink', path };
      } catch (thrown) {
        const { errno } = fileErrorOf(action, thrown);
        if (errno !== errnoOf('EISDIR') && errno !== errnoOf('EPERM')) throw thrown;
        yield { call: 'rmdir', path };
      }
    });
  }

  *#renameSteps(from: string, to: string, action: string): Steps<void> {
    const at = this.#at.bind(this)<void>;
    yield* at(from, false, action, (path) =>
      at(to, false, action, function* (toPath): Steps<void> {
        yield { call: 'rename', path, to: toPath };
      }),
    );
  }

  *#statSteps(name: string, action: string): Steps<FileFacts> {
    const stats = yield* this.#at(name, true, action, lookAt);
    return { size: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() };
  }

  // --- parts

  /** Counts a file while it is being opened; a failure or cancellation gives the place back. */
  *#reserved(action: string, steps: Steps<Opened>): Steps<Opened> {
    const { filesMax, counters } = this.#options;
    if (this.#files >= filesMax) {
      const text = `${this.#files} files are open and the limit is ${filesMax}`;
      throw new FileError(action, errnoOf('EMFILE'), text);
    }
    this.#files += 1;
    let isOpen = false;
    try {
      const opened = yield* steps;
      isOpen = true;
      counters.add('files', 1);
      return opened;
    } finally {
      if (!isOpen) this.#files -= 1;
    }
  }

  #fileOf(name: string, { fd, stats, mode }: Opened, owner: OperationOwner): ByteFile {
    const { blocks, operations } = this;
    const { counters, logger } = this.#options;
    const onClosed = (): void => {
      this.#open.delete(file);
      this.#files -= 1;
      counters.add('files', -1);
    };
    let file: ByteFile;
    if (stats.isFIFO()) {
      const socket = new Socket({ fd, readable: mode.readable, writable: mode.writable });
      const readable = mode.readable ? socket : undefined;
      const writable = mode.writable ? socket : undefined;
      file = new PipeFile({ name, readable, writable, process: undefined, blocks, onClosed });
    } else {
      const kind = stats.isFile() ? 'regular' : stats.isDirectory() ? 'directory' : 'device';
      const descriptor = new Descriptor(fd, onClosed);
      file = new OpenFile({
        name,
        mode,
        descriptor,
        kind,
        size: stats.size,
        operations,
        owner,
        blocks,
        logger,
      });
    }
    this.#open.add(file);
    return file;
  }

  #run<Result>(
    action: string,
    steps: Steps<Result>,
    owner: OperationOwner,
    done: (error: FileError | undefined, result: Result | undefined) => void,
  ): Cancellable {
    return new Task(steps, this.operations, owner, (thrown, result: Result | undefined) =>
      done(thrown === undefined ? undefined : fileErrorOf(action, thrown), result),
    ).begin();
  }
}

/** Opens; a FIFO that nobody reads is tried until somebody does. */
function* openPatiently(path: Buffer, flags: number, triesMax: number): Steps<number> {
  for (let tries = 1; ; tries++) {
    try {
      return yield* open(path, flags);
    } catch (thrown) {
      const isBusyFifo = fileErrorOf('', thrown).errno === errnoOf('ENXIO') && tries < triesMax;
      if (!isBusyFifo || !(yield* lookAt(path, flags & constants.O_NOFOLLOW)).isFIFO()) throw thrown;
    }
    yield { call: 'pause', ms: FIFO_RETRY_MS };
  }
}

/** What fstat(2) says of a name, whatever it is, without opening it; ELOOP for a link that must not be followed. */
function* lookAt(path: Buffer, noFollow: number): Steps<Stats> {
  const fd = yield* open(path, O_PATH | noFollow);
  try {
    const stats = fstatSync(fd);
    if (stats.isSymbolicLink()) throw linkFound();
    return stats;
  } finally {
    closeSync(fd);
  }
}

function openedOf(fd: number, mode: OpenMode): Opened {
  try {
    return { fd, stats: fstatSync(fd), mode };
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

function needMode(mode: string): OpenMode {
  const parsed = parseMode(mode);
  if (parsed === undefined) throw new RangeError(`The mode ${JSON.stringify(mode)} is none of fopen's`);
  return parsed;
}

function attempt<Result>(action: string, run: () => Result): Result {
  try {
    return run();
  } catch (thrown) {
    throw fileErrorOf(action, thrown);
  }
}
