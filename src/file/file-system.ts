/**
 * The files of one worker: opens, removes and renames, bounded in number, with C's errors. Long because each operation has its name, its
 * steps and its message here.
 */

import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Logger } from '../base/logger.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { BlockPool } from './block-pool.ts';
import type { ByteFile } from './byte-file.ts';
import { Descriptor } from './descriptor.ts';
import { describeAction, FileError, fileErrorOf } from './file-error.ts';
import { type DirectoryEntry, type FileFacts, FileSteps, type Opened } from './file-steps.ts';
import {
  Folder,
  type FolderFacts,
  type FolderList,
  folderPath,
  type Looked,
  type WantedContent,
} from './folder.ts';
import { type FileOperations, noFileSteps } from './no-file-steps.ts';
import { OpenFile } from './open-file.ts';
import { type OpenMode, parseMode } from './open-mode.ts';
import { OperationOwner, OperationQueue } from './operation-queue.ts';
import { PipeFile } from './pipe-file.ts';
import { Root } from './root.ts';
import { errnoOf } from './strerror.ts';
import { runSync, type Steps } from './system-call.ts';
import { type Cancellable, Task } from './task.ts';

export interface FileSystemOptions {
  /** Directory that no name may lead out of; undefined: names may lead wherever the user of the gateway may go. */
  readonly root: string | undefined;
  /** Where relative names begin without a root. */
  readonly workingDirectory: string;
  /** Operations that libuv's pool has at the same time. */
  readonly operationsMax: number;
  /** Those of one mapping. Default: all. */
  readonly ofShareMax?: number;
  readonly counters: Counters;
  /**
   * Duplicates an open descriptor; node:fs does not know the new number. Undefined where duplicating is not possible.
   */
  readonly duplicate: (descriptor: number) => number | undefined;
  /** Why every operation is refused; undefined: operations are not refused. */
  readonly sealed?: string;
  /** Logs failed writes that no caller can be told of. */
  readonly logger: Logger | undefined;
  /** What it has in common with another one of its worker; default: it has its own. */
  readonly common?: CommonParts;
}

interface CommonParts {
  readonly blocks: BlockPool;
  readonly operations: OperationQueue;
}

export type OpenDone = (error: FileError | undefined, file: ByteFile | undefined) => void;
export type FileDone = (error: FileError | undefined) => void;

/** A caller that cannot wait does not wait for the other end of a FIFO. */
const FIFO_TRIES_SYNC_MAX = 1;

export class FileSystem {
  readonly root: Root | undefined;
  /** Where processes start and relative names begin: the root, when there is one. */
  readonly workingDirectory: string;
  readonly blocks: BlockPool;
  readonly operations: OperationQueue;
  readonly #options: FileSystemOptions;
  readonly #steps: FileOperations;
  readonly #open = new Set<ByteFile>();
  /** Open files and those being opened. */
  #files = 0;

  /** Throws when the root does not exist. */
  constructor(options: FileSystemOptions) {
    this.#options = options;
    this.root = options.root === undefined ? undefined : new Root(options.root);
    this.workingDirectory =
      this.root === undefined ? options.workingDirectory : Buffer.from(this.root.path, 'latin1').toString();
    this.#steps =
      options.sealed === undefined
        ? new FileSteps(this.root, this.workingDirectory)
        : noFileSteps(options.sealed);
    this.blocks = options.common?.blocks ?? new BlockPool();
    this.operations =
      options.common?.operations ?? new OperationQueue(options.operationsMax, options.ofShareMax);
  }

