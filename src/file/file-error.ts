/** The error of the file layer: a GatewayError that keeps C's number and text, so that Lua can return its triple. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { errnoOf, strerror } from './strerror.ts';

/** `nil, name .. ": " .. error.text, error.errno` is what C's library and Lua say. */
export class FileError extends GatewayError {
  /** POSIX error number, e.g. 2. */
  readonly errno: number;
  /** What stands behind the name: "No such file or directory". */
  readonly text: string;

  /** `action` is the sentence's start, `Cannot open "x.txt"`; `text` when it says more than strerror does. */
  constructor(action: string, errno: number, text: string = strerror(errno), cause?: unknown) {
    super('LGW_FILE', `${action}: ${text}`, { luaCode: luaCodeOf(errno), cause });
    this.errno = errno;
    this.text = text;
  }
}

/** The FileError for what a function of node:fs or child_process threw or passed to its callback. */
export function fileErrorOf(action: string, thrown: unknown): FileError {
  if (thrown instanceof FileError) return thrown;
  const name = systemCodeOf(thrown);
  if (name === undefined) return new FileError(action, errnoOf('EIO'), messageOf(thrown), thrown);
  // node's own argument checks have codes like ERR_INVALID_ARG_VALUE
  if (name.startsWith('ERR_')) return new FileError(action, errnoOf('EINVAL'), undefined, thrown);
  return new FileError(action, errnoOf(name), undefined, thrown);
}

/**
 * True for what the name is to blame for: nothing is there, nobody may see it, or it is of a kind that cannot be opened. All else is
 * what the machine lacks or fails in.
 */
export function isAbsence({ errno }: FileError): boolean {
  return ABSENCES.has(errno);
}

const ABSENCES: ReadonlySet<number> = new Set(
  [
    'ENOENT',
    'ENOTDIR',
    'EACCES',
    'EPERM',
    'ELOOP',
    'ENAMETOOLONG',
    'EISDIR',
    'EINVAL',
    'ENXIO',
    'ENODEV',
  ].map(errnoOf),
);

/** `Cannot open "x.txt"`: the start of a message, with the name quoted and its control characters escaped. */
export function describeAction(verb: string, name: string): string {
  return `Cannot ${verb} ${JSON.stringify(name)}`;
}

function luaCodeOf(errno: number): LuaCode {
  switch (errno) {
    case errnoOf('ENOENT'):
    case errnoOf('ENOTDIR'):
      return 'notfound';
    case errnoOf('EACCES'):
    case errnoOf('EPERM'):
      return 'denied';
    case errnoOf('EMFILE'):
    case errnoOf('ENFILE'):
    case errnoOf('EAGAIN'):
      return 'limit';
    case errnoOf('EINVAL'):
    case errnoOf('EISDIR'):
    case errnoOf('ENAMETOOLONG'):
      return 'invalid';
    case errnoOf('EBADF'):
      return 'closed';
    case errnoOf('ETIMEDOUT'):
      return 'timeout';
    default:
      return 'io';
  }
}
