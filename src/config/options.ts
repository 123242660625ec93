/**
 * The table of all command-line options: parsing, help, completion and defaults are read from it.
 */
import { availableParallelism } from 'node:os';
import type { AdminAddress } from '../base/admin-address.ts';
import { LOG_LEVELS, type LogLevel } from '../base/logger.ts';
import { SHARED_BYTES_DEFAULT, type SharedSize } from '../base/shared-size.ts';
import { SCRIPT_MODES } from '../mapping/script-mode.ts';
import { DEFAULT_STATIC_SETTINGS } from '../mapping/static-settings.ts';
import { LIMIT_BOUNDS } from '../settings/limits.ts';
import { ACME_OPTIONS, type AcmeOptions } from './acme-options.ts';
import { COMPRESSION_OPTIONS, type CompressionOptions } from './compression-options.ts';
import type { ListenAddress } from './config.ts';
import { LIMIT_OPTIONS, type LimitOptions } from './limit-options.ts';
import { LOG_OPTIONS, type LogOptions } from './log-options.ts';
import {
  type AnyOption,
  type DefaultedOption,
  defaulted,
  type FlagOption,
  type TupleOption,
  type ValueOption,
} from './option.ts';
import { PROXY_OPTIONS, type ProxyOptions } from './proxy-options.ts';
import { STORE_OPTIONS, type StoreOptions } from './store-options.ts';
import { TLS_OPTIONS, type TlsOptions } from './tls-options.ts';
import {
  adminAddress,
  cacheControl,
  choice,
  connectList,
  indexNames,
  integer,
  ipAddress,
  listenAddress,
  name,
  nameList,
  port,
  sharedSize,
} from './value-parsers.ts';

interface OptionTable
  extends AcmeOptions,
    CompressionOptions,
    LimitOptions,
    LogOptions,
    ProxyOptions,
    StoreOptions,
    TlsOptions {
  readonly lua: TupleOption;
  readonly script: ValueOption<string>;
  readonly mode: TupleOption;
  readonly sandbox: FlagOption;
  readonly root: ValueOption<string>;
  readonly luaPath: ValueOption<string>;
  readonly allowBytecode: FlagOption;
  readonly allowRun: ValueOption<readonly string[]>;
  readonly allowConnect: ValueOption<readonly string[]>;
  readonly allowEnv: ValueOption<readonly string[]>;
  readonly shared: ValueOption<SharedSize>;
  readonly staticIndex: ValueOption<readonly string[]>;
  readonly staticListing: FlagOption;
  readonly staticCacheControl: ValueOption<string>;
  readonly address: ValueOption<string>;
  readonly port: DefaultedOption<number>;
  readonly http: ValueOption<ListenAddress>;
  readonly proxyProtocol: FlagOption;
  readonly workers: DefaultedOption<number>;
  readonly user: ValueOption<string>;
  readonly config: ValueOption<string>;
  readonly foreground: FlagOption;
  readonly daemon: FlagOption;
  readonly watch: FlagOption;
  readonly pidFile: ValueOption<string>;
  readonly admin: ValueOption<AdminAddress>;
  readonly adminTokenFile: ValueOption<string>;
  readonly debug: ValueOption<number>;
  readonly logLevel: ValueOption<LogLevel>;
  readonly logFile: ValueOption<string>;
  readonly help: FlagOption;
  readonly version: FlagOption;
}

const DEFAULT_PORT = 8443;
export const DEFAULT_LOG_LEVEL: LogLevel = 'info';
/** lhttpd writes its traces at this level and above. */
export const DEBUG_LEVEL_TRACE = 5;
const DEBUG_LEVEL_MAX = 99;
/** Dictionaries that may be declared: each is looked at when a worker has ended. */
export const SHARED_MAX = 64;

