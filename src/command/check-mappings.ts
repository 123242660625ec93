/** Looks at scripts and folders as workers will: through their virtual roots, within the memory of their states. No script runs. */
import { messageOf } from '../base/errors.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { FileSystem } from '../file/file-system.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import { nameInside, readScript } from '../libraries/script-file.ts';
import { State } from '../lua/state.ts';
import { compileLuaModule } from '../lua/wasm-module.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';
import { Counters } from '../metrics/worker-metrics.ts';

/** Hears of what is wrong with a mapping. */
export type MappingFault = (mapping: MappingConfig, message: string) => void;

/** The scripts that could be compiled. */
export async function checkMappings(config: Config, fault: MappingFault): Promise<readonly MappingConfig[]> {
  const files = new FilesByRoot(config.root, fault);
  const states = new StatesBySize();
  const compiled: MappingConfig[] = [];
  try {
    for (const mapping of config.mappings) {
      const kind = kindOf(mapping);
      if (kind === 'static') await checkFolder(mapping, files.of(mapping), config.root, fault);
      if (kind !== 'script') continue;
      const fileSystem = files.of(mapping);
      if (fileSystem === undefined) continue;
      const state = await states.of(mapping.memoryBytesMax ?? config.limits.memoryBytesMax);
      if (compile(state, mapping, fileSystem, config, fault)) compiled.push(mapping);
    }
  } finally {
    states.close();
  }
  return compiled;
}

function compile(
  state: State,
  mapping: MappingConfig,
  fileSystem: FileSystem,
  { scripts, rights }: Config,
  fault: MappingFault,
): boolean {
  const own = scriptSettingsOf(scripts, mappingName(mapping))?.rights;
  const { allowsBytecode } = { ...rights, ...own };
  let source: Uint8Array;
  try {
    source = readScript(fileSystem, nameInside(fileSystem, toBytes(mapping.script)));
  } catch (error) {
    fault(mapping, `${messageOf(error)}; ${whereNamesAre(fileSystem)}`);
    return false;
  }
  try {
    state.load(state.mainThread, source, `@${toBytes(mapping.script)}`, allowsBytecode ? 'bt' : 't');
    state.pop(state.mainThread);
    return true;
  } catch (error) {
    fault(mapping, messageOf(error));
    return false;
  }
}

/** Folders are inside the root of all. */
async function checkFolder(
  mapping: MappingConfig,
  fileSystem: FileSystem | undefined,
  root: string | undefined,
  fault: MappingFault,
): Promise<void> {
  if (fileSystem === undefined) return;
  const failure = await new Promise<string | undefined>((resolve) => {
    const done = (error: Error | undefined): void => resolve(error?.message);
    fileSystem.findFolder(toBytes(mapping.script), () => true, done, new OperationOwner());
  });
  if (failure === undefined) return;
  const hint = root === undefined ? 'name a folder that is there' : whereNamesAre(fileSystem);
  fault(mapping, `${failure}; ${hint}`);
}

function whereNamesAre({ root, workingDirectory }: FileSystem): string {
  return root === undefined
    ? 'name a file that is there and that this user may read'
    : `names and links are looked up inside the root ${JSON.stringify(workingDirectory)}`;
}

/** The files of each root; a root that cannot be used is a fault of the first mapping that has it. */
class FilesByRoot {
  readonly #general: string | undefined;
  readonly #fault: MappingFault;
  readonly #files = new Map<string | undefined, FileSystem | undefined>();

  constructor(general: string | undefined, fault: MappingFault) {
    [this.#general, this.#fault] = [general, fault];
  }

  of(mapping: MappingConfig): FileSystem | undefined {
    const root = mapping.root ?? this.#general;
    if (!this.#files.has(root)) this.#files.set(root, this.#open(root, mapping));
    return this.#files.get(root);
  }

  #open(root: string | undefined, mapping: MappingConfig): FileSystem | undefined {
    try {
      return new FileSystem({
        root,
        workingDirectory: process.cwd(),
        operationsMax: 1,
        counters: new Counters(),
        duplicate: () => undefined,
        logger: undefined,
      });
    } catch (error) {
      this.#fault(mapping, messageOf(error));
      return undefined;
    }
  }
}

/** A state for each size that scripts have. */
class StatesBySize {
  readonly #states = new Map<number, State>();

  async of(memoryBytesMax: number): Promise<State> {
    let state = this.#states.get(memoryBytesMax);
    if (state === undefined) {
      state = await State.create(await compileLuaModule({ memoryBytesMax }));
      this.#states.set(memoryBytesMax, state);
    }
    return state;
  }

  close(): void {
    for (const state of this.#states.values()) state.close();
  }
}

/** The byte string of a text in UTF-8: names of files are bytes. */
function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
