/** Mounts a folder whose files fail as their names say (faulty-disk-server.ts), which needs /dev/fuse and root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { atEndOfFile } from './leftovers.ts';

const SERVER = fileURLToPath(new URL('faulty-disk-server.js', import.meta.url));

const mounted = new Set<FaultyDisk>();
// those of tests that have failed
atEndOfFile(() => Promise.all([...mounted].map((disk) => disk.remove())));

export class FaultyDisk {
  readonly folder: string;
  readonly #server: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(folder: string, server: ChildProcess) {
    this.folder = folder;
    this.#server = server;
    this.#ended = once(server, 'exit');
    mounted.add(this);
  }

  /** Mounts it at a folder, which is made. */
  static async mount(folder: string): Promise<FaultyDisk> {
    if (!existsSync('/dev/fuse') || process.getuid?.() !== 0)
      throw new Error('A faulty disk needs /dev/fuse, and the rights of root to mount it');
    mkdirSync(folder, { recursive: true });
    const server = spawn(process.execPath, [SERVER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    const disk = new FaultyDisk(folder, server);
    const [outcome] = await Promise.race([
      once(server.stdout, 'data') as Promise<[Buffer]>,
      once(server, 'exit') as Promise<[number]>,
    ]);
    if (!(outcome instanceof Buffer)) throw new Error('The faulty disk cannot be mounted');
    return disk;
  }

  /** The disk is gone: what hangs ends with an error. */
  async remove(): Promise<void> {
    if (!mounted.delete(this)) return;
    this.#server.kill('SIGKILL');
    await this.#ended;
    execFileSync('umount', ['--lazy', this.folder]);
  }
}
