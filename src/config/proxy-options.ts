/** The options that say how requests are passed on: a part of the table of options. */
import { parseAddressList } from '../base/address-list.ts';
import {
  type BalanceSettings,
  type ForwardedForm,
  RETRIES_MAX,
  TRUSTED_MAX,
} from '../mapping/proxy-settings.ts';
import { PROXY_VALUES } from '../mapping/proxy-values.ts';
import type { AnyOption, FlagOption, ValueOption } from './option.ts';
import { integer, name, seconds, type ValueParser } from './value-parsers.ts';

export interface ProxyOptions {
  readonly proxyTimeout: ValueOption<number>;
  readonly proxyHost: ValueOption<string | boolean>;
  readonly proxyForwarded: ValueOption<ForwardedForm>;
  readonly proxyTrusted: ValueOption<readonly string[]>;
  readonly proxyConnectTimeout: ValueOption<number>;
  readonly proxyIdleTimeout: ValueOption<number>;
  readonly proxyTunnelTimeout: ValueOption<number>;
  readonly proxyRetries: ValueOption<number>;
  readonly proxyBalance: ValueOption<BalanceSettings>;
  readonly proxyCheck: ValueOption<string>;
  readonly proxyCheckInterval: ValueOption<number>;
  readonly proxyCa: ValueOption<string>;
  readonly proxyServername: ValueOption<string>;
  readonly proxyNoVerify: FlagOption;
  readonly proxyCache: FlagOption;
}

/** A day. */
const TIMEOUT_MS_MAX = 86_400_000;

const FORMS = new Map<string, ForwardedForm>([
  ['x', 'x'],
  ['rfc7239', 'rfc7239'],
  ['both', 'both'],
  ['none', false],
]);

export const PROXY_OPTIONS: ProxyOptions = {
  proxyTimeout: {
    kind: 'value',
    name: 'proxy-timeout',
    argument: 'SECONDS',
    value: seconds(1, TIMEOUT_MS_MAX),
    defaultText: '30',
    group: 'Proxy',
    help: 'time from a request that was passed on to the head of its answer',
  },
  proxyHost: {
    kind: 'value',
    name: 'proxy-host',
    argument: 'keep|target|HOST',
    value: hostValue(),
    defaultText: 'keep',
    group: 'Proxy',
    help: 'Host of requests that are passed on: as the client sent it, that of the target, or this',
  },
  proxyForwarded: {
    kind: 'value',
    name: 'proxy-forwarded',
    argument: 'FORM',
    value: forwardedForm(),
    defaultText: 'x',
    group: 'Proxy',
    help: 'fields that tell servers of the client: X-Forwarded-For, -Proto and -Host (x), Forwarded (rfc7239), both, none',
  },
  proxyTrusted: {
    kind: 'value',
    name: 'proxy-trusted',
    argument: 'ADDRESS,...',
    value: addressList(),
    defaultText: 'nobody',
    group: 'Proxy',
    help: 'addresses and networks (10.0.0.0/8) of proxies before this one, whose own fields of that kind are kept',
  },
  proxyConnectTimeout: timeOption('proxy-connect-timeout', '5', 'time to a connection to a server, with TLS'),
  proxyIdleTimeout: timeOption('proxy-idle-timeout', '30', 'silence of a server within a body'),
  proxyTunnelTimeout: timeOption('proxy-tunnel-timeout', '3600', 'silence of a WebSocket or another upgrade'),
  proxyRetries: {
    kind: 'value',
    name: 'proxy-retries',
    argument: 'N',
    value: integer(0, RETRIES_MAX),
    defaultText: '1',
    group: 'Proxy',
    help: 'further servers that are tried where that is safe',
  },
  proxyBalance: {
    kind: 'value',
    name: 'proxy-balance',
    argument: 'KIND',
    value: balanceKind(),
    defaultText: 'random2',
    group: 'Proxy',
    help: 'which of several servers gets a request: random2, least, or by a hash of the client address (hash), the path (hash:path), a field (hash:NAME)',
  },
  proxyCheck: {
    kind: 'value',
    name: 'proxy-check',
    argument: 'PATH',
    value: { wants: PROXY_VALUES.checkPath.wants, read: readCheckPath, show: String },
    defaultText: 'no checks',
    group: 'Proxy',
    help: 'path that servers are asked for at intervals to see whether they are up (a status of 200 to 399)',
  },
  proxyCheckInterval: {
    kind: 'value',
    name: 'proxy-check-interval',
    argument: 'SECONDS',
    value: seconds(100, TIMEOUT_MS_MAX),
    defaultText: '5',
    group: 'Proxy',
    help: 'time from one check to the next',
  },
  proxyCa: {
    kind: 'value',
    name: 'proxy-ca',
    argument: 'FILE',
    value: name('the name of a file'),
    isFile: true,
    defaultText: 'those of Node',
    group: 'Proxy',
    help: 'certificates (PEM) of the authorities that https servers are checked by',
  },
  proxyServername: {
    kind: 'value',
    name: 'proxy-servername',
    argument: 'NAME',
    value: {
      wants: PROXY_VALUES.servername.wants,
      read: (text) => (PROXY_VALUES.servername.accepts(text) ? text : undefined),
      show: String,
    },
    defaultText: 'the host of the target',
    group: 'Proxy',
    help: 'name that the certificates of https servers have to be for',
  },
  proxyNoVerify: {
    kind: 'flag',
    name: 'proxy-no-verify',
    group: 'Proxy',
    help: 'do not check certificates of https servers',
  },
  proxyCache: {
    kind: 'flag',
    name: 'proxy-cache',
    group: 'Proxy',
    help: 'keep answers that allow it in memory, and answer further requests with them (RFC 9111)',
  },
};

