/** One table of a configuration file: its values by the rules of its keys. What is wrong is kept, with its place. */
import { isAbsolute, join } from 'node:path';
import { isTargetText } from '../../mapping/proxy-settings.ts';
import { OPTIONS } from '../options.ts';
import type { Faults, Position } from '../usage-error.ts';
import { type FlagKey, showValue, textsOf, textsOfFlag, type ValueKey } from './file-value.ts';
import type { KeyPath, KeyPositions } from './key-positions.ts';
import { nearestName } from './nearest-name.ts';

/** What is known of the file while it is read. */
export interface FileContext {
  /** As it was given. */
  readonly file: string;
  /** Names of files are relative to it. */
  readonly folder: string;
  readonly positions: KeyPositions;
  readonly faults: Faults;
  /** There is a virtual root of all: folders, and scripts without a root of their own, are inside it. */
  readonly isRooted: boolean;
}

/** A key whose value is a table, too. */
export interface TableKey {
  readonly kind: 'table';
  readonly name: string;
  readonly help: string;
  /** Undefined: any, and who reads it looks. */
  readonly keys?: readonly (ValueKey<unknown> | FlagKey)[];
}

export type FileKey = ValueKey<unknown> | FlagKey | TableKey;

export type TomlTable = Readonly<Record<string, unknown>>;

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export class FileTable {
  readonly at: Position;
  readonly #table: TomlTable;
  readonly #path: KeyPath;
  readonly #context: FileContext;
  /** As messages name it: ` in [[lua]]`. */
  readonly #in: string;

  /** `title`: `[[lua]]`. Keys that are not among `keys` are faults, as are those that lack. */
  constructor(
    table: TomlTable,
    path: KeyPath,
    title: string,
    keys: readonly FileKey[],
    context: FileContext,
  ) {
    [this.#table, this.#path, this.#context] = [table, path, context];
    this.#in = ` in ${title}`;
    this.at = placeOf(context, path);
    for (const name of Object.keys(table)) {
      if (keys.some((key) => key.name === name)) continue;
      const names = keys.map((key) => key.name);
      const meant = nearestName(name, names);
      const hint = meant === undefined ? `its keys are ${names.join(', ')}` : `did you mean "${meant}"?`;
      this.#fault(name, `Unknown key ${JSON.stringify(name)}${this.#in}; ${hint}`);
    }
    for (const key of keys)
      if (key.kind === 'value' && key.isRequired === true && !Object.hasOwn(table, key.name))
        context.faults.add(`${title} lacks the key "${key.name}": ${key.help}`, this.at);
  }

  has(key: FileKey): boolean {
    return Object.hasOwn(this.#table, key.name);
  }

  placeOf(key: Pick<FileKey, 'name'>): Position {
    return placeOf(this.#context, [...this.#path, key.name]);
  }

  /** Undefined also where the value is wrong. */
  flag(key: FlagKey): boolean | undefined {
    if (!this.has(key)) return undefined;
    const read = textsOfFlag(this.#table[key.name]);
    if ('texts' in read) return read.texts.length > 0;
    this.fault(key, read.fault);
    return undefined;
  }

  /** Undefined also where the value is wrong. `isInRoot`: a name inside a virtual root, which is not relative to the file. */
  value<T>(key: ValueKey<T>, isInRoot = false): T | undefined {
    if (!this.has(key)) return undefined;
    const found = this.#table[key.name];
    const read = textsOf(key, found);
    if ('fault' in read) {
      this.fault(key, read.fault);
      return undefined;
    }
    const [text] = read.texts;
    if (text === undefined) return undefined;
    const value = key.value.read(isInRoot ? text : besideFileAs(key, this.#context.folder, text));
    if (value === undefined) {
      const shown =
        key.value.isSecret === true
          ? '; the value is not shown, as it may hold a password'
          : `, not ${showValue(found)}`;
      this.fault(key, `wants ${key.value.wants}${shown}`);
    }
    return value;
  }

  /** A table within this one. */
  table(key: TableKey): FileTable | undefined {
    const table = this.raw(key);
    if (table === undefined) return undefined;
    const path = [...this.#path, key.name];
    return new FileTable(table, path, `${key.name}${this.#in}`, key.keys ?? [], this.#context);
  }

  raw(key: TableKey): TomlTable | undefined {
    if (!this.has(key)) return undefined;
    const table = this.#table[key.name];
    if (isTable(table)) return table;
    this.fault(key, `wants a table, not ${showValue(table)}`);
    return undefined;
  }

  /** Keeps what is wrong with a key: the rest of a sentence. */
  fault(key: Pick<FileKey, 'name'>, rest: string): void {
    this.#fault(key.name, `Key "${key.name}"${this.#in} ${rest}`);
  }

  #fault(name: string, message: string): void {
    this.#context.faults.add(message, this.placeOf({ name }));
  }
}

export function placeOf(
  { file, positions }: Pick<FileContext, 'file' | 'positions'>,
  path: KeyPath,
): Position {
  return { file, ...positions.find(path) };
}

/** The value of a key as whoever runs the command would write it: names of files, and templates of such, are relative to `folder`. */
export function besideFileAs(
  key: Pick<ValueKey<unknown>, 'name' | 'isFile'>,
  folder: string,
  text: string,
): string {
  if (key.name === OPTIONS.luaPath.name)
    return text
      .split(';')
      .map((one) => (one === '' ? '' : besideFile(folder, one)))
      .join(';');
  return key.isFile === true ? besideFile(folder, text) : text;
}

/** A name as whoever runs the command would write it. */
export function besideFile(folder: string, name: string): string {
  return isAbsolute(name) || isTargetText(name) ? name : join(folder, name);
}
