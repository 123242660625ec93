/** The virtual root: resolves names so that nothing outside of one directory is opened, made, renamed or removed. */
import { closeSync, constants, fstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { FileError } from './file-error.ts';
import { errnoOf } from './strerror.ts';
import { open, readLink, type Steps } from './system-call.ts';

/** As the kernel's own limit (path_resolution(7)). */
const LINKS_MAX = 40;
/** Opens a directory only to name it; needs no permission to read it. Linux, asm-generic/fcntl.h. */
const O_PATH = 0o10000000;
/** PATH_MAX of linux/limits.h (bytes, with the NUL). */
const NAME_BYTES_MAX = 4096;
const SLASH = '/';

/**
 * A directory held by a descriptor, and the last component of a name in it. `/proc/self/fd/N/last` does what openat(2) does
 * elsewhere: it names the directory that was checked, also when a directory is renamed meanwhile.
 */
interface Place {
  readonly fd: number;
  readonly path: Buffer;
}

function findDirectory(name: string): Buffer {
  let reason = 'it is not a directory';
  try {
    const real = realpathSync(Buffer.from(name), { encoding: 'buffer' });
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    reason = messageOf(error);
  }
  throw new GatewayError('LGW_ROOT', `Cannot use ${JSON.stringify(name)} as a virtual root: ${reason}`);
}

export class Root {
  /** Absolute, without links. */
  readonly path: string;
  readonly #device: number | undefined;

  /** A Buffer is an absolute path without links already. Errors: LGW_ROOT when the directory cannot be used. */
  constructor(directory: string | Buffer) {
    const real = typeof directory === 'string' ? findDirectory(directory) : directory;
    // each byte of a name is one character of these strings
    this.path = real.toString('latin1');
    this.#device = procDevice();
  }

  /**
   * Runs `use` with a path of `name`, which stays inside and where an absolute one begins at the root. With `followLast`, `use` has to fail with ELOOP
   * where the path is a link (O_NOFOLLOW); it is then run again with a path of what the link points to.
   */
  *within<Result>(
    name: string,
    followLast: boolean,
    action: string,
    use: (path: Buffer) => Steps<Result>,
  ): Steps<Result> {
    return yield* this.#follow(this.#inside(name, action), followLast, action, { followed: 0 }, use);
  }

  *#follow<Result>(
    path: string,
    followLast: boolean,
    action: string,
    links: Links,
    use: (path: Buffer) => Steps<Result>,
  ): Steps<Result> {
    let wanted = path;
    for (;;) {
      const place = yield* this.#place(splitPath(wanted, followLast), action, links);
      try {
        return yield* use(place.path);
      } catch (thrown) {
        if (!followLast || systemCodeOf(thrown) !== 'ELOOP') throw thrown;
        links.followed += 1;
        if (links.followed > LINKS_MAX) throw new FileError(action, errnoOf('ELOOP'));
        const target = (yield* readLink(place.path)).toString('latin1');
        wanted = target.startsWith(SLASH) ? target : `${directoryOf(place.fd)}/${target}`;
        // the root itself, whose parent must not be opened
        if (wanted === this.path) wanted += '/.';
      } finally {
        closeSync(place.fd);
      }
    }
  }

  /** True when the absolute path, which has no links, lies inside the root. */
  contains(path: string): boolean {
    return this.path === SLASH || path === this.path || path.startsWith(this.path + SLASH);
  }

  /** Checks what the name alone shows, and makes the name absolute. */
  #inside(name: string, action: string): string {
    // an absolute name begins at the root, as it would after chroot(2)
    const relative = name.startsWith(SLASH) ? name.replace(/^\/+/, '') || '.' : name;
    let depth = 0;
    for (const part of name.split(SLASH)) {
      if (part === '..') depth -= 1;
      else if (part !== '' && part !== '.') depth += 1;
      if (depth < 0) throw outside(action, 'the name leads out of the root');
    }
    if (name === '') throw new FileError(action, errnoOf('ENOENT'));
    if (name.length >= NAME_BYTES_MAX) throw new FileError(action, errnoOf('ENAMETOOLONG'));
    return this.path === SLASH ? `/${relative}` : `${this.path}/${relative}`;
  }

  /** Opens the directory, following links, and checks where that led. */
  *#place({ directory, last }: SplitPath, action: string, links: Links): Steps<Place> {
    let fd: number;
    try {
      fd = yield* open(Buffer.from(directory, 'latin1'), O_PATH | constants.O_DIRECTORY);
    } catch (thrown) {
      // a script must not find out what exists outside: the nearest directory that exists has to be inside
      const above = withoutDots(directory);
      if (above.length > this.path.length) yield* this.#follow(above, true, action, links, openedAsPath);
      throw thrown;
    }
    try {
      if (!this.contains(directoryOf(fd))) throw outside(action, 'a link leads out of the root');
      if (fstatSync(fd).dev === this.#device) throw outside(action, '/proc is not reached under a root');
    } catch (thrown) {
      closeSync(fd);
      throw thrown;
    }
    return { fd, path: Buffer.from(`/proc/self/fd/${fd}/${last}`, 'latin1') };
  }
}

/** Counts the links of one name, so that links which lead to each other are not followed for ever. */
interface Links {
  followed: number;
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

/** `a/b/`, `a/b/.` and `a/b/..` become `a/b`. */
function withoutDots(path: string): string {
  let end = path.length;
  for (;;) {
    if (path.endsWith('/', end)) end -= 1;
    else if (path.endsWith('/.', end)) end -= 2;
    else break;
  }
  return path.endsWith('/..', end) ? withoutDots(path.slice(0, end - 3)) : path.slice(0, end);
}

/** Opens and closes what a path names; fails with ELOOP for a link. */
function* openedAsPath(path: Buffer): Steps<void> {
  const fd = yield* open(path, O_PATH | constants.O_NOFOLLOW);
  const isLink = fstatSync(fd).isSymbolicLink();
  closeSync(fd);
  if (isLink) throw linkFound();
}

/** What open(2) with O_NOFOLLOW says of a link, which O_PATH opens. */
export function linkFound(): Error {
  return Object.assign(new Error('The name is a link'), { code: 'ELOOP' });
}

/** Returns the present path of a directory, without links. */
function directoryOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }).toString('latin1');
}

function outside(action: string, why: string): FileError {
  return new FileError(action, errnoOf('EACCES'), why);
}

/** Asked for once: a root is made for each file that is opened below a folder. */
let knownDevice: number | undefined;

/** The device of /proc, where there is one. */
export function procDevice(): number | undefined {
  try {
    knownDevice ??= statSync('/proc').dev;
  } catch {
    // without /proc there is nothing to protect
  }
  return knownDevice;
}
