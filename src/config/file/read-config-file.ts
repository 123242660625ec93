/** Reads a configuration file: texts for the options, by their own rules, and what a file has beside them. */
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { openFile } from '../../base/open-file.ts';
import { SHARED_BYTES_DEFAULT } from '../../base/shared-size.ts';
import { DEFAULT_CLIENT_VERIFY } from '../../settings/tls-settings.ts';
import type { Origin } from '../answers.ts';
import type { CertificateFiles, ClientAuthorityFile } from '../config.ts';
import type { FileDictionary, FileListener, FileParts } from '../file-parts.ts';
import { type AnyOption, nameOption } from '../option.ts';
import { ALL_OPTIONS, OPTIONS } from '../options.ts';
import { type Faults, type Position, showPosition, UsageError } from '../usage-error.ts';
import type { ValueParser } from '../value-parsers.ts';
import { CERTIFICATE_KEYS, LISTEN_KEYS, SHARED_KEYS } from './file-keys.ts';
import {
  besideFileAs,
  type FileContext,
  type FileKey,
  FileTable,
  isTable,
  placeOf,
  type TomlTable,
} from './file-table.ts';
import { type FlagKey, showValue, textsOf, textsOfFlag, type ValueKey } from './file-value.ts';
import { KeyPositions } from './key-positions.ts';
import { MAPPING_KINDS, readMappingTables } from './mapping-tables.ts';
import { nearestName } from './nearest-name.ts';

/** Bytes of a file: a thousand mappings with all their keys. */
const FILE_BYTES_MAX = 1024 * 1024;
/** Tables and lists inside each other: what is valid has four levels. */
const DEPTH_MAX = 16;
/** Keys, tables and entries of lists. */
const ENTRIES_MAX = 20_000;
/** Each is a socket in every worker. */
export const LISTENERS_MAX = 16;

/** What a file says. */
export interface ConfigFile {
  /** For each option, by its long name, what would follow it on a command line each time; an empty list: it is switched off. */
  readonly texts: ReadonlyMap<string, readonly (readonly string[])[]>;
  readonly origins: ReadonlyMap<string, Origin>;
  readonly parts: FileParts;
}

/** Tables that stand in the place of options, by name. */
export const TABLE_NAMES = ['lua', 'static', 'proxy', 'listen', 'certificate', 'shared'] as const;
type TableName = (typeof TABLE_NAMES)[number];

/**
 * `isRooted`: the command line or the environment names a virtual root. Faults are kept; throws UsageError for a file that cannot be read
 * or is no TOML.
 */
export async function readConfigFile(file: string, isRooted: boolean, faults: Faults): Promise<ConfigFile> {
  const text = readText(file);
  const table = await parseToml(file, text);
  const positions = new KeyPositions(text);
  if (positions.count > ENTRIES_MAX)
    throw new UsageError(
      `The configuration file "${file}" has ${positions.count} keys and entries, and the limit is ${ENTRIES_MAX}`,
    );
  const context: FileContext = {
    file,
    folder: dirname(file),
    positions,
    faults,
    isRooted: isRooted || table['root'] !== undefined,
  };
  return new FileReader(table, context).read();
}

function readText(file: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openFile(file, 'read');
    const facts = fstatSync(descriptor);
    if (!facts.isFile()) throw new UsageError(`The configuration file "${file}" is no regular file`);
    if (facts.size > FILE_BYTES_MAX)
      throw new UsageError(
        `The configuration file "${file}" has ${facts.size} bytes and the limit is ${FILE_BYTES_MAX}`,
      );
    const bytes = readFileSync(descriptor);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot read the configuration file "${file}": ${messageOf(error)}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

async function parseToml(file: string, text: string): Promise<TomlTable> {
  const { parse, TomlError } = await import('smol-toml');
  try {
    return parse(text, { maxDepth: DEPTH_MAX });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = 'Invalid TOML document'] = error.message.split('\n');
    const at = { file, line: error.line, column: error.column };
    const place = error.codeblock.trimEnd();
    const message = `${reason}${place === '' ? '' : `\n${place}`}`;
    throw new UsageError(`${showPosition(at)}: ${message}`, [{ message, at }]);
  }
}

class FileReader {
  readonly #table: TomlTable;
  readonly #context: FileContext;
  readonly #texts = new Map<string, readonly (readonly string[])[]>();
  readonly #origins = new Map<string, Origin>();

