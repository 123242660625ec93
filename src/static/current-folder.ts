/** Where the folder of a mapping is now: it may be a link that a deployment turns to another folder. */
import { type FileError, isAbsence } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import type { Folder } from '../file/folder.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { Share } from '../mapping/shares.ts';
import { isHidden } from './static-path.ts';

type FolderDone = (error: FileError | undefined, folder: Folder | undefined) => void;

export class CurrentFolder {
  /** Name of the folder, a byte string. */
  readonly name: string;
  readonly #fileSystem: FileSystem;
  readonly #share: Share;
  readonly #onLost: (error: FileError) => void;
  #folder: Folder | undefined;
  #foundAt = Number.NEGATIVE_INFINITY;
  /** Those who wait for the look that is under way; undefined: none is. */
  #waiting: FolderDone[] | undefined;

  /** `onLost` is called when it is not there any more, once until it is there again. */
  constructor(name: string, fileSystem: FileSystem, share: Share, onLost: (error: FileError) => void) {
    this.name = name;
    this.#fileSystem = fileSystem;
    this.#share = share;
    this.#onLost = onLost;
  }

  /** The folder as it was at `notBefore` (performance.now()) or later. The same object as before where it has not moved. */
  find(notBefore: number, done: FolderDone): void {
    if (this.#folder !== undefined && this.#foundAt >= notBefore) {
      done(undefined, this.#folder);
      return;
    }
    if (this.#waiting !== undefined) {
      this.#waiting.push(done);
      return;
    }
    this.#waiting = [done];
    const startedAt = performance.now();
    this.#fileSystem.findFolder(
      this.name,
      isSeen,
      (error, folder) => {
        if (error !== undefined && isAbsence(error) && this.#folder !== undefined) this.#onLost(error);
        if (folder?.path !== this.#folder?.path) this.#folder = folder;
        this.#foundAt = startedAt;
        const waiting = this.#waiting ?? [];
        this.#waiting = undefined;
        for (const each of waiting) each(error, this.#folder);
      },
      new OperationOwner(this.#share),
    );
  }
}

function isSeen(name: string): boolean {
  return !isHidden(name);
}
