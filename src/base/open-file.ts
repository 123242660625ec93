/** Opens files by name: as this user may, or else by the opener, which holds root's right to files named at the start (`-u`). */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { systemCodeOf } from './errors.ts';

/** `append`: the file is made where there is none. */
export type OpenKind = 'read' | 'append';

/** What changes when another file gets the name, or the file another content. */
export interface FileFacts {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** Opens some files with rights that this process does not have. */
export interface FileOpener {
  /** A descriptor, which the caller closes. Throws RefusedOpenError. */
  open(path: string, kind: OpenKind): number;
  /** Throws RefusedOpenError. */
  look(path: string): FileFacts;
}

/** The opener has not opened a file, and its message says why. `code` is that of the system: EACCES where the opener itself refuses, or is gone. */
export class RefusedOpenError extends Error {
  override readonly name = 'RefusedOpenError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Log files are for the owner and the group. */
export const LOG_FILE_MODE = 0o640;
/** A named pipe without a reader is an error, and a full one makes nobody wait. */
export const APPEND_FLAGS: number =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

/** One for the process, as its user is. */
let opener: FileOpener | undefined;

/** From now on `used` opens what this user may not; undefined: nobody does. */
export function useFileOpener(used: FileOpener | undefined): void {
  opener = used;
}

/** A descriptor, which the caller closes. Throws the system's error, or RefusedOpenError where an opener was asked. */
export function openFile(path: string, kind: OpenKind): number {
  try {
    return kind === 'read' ? openSync(path, 'r') : openSync(path, APPEND_FLAGS, LOG_FILE_MODE);
  } catch (error) {
    if (opener === undefined || systemCodeOf(error) !== 'EACCES') throw error;
    return opener.open(path, kind);
  }
}

/** The bytes of a file, one character each. Throws as `openFile`. */
export function readWholeFile(path: string): string {
  const descriptor = openFile(path, 'read');
  try {
    return readFileSync(descriptor, 'latin1');
  } finally {
    closeSync(descriptor);
  }
}

/** Rejects with the system's error, or RefusedOpenError. */
export async function lookAtFile(path: string): Promise<FileFacts> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (opener === undefined || systemCodeOf(error) !== 'EACCES') throw error;
    return opener.look(path);
  }
}
