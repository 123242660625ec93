/** The error of the file layer: a GatewayError with the number and text of C, of which Lua makes `nil, message, number`. */
import type { LuaCode } from '../base/error-codes.ts';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { errnoOf, strerror } from './strerror.ts';

/** Lua returns `nil, name .. ": " .. error.text, error.errno` for such an error. */
export class FileError extends GatewayError {
  /** POSIX error number, e.g. 2. */
  readonly errno: number;
  /** The text that follows the name in messages of Lua: "No such file or directory". */
  readonly text: string;

  /** `action` begins the message: `Cannot open "x.txt"`; `text` replaces that of strerror where another says more. */
  constructor(action: string, errno: number, text: string = strerror(errno), cause?: unknown) {
    super('LGW_FILE', `${action}: ${text}`, { luaCode: luaCodeOf(errno), cause });
    this.errno = errno;
    this.text = text;
  }
}

/** Returns the FileError for a value that node:fs or node:child_process has thrown or passed to a callback. */
export function fileErrorOf(action: string, thrown: unknown): FileError {
  if (thrown instanceof FileError) return thrown;
  const name = systemCodeOf(thrown);
  if (name === undefined) return new FileError(action, errnoOf('EIO'), messageOf(thrown), thrown);
  // Node's own checks of arguments have codes like ERR_INVALID_ARG_VALUE
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

/** Returns the start of a message, as `Cannot open "x.txt"`: the name is quoted and its control characters escaped. */
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
