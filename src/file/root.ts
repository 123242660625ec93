/** The virtual root: resolves names so that nothing outside of one directory is opened, made, renamed or removed. */
import { closeSync, constants, fstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { FileError } from './file-error.ts';
import { errnoOf } from './strerror.ts';
import { open, readLink, type Steps } from './system-call.ts';

/** As the kernel's own limit (path_resolution(7)). */
const LINKS_MAX = 40;
/** Opens a directory only to name it; needs no permission to read it. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
const SLASH = '/';

/**
 * A directory held by a descriptor and the last component of a name in it: `/proc/self/fd/N/last` is what openat(2) is
 * elsewhere. Whatever is renamed meanwhile, the directory is the one that was checked. Close `fd` afterwards.
 */
export interface Place {
  readonly fd: number;
  readonly path: Buffer;
}

export class Root {
  /** Absolute, without links. */
  readonly path: string;
  readonly #device: number | undefined;

  /** Throws when the directory does not exist. */
  constructor(directory: string) {
    // every byte of a name is one character here
    this.path = realpathSync(Buffer.from(directory), { encoding: 'buffer' }).toString('latin1');
    this.#device = procDevice();
  }

  /**
   * The place of `name`, a relative name that stays inside. `followLast`: where the last component is a link, the place
   * of what it points to. Open it with O_NOFOLLOW: a link that appears there later is not followed.
   */
  *locate(name: string, followLast: boolean, action: string): Steps<Place> {
    let wanted = this.#inside(name, action);
    for (let links = 0; links < LINKS_MAX; links++) {
      const place = yield* this.#place(splitPath(wanted, followLast), action);
      if (!followLast) return place;
      let target: string | undefined;
      try {
        target = yield* linkTarget(place.path);
      } catch (thrown) {
        closeSync(place.fd);
        throw thrown;
      }
      if (target === undefined) return place;
      const directory = readlinkSync(`/proc/self/fd/${place.fd}`, { encoding: 'buffer' }).toString('latin1');
      closeSync(place.fd);
      wanted = target.startsWith(SLASH) ? target : `${directory}/${target}`;
      // the root itself: its parent need not be looked at
      if (wanted === this.path) wanted += '/.';
    }
    throw new FileError(action, errnoOf('ELOOP'));
  }

  /** True when the absolute path without links lies inside. */
  contains(path: string): boolean {
    return this.path === SLASH || path === this.path || path.startsWith(this.path + SLASH);
  }

  /** Checks what can be seen from the name alone, and makes it absolute. */
  #inside(name: string, action: string): string {
    if (name.startsWith(SLASH)) throw outside(action, 'absolute names are not allowed under a root');
    let depth = 0;
    for (const part of name.split(SLASH)) {
      if (part === '..') depth -= 1;
      else if (part !== '' && part !== '.') depth += 1;
      if (depth < 0) throw outside(action, 'the name leads out of the root');
    }
    if (name === '') throw new FileError(action, errnoOf('ENOENT'));
    return this.path === SLASH ? `/${name}` : `${this.path}/${name}`;
  }

  /** Opens the directory, following links, and checks where that led. */
  *#place({ directory, last }: SplitPath, action: string): Steps<Place> {
    let fd: number;
    try {
      fd = yield* open(Buffer.from(directory, 'latin1'), O_PATH | constants.O_DIRECTORY);
    } catch (thrown) {
      // what is missing outside must not show: the nearest directory that is there has to be inside
      if (directory !== this.path && directory !== SLASH) {
        closeSync((yield* this.#place(splitPath(directory, false), action)).fd);
      }
      throw thrown;
    }
    try {
      const actual = readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }).toString('latin1');
      if (!this.contains(actual)) throw outside(action, 'a link leads out of the root');
      if (fstatSync(fd).dev === this.#device) throw outside(action, '/proc is not reached under a root');
    } catch (thrown) {
      closeSync(fd);
      throw thrown;
    }
    return { fd, path: Buffer.from(`/proc/self/fd/${fd}/${last}`, 'latin1') };
  }
}

interface SplitPath {
  readonly directory: string;
  readonly last: string;
}

/**
 * `a/..` and `a/.` have to be opened as directories themselves, and so has `a/b/` where links are followed (the kernel
 * follows a link before a slash even with O_NOFOLLOW).
 */
function splitPath(path: string, followLast: boolean): SplitPath {
  const trimmed = path.replace(/\/+$/, '');
  const at = trimmed.lastIndexOf(SLASH);
  const last = trimmed.slice(at + 1);
  const endsInSlash = trimmed.length < path.length;
  if (last === '' || last === '.' || last === '..' || (endsInSlash && followLast)) {
    return { directory: path, last: '.' };
  }
  return { directory: at <= 0 ? SLASH : trimmed.slice(0, at), last: endsInSlash ? last + SLASH : last };
}

/** Undefined when the path is no link, or not there. */
function* linkTarget(path: Buffer): Steps<string | undefined> {
  try {
    return (yield* readLink(path)).toString('latin1');
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'EINVAL' || code === 'ENOENT') return undefined;
    throw thrown;
  }
}

function outside(action: string, why: string): FileError {
  return new FileError(action, errnoOf('EACCES'), why);
}

function procDevice(): number | undefined {
  try {
    return statSync('/proc').dev;
  } catch {
    // no /proc, nothing to guard
    return undefined;
  }
}