  /** The files of another root, whose operations take turns with those of this one. Throws when the root does not exist. */
  withRoot(root: string | undefined): FileSystem {
    const { blocks, operations } = this;
    return new FileSystem({ ...this.#options, root, common: { blocks, operations } });
  }

  /** Returns a file system that refuses every operation and says `why`. */
  sealed(why: string): FileSystem {
    return new FileSystem({ ...this.#options, sealed: why });
  }

  /** Number of files that are open or being opened. */
  get files(): number {
    return this.#files;
  }

  /**
   * As fopen(3); `mode` as in C. Files with the same `owner` share the turns of that owner in the operation queue, and count
   * for its mapping; without an owner a file belongs to the gateway. Throws RangeError for a mode that C does not know.
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
      this.#reserved(action, owner, this.#steps.open(name, parsed, action)),
      owner,
      (error, opened) => done(error, opened === undefined ? undefined : this.#fileOf(name, opened, owner)),
    );
  }

  /**
   * As `open` for reading, of a name that has to stay below `directory`, which itself is a name as `open` takes it. A
   * leading `/` stands for the directory.
   */
  openBelow(directory: string, name: string, done: OpenDone, owner: OperationOwner): Cancellable {
    const action = describeAction('open', name);
    const steps = this.#reserved(
      action,
      owner,
      this.#steps.openBelow(directory, name.replace(/^\/+/, ''), needMode('r'), action),
    );
    return this.#run(action, steps, owner, (error, opened) =>
      done(error, opened === undefined ? undefined : this.#fileOf(name, opened, owner)),
    );
  }

  /**
   * The folder of this name, which has to lie inside the root, where there is one. `admits` says which files in it may be seen, by
   * their names below it (`/a/b`) behind all links.
   */
  findFolder(
    name: string,
    admits: (name: string) => boolean,
    done: (error: FileError | undefined, folder: Folder | undefined) => void,
    owner: OperationOwner,
  ): Cancellable {
    return this.#run(describeAction('look at', name), this.#folder(name, admits), owner, done);
  }

  *#folder(name: string, admits: (name: string) => boolean): Steps<Folder> {
    const { root } = this;
    // as in a root a leading `/` stands for it
    const base = root === undefined && name.startsWith('/') ? '' : `${this.#directoryBytes()}/`;
    const path = yield* folderPath(base + name);
    if (root?.contains(path) === false)
      throw new FileError(describeAction('look at', name), errnoOf('EACCES'), 'it lies outside of the root');
    return new Folder(path, admits);
  }

  #directoryBytes(): string {
    return this.root?.path ?? Buffer.from(this.workingDirectory).toString('latin1');
  }

  /** What a name in the folder stands for, with its bytes where they are wanted. */
  lookIn(
    folder: Folder,
    name: string,
    wanted: WantedContent,
    done: (error: FileError | undefined, looked: Looked | undefined) => void,
    owner: OperationOwner,
  ): Cancellable {
    const action = describeAction('look at', name);
    const steps = this.#counted(action, owner, folder.look(name, wanted, action));
    return this.#run(action, steps, owner, done);
  }

  /** A regular file in the folder, open for reading. */
  openIn(
    folder: Folder,
    name: string,
    done: (error: FileError | undefined, file: ByteFile | undefined, facts: FolderFacts | undefined) => void,
    owner: OperationOwner,
  ): Cancellable {
    const action = describeAction('open', name);
    const steps = this.#reserved(action, owner, folder.open(name, action));
    return this.#run(action, steps, owner, (error, opened) => {
      if (opened === undefined) done(error, undefined, undefined);
      else done(undefined, this.#fileOf(name, opened, owner), opened.facts);
    });
  }

  /** What may be seen of a directory in the folder: its first `entriesMax` files and directories. */
  listIn(
    folder: Folder,
    name: string,
    entriesMax: number,
    done: (error: FileError | undefined, list: FolderList | undefined) => void,
    owner: OperationOwner,
  ): Cancellable {
    const action = describeAction('list', name);
    const steps = this.#counted(action, owner, folder.list(name, entriesMax, action));
    return this.#run(action, steps, owner, done);
  }

  /** As `open`, but opens before it returns; throws FileError. */
  openSync(name: string, mode: string, owner: OperationOwner = new OperationOwner()): ByteFile {
    const action = describeAction('open', name);
    const opened = attempt(action, () =>
      runSync(
        this.#reserved(action, owner, this.#steps.open(name, needMode(mode), action, FIFO_TRIES_SYNC_MAX)),
      ),
    );
    return this.#fileOf(name, opened, owner);
  }

  /** As tmpfile(3): opens a file for update that has no name and is removed when it is closed. */
  openTemporary(done: OpenDone, owner: OperationOwner = new OperationOwner()): Cancellable {
    const action = 'Cannot open a temporary file';
    return this.#run(
      action,
      this.#reserved(action, owner, this.#steps.openTemporary(action)),
      owner,
      (error, opened) =>
        done(error, opened === undefined ? undefined : this.#fileOf('(temporary file)', opened, owner)),
    );
  }

