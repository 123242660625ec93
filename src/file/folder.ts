/**
 * A folder whose files are read by names that clients give. Nothing outside of it is looked at, and only regular files are opened.
 *
 * A name is opened with O_PATH first, which follows links and touches neither devices nor the other side of a FIFO. Where that has led
 * is known by the descriptor, and what is read later is that same file, whatever is renamed meanwhile. All calls that may wait for a
 * disk or a server of files are steps; only what the kernel knows by itself (/proc/self/fd) is asked for at once.
 */
import { close, closeSync, constants, readlinkSync, type Stats } from 'node:fs';
import { FileError, fileErrorOf, isAbsence } from './file-error.ts';
import type { FileKind } from './file-steps.ts';
import type { OpenMode } from './open-mode.ts';
import { procDevice } from './root.ts';
import { errnoOf } from './strerror.ts';
import {
  lookAtDescriptor,
  lookAtName,
  open,
  openDirectory,
  readDescriptor,
  readDirectory,
  type Steps,
} from './system-call.ts';

/** What is known of a name: of the file itself, where the name is a link. */
export interface FolderFacts {
  readonly kind: Exclude<FileKind, 'link'>;
  /** Bytes. */
  readonly size: number;
  /** Time of the last change of the content, ms since 1970. */
  readonly modifiedMs: number;
  /** Time of the last change of anything, which nobody can set. */
  readonly changedMs: number;
  readonly device: number;
  readonly inode: number;
}

/** What a look at a name has found. */
export interface Looked {
  readonly facts: FolderFacts;
  /** The bytes of a small regular file, or undefined: they are not wanted, or those that are known still hold. */
  readonly content: Buffer | undefined;
}

/** Which bytes a look brings along. */
export interface WantedContent {
  /** Those of regular files up to this size. */
  readonly bytesMax: number;
  /** The bytes of a file with these facts are known. */
  readonly known: FolderFacts | undefined;
}

/** One name of a list. */
export interface FolderEntry {
  /** A byte string. */
  readonly name: string;
  readonly facts: FolderFacts;
}

/** The names of a folder, sorted by their bytes. */
export interface FolderList {
  readonly entries: readonly FolderEntry[];
  /** There are more. */
  readonly isCut: boolean;
}

/** Opens a name without touching what it stands for. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
/** PATH_MAX of linux/limits.h without the NUL (bytes). */
const NAME_BYTES_MAX = 4095;
/** Names that a list reads, for the first of them to be the first by their bytes; about 1 MiB. */
const NAMES_READ_MAX = 10_000;
const READ_ONLY: OpenMode = {
  readable: true,
  writable: false,
  append: false,
  truncate: false,
  create: false,
};

export class Folder {
  /** Absolute, without links; a byte string. */
  readonly path: string;
  readonly #admits: (name: string) => boolean;

  /** `admits` is asked whether a file may be seen, by its name below the folder (`/a/b`) behind all links. */
  constructor(path: string, admits: (name: string) => boolean) {
    this.path = path;
    this.#admits = admits;
  }

  /** What the name (`/a/b`) stands for. */
  *look(name: string, wanted: WantedContent, action: string): Steps<Looked> {
    const place = yield* this.#place(name, action);
    try {
      const facts = yield* this.#factsOf(place, action);
      if (facts.kind !== 'file' || facts.size > wanted.bytesMax || isSame(facts, wanted.known))
        return { facts, content: undefined };
      return { facts, content: yield* readWhole(place, facts.size) };
    } finally {
      closeSync(place);
    }
  }

  /** Opens a regular file for reading; errors EISDIR and EINVAL for what is none. */
  *open(name: string, action: string): Steps<OpenedBelow> {
    const place = yield* this.#place(name, action);
    try {
      const stats = yield* lookAtDescriptor(place);
      const facts = this.#check(stats, action);
      if (facts.kind === 'directory') throw new FileError(action, errnoOf('EISDIR'));
      if (facts.kind !== 'file') throw new FileError(action, errnoOf('EINVAL'), 'it is not a regular file');
      return { fd: yield* reopen(place), stats, mode: READ_ONLY, facts };
    } finally {
      closeSync(place);
    }
  }

  /** The first `entriesMax` regular files and directories of a directory that may be seen. */
  *list(name: string, entriesMax: number, action: string): Steps<FolderList> {
    const place = yield* this.#place(name, action);
    try {
      const names = yield* namesOf(`/proc/self/fd/${place}`);
      const base = name.endsWith('/') ? name : `${name}/`;
      const seen = names.list.filter((each) => this.#admits(base + each)).sort();
      const entries: FolderEntry[] = [];
      for (const each of seen) {
        const facts = yield* this.#factsIn(place, base, each, action);
        if (facts === undefined) continue;
        if (entries.length === entriesMax) return { entries, isCut: true };
        entries.push({ name: each, facts });
      }
      return { entries, isCut: names.isCut };
    } finally {
      closeSync(place);
    }
  }

  /** Of a name in a directory; undefined for what no client may be given. */
  *#factsIn(directory: number, base: string, name: string, action: string): Steps<FolderFacts | undefined> {
    try {
      const path = Buffer.from(`/proc/self/fd/${directory}/${name}`, 'latin1');
      const stats = yield* lookAtName(path);
      if (stats.isFile() || stats.isDirectory()) return this.#check(stats, action);
      if (!stats.isSymbolicLink()) return undefined;
      const { facts } = yield* this.look(base + name, NO_CONTENT, action);
      return facts.kind === 'file' || facts.kind === 'directory' ? facts : undefined;
    } catch (thrown) {
      // it leads out of the folder or nowhere, or was removed meanwhile
      if (!isAbsence(fileErrorOf(action, thrown))) throw thrown;
      return undefined;
    }
  }

