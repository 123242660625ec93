/** Reads the tables of a configuration file that say what is mapped where. */
import { messageOf } from '../../base/errors.ts';
import { mappingName, type OfPlace } from '../../mapping/mapping-name.ts';
import {
  isSettableField,
  isTargetText,
  type ProxyRules,
  SET_FIELDS_MAX,
  type UpstreamTls,
} from '../../mapping/proxy-settings.ts';
import type { FileMapping, FileProxy } from '../file-parts.ts';
import { readAuthorities } from '../read-authorities.ts';
import { showPosition } from '../usage-error.ts';
import { LUA_KEYS, PROXY_KEYS, PROXY_TLS_KEYS, STATIC_KEYS } from './file-keys.ts';
import { type FileContext, type FileKey, FileTable, type TomlTable } from './file-table.ts';
import { showValue } from './file-value.ts';

export const MAPPING_KINDS = ['lua', 'static', 'proxy'] as const;
type Kind = (typeof MAPPING_KINDS)[number];

interface MappingTable {
  readonly keys: readonly FileKey[];
  read(table: FileTable, context: FileContext): FileMapping | undefined;
}

export const MAPPING_TABLES: Readonly<Record<Kind, MappingTable>> = {
  lua: { keys: Object.values<FileKey>({ ...LUA_KEYS }), read: readScript },
  static: { keys: Object.values<FileKey>({ ...STATIC_KEYS }), read: readFolder },
  proxy: { keys: Object.values<FileKey>({ ...PROXY_KEYS }), read: readProxy },
};

/** The mappings that are complete; a place that is there twice is a fault. */
export function readMappingTables(
  tables: readonly {
    readonly kind: Kind;
    readonly table: TomlTable;
    readonly index: number;
  }[],
  context: FileContext,
): FileMapping[] {
  const byName = new Map<string, FileMapping>();
  for (const { kind, table, index } of tables) {
    const { keys, read } = MAPPING_TABLES[kind];
    const reader = new FileTable(table, [kind, index], `[[${kind}]]`, keys, context);
    const mapping = read(reader, context);
    if (mapping === undefined) continue;
    const name = mappingName(mapping.mapping);
    const first = byName.get(name);
    if (first === undefined) byName.set(name, mapping);
    else
      context.faults.add(
        `Prefix ${JSON.stringify(name)} is mapped twice, first at ${showPosition(first.at)}: the second could never be reached`,
        reader.placeOf(LUA_KEYS.prefix),
      );
  }
  return [...byName.values()].sort((a, b) => a.at.line - b.at.line);
}

function readPlace(table: FileTable): OfPlace | undefined {
  const prefix = table.value(LUA_KEYS.prefix);
  const host = table.value(LUA_KEYS.host);
  if (prefix === undefined || (host === undefined && table.has(LUA_KEYS.host))) return undefined;
  return host === undefined ? { prefix } : { host, prefix };
}

/** Handlers in TypeScript or JavaScript, which are no scripts. */
const MODULE_NAME = /\.[cm]?[jt]s$/;

function readScript(table: FileTable, context: FileContext): FileMapping | undefined {
  const isRooted = table.has(LUA_KEYS.root) || context.isRooted;
  const place = readPlace(table);
  const script = table.value(LUA_KEYS.script, isRooted);
  if (script !== undefined && isTargetText(script))
    table.fault(LUA_KEYS.script, 'is no file; [[proxy]] passes requests on');
  else if (script !== undefined && MODULE_NAME.test(script))
    table.fault(
      LUA_KEYS.script,
      `wants a Lua script, not the module ${showValue(script)}; programs that embed the gateway map modules`,
    );
  const own = given({
    mode: table.value(LUA_KEYS.mode),
    root: table.value(LUA_KEYS.root),
    memoryBytesMax: table.value(LUA_KEYS.memory),
  });
  const settings = readOwnSettings(table, isRooted);
  if (place === undefined || script === undefined) return undefined;
  return { mapping: { ...place, script, ...own }, script: settings, at: table.at };
}

/** Keys that mean nothing in the sandbox, and why. */
const OUTSIDE_SANDBOX: readonly (readonly [FileKey, string])[] = [
  [LUA_KEYS.allowRun, 'scripts in the sandbox start no programs'],
  [LUA_KEYS.allowEnv, 'scripts in the sandbox see no variables'],
  [LUA_KEYS.luaPath, 'scripts in the sandbox load no modules'],
];