  openTemporarySync(owner: OperationOwner = new OperationOwner()): ByteFile {
    const action = 'Cannot open a temporary file';
    const opened = attempt(action, () =>
      runSync(this.#reserved(action, owner, this.#steps.openTemporary(action))),
    );
    return this.#fileOf('(temporary file)', opened, owner);
  }

  /** As mkstemp(3): makes an empty file and returns its name, as a script may open it. Throws FileError. */
  temporaryNameSync(): string {
    const action = 'Cannot make a temporary file';
    return attempt(action, () => runSync(this.#steps.makeTemporary(action)));
  }

  /** As remove(3): files and empty directories. */
  remove(name: string, done: FileDone, owner: OperationOwner = new OperationOwner()): Cancellable {
    const action = describeAction('remove', name);
    return this.#run(action, this.#steps.remove(name, action), owner, done);
  }

  removeSync(name: string): void {
    const action = describeAction('remove', name);
    attempt(action, () => runSync(this.#steps.remove(name, action)));
  }

  /** As rename(2). */
  rename(
    from: string,
    to: string,
    done: FileDone,
    owner: OperationOwner = new OperationOwner(),
  ): Cancellable {
    const action = describeAction('rename', from);
    return this.#run(action, this.#steps.rename(from, to, action), owner, done);
  }

  renameSync(from: string, to: string): void {
    const action = describeAction('rename', from);
    attempt(action, () => runSync(this.#steps.rename(from, to, action)));
  }

  /** What stat(2) says of a name; lstat(2) where `follow` is false. */
  stat(
    name: string,
    done: (error: FileError | undefined, facts: FileFacts | undefined) => void,
    owner: OperationOwner = new OperationOwner(),
    follow = true,
  ): Cancellable {
    const action = describeAction('look at', name);
    return this.#run(action, this.#look(name, follow, action), owner, done);
  }

  statSync(name: string, follow = true): FileFacts {
    const action = describeAction('look at', name);
    return attempt(action, () => runSync(this.#look(name, follow, action)));
  }

  #look(name: string, follow: boolean, action: string): Steps<FileFacts> {
    return follow ? this.#steps.stat(name, action) : this.#steps.lstat(name, action);
  }

  /** As mkdir(2), with the permissions that the umask leaves. */
  makeDirectory(name: string, done: FileDone, owner: OperationOwner): Cancellable {
    const action = describeAction('make the directory', name);
    return this.#run(action, this.#steps.makeDirectory(name, action), owner, done);
  }

  makeDirectorySync(name: string): void {
    const action = describeAction('make the directory', name);
    attempt(action, () => runSync(this.#steps.makeDirectory(name, action)));
  }

  /** The entries of a directory, at most DIRECTORY_ENTRIES_MAX; more are an error with the code "limit". */
  list(
    name: string,
    done: (error: FileError | undefined, entries: DirectoryEntry[] | undefined) => void,
    owner: OperationOwner,
  ): Cancellable {
    const action = describeAction('list', name);
    return this.#run(action, this.#steps.list(name, action), owner, done);
  }

  listSync(name: string): DirectoryEntry[] {
    const action = describeAction('list', name);
    return attempt(action, () => runSync(this.#steps.list(name, action)));
  }

  /** As touch(1): makes an empty file where the name stands for nothing; times in seconds since 1970. */
  touch(
    name: string,
    accessed: number,
    modified: number,
    done: FileDone,
    owner: OperationOwner,
  ): Cancellable {
    const action = describeAction('touch', name);
    return this.#run(action, this.#steps.touch(name, accessed, modified, action), owner, done);
  }

  touchSync(name: string, accessed: number, modified: number): void {
    const action = describeAction('touch', name);
    attempt(action, () => runSync(this.#steps.touch(name, accessed, modified, action)));
  }

  /** Closes all open files; bytes that were written to them still go to the disk. */
  stop(): void {
    for (const file of [...this.#open]) file.destroy();
  }

  // --- parts

  /** Counts a file while it is being opened, and no longer when that fails or is cancelled. */
  *#reserved<Of extends Opened>(action: string, owner: OperationOwner, steps: Steps<Of>): Steps<Of> {
    this.#take(action, owner);
    let isOpen = false;
    try {
      const opened = this.#forStream(yield* steps);
      isOpen = true;
      this.#options.counters.add(COUNT.files, 1);
      return opened;
    } finally {
      if (!isOpen) this.#give(owner);
    }
  }

  /** Counts a file while the steps run, which leave no file open. */
  *#counted<Result>(action: string, owner: OperationOwner, steps: Steps<Result>): Steps<Result> {
    this.#take(action, owner);
    try {
      return yield* steps;
    } finally {
      this.#give(owner);
    }
  }

  #take(action: string, { share, loading }: OperationOwner): void {
    const refusal = share?.take('files', loading);
    if (refusal !== undefined) throw new FileError(action, errnoOf('EMFILE'), refusal);
    this.#files += 1;
  }

  #give({ share }: OperationOwner): void {
    this.#files -= 1;
    share?.give('files');
  }

  /**
   * A stream reads and writes a FIFO, and closes the descriptor that it was given. A descriptor that node:fs has opened node:fs must
   * close: a worker thread keeps a list of these numbers and closes the rest when it ends, even where a number has another owner by then.
   */
  #forStream<Of extends Opened>(opened: Of): Of {
    if (!opened.stats.isFIFO()) return opened;
    let copy: number | undefined;
    try {
      copy = this.#options.duplicate(opened.fd);
    } catch (cause) {
      closeSync(opened.fd);
      // what else keeps a descriptor that is open from being duplicated
      throw Object.assign(new Error('No descriptor is left', { cause }), { code: 'EMFILE' });
    }
    if (copy === undefined) return opened;
    closeSync(opened.fd);
    return { ...opened, fd: copy, ownedByStream: true };
  }

  #fileOf(name: string, { fd, stats, mode, ownedByStream }: Opened, owner: OperationOwner): ByteFile {
    const { blocks, operations } = this;
    const { counters, logger } = this.#options;
    const onClosed = (): void => {
      this.#open.delete(file);
      this.#give(owner);
      counters.add(COUNT.files, -1);
    };
    let file: ByteFile;
    if (ownedByStream === true) {
      const socket = new Socket({ fd, readable: mode.readable, writable: mode.writable });
      const readable = mode.readable ? socket : undefined;
      const writable = mode.writable ? socket : undefined;
      file = new PipeFile({ name, readable, writable, process: undefined, blocks, onClosed });
    } else {
      // a FIFO that no stream can own is read at intervals, as a device is
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
