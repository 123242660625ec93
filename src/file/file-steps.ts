/** The system calls of opening, removing, renaming and listing: what C's library does, inside the root where there is one. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, readlinkSync, type Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { FileError, fileErrorOf } from './file-error.ts';
import { flagsOf, type OpenMode } from './open-mode.ts';
import { linkFound, Root } from './root.ts';
import { errnoOf } from './strerror.ts';
import { lookAtName, open, openDirectory, readDirectory, type Steps } from './system-call.ts';

/** What a name stands for; names of st_mode(2). */
export type FileKind = 'file' | 'directory' | 'link' | 'fifo' | 'socket' | 'device';

export interface FileFacts {
  readonly kind: FileKind;
  /** Bytes. */
  readonly size: number;
  /** Times of the last change of the content, ms since 1970. */
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
  readonly stats: Stats;
}

/** A name in a directory, as a byte string, and facts about the entry itself, even when it is a link. */
export interface DirectoryEntry {
  readonly name: string;
  readonly facts: FileFacts;
}

/** Entries of one listing: each takes a few hundred bytes until the caller has read the list. */
export const DIRECTORY_ENTRIES_MAX = 10_000;

/** An open descriptor, with the facts and the mode of its file. */
export interface Opened {
  readonly fd: number;
  readonly stats: Stats;
  readonly mode: OpenMode;
  /** True when node:fs does not know the descriptor: a stream may own and close it. */
  readonly ownedByStream?: boolean;
}

/** Opens a name without opening its file. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
/** Makes a file without a name in a directory. Linux, asm-generic/fcntl.h. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
/** C's open waits for a reader of a FIFO: a FIFO without one is tried again after this time. */
const FIFO_RETRY_MS = 20;
/** PATH_MAX of linux/limits.h without the NUL (bytes): longer names are refused before they are split. */
const NAME_BYTES_MAX = 4095;
/** Names that are tried for a temporary file before the call fails. */
const TEMPORARY_NAMES_MAX = 100;
/** As mkstemp(3): for the user of the process alone. */
const TEMPORARY_MODE = 0o600;
const UPDATE: OpenMode = { readable: true, writable: true, append: false, truncate: false, create: true };

export class FileSteps {
  readonly #root: Root | undefined;
  readonly #workingDirectory: string;

  /** `workingDirectory`: where relative names begin; the path of the root, when there is one. */
  constructor(root: Root | undefined, workingDirectory: string) {
    this.#root = root;
    this.#workingDirectory = workingDirectory;
  }

