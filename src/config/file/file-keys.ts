/** The keys of the tables `[[lua]]`, `[[static]]`, `[[proxy]]`, `[[listen]]`, `[[certificate]]` and `[[shared]]`: by the rules of the options, where there is one. */
import { messageOf } from '../../base/errors.ts';
import { SHARED_BYTES_MAX, SHARED_BYTES_MIN, SHARED_NAME } from '../../base/shared-size.ts';
import type { StoreAddress } from '../../base/store-address.ts';
import {
  type BalanceSettings,
  type ForwardedForm,
  splitTargets,
  TARGETS_MAX,
} from '../../mapping/proxy-settings.ts';
import { parseTarget } from '../../mapping/proxy-target.ts';
import { PROXY_VALUES } from '../../mapping/proxy-values.ts';
import { SCRIPT_MODES, type ScriptMode } from '../../mapping/script-mode.ts';
import type { ClientVerify } from '../../settings/tls-settings.ts';
import { readHost } from '../mapping-host.ts';
import { normalizePrefix } from '../mappings.ts';
import { OPTIONS } from '../options.ts';
import { storeAddress } from '../store-options.ts';
import { choice, ipAddress, name, port, size, type ValueParser } from '../value-parsers.ts';
import type { TableKey } from './file-table.ts';
import type { FlagKey, ValueKey } from './file-value.ts';

interface PlaceKeys {
  readonly prefix: ValueKey<string>;
  readonly host: ValueKey<string>;
}

const PLACE: PlaceKeys = {
  prefix: {
    ...key('prefix', prefixParser(), 'path whose requests it gets, and those below it'),
    isRequired: true,
  },
  host: key(
    'host',
    hostParser(),
    'host whose requests it gets, before mappings without a host; default: any',
  ),
};

export interface LuaKeys extends PlaceKeys {
  readonly script: ValueKey<string>;
  readonly mode: ValueKey<ScriptMode>;
  readonly root: ValueKey<string>;
  readonly sandbox: FlagKey;
  readonly luaPath: ValueKey<string>;
  readonly allowBytecode: FlagKey;
  readonly allowRun: ValueKey<readonly string[]>;
  readonly allowConnect: ValueKey<readonly string[]>;
  readonly allowEnv: ValueKey<readonly string[]>;
  readonly memory: ValueKey<number>;
  readonly cpuLimit: ValueKey<number>;
  readonly timeLimit: ValueKey<number>;
  readonly share: ValueKey<number>;
}

export const LUA_KEYS: LuaKeys = {
  ...PLACE,
  script: { ...key('script', name('a file name'), 'the Lua script'), isFile: true, isRequired: true },
  mode: key('mode', choice(SCRIPT_MODES), 'what the script is; default: that shows when it has been loaded'),
  root: OPTIONS.root,
  sandbox: OPTIONS.sandbox,
  luaPath: OPTIONS.luaPath,
  allowBytecode: OPTIONS.allowBytecode,
  allowRun: { ...OPTIONS.allowRun, value: orNone(OPTIONS.allowRun.value) },
  allowConnect: OPTIONS.allowConnect,
  allowEnv: { ...OPTIONS.allowEnv, value: orNone(OPTIONS.allowEnv.value) },
  memory: OPTIONS.memory,
  cpuLimit: OPTIONS.cpuLimit,
  timeLimit: OPTIONS.timeLimit,
  share: { ...OPTIONS.mappingShare, name: 'share' },
};

export interface StaticKeys extends PlaceKeys {
  readonly folder: ValueKey<string>;
  readonly index: ValueKey<readonly string[]>;
  readonly listing: FlagKey;
  readonly cacheControl: ValueKey<string>;
}

export const STATIC_KEYS: StaticKeys = {
  ...PLACE,
  folder: {
    ...key('folder', name('a folder'), 'the folder whose files are served'),
    isFile: true,
    isRequired: true,
  },
  index: { ...OPTIONS.staticIndex, name: 'index' },
  listing: { ...OPTIONS.staticListing, name: 'listing' },
  cacheControl: { ...OPTIONS.staticCacheControl, name: 'cache-control' },
};

const CA_KEY: ValueKey<string> = {
  ...key(
    'ca',
    name('a file name'),
    'file in PEM with the authorities that are trusted; default: those that Node knows',
  ),
  isFile: true,
};
const TLS_NAME_KEY: ValueKey<string> = { ...OPTIONS.proxyServername, name: 'servername' };
const VERIFY_KEY: FlagKey = { kind: 'flag', name: 'verify', help: 'check certificates; default: true' };

export interface ProxyTlsKeys {
  readonly verify: FlagKey;
  readonly ca: ValueKey<string>;
  readonly servername: ValueKey<string>;
}

export const PROXY_TLS_KEYS: ProxyTlsKeys = { verify: VERIFY_KEY, ca: CA_KEY, servername: TLS_NAME_KEY };

const TLS_KEY: TableKey = {
  kind: 'table',
  name: 'tls',
  help: 'how certificates of the servers are checked',
  keys: Object.values(PROXY_TLS_KEYS),
};
const HEADERS_KEY: TableKey = {
  kind: 'table',
  name: 'headers',
  help: 'fields of the request that are set: a text, a list of texts, or false to leave the field out',
};

export interface ProxyKeys extends PlaceKeys {
  readonly targets: ValueKey<readonly string[]>;
  readonly timeout: ValueKey<number>;
  readonly connectTimeout: ValueKey<number>;
  readonly idleTimeout: ValueKey<number>;
  readonly tunnelTimeout: ValueKey<number>;
  readonly hostHeader: ValueKey<string | boolean>;
  readonly forwarded: ValueKey<ForwardedForm>;
  readonly trusted: ValueKey<readonly string[]>;
  readonly retries: ValueKey<number>;
  readonly balance: ValueKey<BalanceSettings>;
  readonly check: ValueKey<string>;
  readonly checkInterval: ValueKey<number>;
  readonly cache: FlagKey;
  readonly headers: TableKey;
  readonly tls: TableKey;
}

