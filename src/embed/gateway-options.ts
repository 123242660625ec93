/** How a gateway inside another program is to run, and the complete configuration that this amounts to. */

import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AdminAddress } from '../base/admin-address.ts';
import { GatewayError } from '../base/errors.ts';
import type { LogLevel } from '../base/logger.ts';
import { MESSAGE_FORMATS, type MessageFormat } from '../base/message-form.ts';
import type { SharedSize } from '../base/shared-size.ts';
import type { CertificateFiles, Config, ListenAddress, MappingConfig, TlsConfig } from '../config/config.ts';
import { HOSTS_MAX, readHost } from '../config/mapping-host.ts';
import { countHosts, normalizePrefix } from '../config/mappings.ts';
import { adminAddress } from '../config/value-parsers.ts';
import { runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import { type ProxyOptions, type ProxyTargets, readProxyMapping } from '../mapping/proxy-options.ts';
import type { ProxyMappingSettings } from '../mapping/proxy-settings.ts';
import { SCRIPT_MODES, type ScriptMode } from '../mapping/script-mode.ts';
import { DEFAULT_SCRIPT_RIGHTS, type ScriptRights } from '../mapping/script-rights.ts';
import type { ScriptSettings } from '../mapping/script-settings.ts';
import { type FolderSettings, readStaticOptions } from '../mapping/static-settings.ts';
import {
  COMPRESSION_TYPES_MAX,
  type CompressionSettings,
  DEFAULT_COMPRESSION,
  isTypePattern,
} from '../settings/compression.ts';
import { DEFAULT_LIMITS, defaultUnreadBodyBytes, type Limits } from '../settings/limits.ts';
import { DEFAULT_LOG_SETTINGS, type LogSettings } from '../settings/log-settings.ts';
import { DEFAULT_TLS_PROFILE, TLS_PROFILES, type TlsProfile } from '../settings/tls-settings.ts';
import {
  checkedRights,
  checkLimits,
  type ModuleMappingOptions,
  readModuleSettings,
  readOwnMachine,
  readScriptSettings,
  refuseManySizes,
  type ScriptMappingOptions,
} from './script-options.ts';
import { pickStores, readStore } from './store-choice.ts';

/** Where a mapping stands. */
export interface MappingPlace {
  /** A name, `*.name` for all names below it, or an address: it is asked before mappings without a host. Default: any host. */
  readonly host?: string;
  readonly prefix: string;
}

/** A path prefix and the Lua script behind it. */
export interface ScriptMapping extends MappingPlace, ScriptMappingOptions {
  /** Name of the file. */
  readonly script: string;
  /** What the script is; default: that shows when it has been loaded. */
  readonly mode?: ScriptMode;
}

/** A path prefix and the module of handlers behind it, which every worker loads. */
export interface ModuleMapping extends MappingPlace, ModuleMappingOptions {
  /** A `file:` URL, or the name of the file. Its default export is a WebHandler or a WebService. */
  readonly module: URL | string;
}

/** A path prefix and the folder whose files are served. */
export interface FolderMapping extends MappingPlace {
  /** Name of the folder. */
  readonly folder: string;
  /** Names of the files that stand for the folder they are in, the first that is there; default: `index.html`. */
  readonly index?: readonly string[];
  /** A folder without such a file shows what is in it; default false. */
  readonly listing?: boolean;
  /** Cache-Control of the files; default: none is sent. */
  readonly cacheControl?: string;
}

/** A path prefix and the servers behind it, which answer its requests. */
export interface ProxyMapping extends MappingPlace, ProxyOptions {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:/SOCKET`, perhaps with a path; or a list of up to 64. */
  readonly proxy: ProxyTargets;
  /** Answers are kept where they allow it (RFC 9111), and answer further requests; default false. */
  readonly cache?: boolean;
}

export type GatewayMapping = ScriptMapping | ModuleMapping | FolderMapping | ProxyMapping;

/** What all ways to embed the gateway have in common. */
export interface CommonOptions {
  /** Scripts, modules and folders, and their path prefixes. */
  readonly mappings?: readonly GatewayMapping[];
  /** Virtual root of scripts and of all file access from Lua; default: none. Modules are not bound by it. */
  readonly root?: string;
  /** Limits that differ from DEFAULT_LIMITS. */
  readonly limits?: Partial<Limits>;
  /** Sizes of dictionaries that all threads share; default: none, and each that is asked for has 16 MiB. */
  readonly shared?: readonly SharedSize[];
  /** As `--store`: dictionaries, events and once-timers of many machines. Not where a function is served in the thread of the program. Default: none. */
  readonly store?: string;
  /** PEM of the authorities that the certificate of the store may come from; default: those of Node.js. */
  readonly storeAuthorities?: string;
  /** The text that the file of `--store-secret` has, 32 to 4096 bytes: any machine resumes any session of TLS. Default: none. */
  readonly storeSecret?: string;
  /** What scripts may do beyond the default. */
  readonly rights?: Partial<ScriptRights>;
  /** Least important lines to keep; default `info`. */
  readonly logLevel?: LogLevel;
  /** One line per exchange; default false. */
  readonly accessLog?: boolean;
  /** Compression of answers that differs from DEFAULT_COMPRESSION, which has it off. */
  readonly compression?: Partial<CompressionSettings>;
  /** Takes each log line, without its line end; default: standard error. */
  readonly log?: (line: string) => void;
  /** What log lines look like: `text`, or JSON as `pino` and `json` have it; default `text`. */
  readonly logFormat?: MessageFormat;
  /**
   * Where health and metrics are asked for, on this machine alone: `127.0.0.1:9443`, `[::1]:0` (port 0 takes any free one) or
   * `unix:/PATH`; default: nowhere.
   */
  readonly admin?: string;
}

/** How a gateway is to run; everything may be left out. */
export interface GatewayOptions extends CommonOptions {
  /** PEM files, or a list of them, of which the name that a client asks for chooses; default: a development certificate. */
  readonly certificateFiles?: CertificateFiles | readonly CertificateFiles[];
  /** Handshakes that name no host of a certificate are refused; default false: they get the first one. */
  readonly strictSni?: boolean;
  /** Versions and suites by Mozilla's guideline; default `intermediate`. */
  readonly tlsProfile?: TlsProfile;
  /** Value of Strict-Transport-Security in answers over TLS that have none: `max-age=31536000`; false, the default: none is sent. */
  readonly hsts?: string | false;
  /** Default: port 8443 on all addresses. Port 0 takes any free one. */
  readonly listen?: Partial<ListenAddress>;
  /** A second listener without TLS; default: none. */
  readonly cleartext?: ListenAddress;
  /** Worker threads; default: one per processor. */
  readonly workers?: number;
}

/** What `reload` of a gateway may be given: the options that are to be other than they are. */
export type GatewayChanges = Omit<GatewayOptions, 'log'>;

/** Where a configuration listens. */
export type Listening = Pick<Config, 'tls' | 'listen' | 'cleartext' | 'inherited' | 'noDelay'>;

export type TlsChoices = Pick<GatewayOptions, 'certificateFiles' | 'strictSni' | 'tlsProfile' | 'hsts'>;

const DEFAULT_TLS: TlsConfig = {
  certificates: [],
  strictSni: false,
  profile: DEFAULT_TLS_PROFILE,
  hsts: undefined,
};

/** Without certificates, the gateway makes one for development. `before`: what stays where nothing else is chosen. */
export function tlsWith(choices: TlsChoices, before: TlsConfig = DEFAULT_TLS): TlsConfig {
  const { certificateFiles: files, strictSni, tlsProfile, hsts } = choices;
  if (hsts !== undefined && hsts !== false && !/^max-age=\d{1,9}(?:; [A-Za-z]+){0,2}$/.test(hsts))
    throw new GatewayError(
      'LGW_CONFIG',
      `Option hsts is ${JSON.stringify(hsts)} and has to be such as "max-age=31536000; includeSubDomains"`,
    );
  if (tlsProfile !== undefined) oneOf('tlsProfile', TLS_PROFILES, tlsProfile);
  return {
    certificates: files === undefined ? before.certificates : 'key' in files ? [files] : files,
    strictSni: strictSni ?? before.strictSni,
    profile: tlsProfile ?? before.profile,
    hsts: hsts === undefined ? before.hsts : hsts === false ? undefined : hsts,
  };
}

/** Errors: LGW_CONFIG for prefixes that cannot be reached, and for values that their types do not allow. */
export function completeConfig(
  options: CommonOptions,
  listening: Listening,
  workers: number = availableParallelism(),
): Config {
  const mappings = readMappings(options.mappings ?? []);
  return {
    ...listening,
    mappings,
    ...readMappingSettings(options.mappings ?? []),
    root: options.root,
    workers,
    limits: readLimits(options.limits ?? {}, mappings),
    shared: options.shared ?? [],
    ...readStore(options),
    rights: { ...DEFAULT_SCRIPT_RIGHTS, ...checkedRights('', options.rights ?? {}) },
    logLevel: options.logLevel ?? 'info',
    accessLog: options.accessLog ?? false,
    logs: readLogs(options),
    admin: readAdmin(options.admin),
    compression: readCompression(options.compression ?? {}),
    // the affairs of a process, not of a part of one
    user: undefined,
    daemon: false,
    pidFile: undefined,
    logFile: undefined,
  };
}

/** Options that are no setting: what they name is used from the start on. */
const FIXED_OPTIONS = ['log', 'signal'];

/**
 * The configuration with what `changes` says in the place of what it is; limits and rights that are not named stay. What
 * needs a restart is in it, too: Settings refuse it. Errors: as `completeConfig`.
 */
export function changeConfig(
  current: Config,
  changes: CommonOptions,
  listening: Partial<Listening> = {},
  workers: number = current.workers,
): Config {
  const fixed = FIXED_OPTIONS.find((name) => Object.hasOwn(changes, name));
  if (fixed !== undefined)
    throw new GatewayError('LGW_CONFIG', `Option ${fixed} is given to reload and counts at the start only`);
  const { mappings, root, shared, logLevel, accessLog, compression, limits, rights, admin } = changes;
  const all = completeConfig(
    {
      ...(root === undefined ? (current.root === undefined ? {} : { root: current.root }) : { root }),
      shared: shared ?? current.shared,
      logLevel: logLevel ?? current.logLevel,
      accessLog: accessLog ?? current.accessLog,
      logFormat: changes.logFormat ?? current.logs.format,
      compression: { ...current.compression, ...compression },
      limits: { ...current.limits, ...limits },
      rights: { ...current.rights, ...rights },
    },
    { ...pickListening(current), ...listening },
    workers,
  );
  const stores = changes.store === undefined ? pickStores(current) : readStore(changes);
  const kept = { ...all, ...stores, admin: admin === undefined ? current.admin : readAdmin(admin) };
  if (mappings === undefined) {
    const { scripts, folders, proxies } = current;
    return { ...kept, mappings: current.mappings, scripts, folders, proxies };
  }
  return {
    ...kept,
    mappings: readMappings(mappings),
    ...readMappingSettings(mappings),
  };
}

function readMappingSettings(
  mappings: readonly GatewayMapping[],
): Pick<Config, 'scripts' | 'folders' | 'proxies'> {
  return {
    scripts: readScripts(mappings),
    folders: readFolders(mappings),
    proxies: readProxies(mappings),
  };
}

function pickListening(config: Config): Listening {
  const { tls, listen, cleartext, inherited, noDelay } = config;
  return {
    tls,
    listen,
    cleartext,
    ...(inherited === undefined ? {} : { inherited }),
    ...(noDelay === undefined ? {} : { noDelay }),
  };
}

function readMappings(given: readonly GatewayMapping[]): MappingConfig[] {
  const seen = new Set<string>();
  const mappings = given.map((mapping): MappingConfig => {
    const place = readPlace(mapping);
    const name = mappingName(place);
    if (seen.has(name)) throw new GatewayError('LGW_CONFIG', `Prefix "${name}" is mapped twice`);
    seen.add(name);
    if ('script' in mapping) {
      const { script, mode } = mapping;
      const own = { ...place, script, ...readOwnMachine(mapping, name) };
      return mode === undefined ? own : { ...own, mode: oneOf('mode', SCRIPT_MODES, mode) };
    }
    if ('folder' in mapping) return { ...place, script: mapping.folder, kind: 'static' };
    // the targets are settings, which a reload changes
    if ('proxy' in mapping) return { ...place, script: 'proxy', kind: 'proxy' };
    return { ...place, script: moduleUrl(mapping.module), kind: 'module' };
  });
  refuseManySizes(mappings);
  const hosts = countHosts(mappings);
  if (hosts > HOSTS_MAX)
    throw new GatewayError(
      'LGW_CONFIG',
      `Option mappings names ${hosts} hosts and the limit is ${HOSTS_MAX}`,
    );
  return mappings;
}

function readPlace({ host: given, prefix: givenPrefix }: MappingPlace): OfPlace {
  const prefix = normalizePrefix(givenPrefix);
  if (prefix === undefined)
    throw new GatewayError('LGW_CONFIG', `Prefix ${JSON.stringify(givenPrefix)} is not a path`);
  if (given === undefined) return { prefix };
  const read = typeof given === 'string' ? readHost(given) : { fault: 'it is no text' };
  if ('fault' in read) throw new GatewayError('LGW_CONFIG', `Host ${JSON.stringify(given)}: ${read.fault}`);
  return { host: read.host, prefix };
}

/** What scripts and modules among the mappings have of their own. */
function readScripts(given: readonly GatewayMapping[]): ScriptSettings[] {
  return given.flatMap((mapping) => {
    const place = readPlace(mapping);
    if ('script' in mapping) return readScriptSettings(place, mapping);
    return 'module' in mapping ? readModuleSettings(place, mapping) : [];
  });
}

/** What the folders among the mappings are told. */
function readFolders(given: readonly GatewayMapping[]): FolderSettings[] {
  return given.flatMap((mapping) => ('folder' in mapping ? [readFolder(mapping)] : []));
}

function readProxy(mapping: ProxyMapping): ProxyMappingSettings {
  const { cache = false } = mapping;
  if (typeof cache !== 'boolean')
    throw new GatewayError(
      'LGW_CONFIG',
      `Option cache of a proxy is ${JSON.stringify(cache)} and has to be true or false`,
    );
  return { ...readProxyMapping(readPlace(mapping), mapping.proxy, mapping), cache };
}

/** Where the proxies among the mappings pass requests on to, and how. */
function readProxies(given: readonly GatewayMapping[]): ProxyMappingSettings[] {
  return given.flatMap((mapping) => ('proxy' in mapping ? [readProxy(mapping)] : []));
}

function readFolder(mapping: FolderMapping): FolderSettings {
  const { folder } = mapping;
  const refuse = (option: string, value: unknown, wanted: string): never => {
    throw new GatewayError(
      'LGW_CONFIG',
      `Option ${option} of the folder ${JSON.stringify(folder)} is ${JSON.stringify(value)} and has to be ${wanted}`,
    );
  };
  if (typeof folder !== 'string' || folder === '') refuse('folder', folder, 'the name of a folder');
  return { ...readPlace(mapping), ...readStaticOptions(mapping, refuse) };
}

/** Programs in JavaScript have no types to keep them from others. */
function oneOf<Word extends string>(option: string, words: readonly Word[], word: Word): Word {
  if (words.includes(word)) return word;
  throw new GatewayError(
    'LGW_CONFIG',
    `Option ${option} is ${JSON.stringify(word)} and has to be one of ${words.join(', ')}`,
  );
}

function readLogs({ logFormat = 'text' }: CommonOptions): LogSettings {
  const format = oneOf('logFormat', MESSAGE_FORMATS, logFormat);
  return { ...DEFAULT_LOG_SETTINGS, format, accessFormat: format };
}

function readAdmin(text: string | undefined): AdminAddress | undefined {
  if (text === undefined) return undefined;
  const { read, wants } = adminAddress();
  const address = typeof text === 'string' ? read(text) : undefined;
  if (address !== undefined) return address;
  throw new GatewayError('LGW_CONFIG', `Option admin is ${JSON.stringify(text)} and has to be ${wants}`);
}

function readLimits(given: Partial<Limits>, mappings: readonly MappingConfig[]): Limits {
  checkLimits('', Object.keys(DEFAULT_LIMITS), given);
  const { memoryBytesMax } = { ...DEFAULT_LIMITS, ...given };
  const scripts = mappings.filter(runsLua);
  return {
    ...DEFAULT_LIMITS,
    unreadBodyBytesMax: defaultUnreadBodyBytes(memoryBytesMax, scripts),
    ...given,
  };
}

function readCompression(given: Partial<CompressionSettings>): CompressionSettings {
  const { enabled, types, bytesMin } = { ...DEFAULT_COMPRESSION, ...given };
  if (typeof enabled !== 'boolean')
    throw new GatewayError('LGW_CONFIG', `Option compression.enabled is ${enabled} and has to be a boolean`);
  if (!(typeof bytesMin === 'number' && bytesMin >= 0))
    throw new GatewayError(
      'LGW_CONFIG',
      `Option compression.bytesMin is ${bytesMin} and has to be a number from 0 up`,
    );
  if (!(Array.isArray(types) && types.length <= COMPRESSION_TYPES_MAX && types.every(isTypePattern)))
    throw new GatewayError(
      'LGW_CONFIG',
      `Option compression.types is ${JSON.stringify(types)} and has to be a list of ${COMPRESSION_TYPES_MAX} at most of "TYPE/SUBTYPE", "TYPE/*" or "+SUFFIX"`,
    );
  return { enabled, types, bytesMin };
}

function moduleUrl(module: URL | string): string {
  if (module instanceof URL) return module.href;
  return module.startsWith('file:') ? module : pathToFileURL(resolve(module)).href;
}