export const ALL_PROXY_OPTIONS: readonly AnyOption[] = Object.values({ ...PROXY_OPTIONS });

function timeOption(option: string, defaultText: string, help: string): ValueOption<number> {
  const value = seconds(1, TIMEOUT_MS_MAX);
  return { kind: 'value', name: option, argument: 'SECONDS', value, defaultText, group: 'Proxy', help };
}

function readCheckPath(text: string): string | undefined {
  return PROXY_VALUES.checkPath.accepts(text) ? text : undefined;
}

function balanceKind(): ValueParser<BalanceSettings> {
  return {
    wants: 'random2, least, hash, hash:path, or hash:NAME with the name of a field',
    read: (text) => {
      if (text === 'random2' || text === 'least') return { kind: text };
      const [, by = 'address'] = /^hash(?::(.+))?$/.exec(text) ?? [text, ''];
      if (PROXY_VALUES.hashBy.accepts(by)) return { kind: 'hash', key: { by } };
      if (!PROXY_VALUES.hashField.accepts(by)) return undefined;
      return { kind: 'hash', key: { by: 'field', name: by.toLowerCase() } };
    },
    show: (balance) => {
      if (balance.kind !== 'hash') return balance.kind;
      return balance.key.by === 'field' ? `hash:${balance.key.name}` : `hash:${balance.key.by}`;
    },
  };
}

function hostValue(): ValueParser<string | boolean> {
  return {
    wants: 'keep, target, or a host with an optional port',
    read: (text) => {
      if (text === 'keep') return true;
      if (text === 'target') return false;
      return /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text) ? text : undefined;
    },
    show: (host) => (host === true ? 'keep' : host === false ? 'target' : host),
  };
}

function forwardedForm(): ValueParser<ForwardedForm> {
  return {
    wants: 'one of x, rfc7239, both, none',
    read: (text) => FORMS.get(text),
    show: (form) => (form === false ? 'none' : form),
    choices: [...FORMS.keys()],
  };
}

function addressList(): ValueParser<readonly string[]> {
  return {
    wants: `addresses and networks such as 192.0.2.7 or 10.0.0.0/8, separated by commas, ${TRUSTED_MAX} at most`,
    read: (text) => {
      const texts = text.split(',');
      return texts.length <= TRUSTED_MAX && parseAddressList(texts) !== undefined ? texts : undefined;
    },
    show: (texts) => texts.join(','),
    inFile: { types: ['list', 'string'] },
  };
}
