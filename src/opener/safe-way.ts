/** Whether a user could make a name lead to another file than root meant: the opener would open that as root. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemCodeOf } from '../base/errors.ts';

/** Links on the way; Linux follows as many. */
const LINKS_MAX = 40;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Follows an absolute name as the system does. Returns the folder that user `uid` may change, or may by a group or an access list: in such a
 * folder it could put a link. Undefined: there is none, and then nobody without rights can change the way between this look and an open.
 * Throws the system's error where the way ends early.
 */
export function changeableFolder(path: string, uid: number): string | undefined {
  let left = segmentsOf(path);
  let folder = '/';
  let links = 0;
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    const at = resolve(folder, name);
    const entry = lookIfThere(at);
    if (isChangeable(lstatSync(folder), entry, uid)) return folder;
    // the file is to be made, or the open says that it is not there
    if (entry === undefined) return undefined;
    if (!entry.isSymbolicLink()) {
      folder = at;
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw Object.assign(new Error('Too many links'), { code: 'ELOOP' });
    const target = readlinkSync(at);
    left = [...segmentsOf(target), ...left];
    folder = target.startsWith('/') ? '/' : dirname(at);
  }
  return undefined;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** In a sticky folder nobody but its owner moves what others own; and what looks like theirs may be a second name of it, but for folders. */
function isChangeable(folder: Stats, entry: Stats | undefined, uid: number): boolean {
  if (folder.uid === uid) return true;
  if ((folder.mode & WRITABLE_BY_OTHERS) === 0) return false;
  const isSticky = (folder.mode & STICKY) !== 0;
  return !isSticky || entry?.isDirectory() !== true || entry.uid === uid;
}

function lookIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
