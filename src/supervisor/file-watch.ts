/** Notices that files have changed: by events of their folders, and by looking again and again where there are none. */
import { type FSWatcher, watch } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { lookAt, type Sight, WATCH_BOUNDS, type WatchBounds, type WatchTargets } from './watched-files.ts';

export interface WatchTimes {
  /** So long nothing may happen before a look: a burst of changes is one. */
  readonly quietMs: number;
  /** After so long a look comes though changes go on. */
  readonly quietMaxMs: number;
  /** Between two looks where there are no events. */
  readonly pollMs: number;
}

const TIMES: WatchTimes = { quietMs: 100, quietMaxMs: 1000, pollMs: 1000 };

export interface FileWatchOptions {
  /** What is to be watched; asked before each look. */
  readonly targets: () => WatchTargets;
  /** Hears of files that have changed, come or gone, one call after the other. Must not reject. */
  readonly changed: (files: readonly string[]) => Promise<unknown>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly times?: Partial<WatchTimes>;
  readonly bounds?: WatchBounds;
  /** Default: node:fs. */
  readonly watchFolder?: (
    folder: string,
    listener: (event: string, name: string | null) => void,
  ) => FSWatcher;
  /** True where changes of other machines come without an event; default: by the kind of file system. */
  readonly isRemote?: (folder: string) => Promise<boolean>;
}

interface OpenWatch {
  readonly watcher: FSWatcher;
  /** Another folder may have the name later. */
  readonly folder: string;
}

export class FileWatch {
  readonly #options: FileWatchOptions;
  readonly #times: WatchTimes;
  /** By the name of the folder; at most `bounds.foldersMax`. */
  readonly #watches = new Map<string, OpenWatch>();
  #known: Sight | undefined;
  #knownTargets = '';
  #timer: NodeJS.Timeout | undefined;
  #noticedAt: number | undefined;
  /** A look or the call of `changed` runs. */
  #isBusy = false;
  /** Something has happened meanwhile. */
  #isDue = false;
  #isClosed = false;
  #pollsAlways = false;
  #warnedOf: string | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
  }

  /** Changes after this call are noticed. Never rejects. */
  async start(): Promise<void> {
    this.#isBusy = true;
    await this.#look();
    const { files, folders } = this.#known ?? { files: new Map(), folders: new Map() };
    this.#options.logger.info(
      `Watching ${count(files.size, 'file')} in ${count(folders.size, 'folder')}: a change reloads`,
    );
    this.#goOn();
  }

  /** The targets may be others now. */
  renew(): void {
    this.#notice();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#closeWatches();
  }

  #notice(): void {
    if (this.#isClosed) return;
    if (this.#isBusy) {
      this.#isDue = true;
      return;
    }
    const now = performance.now();
    this.#noticedAt ??= now;
    const { quietMs, quietMaxMs } = this.#times;
    this.#checkIn(Math.max(0, Math.min(quietMs, this.#noticedAt + quietMaxMs - now)));
  }

  #checkIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#check(), ms);
  }

  async #check(): Promise<void> {
    this.#noticedAt = undefined;
    this.#isBusy = true;
    const changed = await this.#look();
    if (changed.length > 0 && !this.#isClosed) {
      await this.#options.changed(changed);
      // what has changed since the look, and what is watched now
      this.#isDue = true;
    }
    this.#goOn();
  }

  #goOn(): void {
    this.#isBusy = false;
    if (this.#isClosed) return;
    if (this.#isDue) {
      this.#isDue = false;
      this.#notice();
    } else if (this.#pollsAlways || this.#known?.lacksFolder === true) this.#checkIn(this.#times.pollMs);
  }

  /** The names of files that are not as at the last look. Where the targets are others, files that only the new or the old ones have do not count. */
  async #look(): Promise<string[]> {
    const { targets, bounds = WATCH_BOUNDS } = this.#options;
    const wanted = targets();
    let now = await lookAt(wanted, bounds);
    // what has changed before a watch was open had no event
    if (await this.#openWatches(now)) now = await lookAt(wanted, bounds);
    this.#warn(now.leftOut && `Not all files are watched: ${now.leftOut}`);
    const before = this.#known?.files;
    const text = JSON.stringify(wanted);
    const isSame = text === this.#knownTargets;
    this.#known = now;
    this.#knownTargets = text;
    if (before === undefined) return [];
    const names = new Set([...before.keys(), ...now.files.keys()]);
    return [...names].filter((name) => {
      const [old, fresh] = [before.get(name), now.files.get(name)];
      return old !== fresh && (isSame || (old !== undefined && fresh !== undefined));
    });
  }

  /** True when one was opened. */
  async #openWatches({ folders }: Sight): Promise<boolean> {
    for (const [name, { watcher, folder }] of this.#watches) {
      if (folders.get(name) === folder) continue;
      this.#watches.delete(name);
      watcher.close();
    }
    let opened = false;
    for (const [name, folder] of folders) {
      if (this.#pollsAlways || this.#isClosed) return false;
      if (this.#watches.has(name)) continue;
      if (await (this.#options.isRemote ?? isRemote)(name))
        this.#pollFromNowOn(`"${name}" is on a disk that may change without an event`);
      else opened = this.#open(name, folder) || opened;
    }
    return opened && !this.#pollsAlways;
  }

  #open(name: string, folder: string): boolean {
    if (this.#isClosed) return false;
    const listener = (event: string, inner: string | null): void => {
      // the content of a file that is none of ours; a new name may be a new folder
      const isForeign = event === 'change' && inner !== null && !this.#known?.files.has(join(name, inner));
      if (this.#isBusy || !isForeign) this.#notice();
    };
    try {
      const watcher = (this.#options.watchFolder ?? watch)(name, listener);
      watcher.on('error', (error) => {
        if (this.#watches.get(name)?.watcher === watcher) this.#pollFromNowOn(messageOf(error));
        this.#notice();
      });
      this.#watches.set(name, { watcher, folder });
      return true;
    } catch (error) {
      // where the folder has just gone, the next look says so
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') this.#isDue = true;
      else this.#pollFromNowOn(messageOf(error));
      return false;
    }
  }

  /** Whoever calls it sees to the next look. */
  #pollFromNowOn(reason: string): void {
    if (this.#pollsAlways) return;
    this.#pollsAlways = true;
    this.#closeWatches();
    this.#options.logger.warn(
      `Folders cannot be watched (${reason}): all files are looked at every ${this.#times.pollMs} ms`,
    );
  }

  #closeWatches(): void {
    for (const { watcher } of this.#watches.values()) watcher.close();
    this.#watches.clear();
  }

  /** Once for each text. */
  #warn(text: string | undefined): void {
    if (text !== undefined && text !== this.#warnedOf) this.#options.logger.warn(text);
    this.#warnedOf = text;
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** The numbers of Linux (statfs(2)) for NFS, SMB (three), FUSE, 9P, AFS, Ceph and shared folders of VirtualBox. */
const REMOTE_TYPES: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x65735546, 0x01021997, 0x5346414f, 0x00c36400, 0x786f4256,
]);

async function isRemote(folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  try {
    return REMOTE_TYPES.has((await statfs(folder)).type);
  } catch {
    return false;
  }
}
