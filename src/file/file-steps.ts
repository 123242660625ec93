/** The system calls behind opening, removing and renaming: what C's library does, inside the root where there is one. */
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

/** A name in a directory, in bytes, and what it is; links are not followed. */
export interface DirectoryEntry {
  readonly name: string;
  readonly facts: FileFacts;
}

/** Entries of one listing: each takes a few hundred bytes until the list has been read. */
export const DIRECTORY_ENTRIES_MAX = 10_000;

/** A descriptor, and what it is of. */
export interface Opened {
  readonly fd: number;
  readonly stats: Stats;
  readonly mode: OpenMode;
  /** node:fs does not know of it: a stream may have it and close it. */
  readonly ownedByStream?: boolean;
}

/** Opens a name without touching what it stands for. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
/** Makes a file without a name in a directory. Linux, asm-generic/fcntl.h. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
/** A FIFO that nobody reads yet is tried again after this time, as C's open would wait. */
const FIFO_RETRY_MS = 20;
/** PATH_MAX of linux/limits.h without the NUL (bytes): a longer one is not taken apart. */
const NAME_BYTES_MAX = 4095;
/** Names tried for a temporary file before the directory must be odd. */
const TEMPORARY_NAMES_MAX = 100;
/** As mkstemp(3): nobody else's. */
const TEMPORARY_MODE = 0o600;
const UPDATE: OpenMode = { readable: true, writable: true, append: false, truncate: false, create: true };

export class FileSteps {
  readonly #root: Root | undefined;
  readonly #workingDirectory: string;

  /** `workingDirectory`: where relative names start; the root's own path, when there is one. */
  constructor(root: Root | undefined, workingDirectory: string) {
    this.#root = root;
    this.#workingDirectory = workingDirectory;
  }

  *open(name: string, mode: OpenMode, action: string, triesMax: number = Infinity): Steps<Opened> {
    const fd = yield* this.#at(name, true, action, (path, noFollow) =>
      // O_NONBLOCK: a FIFO must not hold a thread of the pool; it changes nothing for other files
      openPatiently(path, flagsOf(mode) | noFollow | constants.O_NONBLOCK | constants.O_NOCTTY, triesMax),
    );
    return openedOf(fd, mode);
  }

  /** As `open`, of a name that may not lead out of `directory`. */
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
      // a file system without O_TMPFILE: a name for a moment
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

  /** As `stat`, of a link itself. */
  *lstat(name: string, action: string): Steps<FileFacts> {
    return factsOf(yield* this.#at(name, false, action, lookAtName));
  }

  *makeDirectory(name: string, action: string): Steps<void> {
    yield* this.#at(name, false, action, function* (path): Steps<void> {
      yield { call: 'mkdir', path };
    });
  }

  /** Makes an empty file where nothing is, and sets the times (seconds since 1970). */
  *touch(name: string, accessed: number, modified: number, action: string): Steps<void> {
    yield* this.#at(name, true, action, function* (path, noFollow): Steps<void> {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;
      let fd: number;
      try {
        fd = yield* open(path, flags | noFollow);
      } catch (thrown) {
        const { errno } = fileErrorOf(action, thrown);
        // directories, sockets and FIFOs that nobody reads are not opened for it
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

  /** The entries of a directory in its own order, without `.` and `..`. */
  *list(name: string, action: string): Steps<DirectoryEntry[]> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    const fd = yield* this.#at(name, true, action, function* (path, noFollow): Steps<number> {
      // for a link, O_DIRECTORY with O_NOFOLLOW says ENOTDIR and not ELOOP
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

  /** The place of a name, for `use`; whatever was opened to find it is closed afterwards. */
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
        // it has been removed meanwhile
        if (fileErrorOf(action, thrown).errno !== errnoOf('ENOENT')) throw thrown;
      }
    }
    return entries;
  } finally {
    // its last read may not be over for node:fs, which lets it be closed behind that only
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

/** Where a directory really is, found through its descriptor. */
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
