/** In the place of FileSteps where no file may be opened, made or looked at: every operation is refused before a system call. */
import { FileError } from './file-error.ts';
import type { FileSteps } from './file-steps.ts';
import { errnoOf } from './strerror.ts';
import type { Steps } from './system-call.ts';

/** What a file system does by steps. */
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
  // biome-ignore lint/correctness/useYield: a refusal, as a step that fails
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
