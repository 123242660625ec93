/**
 * From the texts that were given for each option to a checked Config.
 *
 * Long because each value has a rule of its own, and faults of several are gathered together.
 */

import { kindOf, runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import {
  DEFAULT_BALANCE_SETTINGS,
  DEFAULT_HEALTH,
  DEFAULT_PROXY_RULES,
  type HealthSettings,
  type ProxyMappingSettings,
  splitTargets,
} from '../mapping/proxy-settings.ts';
import { DEFAULT_SCRIPT_RIGHTS } from '../mapping/script-rights.ts';
import { MEMORY_SIZES_MAX, type ScriptSettings } from '../mapping/script-settings.ts';
import { DEFAULT_STATIC_SETTINGS, type FolderSettings } from '../mapping/static-settings.ts';
import { defaultUnreadBodyBytes } from '../settings/limits.ts';
import { DEFAULT_LOG_SETTINGS, type LogSettings, messageForm } from '../settings/log-settings.ts';
import { readAcme } from './acme-options.ts';
import { Answers, type OptionTexts, type Origins } from './answers.ts';
import type { Config, MappingConfig, SecureListen } from './config.ts';
import type { FileHealth, FileMapping, FileParts } from './file-parts.ts';
import { checkHosts, readMappings, withModes } from './mappings.ts';
import { type FlagOption, nameOption, type ValueOption } from './option.ts';
import { DEBUG_LEVEL_TRACE, DEFAULT_LOG_LEVEL, OPTIONS } from './options.ts';
import { ALL_PROXY_OPTIONS } from './proxy-options.ts';
import { readDictionaries } from './store-config.ts';
import { readClientAuthority, readTls } from './tls-config.ts';
import { Faults, showPosition } from './usage-error.ts';

const NO_ORIGINS: Origins = new Map();
const NO_PARTS: FileParts = { mappings: [], listeners: undefined };

/**
 * Throws a UsageError with everything that is wrong. `origins`: of the texts that are not from the command line; `parts`: what a
 * configuration file has beside options; `faults`: what was wrong with it already.
 */
export function buildConfig(
  texts: OptionTexts,
  origins: Origins = NO_ORIGINS,
  parts: FileParts = NO_PARTS,
  faults: Faults = new Faults(),
): Config {
  const answers = new Answers(texts, origins, faults);
  refuseTogether(answers, OPTIONS.foreground, OPTIONS.daemon);
  refuseTogether(answers, OPTIONS.debug, OPTIONS.logLevel);
  refuseWatching(answers);
  const isRooted =
    answers.has(OPTIONS.root) || parts.mappings.some(({ mapping }) => mapping.root !== undefined);
  if (answers.has(OPTIONS.allowRun) && !isRooted)
    answers.fault(
      OPTIONS.allowRun,
      `goes with ${nameOption(OPTIONS.root)}: without it any program may be started`,
    );
  if (answers.has(OPTIONS.adminTokenFile) && !answers.has(OPTIONS.admin))
    answers.fault(OPTIONS.adminTokenFile, `goes with ${nameOption(OPTIONS.admin)}, which is not given`);
  const listening = readListeners(answers, parts);
  const debugLevel = answers.value(OPTIONS.debug) ?? 0;
  const { mappings, ofFile, isSound } = readScripts(answers, parts, faults);
  const memoryBytesMax = answers.valueOrDefault(OPTIONS.memory);
  refuseManySizes(answers, memoryBytesMax, ofFile);
  const quietLevel = answers.value(OPTIONS.logLevel) ?? DEFAULT_LOG_LEVEL;
  const config: Config = {
    mappings,
    tls: readTls(answers, parts),
    acme: readAcme(answers, (listening.cleartext ?? listening.redirect) !== undefined),
    ...listening,
    ...readProxying(answers, listening, faults),
    user: answers.value(OPTIONS.user),
    root: answers.value(OPTIONS.root),
    workers: answers.valueOrDefault(OPTIONS.workers),
    daemon: answers.has(OPTIONS.daemon),
    ...(answers.has(OPTIONS.watch) ? { watch: true } : {}),
    pidFile: answers.value(OPTIONS.pidFile),
    admin: answers.value(OPTIONS.admin),
    adminTokenFile: answers.value(OPTIONS.adminTokenFile),
    logFile: answers.value(OPTIONS.logFile),
    logLevel: debugLevel >= DEBUG_LEVEL_TRACE ? 'debug' : quietLevel,
    accessLog: answers.has(OPTIONS.accessLog),
    logs: readLogs(answers),
    compression: {
      enabled: answers.has(OPTIONS.compress),
      types: answers.valueOrDefault(OPTIONS.compressTypes),
      bytesMin: answers.valueOrDefault(OPTIONS.compressMin),
    },
    rights: {
      luaPath: answers.value(OPTIONS.luaPath) ?? DEFAULT_SCRIPT_RIGHTS.luaPath,
      allowsBytecode: answers.has(OPTIONS.allowBytecode),
      sandboxed: answers.has(OPTIONS.sandbox),
      commands: answers.value(OPTIONS.allowRun) ?? DEFAULT_SCRIPT_RIGHTS.commands,
      connect: answers.value(OPTIONS.allowConnect),
      variables: answers.value(OPTIONS.allowEnv) ?? DEFAULT_SCRIPT_RIGHTS.variables,
    },
    ...readDictionaries(answers, parts),
    scripts: readScriptSettings(answers, ofFile),
    folders: readFolders(answers, mappings, ofFile, isSound),
    proxies: readProxies(answers, mappings, ofFile, isSound, hasProxied(answers, listening)),
    limits: {
      idleTimeoutMs: answers.valueOrDefault(OPTIONS.idleTimeout),
      handshakeTimeoutMs: answers.valueOrDefault(OPTIONS.handshakeTimeout),
      headTimeoutMs: answers.valueOrDefault(OPTIONS.headTimeout),
      stallTimeoutMs: answers.valueOrDefault(OPTIONS.stallTimeout),
      bodyRateMin: answers.valueOrDefault(OPTIONS.minBodyRate),
      headBytesMax: answers.valueOrDefault(OPTIONS.maxHead),
      bodyBytesMax: answers.valueOrDefault(OPTIONS.maxBody),
      unreadBodyBytesMax:
        answers.value(OPTIONS.maxUnreadBodies) ??
        defaultUnreadBodyBytes(memoryBytesMax, mappings.filter(runsLua)),
      cacheBytesMax: answers.valueOrDefault(OPTIONS.cacheSize),
      streamsMax: answers.valueOrDefault(OPTIONS.maxStreams),
      connectionsMax: answers.valueOrDefault(OPTIONS.maxConnections),
      connectionsPerAddressMax: answers.valueOrDefault(OPTIONS.maxConnectionsPerAddress),
      resetsPerSecond: answers.valueOrDefault(OPTIONS.maxResets),
      controlFramesPerSecond: answers.valueOrDefault(OPTIONS.maxControlFrames),
      drainTimeoutMs: answers.valueOrDefault(OPTIONS.drainTimeout),
      drainGraceMs: answers.valueOrDefault(OPTIONS.drainGrace),
      memoryBytesMax,
      heartbeatLimitMs: answers.valueOrDefault(OPTIONS.heartbeatLimit),
      cpuLimitMs: answers.valueOrDefault(OPTIONS.cpuLimit),
      timeLimitMs: answers.valueOrDefault(OPTIONS.timeLimit),
      logBytesPerSecond: answers.valueOrDefault(OPTIONS.maxLog),
      mappingSharePercent: answers.valueOrDefault(OPTIONS.mappingShare),
    },
  };
  faults.throwAny();
  return config;
}

type Listening = Pick<Config, 'listen' | 'cleartext' | 'redirect' | 'furtherListeners'>;
type Proxying = Pick<Config, 'proxyProtocol' | 'trustedProxies'>;

/** Those of `[[listen]]`, where the file has some, each kind until an option in its place. */
function readListeners(answers: Answers, parts: FileParts): Listening {
  const redirect = answers.value(OPTIONS.httpRedirect);
  const others = readPlaces(answers, parts);
  if (redirect === undefined) return others;
  if (others.listen === undefined)
    answers.fault(OPTIONS.httpRedirect, 'goes with a listener that speaks TLS, and there is none');
  return { ...others, redirect };
}

function readPlaces(answers: Answers, { listeners }: FileParts): Listening {
  const client = readClientAuthority(answers);
  const secure: SecureListen = {
    address: answers.value(OPTIONS.address),
    port: answers.valueOrDefault(OPTIONS.port),
    ...(client === undefined ? {} : { client }),
  };
  const cleartext = answers.value(OPTIONS.http);
  refuseOnePort(answers, OPTIONS.http);
  refuseOnePort(answers, OPTIONS.httpRedirect);
  if (listeners === undefined) return { listen: secure, cleartext };
  const isMoved = answers.has(OPTIONS.address) || answers.has(OPTIONS.port);
  const ofFile = (scheme: 'https' | 'http'): SecureListen[] =>
    listeners.filter((one) => one.scheme === scheme).map(({ scheme: _, ...one }) => one);
  const [first, ...moreSecure] = isMoved ? [secure] : ofFile('https');
  const listen = first === undefined || client === undefined ? first : { ...first, client };
  const [plain, ...morePlain] = cleartext === undefined ? ofFile('http') : [cleartext];
  const further = [
    ...moreSecure.map((one) => ({ ...one, scheme: 'https' as const })),
    ...morePlain.map((one) => ({ ...one, scheme: 'http' as const })),
  ];
  return { listen, cleartext: plain, ...(further.length === 0 ? {} : { furtherListeners: further }) };
}

/** Who is not named may not say for whom a connection is, and nobody is named by default. */
function readProxying(answers: Answers, listening: Listening, faults: Faults): Proxying {
  const trustedProxies = answers.value(OPTIONS.proxyTrusted);
  const proxyProtocol = answers.has(OPTIONS.proxyProtocol);
  const rest = `goes with ${nameOption(OPTIONS.proxyTrusted)}: without it nobody may say for whom a connection is`;
  if (trustedProxies === undefined) {
    if (proxyProtocol) answers.fault(OPTIONS.proxyProtocol, rest);
    else if (hasProxied(answers, listening)) faults.add(`Key "proxy-protocol" in [[listen]] ${rest}`);
  }
  return { ...(proxyProtocol ? { proxyProtocol } : {}), ...(trustedProxies && { trustedProxies }) };
}

function hasProxied(answers: Answers, { listen, cleartext, furtherListeners = [] }: Listening): boolean {
  const own = [listen, cleartext, ...furtherListeners].some((one) => one?.proxied === true);
  return own || answers.has(OPTIONS.proxyProtocol);
}

/** Two sockets cannot listen on one port of one address; all addresses are among them. */
function refuseOnePort(answers: Answers, option: typeof OPTIONS.http): void {
  const cleartext = answers.value(option);
  const port = answers.valueOrDefault(OPTIONS.port);
  if (cleartext === undefined || cleartext.port !== port || port === 0) return;
  const address = answers.value(OPTIONS.address);
  if (address !== undefined && cleartext.address !== undefined && address !== cleartext.address) return;
  answers.faultOfBoth(
    OPTIONS.port,
    option,
    `ask for the same port, ${port}: one is for TLS and one for cleartext, so each needs its own`,
  );
}

interface ReadScripts {
  readonly mappings: readonly MappingConfig[];
  /** What the file says of those that are from it, by their names. */
  readonly ofFile: ReadonlyMap<string, FileMapping>;
  /** Nothing is wrong with them. */
  readonly isSound: boolean;
}

/** `--script FILE` is short for `--lua / FILE`. A place of the command line takes that of the file. */
function readScripts(answers: Answers, parts: FileParts, faults: Faults): ReadScripts {
  const before = faults.count;
  const tuples = answers.tuples(OPTIONS.lua);
  const pairs = tuples.map(([place = '', script = '']) => [place, script] as const);
  const script = answers.value(OPTIONS.script);
  const fromFile = answers.at(OPTIONS.script);
  const all = script === undefined ? pairs : [...pairs, ['/', script] as const];
  const given = readMappings(all, answers.value(OPTIONS.root), faults);
  const places = new Set(given.map(mappingName));
  const ofFile = new Map<string, FileMapping>();
  for (const one of parts.mappings) {
    const name = mappingName(one.mapping);
    if (name === '/' && fromFile !== undefined)
      faults.add(`Prefix "/" is mapped twice, by key "script" (${showPosition(fromFile)}), too`, one.at);
    if (!places.has(name)) ofFile.set(name, one);
  }
  const mappings = [
    ...[...ofFile.values()].map(({ mapping, at }) => ({ ...mapping, at: showPosition(at) })),
    ...given,
  ];
  faults.attempt(() => checkHosts(mappings), undefined);
  const isSound = faults.count === before && parts.isComplete !== false;
  const modes = answers.tuples(OPTIONS.mode).map(([mode = '']) => mode);
  if (!isSound) return { mappings, ofFile, isSound };
  const withAll = faults.attempt(() => withModes(mappings, modes), mappings, answers.at(OPTIONS.mode));
  return { mappings: withAll, ofFile, isSound };
}

/** Rights that mean nothing in the sandbox, and why. */
const OUTSIDE_SANDBOX = [
  ['commands', 'allow-run', 'scripts in the sandbox start no programs'],
  ['variables', 'allow-env', 'scripts in the sandbox see no variables'],
  ['luaPath', 'lua-path', 'scripts in the sandbox load no modules'],
] as const;

/** What the tables of scripts say in the place of the options. */
function readScriptSettings(answers: Answers, ofFile: ReadonlyMap<string, FileMapping>): ScriptSettings[] {
  const isSandboxed = answers.has(OPTIONS.sandbox);
  return [...ofFile.values()].flatMap(({ mapping: { host, prefix }, script, at }) => {
    if (script === undefined) return [];
    // beside `sandbox = true` of its own the table has been refused already
    if (isSandboxed && script.rights.sandboxed === undefined)
      for (const [right, key, why] of OUTSIDE_SANDBOX)
        if ((script.rights[right]?.length ?? 0) > 0)
          answers.faultAt(
            `Key "${key}" in [[lua]] does nothing under ${nameOption(OPTIONS.sandbox)}: ${why}; "sandbox = false" in the table lets this one out`,
            at,
          );
    if (Object.keys(script.rights).length + Object.keys(script.limits).length === 0) return [];
    return [host === undefined ? { prefix, ...script } : { host, prefix, ...script }];
  });
}

/** The Lua machine is compiled for each size. */
function refuseManySizes(
  answers: Answers,
  memoryBytesMax: number,
  ofFile: ReadonlyMap<string, FileMapping>,
): void {
  const sizes = new Set([memoryBytesMax]);
  for (const { mapping, at } of ofFile.values()) {
    if (mapping.memoryBytesMax === undefined || sizes.has(mapping.memoryBytesMax)) continue;
    sizes.add(mapping.memoryBytesMax);
    if (sizes.size === MEMORY_SIZES_MAX + 1)
      answers.faultAt(
        `Key "memory" in [[lua]] is the ${sizes.size}th size and the limit is ${MEMORY_SIZES_MAX}, with that of all: let mappings share sizes`,
        at,
      );
  }
}

/** The options hold for all folders; without one they would be read and do nothing. */
function readFolders(
  answers: Answers,
  mappings: readonly MappingConfig[],
  ofFile: ReadonlyMap<string, FileMapping>,
  isSound: boolean,
): FolderSettings[] {
  const folders = mappings.filter((mapping) => kindOf(mapping) === 'static');
  const given = [OPTIONS.staticIndex, OPTIONS.staticListing, OPTIONS.staticCacheControl];
  if (folders.length === 0 && isSound)
    for (const idle of given.filter((option) => answers.has(option)))
      answers.fault(idle, `goes with a folder behind ${nameOption(OPTIONS.lua)}, and none is given`);
  const settings = {
    index: answers.value(OPTIONS.staticIndex) ?? DEFAULT_STATIC_SETTINGS.index,
    listing: answers.has(OPTIONS.staticListing),
    cacheControl: answers.value(OPTIONS.staticCacheControl),
  };
  return folders.map(({ host, prefix }) => ({
    ...(host === undefined ? {} : { host }),
    prefix,
    ...settings,
    ...ofFile.get(mappingName({ host, prefix }))?.folder,
  }));
}

/** As for folders. */
function readProxies(
  answers: Answers,
  mappings: readonly MappingConfig[],
  ofFile: ReadonlyMap<string, FileMapping>,
  isSound: boolean,
  isProxied: boolean,
): ProxyMappingSettings[] {
  const proxies = mappings.filter((mapping) => kindOf(mapping) === 'proxy');
  if (proxies.length === 0 && isSound)
    for (const idle of ALL_PROXY_OPTIONS.filter(
      (option) => answers.has(option) && !(isProxied && option === OPTIONS.proxyTrusted),
    ))
      answers.fault(idle, `goes with http://HOST:PORT behind ${nameOption(OPTIONS.lua)}, and none is given`);
  const general = readProxyRules(answers);
  return proxies.map(({ host, prefix, script }) => {
    const table = ofFile.get(mappingName({ host, prefix }));
    const own = table?.proxy;
    const health = readHealth(own?.health, general.health);
    if (table !== undefined && health === undefined && own?.health.intervalMs !== undefined)
      answers.faultAt('Key "check-interval" goes with "check", which is not given', table.at);
    return {
      ...general,
      ...own?.rules,
      timeouts: { ...general.timeouts, ...own?.timeouts },
      tls: { ...general.tls, ...own?.tls },
      health,
      place: host === undefined ? { prefix } : { host, prefix },
      targets: splitTargets(script),
    };
  });
}

/** What holds for all proxies that say nothing else. */
function readProxyRules(answers: Answers): Omit<ProxyMappingSettings, 'place' | 'targets'> {
  const before = DEFAULT_PROXY_RULES;
  const { timeouts } = before;
  const path = answers.value(OPTIONS.proxyCheck);
  const intervalMs = answers.value(OPTIONS.proxyCheckInterval);
  if (!answers.has(OPTIONS.proxyCheck) && answers.has(OPTIONS.proxyCheckInterval))
    answers.fault(
      OPTIONS.proxyCheckInterval,
      `goes with ${nameOption(OPTIONS.proxyCheck)}, which is not given`,
    );
  return {
    ...before,
    timeouts: {
      connectMs: answers.value(OPTIONS.proxyConnectTimeout) ?? timeouts.connectMs,
      headMs: answers.value(OPTIONS.proxyTimeout) ?? timeouts.headMs,
      totalMs: timeouts.totalMs,
      idleMs: answers.value(OPTIONS.proxyIdleTimeout) ?? timeouts.idleMs,
      tunnelMs: answers.value(OPTIONS.proxyTunnelTimeout) ?? timeouts.tunnelMs,
    },
    host: answers.value(OPTIONS.proxyHost) ?? before.host,
    forwarded: answers.value(OPTIONS.proxyForwarded) ?? before.forwarded,
    trusted: answers.value(OPTIONS.proxyTrusted) ?? before.trusted,
    retries: answers.value(OPTIONS.proxyRetries) ?? before.retries,
    tls: {
      ca: answers.value(OPTIONS.proxyCa),
      servername: answers.value(OPTIONS.proxyServername),
      verify: !answers.has(OPTIONS.proxyNoVerify),
    },
    balance: answers.value(OPTIONS.proxyBalance) ?? DEFAULT_BALANCE_SETTINGS,
    ...(answers.has(OPTIONS.proxyCache) ? { cache: true } : {}),
    health: readHealth({ path, intervalMs }, undefined),
  };
}

/** Checks begin where a path is known: the proxy's own, or that of all. */
function readHealth(
  own: FileHealth | undefined,
  general: HealthSettings | undefined,
): HealthSettings | undefined {
  const path = own?.path ?? general?.path;
  if (path === undefined) return undefined;
  const before = general ?? DEFAULT_HEALTH;
  return { ...before, path, intervalMs: own?.intervalMs ?? before.intervalMs };
}

/** What says how the access log looks goes with it, or would be read and do nothing. */
function readLogs(answers: Answers): LogSettings {
  const before = DEFAULT_LOG_SETTINGS;
  const format = answers.value(OPTIONS.logFormat) ?? before.format;
  const target = answers.value(OPTIONS.logTarget);
  const accessTarget = answers.value(OPTIONS.accessLog) ?? before.accessTarget;
  // what receives messages one by one gets lines of requests as those, too
  const isShared = accessTarget.kind === 'log' && messageForm({ format, target }).receiver !== 'lines';
  const settings: LogSettings = {
    format,
    target,
    rotation: answers.value(OPTIONS.logRotate),
    accessTarget: isShared && target !== undefined ? target : accessTarget,
    accessFormat: answers.value(OPTIONS.accessLogFormat) ?? format,
    accessFields: answers.value(OPTIONS.logFields),
    accessSample: answers.value(OPTIONS.accessLogSample) ?? before.accessSample,
  };
  if (target !== undefined && answers.has(OPTIONS.logFile))
    answers.faultOfBoth(OPTIONS.logFile, OPTIONS.logTarget, 'exclude each other: messages go to one of them');
  if (target?.kind === 'journald' && answers.has(OPTIONS.logFormat))
    answers.fault(OPTIONS.logFormat, 'has no meaning for journald, which gets fields');
  const ofAccess = [OPTIONS.accessLogFormat, OPTIONS.logFields, OPTIONS.accessLogSample];
  if (!answers.has(OPTIONS.accessLog))
    for (const idle of ofAccess.filter((option) => answers.has(option)))
      answers.fault(idle, `goes with ${nameOption(OPTIONS.accessLog)}, which is not given`);
  const { accessFormat } = settings;
  if (
    settings.accessFields !== undefined &&
    (typeof accessFormat === 'object' || accessFormat === 'combined')
  )
    answers.faultOfBoth(
      OPTIONS.accessLogFormat,
      OPTIONS.logFields,
      'exclude each other: the format names its fields itself',
    );
  if (
    settings.rotation !== undefined &&
    !answers.has(OPTIONS.logFile) &&
    settings.accessTarget.kind !== 'file'
  )
    answers.fault(OPTIONS.logRotate, `goes with a log file, and none is given`);
  if (settings.accessTarget.kind === 'journald' && answers.has(OPTIONS.accessLogFormat))
    answers.fault(OPTIONS.accessLogFormat, 'has no meaning for journald, which gets fields');
  return settings;
}

/** In the background nobody sees that a change was refused, or that it reached users untried. */
function refuseWatching(answers: Answers): void {
  if (answers.has(OPTIONS.watch) && answers.has(OPTIONS.daemon))
    answers.faultOfBoth(
      OPTIONS.watch,
      OPTIONS.daemon,
      'exclude each other: watching is for development; ask for a reload by SIGHUP or lgateway reload',
    );
}

function refuseTogether(
  answers: Answers,
  one: FlagOption | ValueOption<number>,
  other: FlagOption | ValueOption<unknown>,
): void {
  if (answers.has(one) && answers.has(other)) answers.faultOfBoth(one, other, 'exclude each other');
}