export const PROXY_KEYS: ProxyKeys = {
  ...PLACE,
  targets: {
    ...key(
      'targets',
      targetList(),
      'where requests go: http://HOST:PORT, https://HOST:PORT or unix:/SOCKET, each perhaps with *WEIGHT',
    ),
    isRequired: true,
  },
  timeout: { ...OPTIONS.proxyTimeout, name: 'timeout' },
  connectTimeout: { ...OPTIONS.proxyConnectTimeout, name: 'connect-timeout' },
  idleTimeout: { ...OPTIONS.proxyIdleTimeout, name: 'idle-timeout' },
  tunnelTimeout: { ...OPTIONS.proxyTunnelTimeout, name: 'tunnel-timeout' },
  hostHeader: { ...OPTIONS.proxyHost, name: 'host-header' },
  forwarded: { ...OPTIONS.proxyForwarded, name: 'forwarded' },
  trusted: { ...OPTIONS.proxyTrusted, name: 'trusted' },
  retries: { ...OPTIONS.proxyRetries, name: 'retries' },
  balance: { ...OPTIONS.proxyBalance, name: 'balance' },
  check: { ...OPTIONS.proxyCheck, name: 'check' },
  checkInterval: { ...OPTIONS.proxyCheckInterval, name: 'check-interval' },
  cache: { ...OPTIONS.proxyCache, name: 'cache' },
  headers: HEADERS_KEY,
  tls: TLS_KEY,
};

export interface ListenKeys {
  readonly address: ValueKey<string>;
  readonly port: ValueKey<number>;
  readonly clientCa: ValueKey<string>;
  readonly clientVerify: ValueKey<ClientVerify>;
  readonly scheme: ValueKey<'https' | 'http'>;
  readonly proxyProtocol: FlagKey;
}

export const LISTEN_KEYS: ListenKeys = {
  address: key('address', ipAddress(), 'listen on this address only; default: all'),
  port: { ...key('port', port(), 'TCP port; 0 takes any free one'), isRequired: true },
  clientCa: OPTIONS.clientCa,
  clientVerify: OPTIONS.clientVerify,
  scheme: key(
    'scheme',
    choice(['https', 'http'] as const),
    'https, the default, is TLS with HTTP/2 and HTTP/1.1; http the same without TLS',
  ),
  proxyProtocol: {
    kind: 'flag',
    name: 'proxy-protocol',
    help: 'connections begin with a PROXY head, from addresses that proxy-trusted names; default: as the option says',
  },
};

export interface CertificateKeys {
  readonly cert: ValueKey<string>;
  readonly key: ValueKey<string>;
}

export const CERTIFICATE_KEYS: CertificateKeys = {
  cert: {
    ...key('cert', name('a file name'), 'certificate chain, PEM or DER; the first table is the default'),
    isFile: true,
    isRequired: true,
  },
  key: { ...key('key', name('a file name'), OPTIONS.key.help), isFile: true, isRequired: true },
};

export interface SharedKeys {
  readonly name: ValueKey<string>;
  readonly size: ValueKey<number>;
  readonly store: ValueKey<StoreAddress>;
}

export const SHARED_KEYS: SharedKeys = {
  name: { ...key('name', dictionaryName(), 'what scripts call it: httpd.shared("NAME")'), isRequired: true },
  size: key('size', size(SHARED_BYTES_MIN, SHARED_BYTES_MAX), 'bytes that it may take in memory'),
  store: key('store', storeAddress(), 'Redis or Valkey in which it lives; default: memory, or --store'),
};

function key<T>(keyName: string, value: ValueParser<T>, help: string): ValueKey<T> {
  return { kind: 'value', name: keyName, value, help };
}

/** A list that may be empty: the mapping has none of what the others have. */
function orNone(list: ValueParser<readonly string[]>): ValueParser<readonly string[]> {
  return {
    ...list,
    read: (text) => (text === '' ? [] : list.read(text)),
    inFile: { types: ['list', 'string'], empty: '' },
  };
}

function dictionaryName(): ValueParser<string> {
  return {
    wants: '1 to 63 letters, digits, "_", "." and "-"',
    read: (text) => (SHARED_NAME.test(text) ? text : undefined),
    show: String,
  };
}

function prefixParser(): ValueParser<string> {
  return {
    wants: 'a path, without ?, #, control characters and dot segments',
    read: normalizePrefix,
    show: String,
  };
}

function hostParser(): ValueParser<string> {
  return {
    wants: 'a name of a host, *.NAME for all names below it, or an address, without a port',
    read: (text) => {
      const read = readHost(text);
      return 'host' in read ? read.host : undefined;
    },
    show: String,
  };
}

function targetList(): ValueParser<readonly string[]> {
  return {
    wants: `http://HOST:PORT, https://HOST:PORT, unix:/SOCKET, each perhaps with *WEIGHT, or a list of 1 to ${TARGETS_MAX} of them`,
    read: (text) => {
      const targets = splitTargets(text);
      const areSound = targets.every(
        ({ url, weight }) => isTarget(url) && PROXY_VALUES.weight.accepts(weight),
      );
      return targets.length <= TARGETS_MAX && areSound ? text.split(',') : undefined;
    },
    show: (targets) => targets.join(','),
    inFile: { types: ['list', 'string'] },
  };
}

function isTarget(text: string): boolean {
  try {
    parseTarget(text);
    return true;
  } catch (error) {
    // the message of the key says what a target looks like
    return messageOf(error) === '';
  }
}
