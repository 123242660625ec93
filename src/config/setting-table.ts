/** The table of settings: what each value of the configuration is set by, and whether a reload applies a new one. */

import type { ScriptRights } from '../mapping/script-rights.ts';
import type { CompressionSettings } from '../settings/compression.ts';
import type { Limits } from '../settings/limits.ts';
import type { LogSettings } from '../settings/log-settings.ts';
import type { AtReload, Setting } from '../settings/settings.ts';
import { ALL_ACME_OPTIONS } from './acme-options.ts';
import type { Config, TlsConfig } from './config.ts';
import type { AnyOption } from './option.ts';
import { OPTIONS } from './options.ts';
import { ALL_PROXY_OPTIONS } from './proxy-options.ts';

type TopName = Exclude<keyof Config, 'compression' | 'limits' | 'logs' | 'rights' | 'tls'>;
type SettingName =
  | TopName
  | `compression.${keyof CompressionSettings}`
  | `limits.${keyof Limits}`
  | `logs.${keyof LogSettings}`
  | `rights.${keyof ScriptRights}`
  | `tls.${keyof TlsConfig}`;

interface SettingRow {
  readonly atReload: AtReload;
  readonly options: readonly AnyOption[];
}

/** A reload applies it: new requests, connections or states go by it in every worker. */
function applied(...options: AnyOption[]): SettingRow {
  return { atReload: 'applied', options };
}

/** It belongs to what is made once, at the start. */
function restart(...options: AnyOption[]): SettingRow {
  return { atReload: 'restart', options };
}

/** The compiler asks for a row for each value of the configuration, the test of the table for each option. */
const ROWS: Readonly<Record<SettingName, SettingRow>> = {
  // counters in memory that a thread is started with have a row for each mapping
  mappings: restart(OPTIONS.lua, OPTIONS.script, OPTIONS.mode),
  // the folder of the account may be out of reach later
  acme: restart(...ALL_ACME_OPTIONS),
  // sockets are bound once, and later the right to bind may be gone
  listen: restart(OPTIONS.address, OPTIONS.port, OPTIONS.clientCa, OPTIONS.clientVerify),
  cleartext: restart(OPTIONS.http),
  redirect: restart(OPTIONS.httpRedirect),
  furtherListeners: restart(),
  inherited: restart(),
  proxyProtocol: restart(OPTIONS.proxyProtocol),
  // by `--proxy-trusted`, which `proxies` names
  trustedProxies: applied(),
  noDelay: restart(),
  user: restart(OPTIONS.user),
  // the files of a script that are open lie in the old one
  root: restart(OPTIONS.root),
  workers: restart(OPTIONS.workers),
  daemon: restart(OPTIONS.daemon, OPTIONS.foreground),
  watch: restart(OPTIONS.watch),
  pidFile: restart(OPTIONS.pidFile),
  admin: restart(OPTIONS.admin),
  adminTokenFile: restart(OPTIONS.adminTokenFile),
  // opened before anything else; a reload opens the same name anew
  logFile: restart(OPTIONS.logFile),
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
  // their memory outlives reloads
  shared: restart(OPTIONS.shared),
  // rights and limits of single mappings; `mappings` has their roots and memory
  scripts: applied(),
  folders: applied(OPTIONS.staticIndex, OPTIONS.staticListing, OPTIONS.staticCacheControl),
  proxies: applied(...ALL_PROXY_OPTIONS),
  'tls.certificates': applied(OPTIONS.cert, OPTIONS.key),
  'tls.strictSni': applied(OPTIONS.strictSni),
  'tls.profile': applied(OPTIONS.tlsProfile),
  'tls.hsts': applied(OPTIONS.hsts),
  'tls.ocsp': restart(OPTIONS.ocsp),
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
  'limits.streamsMax': applied(OPTIONS.maxStreams),
  'limits.connectionsMax': applied(OPTIONS.maxConnections),
  'limits.connectionsPerAddressMax': applied(OPTIONS.maxConnectionsPerAddress),
  'limits.resetsPerSecond': applied(OPTIONS.maxResets),
  'limits.controlFramesPerSecond': applied(OPTIONS.maxControlFrames),
  'limits.drainTimeoutMs': applied(OPTIONS.drainTimeout),
  // it is compiled into the Lua machine, which all workers share
  'limits.memoryBytesMax': restart(OPTIONS.memory),
  'limits.heartbeatLimitMs': applied(OPTIONS.heartbeatLimit),
  'limits.cpuLimitMs': applied(OPTIONS.cpuLimit),
  'limits.timeLimitMs': applied(OPTIONS.timeLimit),
  'limits.mappingSharePercent': applied(OPTIONS.mappingShare),
  'limits.logBytesPerSecond': applied(OPTIONS.maxLog),
};

/** For the Settings of a process. */
export const SETTING_TABLE: readonly Setting<Config>[] = Object.entries(ROWS).map(([name, row]) => ({
  name,
  options: row.options.map((option) => `--${option.name}`),
  atReload: row.atReload,
  read: (config) => readPath(config, name),
  show: (value) => showBy(row.options, value),
}));

/** JSON has no word for it. */
function showUnlimited(_name: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? 'unlimited' : value;
}

function readPath(config: Config, name: string): unknown {
  return name
    .split('.')
    .reduce<unknown>((value, part) => (value as Readonly<Record<string, unknown>>)[part], config);
}

/** As the option would be given, where one alone sets it. */
function showBy([option, ...more]: readonly AnyOption[], value: unknown): string {
  if (more.length === 0 && option?.kind === 'value' && option.repeats !== true && typeof value !== 'boolean')
    return option.value.show(value);
  return typeof value === 'string' ? value : JSON.stringify(value, showUnlimited);
}
