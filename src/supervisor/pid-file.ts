/** The pid file: written when the port is bound, refused while another live process holds it, taken over at an upgrade, removed at the end. */
import { accessSync, constants, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';

/** Bytes of a pid file; a larger file is none. */
const PID_MAX = 2 ** 31 - 1;

export class PidFile {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Creates the file with this process's id. Errors: LGW_PID_FILE. */
  static write(path: string): PidFile {
    if (!create(path)) {
      const holder = readPid(path);
      if (holder !== undefined && holder !== process.pid && isAlive(holder)) {
        throw new GatewayError(
          'LGW_PID_FILE',
          `The pid file "${path}" belongs to the running process ${holder}`,
        );
      }
      // left behind by a process that was killed
      rmSync(path, { force: true });
      if (!create(path)) throw new GatewayError('LGW_PID_FILE', `The pid file "${path}" was taken just now`);
    }
    return new PidFile(path);
  }

  /** Why a successor could not put its id into the file, as the end of a sentence; undefined when it can. */
  static whyNotReplaceable(path: string, predecessor: number): string | undefined {
    const holder = readPid(path);
    if (holder !== undefined && holder !== predecessor && holder !== process.pid && isAlive(holder))
      return `belongs to the running process ${holder}`;
    try {
      accessSync(dirname(path), constants.W_OK);
      return undefined;
    } catch {
      return 'lies in a folder that this user may not write to';
    }
  }

  /** Puts this process's id in the place of the predecessor's: readers see the one or the other. Errors: LGW_PID_FILE. */
  static replace(path: string): PidFile {
    const temporary = `${path}.${process.pid}`;
    try {
      rmSync(temporary, { force: true });
      writeFileSync(temporary, `${process.pid}\n`, { flag: 'wx', mode: 0o644 });
      renameSync(temporary, path);
      return new PidFile(path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw new GatewayError('LGW_PID_FILE', `Cannot write the pid file "${path}": ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Removes the file if it still names this process. */
  remove(): void {
    if (readPid(this.#path) !== process.pid) return;
    try {
      rmSync(this.#path, { force: true });
    } catch (error) {
      // after `-u` the folder may be out of reach; the stale file is recognised at the next start
      if (systemCodeOf(error) !== 'EACCES' && systemCodeOf(error) !== 'EPERM') throw error;
    }
  }
}

/** False when there is such a file already. */
function create(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: 'wx', mode: 0o644 });
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw new GatewayError('LGW_PID_FILE', `Cannot write the pid file "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The id in a pid file; undefined: there is none. */
export function readPid(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
  const pid = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  return pid > 0 && pid <= PID_MAX ? pid : undefined;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // the process exists, and belongs to another user
    return systemCodeOf(error) === 'EPERM';
  }
}
