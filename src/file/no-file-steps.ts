/** Stands in for FileSteps where a script may use no files: refuses every operation before a system call. */
import { FileError } from './file-error.ts';
import type { FileSteps } from './file-steps.ts';
import { errnoOf } from './strerror.ts';
import type { Steps } from './system-call.ts';

/** The operations of a file system that consist of steps. */
export type FileOperations = Pick<
  FileSteps,
  | 'list'
  | 'lstat'
  | 'makeDirectory'
  | 'makeTemporary'
  | 'open'
  | 'openBelow'
  | 'openTemporary'
  | 'remove'
  | 'rename'
  | 'stat'
  | 'touch'
>;

/** `why` completes messages: `Cannot open "x.txt": …`. */
export function noFileSteps(why: string): FileOperations {
  // biome-ignore lint/correctness/useYield: a refusal is a step that fails
  const refuse = function* (action: string): Steps<never> {
    throw new FileError(action, errnoOf('EACCES'), why);
  };
  return {
    open: (_name, _mode, action) => refuse(action),
    openBelow: (_directory, _name, _mode, action) => refuse(action),
    openTemporary: refuse,
    makeTemporary: refuse,
    remove: (_name, action) => refuse(action),
    rename: (_from, _to, action) => refuse(action),
    stat: (_name, action) => refuse(action),
    lstat: (_name, action) => refuse(action),
    list: (_name, action) => refuse(action),
    makeDirectory: (_name, action) => refuse(action),
    touch: (_name, _accessed, _modified, action) => refuse(action),
  };
}
