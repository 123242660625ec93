/** From the texts that were given for each option to a checked Config. */

import type { SharedSize } from '../base/shared-size.ts';
import { kindOf, runsLua } from '../mapping/mapping-kinds.ts';
import {
  DEFAULT_BALANCE_SETTINGS,
  DEFAULT_HEALTH,
  DEFAULT_PROXY_RULES,
  type ProxyMappingSettings,
  splitTargets,
} from '../mapping/proxy-settings.ts';
import { DEFAULT_SCRIPT_RIGHTS } from '../mapping/script-rights.ts';
import { DEFAULT_STATIC_SETTINGS, type FolderSettings } from '../mapping/static-settings.ts';
import { defaultUnreadBodyBytes } from '../settings/limits.ts';
import type { Config, MappingConfig } from './config.ts';
import { readMappings, withModes } from './mappings.ts';
import {
  type DefaultedOption,
  type FlagOption,
  nameOption,
  type TupleOption,
  type ValueOption,
} from './option.ts';
import { DEBUG_LEVEL_TRACE, DEFAULT_LOG_LEVEL, OPTIONS, SHARED_MAX } from './options.ts';
import { ALL_PROXY_OPTIONS } from './proxy-options.ts';
import { quote, UsageError } from './usage-error.ts';

/** The texts of one command line: for each option that was given, by its long name, what followed it each time. */
export type OptionTexts = ReadonlyMap<string, readonly (readonly string[])[]>;

/** Throws UsageError with the option and what it wants. */
export function buildConfig(texts: OptionTexts): Config {
  const answers = new Answers(texts);
  const address = answers.value(OPTIONS.address);
  refuseTogether(answers, OPTIONS.foreground, OPTIONS.daemon);
  refuseTogether(answers, OPTIONS.debug, OPTIONS.logLevel);
  if (answers.has(OPTIONS.allowRun) && !answers.has(OPTIONS.root))
    throw new UsageError(
      `Option ${nameOption(OPTIONS.allowRun)} goes with ${nameOption(OPTIONS.root)}: without it any program may be started`,
    );
  refuseOnePort(answers);
  const debugLevel = answers.value(OPTIONS.debug) ?? 0;
  const mappings = readScripts(answers);
  const memoryBytesMax = answers.valueOrDefault(OPTIONS.memory);
  const quietLevel = answers.value(OPTIONS.logLevel) ?? DEFAULT_LOG_LEVEL;
  return {
    mappings,
    certificateFiles: readCertificateFiles(answers),
    listen: { address, port: answers.valueOrDefault(OPTIONS.port) },
    cleartext: answers.value(OPTIONS.http),
    user: answers.value(OPTIONS.user),
    root: answers.value(OPTIONS.root),
    workers: answers.valueOrDefault(OPTIONS.workers),
    daemon: answers.has(OPTIONS.daemon),
    pidFile: answers.value(OPTIONS.pidFile),
    logFile: answers.value(OPTIONS.logFile),
    logLevel: debugLevel >= DEBUG_LEVEL_TRACE ? 'debug' : quietLevel,
    accessLog: answers.has(OPTIONS.accessLog),
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
    shared: readShared(answers),
    folders: readFolders(answers, mappings),
    proxies: readProxies(answers, mappings),
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
        defaultUnreadBodyBytes(memoryBytesMax, mappings.filter(runsLua).length),
      streamsMax: answers.valueOrDefault(OPTIONS.maxStreams),
      connectionsMax: answers.valueOrDefault(OPTIONS.maxConnections),
      connectionsPerAddressMax: answers.valueOrDefault(OPTIONS.maxConnectionsPerAddress),
      resetsPerSecond: answers.valueOrDefault(OPTIONS.maxResets),
      controlFramesPerSecond: answers.valueOrDefault(OPTIONS.maxControlFrames),
      drainTimeoutMs: answers.valueOrDefault(OPTIONS.drainTimeout),
      memoryBytesMax,
      cpuLimitMs: answers.valueOrDefault(OPTIONS.cpuLimit),
      timeLimitMs: answers.valueOrDefault(OPTIONS.timeLimit),
      logBytesPerSecond: answers.valueOrDefault(OPTIONS.maxLog),
      mappingSharePercent: answers.valueOrDefault(OPTIONS.mappingShare),
    },
  };
}

