/** The table of settings: what each value of the configuration is set by, and whether a reload applies a new one. */

import { showStoreAddress } from '../base/store-address.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { CompressionSettings } from '../settings/compression.ts';
import type { Limits } from '../settings/limits.ts';
import type { LogSettings } from '../settings/log-settings.ts';
import type { AtReload, Setting } from '../settings/settings.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import { ALL_ACME_OPTIONS } from './acme-options.ts';
import type { Config, SecureListen, TlsConfig } from './config.ts';
import type { AnyOption } from './option.ts';
import { OPTIONS } from './options.ts';
import { ALL_PROXY_OPTIONS } from './proxy-options.ts';

type TopName = Exclude<keyof Config, 'compression' | 'limits' | 'logs' | 'rights' | 'tls'>;
type SettingName =
  | TopName
  | 'clients'
  | `compression.${keyof CompressionSettings}`
  | `limits.${keyof Limits}`
  | `logs.${keyof LogSettings}`
  | `rights.${keyof ScriptRights}`
  | `tls.${keyof TlsConfig}`;

interface SettingRow {
  readonly atReload: AtReload;
  readonly options: readonly AnyOption[];
  /** Why only a restart changes it, for the manual. */
  readonly why?: string;
  /** Default: what has its name. */
  readonly read?: (config: Config) => unknown;
  /** No message shows it. */
  readonly isSecret?: true;
  /** Default: as the option is given. */
  readonly show?: (value: unknown) => string;
}

/** A reload applies it: new requests, connections or states go by it in every worker. */
function applied(...options: AnyOption[]): SettingRow {
  return { atReload: 'applied', options };
}

/** It belongs to what is made once, at the start. */
function restart(why: string, ...options: AnyOption[]): SettingRow {
  return { atReload: 'restart', options, why };
}

const BOUND_ONCE = 'sockets are bound once, and later the right to bind them may be gone';

/** The compiler asks for a row for each value of the configuration, the test of the table for each option. */
const ROWS: Readonly<Record<SettingName, SettingRow>> = {
  mappings: applied(OPTIONS.lua, OPTIONS.script, OPTIONS.mode),
  acme: restart(
    'one folder has the account as long as the process runs, and may be out of reach later',
    ...ALL_ACME_OPTIONS,
  ),
  listen: {
    ...restart(BOUND_ONCE, OPTIONS.address, OPTIONS.port),
    read: ({ listen }) => listen && withoutClient(listen),
  },
  clients: { ...applied(OPTIONS.clientCa, OPTIONS.clientVerify), read: clientsOf },
  cleartext: restart(BOUND_ONCE, OPTIONS.http),
  redirect: restart(BOUND_ONCE, OPTIONS.httpRedirect),
  furtherListeners: {
    ...restart(BOUND_ONCE),
    read: ({ furtherListeners }) => furtherListeners?.map(withoutClient),
  },
  inherited: restart(BOUND_ONCE),
  proxyProtocol: restart(
    'it belongs to the listeners: a balancer and the gateway change over with another listener',
    OPTIONS.proxyProtocol,
  ),
  // by `--proxy-trusted`, which `proxies` names
  trustedProxies: applied(),
  noDelay: restart('it belongs to the listeners'),
  user: restart('rights that were given up do not come back', OPTIONS.user),
  // files that are open stay those of the old one
  root: applied(OPTIONS.root),
  workers: restart('what threads share has a place for each of them', OPTIONS.workers),
  daemon: restart('the process has gone to the background, or has not', OPTIONS.daemon, OPTIONS.foreground),
  watch: restart('it begins with the start', OPTIONS.watch),
  pidFile: restart('other programs find the process by it', OPTIONS.pidFile),
  admin: restart('whoever asks for the reload waits there for its outcome', OPTIONS.admin),
  adminTokenFile: restart('it belongs to the admin listener', OPTIONS.adminTokenFile),
  logFile: applied(OPTIONS.logFile),
  'logs.format': restart('threads that write lines of one form cannot change together', OPTIONS.logFormat),
  'logs.target': restart('what is logged at a reload has to have a place', OPTIONS.logTarget),
  logLevel: applied(OPTIONS.logLevel, OPTIONS.debug),
  accessLog: applied(OPTIONS.accessLog),
  'logs.rotation': applied(OPTIONS.logRotate),
  'logs.accessTarget': applied(),
  'logs.accessFormat': applied(OPTIONS.accessLogFormat),
  'logs.accessFields': applied(OPTIONS.logFields),
  'logs.accessSample': applied(OPTIONS.accessLogSample),
  'compression.enabled': applied(OPTIONS.compress),
  'compression.types': applied(OPTIONS.compressTypes),
  'compression.bytesMin': applied(OPTIONS.compressMin),
  shared: restart('their memory outlives reloads, and what is in it', OPTIONS.shared),
  stores: { ...restart('every worker is connected to it', OPTIONS.store, OPTIONS.storeCa), show: showStores },
  storeSecret: {
    ...restart('what it seals is sealed already', OPTIONS.storeSecret),
    isSecret: true,
  },
  storeFiles: restart('what they hold is in use already'),
  // rights and limits of single mappings; `mappings` has their roots and memory
  scripts: applied(),
  folders: applied(OPTIONS.staticIndex, OPTIONS.staticListing, OPTIONS.staticCacheControl),
  proxies: applied(...ALL_PROXY_OPTIONS),
  'tls.certificates': applied(OPTIONS.cert, OPTIONS.key),
  'tls.strictSni': applied(OPTIONS.strictSni),
  'tls.profile': applied(OPTIONS.tlsProfile),
  'tls.hsts': applied(OPTIONS.hsts),
  'tls.ocsp': restart('who asks the authorities begins with the start', OPTIONS.ocsp),
  'rights.luaPath': applied(OPTIONS.luaPath),
  'rights.allowsBytecode': applied(OPTIONS.allowBytecode),
  'rights.commands': applied(OPTIONS.allowRun),
  'rights.sandboxed': applied(OPTIONS.sandbox),
  'rights.connect': applied(OPTIONS.allowConnect),
  'rights.variables': applied(OPTIONS.allowEnv),
  'limits.idleTimeoutMs': applied(OPTIONS.idleTimeout),
  'limits.handshakeTimeoutMs': applied(OPTIONS.handshakeTimeout),
  'limits.headTimeoutMs': applied(OPTIONS.headTimeout),
  'limits.stallTimeoutMs': applied(OPTIONS.stallTimeout),
  'limits.bodyRateMin': applied(OPTIONS.minBodyRate),
  'limits.headBytesMax': applied(OPTIONS.maxHead),
  'limits.bodyBytesMax': applied(OPTIONS.maxBody),
  'limits.unreadBodyBytesMax': applied(OPTIONS.maxUnreadBodies),
  'limits.cacheBytesMax': applied(OPTIONS.cacheSize),
  'limits.streamsMax': applied(OPTIONS.maxStreams),
  'limits.connectionsMax': applied(OPTIONS.maxConnections),
  'limits.connectionsPerAddressMax': applied(OPTIONS.maxConnectionsPerAddress),
  'limits.resetsPerSecond': applied(OPTIONS.maxResets),
  'limits.controlFramesPerSecond': applied(OPTIONS.maxControlFrames),
  'limits.drainTimeoutMs': applied(OPTIONS.drainTimeout),
  'limits.drainGraceMs': applied(OPTIONS.drainGrace),
  // new states are of a machine of the new size
  'limits.memoryBytesMax': applied(OPTIONS.memory),
  'limits.heartbeatLimitMs': applied(OPTIONS.heartbeatLimit),
  'limits.cpuLimitMs': applied(OPTIONS.cpuLimit),
  'limits.timeLimitMs': applied(OPTIONS.timeLimit),
  'limits.mappingSharePercent': applied(OPTIONS.mappingShare),
  'limits.logBytesPerSecond': applied(OPTIONS.maxLog),
};