function readOwnSettings(table: FileTable, isRooted: boolean): NonNullable<FileMapping['script']> {
  const sandboxed = table.flag(LUA_KEYS.sandbox);
  for (const [key, why] of OUTSIDE_SANDBOX)
    if (sandboxed === true && table.has(key)) table.fault(key, `excludes "sandbox": ${why}`);
  if (table.has(LUA_KEYS.allowRun) && !isRooted)
    table.fault(LUA_KEYS.allowRun, 'goes with "root": without it any program may be started');
  const rights = {
    luaPath: table.value(LUA_KEYS.luaPath, isRooted),
    allowsBytecode: table.flag(LUA_KEYS.allowBytecode),
    commands: table.value(LUA_KEYS.allowRun),
    sandboxed,
    connect: table.value(LUA_KEYS.allowConnect),
    variables: table.value(LUA_KEYS.allowEnv),
  };
  const limits = {
    cpuLimitMs: table.value(LUA_KEYS.cpuLimit),
    timeLimitMs: table.value(LUA_KEYS.timeLimit),
    mappingSharePercent: table.value(LUA_KEYS.share),
  };
  return { rights: given(rights), limits: given(limits) };
}

function readFolder(table: FileTable, { isRooted }: FileContext): FileMapping | undefined {
  const place = readPlace(table);
  const folder = table.value(STATIC_KEYS.folder, isRooted);
  const index = table.value(STATIC_KEYS.index);
  const listing = table.flag(STATIC_KEYS.listing);
  const cacheControl = table.value(STATIC_KEYS.cacheControl);
  if (place === undefined || folder === undefined) return undefined;
  return {
    mapping: { ...place, script: folder, kind: 'static' },
    folder: { ...given({ index, listing, cacheControl }) },
    at: table.at,
  };
}

function readProxy(table: FileTable, context: FileContext): FileMapping | undefined {
  const place = readPlace(table);
  const targets = table.value(PROXY_KEYS.targets);
  const rules = {
    ...given({
      host: table.value(PROXY_KEYS.hostHeader),
      forwarded: table.value(PROXY_KEYS.forwarded),
      trusted: table.value(PROXY_KEYS.trusted),
      retries: table.value(PROXY_KEYS.retries),
      balance: table.value(PROXY_KEYS.balance),
      cache: table.flag(PROXY_KEYS.cache),
    }),
    ...readHeaders(table),
  };
  const timeouts = given({
    headMs: table.value(PROXY_KEYS.timeout),
    connectMs: table.value(PROXY_KEYS.connectTimeout),
    idleMs: table.value(PROXY_KEYS.idleTimeout),
    tunnelMs: table.value(PROXY_KEYS.tunnelTimeout),
  });
  const tls = readTls(table, context);
  const health = {
    path: table.value(PROXY_KEYS.check),
    intervalMs: table.value(PROXY_KEYS.checkInterval),
  };
  if (place === undefined || targets === undefined) return undefined;
  const proxy: FileProxy = { rules, timeouts, tls, health };
  return { mapping: { ...place, script: targets.join(','), kind: 'proxy' }, proxy, at: table.at };
}

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FIELD_VALUE = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/;

function readHeaders(table: FileTable): Partial<Pick<ProxyRules, 'setFields' | 'removedFields'>> {
  const fields = table.raw(PROXY_KEYS.headers);
  if (fields === undefined) return {};
  const names = Object.keys(fields);
  const setFields: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (!FIELD_NAME.test(name))
      table.fault(PROXY_KEYS.headers, `has ${JSON.stringify(name)}, which is no name of a field`);
    else if (!isSettableField(name))
      table.fault(PROXY_KEYS.headers, `has ${JSON.stringify(name)}, which is left to the gateway`);
    if (value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      if (typeof one === 'string' && FIELD_VALUE.test(one)) setFields.push(name, one);
      else
        table.fault(
          PROXY_KEYS.headers,
          `wants a text in plain ASCII, a list of such, or false for ${JSON.stringify(name)}, not ${showValue(one)}`,
        );
    }
  }
  const count = Math.max(names.length, setFields.length / 2);
  if (count > SET_FIELDS_MAX)
    table.fault(PROXY_KEYS.headers, `has ${count} fields and the limit is ${SET_FIELDS_MAX}`);
  return { setFields, removedFields: names.map((name) => name.toLowerCase()) };
}

function readTls(table: FileTable, context: FileContext): Partial<UpstreamTls> {
  const tls = table.table(PROXY_KEYS.tls);
  if (tls === undefined) return {};
  const file = tls.value(PROXY_TLS_KEYS.ca);
  const ca = file === undefined ? undefined : readUpstreamAuthorities(file, tls, context);
  return given({
    verify: tls.flag(PROXY_TLS_KEYS.verify),
    ca,
    servername: tls.value(PROXY_TLS_KEYS.servername),
  });
}

function readUpstreamAuthorities(file: string, tls: FileTable, { faults }: FileContext): string | undefined {
  try {
    const text = readAuthorities(file);
    if (text !== undefined) return text;
    tls.fault(PROXY_TLS_KEYS.ca, `names ${JSON.stringify(file)}, which holds no certificate in PEM`);
  } catch (error) {
    faults.add(`Cannot read the authorities: ${messageOf(error)}`, tls.placeOf(PROXY_TLS_KEYS.ca));
  }
  return undefined;
}

/** The values that are there. */
function given<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>;
  };
}