/** Two sockets cannot listen on one port of one address; all addresses are among them. */
function refuseOnePort(answers: Answers): void {
  const cleartext = answers.value(OPTIONS.http);
  const port = answers.valueOrDefault(OPTIONS.port);
  if (cleartext === undefined || cleartext.port !== port || port === 0) return;
  const address = answers.value(OPTIONS.address);
  if (address !== undefined && cleartext.address !== undefined && address !== cleartext.address) return;
  throw new UsageError(
    `Options ${nameOption(OPTIONS.port)} and ${nameOption(OPTIONS.http)} ask for the same port, ${port}: one is for TLS and one for cleartext, so each needs its own`,
  );
}

/** `--script FILE` is short for `--lua / FILE`. */
function readScripts(answers: Answers): MappingConfig[] {
  const pairs = answers.tuples(OPTIONS.lua).map(([place = '', script = '']) => [place, script] as const);
  const script = answers.value(OPTIONS.script);
  const modes = answers.tuples(OPTIONS.mode).map(([mode = '']) => mode);
  const all = script === undefined ? pairs : [...pairs, ['/', script] as const];
  return withModes(readMappings(all, answers.value(OPTIONS.root)), modes);
}

function readCertificateFiles(answers: Answers): Config['certificateFiles'] {
  const certificate = answers.value(OPTIONS.cert);
  const key = answers.value(OPTIONS.key);
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  if (certificate === undefined && key === undefined) return undefined;
  const missing = key === undefined ? OPTIONS.key : OPTIONS.cert;
  throw new UsageError(
    `Options ${nameOption(OPTIONS.cert)} and ${nameOption(OPTIONS.key)} go together, and ${nameOption(missing)} is missing`,
  );
}

/** The options hold for all folders; without one they would be read and do nothing. */
function readFolders(answers: Answers, mappings: readonly MappingConfig[]): FolderSettings[] {
  const folders = mappings.filter((mapping) => kindOf(mapping) === 'static');
  const given = [OPTIONS.staticIndex, OPTIONS.staticListing, OPTIONS.staticCacheControl];
  const idle = folders.length === 0 ? given.find((option) => answers.has(option)) : undefined;
  if (idle !== undefined)
    throw new UsageError(
      `Option ${nameOption(idle)} goes with a folder behind ${nameOption(OPTIONS.lua)}, and none is given`,
    );
  const settings = {
    index: answers.value(OPTIONS.staticIndex) ?? DEFAULT_STATIC_SETTINGS.index,
    listing: answers.has(OPTIONS.staticListing),
    cacheControl: answers.value(OPTIONS.staticCacheControl),
  };
  return folders.map(({ host, prefix }) => ({
    ...(host === undefined ? {} : { host }),
    prefix,
    ...settings,
  }));
}

