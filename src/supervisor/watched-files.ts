/** What `--watch` looks at: which files a configuration has, and how they stand at one moment. */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { lookAtFile } from '../base/open-file.ts';
import type { Config } from '../config/config.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';

/** Each folder takes a watch of the kernel, of which a user may have only 8192 on some systems. */
const FOLDERS_MAX = 512;
/** A look asks for the state of each file: some 50 µs each. */
const FILES_MAX = 4096;
/** Names in all folders together: a look reads them all, and a folder of data beside a script may have millions. */
const ENTRIES_MAX = 32_768;

/** Absolute names. */
export interface WatchTargets {
  readonly files: readonly string[];
  /** Folders of which all Lua files count, at any depth. */
  readonly trees: readonly string[];
  /** Folders inside of trees that are left out. */
  readonly excluded: readonly string[];
}

export interface WatchBounds {
  readonly foldersMax: number;
  readonly filesMax: number;
  readonly entriesMax: number;
}

export const WATCH_BOUNDS: WatchBounds = {
  foldersMax: FOLDERS_MAX,
  filesMax: FILES_MAX,
  entriesMax: ENTRIES_MAX,
};

/** How watched files stand. */
export interface Sight {
  /** What changes when the file does, by its name; `MISSING` for one that is not there. */
  readonly files: ReadonlyMap<string, string>;
  /** Which folder has the name; folders that are not there are left out. */
  readonly folders: ReadonlyMap<string, string>;
  /** A folder of the targets is not there. */
  readonly lacksFolder: boolean;
  /** What is left out because of a bound; undefined = nothing. */
  readonly leftOut: string | undefined;
}

const MISSING = 'missing';

/** `configFile`: the one of `--config`. Names are found as workers find them: inside the root, where a script has one. */
export function watchTargets(config: Config, configFile: string | undefined): WatchTargets {
  const named = ({ script, root = config.root }: Config['mappings'][number]): string =>
    resolve(join(root ?? '', script));
  const scripts = config.mappings.filter((mapping) => kindOf(mapping) === 'script').map(named);
  // folders are inside the root of all
  const excluded = config.mappings
    .filter((mapping) => kindOf(mapping) === 'static')
    .map(({ script }) => resolve(join(config.root ?? '', script)));
  const ofTls = config.tls.certificates.flatMap(({ certificate, key }) => [certificate, key]);
  const authorities = [config.listen, ...(config.furtherListeners ?? [])].map((one) => one?.client?.ca);
  const others = [configFile, ...ofTls, ...authorities]
    .filter((name) => name !== undefined)
    .map((name) => resolve(name));
  return {
    files: [...new Set([...others, ...scripts])],
    trees: [...new Set(scripts.map((script) => dirname(script)))],
    excluded,
  };
}

/** Looks at all files; what cannot be looked at counts as missing. Nearer folders come first where a bound leaves some out. */
export async function lookAt(targets: WatchTargets, bounds: WatchBounds = WATCH_BOUNDS): Promise<Sight> {
  const walk = new Walk(targets, bounds);
  await walk.run();
  const files = new Map<string, string>();
  for (const name of walk.names) files.set(name, await signatureOf(name));
  return { files, folders: walk.folders, lacksFolder: walk.lacksFolder, leftOut: walk.leftOut };
}

async function signatureOf(name: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await lookAtFile(name);
    return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return MISSING;
  }
}

/** Goes through the folders, level by level. */
class Walk {
  readonly names = new Set<string>();
  readonly folders = new Map<string, string>();
  lacksFolder = false;
  leftOut: string | undefined;
  readonly #targets: WatchTargets;
  readonly #bounds: WatchBounds;
  readonly #excluded: ReadonlySet<string>;
  #entries = 0;

  constructor(targets: WatchTargets, bounds: WatchBounds) {
    this.#targets = targets;
    this.#bounds = bounds;
    this.#excluded = new Set(targets.excluded);
  }

  async run(): Promise<void> {
    const { files, trees } = this.#targets;
    for (const file of files) {
      this.#addFile(file);
      if (!(await this.#addFolder(dirname(file)))) this.lacksFolder = true;
    }
    const seen = new Set(trees);
    // it grows while it is gone through
    for (const folder of seen) {
      if (!(await this.#addFolder(folder))) continue;
      for (const inner of await this.#read(folder)) seen.add(inner);
    }
  }

  /** False: it is not there, or one too many. */
  async #addFolder(folder: string): Promise<boolean> {
    if (this.folders.has(folder)) return true;
    if (this.folders.size >= this.#bounds.foldersMax) {
      this.leftOut ??= `the limit is ${this.#bounds.foldersMax} folders, and "${folder}" is one more`;
      return false;
    }
    try {
      const { dev, ino } = await stat(folder, { bigint: true });
      this.folders.set(folder, `${dev} ${ino}`);
      return true;
    } catch {
      return false;
    }
  }

  #addFile(file: string): void {
    if (this.names.size < this.#bounds.filesMax) this.names.add(file);
    else if (!this.names.has(file))
      this.leftOut ??= `the limit is ${this.#bounds.filesMax} files, and "${file}" is one more`;
  }

  /** Adds the Lua files; the result is the folders inside. */
  async #read(folder: string): Promise<string[]> {
    const inner: string[] = [];
    try {
      for await (const entry of await opendir(folder)) {
        if (++this.#entries > this.#bounds.entriesMax) {
          this.leftOut ??= `the limit is ${this.#bounds.entriesMax} names in all folders, and "${folder}" has more`;
          break;
        }
        const name = join(folder, entry.name);
        if (isLua(entry)) this.#addFile(name);
        // folders behind links are left out: they may lead in a circle
        else if (entry.isDirectory() && !isUnwatched(entry.name) && !this.#excluded.has(name))
          inner.push(name);
      }
    } catch {
      // it has gone meanwhile, or may not be read: its files are missing
    }
    return inner.sort();
  }
}

function isLua(entry: Dirent): boolean {
  // editors write beside the file, under names with a dot before them
  return entry.name.endsWith('.lua') && !entry.name.startsWith('.') && !entry.isDirectory();
}

/** Packages of others and what tools keep for themselves. */
function isUnwatched(name: string): boolean {
  return name === 'node_modules' || name.startsWith('.');
}