  constructor(table: TomlTable, context: FileContext) {
    [this.#table, this.#context] = [table, context];
  }

  read(): ConfigFile {
    for (const [name, value] of Object.entries(this.#table)) {
      if (TABLE_NAMES.some((table) => table === name) && !this.#isOption(name)) continue;
      const option = ALL_OPTIONS.find((one) => one.name === name);
      if (option === undefined) this.#unknown(name);
      else if (option.commandLineOnly === true)
        this.#fault(name, 'counts on the command line only: it says how the command is run');
      else this.#option(option, value);
    }
    const before = this.#context.faults.count;
    const mappings = readMappingTables(
      MAPPING_KINDS.flatMap((kind) => this.#tables(kind).map((table, index) => ({ kind, table, index }))),
      this.#context,
    );
    const isComplete = this.#context.faults.count === before;
    const certificates = this.#certificates();
    const listeners = this.#listeners();
    const dictionaries = this.#dictionaries();
    const parts: FileParts = {
      mappings,
      listeners,
      isComplete,
      ...(dictionaries.length === 0 ? {} : { dictionaries }),
      ...(certificates === undefined ? {} : { certificates }),
    };
    return { texts: this.#texts, origins: this.#origins, parts };
  }

  #option(option: AnyOption, value: unknown): void {
    this.#origins.set(option.name, {
      named: `Key "${option.name}"`,
      at: this.#at(option.name),
      ...(typeof value === 'string' ? {} : { shown: showValue(value) }),
    });
    const key = keyOf(option);
    const read = key.kind === 'flag' ? textsOfFlag(value) : textsOf(key, value);
    if ('fault' in read) {
      this.#fault(option.name, read.fault);
      return;
    }
    const { folder, isRooted } = this.#context;
    const texts = read.texts.map((text) => {
      const isInRoot = isRooted && (option === OPTIONS.script || option === OPTIONS.luaPath);
      return key.kind === 'flag' || isInRoot ? text : besideFileAs(key, folder, text);
    });
    // a flag that is given has no texts
    this.#texts.set(option.name, key.kind === 'flag' ? texts.map(() => []) : texts.map((text) => [text]));
  }

  #unknown(name: string): void {
    const known = ALL_OPTIONS.filter((option) => option.commandLineOnly !== true).map(
      (option) => option.name,
    );
    const meant = nearestName(name, [...known, ...TABLE_NAMES]);
    const short = ALL_OPTIONS.find((option) => option.short === name);
    const hint =
      short !== undefined
        ? `the key of ${nameOption(short)} is "${short.name}"`
        : meant === undefined
          ? 'keys are the long names of options'
          : `did you mean "${meant}"?`;
    this.#context.faults.add(`Unknown key ${JSON.stringify(name)}; ${hint}`, this.#at(name));
  }

  /** Those of `[[name]]`. */
  #tables(name: TableName): readonly TomlTable[] {
    const value = this.#table[name];
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every(isTable)) return value;
    const found = isTable(value) ? `[${name}], which is one table` : showValue(value);
    this.#fault(name, `wants tables, each headed [[${name}]], not ${found}`);
    return [];
  }

  /** `shared` is the option where it holds texts. */
  #isOption(name: string): boolean {
    const value = this.#table[name];
    return name === OPTIONS.shared.name && !(Array.isArray(value) && value.some(isTable)) && !isTable(value);
  }

  #dictionaries(): readonly FileDictionary[] {
    if (this.#isOption('shared')) return [];
    const found: FileDictionary[] = [];
    for (const [index, table] of this.#tables('shared').entries()) {
      const keys = Object.values<FileKey>({ ...SHARED_KEYS });
      const reader = new FileTable(table, ['shared', index], '[[shared]]', keys, this.#context);
      const name = reader.value(SHARED_KEYS.name);
      const bytes = reader.value(SHARED_KEYS.size);
      const store = reader.value(SHARED_KEYS.store);
      if (reader.has(SHARED_KEYS.size) && reader.has(SHARED_KEYS.store))
        reader.fault(SHARED_KEYS.size, 'goes with a dictionary in memory: a store has its own bounds');
      if (name === undefined) continue;
      const place = store === undefined ? { bytes: bytes ?? SHARED_BYTES_DEFAULT } : { store };
      found.push({ name, ...place, at: reader.at });
    }
    return found;
  }

  #certificates(): readonly CertificateFiles[] | undefined {
    const tables = this.#tables('certificate');
    const [first] = tables;
    if (first === undefined) return undefined;
    const found: CertificateFiles[] = [];
    for (const [index, table] of tables.entries()) {
      const reader = new FileTable(
        table,
        ['certificate', index],
        '[[certificate]]',
        Object.values<FileKey>({ ...CERTIFICATE_KEYS }),
        this.#context,
      );
      const certificate = reader.value(CERTIFICATE_KEYS.cert);
      const key = reader.value(CERTIFICATE_KEYS.key);
      if (index === 0) for (const name of ['cert', 'key']) this.#clash(name, '[[certificate]]', reader.at);
      if (certificate !== undefined && key !== undefined)
        found.push({ certificate, key, at: showPosition(reader.at) });
    }
    return found;
  }

  #listeners(): readonly FileListener[] | undefined {
    const tables = this.#tables('listen');
    if (tables.length === 0) return undefined;
    const { faults } = this.#context;
    if (tables.length > LISTENERS_MAX)
      this.#fault('listen', `has ${tables.length} tables and the limit is ${LISTENERS_MAX}`);
    const found: (FileListener & { readonly at: Position })[] = [];
    for (const [index, table] of tables.entries()) {
      const path = ['listen', index];
      const reader = new FileTable(
        table,
        path,
        '[[listen]]',
        Object.values<FileKey>({ ...LISTEN_KEYS }),
        this.#context,
      );
      const address = reader.value(LISTEN_KEYS.address);
      const port = reader.value(LISTEN_KEYS.port);
      const scheme = reader.value(LISTEN_KEYS.scheme) ?? 'https';
      const proxied = reader.flag(LISTEN_KEYS.proxyProtocol);
      const client = this.#client(reader, scheme);
      if (port === undefined) continue;
      const first = found.find((other) => sharePlace(other, { address, port }));
      const more = {
        ...(proxied === undefined ? {} : { proxied }),
        ...(client === undefined ? {} : { client }),
      };
      if (first === undefined) found.push({ address, port, scheme, ...more, at: reader.at });
      else
        faults.add(
          `Port ${port} in [[listen]] is taken by the one at ${showPosition(first.at)}: each needs its own`,
          reader.placeOf(LISTEN_KEYS.port),
        );
    }
    for (const name of ['address', 'port', 'http', 'client-ca', 'client-verify'])
      this.#clash(name, '[[listen]]', undefined);
    return found.map(({ at: _place, ...listener }) => listener);
  }

  /** What clients of a listener have to show. */
  #client(reader: FileTable, scheme: 'https' | 'http'): ClientAuthorityFile | undefined {
    const { clientCa, clientVerify } = LISTEN_KEYS;
    const ca = reader.value(clientCa);
    const verify = reader.value(clientVerify) ?? DEFAULT_CLIENT_VERIFY;
    if (scheme === 'http' && reader.has(clientCa))
      reader.fault(clientCa, 'goes with scheme "https": without TLS nobody shows a certificate');
    if (!reader.has(clientCa) && reader.has(clientVerify))
      reader.fault(clientVerify, `goes with "${clientCa.name}", which is not given`);
    return ca === undefined ? undefined : { ca, verify };
  }

  /** An option beside the tables that stand in its place. */
  #clash(name: string, tables: string, at: Position | undefined): void {
    if (this.#table[name] === undefined) return;
    const hint = at === undefined ? '' : ` (${showPosition(at)})`;
    this.#fault(name, `and ${tables}${hint} exclude each other: the tables say all of it`);
  }

  #fault(name: string, rest: string): void {
    this.#context.faults.add(`Key "${name}" ${rest}`, this.#at(name));
  }

  #at(name: string): Position {
    return placeOf(this.#context, [name]);
  }
}

/** An option as the file knows it; one that takes several values at a time has one here. */
export function keyOf(option: AnyOption): ValueKey<unknown> | FlagKey {
  if (option.kind !== 'tuple') return option;
  const { name, help, arguments: names } = option;
  const value: ValueParser<string> = { wants: names.join(' '), read: String, show: String };
  return { kind: 'value', name, help, value, repeats: true };
}

/** All addresses are among them. An address of one family does not keep the other from its port. */
function sharePlace(
  one: Pick<FileListener, 'address' | 'port'>,
  other: Pick<FileListener, 'address' | 'port'>,
): boolean {
  if (one.port !== other.port || one.port === 0) return false;
  if (one.address === undefined || other.address === undefined) return true;
  if (one.address === other.address) return true;
  const all = { 4: '0.0.0.0', 6: '::' } as const;
  const family = isIP(one.address) === 6 ? 6 : 4;
  if ([one.address, other.address].includes(all[6])) return true;
  return isIP(other.address) === isIP(one.address) && [one.address, other.address].includes(all[family]);
}