/** As for folders. */
function readProxies(answers: Answers, mappings: readonly MappingConfig[]): ProxyMappingSettings[] {
  const proxies = mappings.filter((mapping) => kindOf(mapping) === 'proxy');
  const idle = proxies.length === 0 ? ALL_PROXY_OPTIONS.find((option) => answers.has(option)) : undefined;
  if (idle !== undefined)
    throw new UsageError(
      `Option ${nameOption(idle)} goes with http://HOST:PORT behind ${nameOption(OPTIONS.lua)}, and none is given`,
    );
  const before = DEFAULT_PROXY_RULES;
  const { timeouts } = before;
  const path = answers.value(OPTIONS.proxyCheck);
  const intervalMs = answers.value(OPTIONS.proxyCheckInterval);
  if (path === undefined && intervalMs !== undefined)
    throw new UsageError(
      `Option ${nameOption(OPTIONS.proxyCheckInterval)} goes with ${nameOption(OPTIONS.proxyCheck)}, which is not given`,
    );
  const rules = {
    ...before,
    timeouts: {
      connectMs: answers.value(OPTIONS.proxyConnectTimeout) ?? timeouts.connectMs,
      headMs: answers.value(OPTIONS.proxyTimeout) ?? timeouts.headMs,
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
    health:
      path === undefined
        ? undefined
        : { ...DEFAULT_HEALTH, path, intervalMs: intervalMs ?? DEFAULT_HEALTH.intervalMs },
  };
  return proxies.map(({ host, prefix, script }) => ({
    ...rules,
    place: host === undefined ? { prefix } : { host, prefix },
    targets: splitTargets(script),
  }));
}

function readShared(answers: Answers): readonly SharedSize[] {
  const sizes = answers.values(OPTIONS.shared);
  if (sizes.length > SHARED_MAX)
    throw new UsageError(
      `Option ${nameOption(OPTIONS.shared)} is given ${sizes.length} times and the limit is ${SHARED_MAX}`,
    );
  const twice = sizes.find(({ name }, i) => sizes.findIndex((other) => other.name === name) < i);
  if (twice === undefined) return sizes;
  throw new UsageError(`Option ${nameOption(OPTIONS.shared)} names ${quote(twice.name)} twice`);
}

function refuseTogether(
  answers: Answers,
  one: FlagOption | ValueOption<number>,
  other: FlagOption | ValueOption<unknown>,
): void {
  if (answers.has(one) && answers.has(other))
    throw new UsageError(`Options ${nameOption(one)} and ${nameOption(other)} exclude each other`);
}

/** What was given for each option, read by the option's own rule. */
class Answers {
  readonly #texts: OptionTexts;

  constructor(texts: OptionTexts) {
    this.#texts = texts;
  }

  has(option: { readonly name: string }): boolean {
    return this.#texts.has(option.name);
  }

  value<T>(option: ValueOption<T>): T | undefined {
    const [texts, ...more] = this.#texts.get(option.name) ?? [];
    if (texts === undefined) return undefined;
    if (more.length > 0)
      throw new UsageError(`Option ${nameOption(option)} is given ${more.length + 1} times and counts once`);
    return this.#read(option, texts[0] ?? '');
  }

  /** Of an option that repeats. */
  values<T>(option: ValueOption<T>): readonly T[] {
    return (this.#texts.get(option.name) ?? []).map(([text = '']) => this.#read(option, text));
  }

  #read<T>(option: ValueOption<T>, text: string): T {
    if (text === '' && option.bare !== undefined) return option.bare;
    const value = option.value.read(text);
    if (value !== undefined) return value;
    if (text === '')
      throw new UsageError(
        `Option ${nameOption(option)} wants ${option.value.wants}, and nothing follows it`,
      );
    throw new UsageError(`Option ${nameOption(option)} wants ${option.value.wants}, not ${quote(text)}`);
  }

  valueOrDefault<T>(option: DefaultedOption<T>): T {
    return this.value(option) ?? option.default;
  }

  tuples(option: TupleOption): readonly (readonly string[])[] {
    const tuples = this.#texts.get(option.name) ?? [];
    const wrong = tuples.find((tuple) => tuple.length !== option.arguments.length);
    if (wrong === undefined) return tuples;
    const found = wrong.length === 0 ? 'nothing follows it' : `got ${wrong.map(quote).join(' ')}`;
    const names = option.arguments.join(' ');
    const wanted = option.arguments.length === 1 ? names : `${option.arguments.length} values, ${names},`;
    throw new UsageError(`Option ${nameOption(option)} wants ${wanted} and ${found}`);
  }
}