export const OPTIONS: OptionTable = {
  lua: {
    kind: 'tuple',
    name: 'lua',
    short: 'l',
    arguments: ['PREFIX', 'SCRIPT'],
    group: 'Scripts',
    help: 'serve the Lua SCRIPT, or in its place the files of a folder or what servers (http://HOST:PORT,...) answer, under the path PREFIX, of one host with HOST/PREFIX; may be given many times (without it, the handlers/ of the package are served)',
  },
  script: {
    kind: 'value',
    name: 'script',
    short: 's',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'Scripts',
    help: 'serve the Lua script FILE under the path /, as -l / FILE does',
  },
  mode: {
    kind: 'tuple',
    name: 'mode',
    arguments: ['[PREFIX=]MODE'],
    group: 'Scripts',
    help: `what the scripts are, or the one of PREFIX: ${SCRIPT_MODES.join(', ')}; without it that shows when they have been loaded`,
  },
  sandbox: {
    kind: 'flag',
    name: 'sandbox',
    group: 'Scripts',
    help: 'scripts see the language, its pure libraries and what their mode offers: no io, os (but its clocks), require, load or debug',
  },
  root: {
    kind: 'value',
    name: 'root',
    short: 'r',
    argument: 'DIRECTORY',
    value: name('a directory'),
    isFile: true,
    group: 'Scripts',
    help: 'virtual root of scripts and of every file a script opens',
  },
  luaPath: {
    kind: 'value',
    name: 'lua-path',
    argument: 'TEMPLATES',
    value: name('templates such as /usr/share/lua/5.4/?.lua'),
    group: 'Scripts',
    help: "where require looks after the script's own directory and lua/ in it: names with ?, separated by ;",
  },
  allowBytecode: {
    kind: 'flag',
    name: 'allow-bytecode',
    group: 'Scripts',
    help: 'accept precompiled chunks; a damaged one can break the state that loads it',
  },
  allowRun: {
    kind: 'value',
    name: 'allow-run',
    argument: 'PROGRAM,...',
    value: nameList('names of programs'),
    group: 'Scripts',
    help: 'programs that scripts may start under a virtual root, without a shell',
  },
  allowConnect: {
    kind: 'value',
    name: 'allow-connect',
    argument: 'HOST[:PORT],...',
    value: connectList(),
    defaultText: 'all; under --sandbox public',
    group: 'Scripts',
    help: 'where httpd.fetch and httpd.connect may connect to: names, *.NAME, addresses, unix:/path; public (the public internet), all or none',
  },
  allowEnv: {
    kind: 'value',
    name: 'allow-env',
    argument: 'NAME,...',
    value: nameList('names of variables'),
    group: 'Scripts',
    help: 'variables of the environment that os.getenv shows to scripts',
  },
  shared: {
    kind: 'value',
    name: 'shared',
    argument: 'NAME[=SIZE]',
    value: sharedSize(),
    repeats: true,
    group: 'Scripts',
    help: `size of the dictionary that scripts know as httpd.shared("NAME"); may be given many times (without it, or without SIZE: ${sharedSize().show({ name: '', bytes: SHARED_BYTES_DEFAULT }).slice(1)})`,
  },
  ...STORE_OPTIONS,
  staticIndex: {
    kind: 'value',
    name: 'static-index',
    argument: 'NAME,...',
    value: indexNames(),
    defaultText: DEFAULT_STATIC_SETTINGS.index.join(','),
    group: 'Folders',
    help: 'files that stand for the folder they are in, the first that is there; none switches that off',
  },
  staticListing: {
    kind: 'flag',
    name: 'static-listing',
    group: 'Folders',
    help: 'show what is in a folder that has no such file',
  },
  staticCacheControl: {
    kind: 'value',
    name: 'static-cache-control',
    argument: 'VALUE',
    value: cacheControl(),
    defaultText: 'not sent',
    group: 'Folders',
    help: 'Cache-Control of the files, such as max-age=3600',
  },
  ...PROXY_OPTIONS,
  ...TLS_OPTIONS,
  ...ACME_OPTIONS,
  address: {
    kind: 'value',
    name: 'address',
    short: 'a',
    argument: 'ADDRESS',
    value: ipAddress(),
    defaultText: 'all, IPv4 and IPv6',
    group: 'Network',
    help: 'listen on this address only',
  },
  port: defaulted({
    name: 'port',
    short: 'p',
    argument: 'PORT',
    value: port(),
    default: DEFAULT_PORT,
    group: 'Network',
    help: 'listen on this port; 0 takes any free one',
  }),
  http: {
    kind: 'value',
    name: 'http',
    argument: '[ADDRESS:]PORT',
    value: listenAddress(),
    group: 'Network',
    help: 'serve without TLS here as well (HTTP/1.1 and h2c); an IPv6 address stands in brackets',
  },
  proxyProtocol: {
    kind: 'flag',
    name: 'proxy-protocol',
    group: 'Network',
    help: 'connections begin with a PROXY head (version 1 or 2) that says whose they are; goes with --proxy-trusted',
  },
  ...COMPRESSION_OPTIONS,
  workers: defaulted({
    name: 'workers',
    short: 'w',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.workersMax),
    default: Math.min(availableParallelism(), LIMIT_BOUNDS.workersMax),
    defaultText: 'one per processor',
    group: 'Process',
    help: 'number of worker threads',
  }),
  user: {
    kind: 'value',
    name: 'user',
    short: 'u',
    argument: 'USER',
    value: name('a user name'),
    group: 'Process',
    help: 'become this user once the port is bound and the key is read',
  },
  config: {
    kind: 'value',
    name: 'config',
    commandLineOnly: true,
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'Process',
    help: 'read options and mappings from this file (TOML); variables LGATEWAY_... go before it, and the command line before all',
  },
  foreground: {
    kind: 'flag',
    name: 'foreground',
    short: 'f',
    commandLineOnly: true,
    group: 'Process',
    help: 'stay in the foreground, as is the default',
  },
  daemon: {
    kind: 'flag',
    name: 'daemon',
    short: 'D',
    commandLineOnly: true,
    group: 'Process',
    help: 'go to the background; the command returns 0 when all workers are ready, 1 when that failed',
  },
  watch: {
    kind: 'flag',
    name: 'watch',
    group: 'Process',
    help: 'for development: reload when scripts, Lua files below their folders, the configuration file or the certificate change',
  },
  pidFile: {
    kind: 'value',
    name: 'pid-file',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'Process',
    help: 'write the process id to this file',
  },
  admin: {
    kind: 'value',
    name: 'admin',
    argument: 'ADDRESS:PORT|unix:/PATH',
    value: adminAddress(),
    group: 'Process',
    help: 'metrics, health and actions for this machine alone, over HTTP without TLS',
  },
  adminTokenFile: {
    kind: 'value',
    name: 'admin-token-file',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    defaultText: 'made at the start',
    group: 'Process',
    help: 'what actions of the admin listener have to bring: the text in this file',
  },
  debug: {
    kind: 'value',
    name: 'debug',
    short: 'd',
    argument: '[LEVEL]',
    value: integer(0, DEBUG_LEVEL_MAX),
    bare: DEBUG_LEVEL_TRACE,
    group: 'Log',
    help: `debug messages: LEVEL ${DEBUG_LEVEL_TRACE} and more, or none given, is on; less is off`,
  },
  logLevel: {
    kind: 'value',
    name: 'log-level',
    argument: 'LEVEL',
    value: choice(LOG_LEVELS),
    defaultText: DEFAULT_LOG_LEVEL,
    group: 'Log',
    help: `least important messages to keep: ${LOG_LEVELS.join(', ')}`,
  },
  logFile: {
    kind: 'value',
    name: 'log-file',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    defaultText: 'standard error',
    group: 'Log',
    help: 'append log lines to this file, opened anew on SIGHUP; in the background nothing else keeps them',
  },
  ...LOG_OPTIONS,
  ...LIMIT_OPTIONS,
  help: {
    kind: 'flag',
    name: 'help',
    short: 'h',
    commandLineOnly: true,
    group: 'Help',
    help: 'show this text',
  },
  version: { kind: 'flag', name: 'version', commandLineOnly: true, group: 'Help', help: 'show the version' },
};

/** All rows of the table, in the order of the help. */
export const ALL_OPTIONS: readonly AnyOption[] = Object.values(OPTIONS);
