/** The mode strings of C's fopen(3), and the flags they stand for. */
import { constants } from 'node:fs';

export interface OpenMode {
  readonly readable: boolean;
  readonly writable: boolean;
  /** Every write goes to the end, wherever the position is. */
  readonly append: boolean;
  /** The file is emptied when it is opened. */
  readonly truncate: boolean;
  /** The file is made when it does not exist. */
  readonly create: boolean;
}

const MODE = /^([rwa])(b?\+?|\+b)$/;

/** Parses `r`, `w` or `a`, each with `+` and `b` in any order; undefined for anything else. */
export function parseMode(mode: string): OpenMode | undefined {
  const match = MODE.exec(mode);
  if (match === null) return undefined;
  const letter = match[1];
  const update = mode.includes('+');
  return {
    readable: letter === 'r' || update,
    writable: letter !== 'r' || update,
    append: letter === 'a',
    truncate: letter === 'w',
    create: letter !== 'r',
  };
}

/** Returns the flags of open(2) for a mode. */
export function flagsOf(mode: OpenMode): number {
  let flags = mode.readable ? (mode.writable ? constants.O_RDWR : constants.O_RDONLY) : constants.O_WRONLY;
  if (mode.append) flags |= constants.O_APPEND;
  if (mode.create) flags |= constants.O_CREAT;
  if (mode.truncate) flags |= constants.O_TRUNC;
  return flags;
}
