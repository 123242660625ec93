/** The options that say how requests are passed on: a part of the table of options. */
import { parseAddressList } from '../base/address-list.ts';
import { type ForwardedForm, TRUSTED_MAX } from '../mapping/proxy-settings.ts';
import type { ValueOption } from './option.ts';
import { seconds, type ValueParser } from './value-parsers.ts';

export interface ProxyOptions {
  readonly proxyTimeout: ValueOption<number>;
  readonly proxyHost: ValueOption<string | boolean>;
  readonly proxyForwarded: ValueOption<ForwardedForm>;
  readonly proxyTrusted: ValueOption<readonly string[]>;
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
};

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
  };
}
