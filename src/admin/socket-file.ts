/**
 * The file of a unix socket. The socket is bound under another name and then shown under its own, so that a process can put its socket in the
 * place of another's: whoever connects reaches the one or the other. Node removes only the name that was bound.
 */
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { systemCodeOf } from '../base/errors.ts';

/** A socket of this machine answers at once, or its queue is full and somebody lives. */
const ANSWER_MAX_MS = 1000;
/** Bytes of a name: sun_path of unix(7), with the NUL at its end. */
const NAME_BYTES_MAX = 107;

export class SocketFile {
  /** The name to bind. */
  readonly bindPath: string;
  readonly #path: string;
  readonly #replaces: boolean;
  /** Its number in its file system, once it is shown. */
  #inode: number | undefined;

  private constructor(path: string, replaces: boolean) {
    const other = `${path}.${process.pid}`;
    this.#path = path;
    this.#replaces = replaces;
    // where the other name is too long it is bound at its own, in the place of what is there
    this.bindPath = Buffer.byteLength(other) > NAME_BYTES_MAX ? path : other;
  }

  /** `replaces`: a socket that somebody listens on gives way, too. Others do so where nobody does. */
  static async make(path: string, replaces: boolean): Promise<SocketFile> {
    const file = new SocketFile(path, replaces);
    if (!replaces) await removeStaleSocket(path);
    if (replaces || file.bindPath !== path) removeSocket(file.bindPath);
    return file;
  }

  /** The socket listens. Throws where its name is taken. */
  show(): void {
    if (this.bindPath !== this.#path) {
      if (this.#replaces && isSocket(this.#path)) renameSync(this.bindPath, this.#path);
      else this.#showAlone();
    }
    this.#inode = lstatSync(this.#path).ino;
  }

  #showAlone(): void {
    try {
      // unlike a rename it takes nobody's place
      linkSync(this.bindPath, this.#path);
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') throw new Error(`address already in use: ${this.#path}`);
      // a file system without links
      renameSync(this.bindPath, this.#path);
    }
    rmSync(this.bindPath, { force: true });
  }

  /** Shown, and then replaced or removed by somebody else. */
  get isReplaced(): boolean {
    return this.#inode !== undefined && inodeOf(this.#path) !== this.#inode;
  }

  /** Removes it, unless it is somebody else's now. */
  remove(): void {
    if (this.#inode === undefined || this.isReplaced) return;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // after `-u` the folder may be out of reach; the next start finds that nobody listens
    }
  }
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

function removeSocket(path: string): void {
  if (isSocket(path)) rmSync(path, { force: true });
}

/** Removes the file where it is a socket whose listener has gone, killed before it could; leaves whatever else is there. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() === true && !(await isListenedOn(path))) rmSync(path, { force: true });
}

function isListenedOn(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: ANSWER_MAX_MS });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED'));
  });
}