  /** A descriptor of what the name leads to, which is only a place. */
  *#place(name: string, action: string): Steps<number> {
    if (name.includes('\0')) throw new FileError(action, errnoOf('EINVAL'), 'the name holds a NUL byte');
    const path = (this.path === '/' ? '' : this.path) + name;
    if (path.length > NAME_BYTES_MAX) throw new FileError(action, errnoOf('ENAMETOOLONG'));
    const fd = yield* open(Buffer.from(path, 'latin1'), O_PATH);
    try {
      const below = this.#below(placeOf(fd));
      if (below === undefined) throw refused(action, 'a link leads out of the folder');
      if (!this.#admits(below)) throw refused(action, 'a link leads to a hidden name');
    } catch (thrown) {
      closeSync(fd);
      throw thrown;
    }
    return fd;
  }

  *#factsOf(place: number, action: string): Steps<FolderFacts> {
    return this.#check(yield* lookAtDescriptor(place), action);
  }

  #check(stats: Stats, action: string): FolderFacts {
    if (stats.dev === procDevice()) throw refused(action, '/proc is not served');
    return {
      kind: kindOf(stats),
      size: stats.size,
      modifiedMs: stats.mtimeMs,
      changedMs: stats.ctimeMs,
      device: stats.dev,
      inode: stats.ino,
    };
  }

  /** What an absolute path without links is called below the folder: `/a/b`, or `/`. */
  #below(path: string): string | undefined {
    if (this.path === '/') return path;
    if (path === this.path) return '/';
    return path.startsWith(`${this.path}/`) ? path.slice(this.path.length) : undefined;
  }
}

/** A descriptor for an OpenFile, and what is known of the file. */
export interface OpenedBelow {
  readonly fd: number;
  readonly stats: Stats;
  readonly mode: OpenMode;
  readonly facts: FolderFacts;
}

/** Where the folder of this name is now: its absolute path without links. */
export function* folderPath(name: string): Steps<string> {
  const fd = yield* open(Buffer.from(name, 'latin1'), O_PATH | constants.O_DIRECTORY);
  try {
    return placeOf(fd);
  } finally {
    closeSync(fd);
  }
}

/** The same file with the same content, as far as the system tells. */
export function isSame(facts: FolderFacts, other: FolderFacts | undefined): boolean {
  return (
    other !== undefined &&
    facts.kind === other.kind &&
    facts.size === other.size &&
    facts.modifiedMs === other.modifiedMs &&
    facts.changedMs === other.changedMs &&
    facts.device === other.device &&
    facts.inode === other.inode
  );
}

const NO_CONTENT: WantedContent = { bytesMax: -1, known: undefined };

/** The first `size` bytes, or all where the file has become shorter. */
function* readWhole(place: number, size: number): Steps<Buffer> {
  const content = Buffer.allocUnsafeSlow(size);
  if (size === 0) return content;
  const fd = yield* reopen(place);
  try {
    let length = 0;
    while (length < size) {
      const read = yield* readDescriptor(fd, content.subarray(length), length);
      if (read === 0) return content.subarray(0, length);
      length += read;
    }
    return content;
  } finally {
    close(fd, () => undefined);
  }
}

/** Opens for reading what a place stands for: that very file, which is known to be a regular one. */
function reopen(place: number): Steps<number> {
  // O_NONBLOCK changes nothing for regular files but what leases of others do
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  return open(Buffer.from(`/proc/self/fd/${place}`), flags);
}

function* namesOf(path: string): Steps<{ readonly list: string[]; readonly isCut: boolean }> {
  const list: string[] = [];
  const directory = yield* openDirectory(Buffer.from(path));
  try {
    for (;;) {
      const entry = yield* readDirectory(directory);
      if (entry === null) return { list, isCut: false };
      if (list.length === NAMES_READ_MAX) return { list, isCut: true };
      list.push(entry.name.toString('latin1'));
    }
  } finally {
    directory.close(() => undefined);
  }
}

/** Where the file of a descriptor is, as the kernel has it: no file system is asked. */
function placeOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }).toString('latin1');
}

function kindOf(stats: Stats): FolderFacts['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'device';
}

function refused(action: string, why: string): FileError {
  return new FileError(action, errnoOf('EACCES'), why);
}
