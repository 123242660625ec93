/** The options that say how TLS is spoken: a part of the table of options. */
import {
  CLIENT_VERIFY,
  type ClientVerify,
  DEFAULT_CLIENT_VERIFY,
  DEFAULT_TLS_PROFILE,
  TLS_PROFILES,
  type TlsProfile,
} from '../settings/tls-settings.ts';
import type { ListenAddress } from './config.ts';
import type { FlagOption, ValueOption } from './option.ts';
import { choice, listenAddress, name, type ValueParser } from './value-parsers.ts';

export interface TlsOptions {
  readonly cert: ValueOption<string>;
  readonly key: ValueOption<string>;
  readonly strictSni: FlagOption;
  readonly ocsp: FlagOption;
  readonly tlsProfile: ValueOption<TlsProfile>;
  readonly hsts: ValueOption<string>;
  readonly httpRedirect: ValueOption<ListenAddress>;
  readonly clientCa: ValueOption<string>;
  readonly clientVerify: ValueOption<ClientVerify>;
}

/** Two years: what lists of browsers ask for is one. */
const HSTS_SECONDS_MAX = 63_072_000;
const HSTS_WORDS: readonly string[] = ['includeSubDomains', 'preload'];

export const TLS_OPTIONS: TlsOptions = {
  cert: {
    kind: 'value',
    name: 'cert',
    short: 'c',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    repeats: true,
    group: 'TLS',
    help: 'certificate chain, PEM or DER; may be given many times, each with its -k: the name that a client asks for chooses (without -c and -k a development certificate is made)',
  },
  key: {
    kind: 'value',
    name: 'key',
    short: 'k',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    repeats: true,
    group: 'TLS',
    help: 'private key of the certificate: RSA, EC or Ed25519, not encrypted, PEM or DER',
  },
  strictSni: {
    kind: 'flag',
    name: 'strict-sni',
    group: 'TLS',
    help: 'refuse handshakes that name no host of a certificate, in the place of giving them the first one',
  },
  ocsp: {
    kind: 'flag',
    name: 'ocsp',
    group: 'TLS',
    help: 'staple OCSP responses: ask the authorities that certificates name, and give their answers to clients in the handshake',
  },
  tlsProfile: {
    kind: 'value',
    name: 'tls-profile',
    argument: 'PROFILE',
    value: choice(TLS_PROFILES),
    defaultText: DEFAULT_TLS_PROFILE,
    group: 'TLS',
    help: `versions and suites, by Mozilla's guideline: ${TLS_PROFILES.join(', ')}`,
  },
  hsts: {
    kind: 'value',
    name: 'hsts',
    argument: 'SECONDS[;includeSubDomains][;preload]',
    value: transportSecurity(),
    group: 'TLS',
    help: 'let browsers come over TLS only for so long: Strict-Transport-Security in answers over TLS that have none',
  },
  httpRedirect: {
    kind: 'value',
    name: 'http-redirect',
    argument: '[ADDRESS:]PORT',
    value: listenAddress(),
    group: 'TLS',
    help: 'listen without TLS here and lead clients to the same address over TLS',
  },
  clientCa: {
    kind: 'value',
    name: 'client-ca',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'TLS',
    help: 'ask clients for a certificate that one of the authorities in this file (PEM) has issued',
  },
  clientVerify: {
    kind: 'value',
    name: 'client-verify',
    argument: 'HOW',
    value: choice(CLIENT_VERIFY),
    defaultText: DEFAULT_CLIENT_VERIFY,
    group: 'TLS',
    help: 'require: close connections of clients without such a certificate; optional: let scripts look',
  },
};

/** The value is that of the field (RFC 6797 §6.1). */
function transportSecurity(): ValueParser<string> {
  return {
    wants: `seconds from 0 to ${HSTS_SECONDS_MAX}, perhaps with ;includeSubDomains and ;preload behind them`,
    read: (text) => {
      const [seconds = '', ...words] = text.split(';').map((part) => part.trim());
      const isSound = /^\d{1,9}$/.test(seconds) && Number(seconds) <= HSTS_SECONDS_MAX;
      const isKnown = words.every((word) => HSTS_WORDS.includes(word));
      if (!isSound || !isKnown || new Set(words).size < words.length) return undefined;
      return [`max-age=${Number(seconds)}`, ...words].join('; ');
    },
    show: (value) => value.replace('max-age=', '').replaceAll('; ', ';'),
    inFile: { types: ['integer', 'string'], min: 0, max: HSTS_SECONDS_MAX },
  };
}