/** What needs a restart, and why, for the manual: the options that set it. */
export const RESTART_REASONS: readonly { readonly options: readonly string[]; readonly why: string }[] =
  Object.values(ROWS).flatMap(({ options, why }) =>
    why === undefined || options.length === 0
      ? []
      : [{ options: options.map(({ name }) => `--${name}`), why }],
  );

/** For the Settings of a process. */
export const SETTING_TABLE: readonly Setting<Config>[] = Object.entries(ROWS).map(([name, row]) => ({
  name,
  options: row.options.map((option) => `--${option.name}`),
  atReload: row.atReload,
  read: (config) => withoutPlaces(row.read === undefined ? readPath(config, name) : row.read(config)),
  ...(row.isSecret === undefined ? {} : { isSecret: row.isSecret }),
  show: row.show ?? ((value) => showBy(row.options, value)),
}));

/** What clients of a listener have to show is no matter of its socket. */
function withoutClient({ client: _asked, ...place }: SecureListen): unknown {
  return place;
}

/** By listener; undefined where nobody is asked. */
function clientsOf({ listen, furtherListeners = [] }: Config): unknown {
  const all = [listen, ...furtherListeners].map((one) => one?.client);
  return all.some((client) => client !== undefined) ? all : undefined;
}

/** Addresses of stores have passwords. */
function showStores(value: unknown): string {
  return (value as readonly StoreSettings[]).map(({ address }) => showStoreAddress(address)).join(' and ');
}

/** JSON has no word for it. */
function showUnlimited(_name: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? 'unlimited' : value;
}

function readPath(config: Config, name: string): unknown {
  return name
    .split('.')
    .reduce<unknown>((value, part) => (value as Readonly<Record<string, unknown>>)[part], config);
}

/** The same without places in a file: a table that has moved there is no change. */
function withoutPlaces(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPlaces);
  if (typeof value !== 'object' || value === null) return value;
  const { at: _place, ...rest } = value as { readonly at?: unknown };
  return rest;
}

/** As the option would be given, where one alone sets it. */
function showBy([option, ...more]: readonly AnyOption[], value: unknown): string {
  if (more.length === 0 && option?.kind === 'value' && option.repeats !== true && typeof value !== 'boolean')
    return option.value.show(value);
  return typeof value === 'string' ? value : JSON.stringify(value, showUnlimited);
}
