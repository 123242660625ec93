/** What a path below a static mapping may name, and the address of a folder. */

import { percentEncodeByte } from '../http/semantics/path.ts';

/** The one folder with a dot that is meant to be seen (RFC 8615); it stands at the top. */
const WELL_KNOWN = '.well-known';

/**
 * True for a path, from the mapping's own `/` on, that no client is given: with a name that begins with a dot, which `..` does, too,
 * or with an empty one, so that a file has one address.
 */
export function isHidden(path: string): boolean {
  const names = path.split('/');
  for (let i = 1; i < names.length; i++) {
    const name = names[i] as string;
    if (name === '' && i < names.length - 1) return true;
    if (name.startsWith('.') && !(i === 1 && name === WELL_KNOWN)) return true;
  }
  return false;
}

/** A path of bytes as it stands in an address; all but the plainest characters are encoded. */
export function encodePath(path: string): string {
  return path.replace(/[^\w\-.~/]/g, percentEncodeByte);
}

/**
 * The address of a folder whose decoded path lacks the `/` at its end. The path begins with one `/` and is written anew: a backslash,
 * which browsers take for a slash, is encoded, so that no other host can be meant.
 */
export function folderLocation(path: string, query: string | undefined): string {
  const encoded = encodePath(path);
  return query === undefined
    ? `${encoded}/`
    : `${encoded}/?${query.replace(/[^\x21-\x7e]/g, percentEncodeByte)}`;
}