  *open(name: string, mode: OpenMode, action: string, triesMax: number = Infinity): Steps<Opened> {
    const fd = yield* this.#at(name, true, action, (path, noFollow) =>
      // O_NONBLOCK: opening a FIFO must not block a thread of the pool; the flag changes nothing for other files
      openPatiently(path, flagsOf(mode) | noFollow | constants.O_NONBLOCK | constants.O_NOCTTY, triesMax),
    );
    return openedOf(fd, mode);
  }

  /** As `open`, for a name that must not lead out of `directory`. */
  *openBelow(directory: string, name: string, mode: OpenMode, action: string): Steps<Opened> {
    const path = yield* this.#at(directory, true, action, realPathOf);
    const root = new Root(path);
    return yield* new FileSteps(root, root.path).open(name, mode, action);
  }

  *openTemporary(action: string): Steps<Opened> {
    const flags = constants.O_RDWR | constants.O_EXCL;
    const directory = Buffer.from(this.#root === undefined ? tmpdir() : this.#workingDirectory);
    let fd: number;
    try {
      fd = yield* open(directory, O_TMPFILE | flags);
    } catch {
      // a file system without O_TMPFILE: makes a file with a name and removes the name
      const name = yield* this.makeTemporary(action);
      const path =
        this.#root === undefined ? this.#absolute(name) : Buffer.from(`${this.#workingDirectory}/${name}`);
      fd = yield* open(path, constants.O_RDWR | constants.O_NOFOLLOW);
      try {
        yield { call: 'unlink', path };
      } catch (thrown) {
        closeSync(fd);
        throw thrown;
      }
    }
    return openedOf(fd, UPDATE);
  }

  *makeTemporary(action: string): Steps<string> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    for (let tries = 0; tries < TEMPORARY_NAMES_MAX; tries++) {
      const short = `lua_${randomBytes(6).toString('base64url')}`;
      const name = this.#root === undefined ? `${Buffer.from(tmpdir()).toString('latin1')}/${short}` : short;
      try {
        closeSync(
          yield* this.#at(name, false, action, (path, noFollow) =>
            open(path, flags | noFollow, TEMPORARY_MODE),
          ),
        );
        return name;
      } catch (thrown) {
        if (fileErrorOf(action, thrown).errno !== errnoOf('EEXIST')) throw thrown;
      }
    }
    throw new FileError(action, errnoOf('EEXIST'));
  }

  *remove(name: string, action: string): Steps<void> {
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

  *rename(from: string, to: string, action: string): Steps<void> {
    const at = this.#at.bind(this)<void>;
    yield* at(from, false, action, (path) =>
      at(to, false, action, function* (toPath): Steps<void> {
        yield { call: 'rename', path, to: toPath };
      }),
    );
  }

  *stat(name: string, action: string): Steps<FileFacts> {
    return factsOf(yield* this.#at(name, true, action, lookAt));
  }

  /** As `stat`, but of a link itself. */
  *lstat(name: string, action: string): Steps<FileFacts> {
    return factsOf(yield* this.#at(name, false, action, lookAtName));
  }

  *makeDirectory(name: string, action: string): Steps<void> {
    yield* this.#at(name, false, action, function* (path): Steps<void> {
      yield { call: 'mkdir', path };
    });
  }

  /** Makes an empty file where the name stands for nothing, and sets the times (seconds since 1970). */
  *touch(name: string, accessed: number, modified: number, action: string): Steps<void> {
    yield* this.#at(name, true, action, function* (path, noFollow): Steps<void> {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;
      let fd: number;
      try {
        fd = yield* open(path, flags | noFollow);
      } catch (thrown) {
        const { errno } = fileErrorOf(action, thrown);
        // directories, sockets and FIFOs without a reader cannot be opened for writing
        if (errno !== errnoOf('EISDIR') && errno !== errnoOf('ENXIO')) throw thrown;
        fd = yield* open(path, O_PATH | noFollow);
      }
      try {
        yield { call: 'utimes', path: Buffer.from(`/proc/self/fd/${fd}`), accessed, modified };
      } finally {
        closeSync(fd);
      }
    });
  }

  /** Lists the entries of a directory in the order of the system, without `.` and `..`. */
  *list(name: string, action: string): Steps<DirectoryEntry[]> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    const fd = yield* this.#at(name, true, action, function* (path, noFollow): Steps<number> {
      // for a link, O_DIRECTORY with O_NOFOLLOW fails with ENOTDIR and not with ELOOP
      const place = yield* open(path, O_PATH | noFollow);
      try {
        if (fstatSync(place).isSymbolicLink()) throw linkFound();
        return yield* open(Buffer.from(`/proc/self/fd/${place}`), flags);
      } finally {
        closeSync(place);
      }
    });
    try {
      return yield* listDirectory(`/proc/self/fd/${fd}`, action);
    } finally {
      closeSync(fd);
    }
  }

  /** Finds the place of a name and runs `use` with its path; closes afterwards what was opened to find it. */
  *#at<Result>(
    name: string,
    followLast: boolean,
    action: string,
    use: (path: Buffer, noFollow: number) => Steps<Result>,
  ): Steps<Result> {
    if (name.includes('\0')) throw new FileError(action, errnoOf('EINVAL'), 'the name holds a NUL byte');
    if (name === '') throw new FileError(action, errnoOf('ENOENT'));
    if (name.length > NAME_BYTES_MAX) throw new FileError(action, errnoOf('ENAMETOOLONG'));
    if (this.#root === undefined) return yield* use(this.#absolute(name), 0);
    return yield* this.#root.within(name, followLast, action, (path) => use(path, constants.O_NOFOLLOW));
  }

  #absolute(name: string): Buffer {
    if (name.startsWith('/')) return Buffer.from(name, 'latin1');
    return Buffer.concat([Buffer.from(`${this.#workingDirectory}/`), Buffer.from(name, 'latin1')]);
  }
}

function* listDirectory(path: string, action: string): Steps<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  const directory = yield* openDirectory(Buffer.from(path));
  try {
    for (
      let entry = yield* readDirectory(directory);
      entry !== null;
      entry = yield* readDirectory(directory)
    ) {
      if (entries.length === DIRECTORY_ENTRIES_MAX) {
        const text = `the directory has more entries than the limit of ${DIRECTORY_ENTRIES_MAX} for one list`;
        throw new FileError(action, errnoOf('EAGAIN'), text);
      }
      const place = Buffer.concat([Buffer.from(`${path}/`), entry.name]);
      try {
        entries.push({ name: entry.name.toString('latin1'), facts: factsOf(yield* lookAtName(place)) });
      } catch (thrown) {
        // the entry has been removed meanwhile
        if (fileErrorOf(action, thrown).errno !== errnoOf('ENOENT')) throw thrown;
      }
    }
    return entries;
  } finally {
    // node:fs closes a directory only behind its last read, which may still be running
    directory.close(() => undefined);
  }
}

function factsOf(stats: Stats): FileFacts {
  return {
    kind: kindOf(stats),
    size: stats.size,
    modifiedMs: stats.mtimeMs,
    isDirectory: stats.isDirectory(),
    stats,
  };
}

function kindOf(stats: Stats): FileKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'device';
}

/** Opens a path; tries a FIFO without a reader again until it has one, `triesMax` times at most. */
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

/** Returns what fstat(2) says of a name, without opening its file; fails with ELOOP for a link that must not be followed. */
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

/** Returns the path of a directory without links, found through a descriptor. */
function* realPathOf(path: Buffer, noFollow: number): Steps<Buffer> {
  const fd = yield* open(path, O_PATH | noFollow);
  try {
    const stats = fstatSync(fd);
    if (stats.isSymbolicLink()) throw linkFound();
    if (!stats.isDirectory()) throw Object.assign(new Error('The name is no directory'), { code: 'ENOTDIR' });
    return readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
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
