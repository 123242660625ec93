/** The options that say how TLS is spoken: a part of the table of options. */
import {
  CLIENT_VERIFY,
  type ClientVerify,
  DEFAULT_CLIENT_VERIFY,
  DEFAULT_TLS_PROFILE,
  TLS_PROFILES,
  type TlsProfile,
} from '../settings/tls-settings.ts';
import type { FlagOption, ValueOption } from './option.ts';
import { choice, name } from './value-parsers.ts';

export interface TlsOptions {
  readonly cert: ValueOption<string>;
  readonly key: ValueOption<string>;
  readonly strictSni: FlagOption;
  readonly tlsProfile: ValueOption<TlsProfile>;
  readonly clientCa: ValueOption<string>;
  readonly clientVerify: ValueOption<ClientVerify>;
}

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
  tlsProfile: {
    kind: 'value',
    name: 'tls-profile',
    argument: 'PROFILE',
    value: choice(TLS_PROFILES),
    defaultText: DEFAULT_TLS_PROFILE,
    group: 'TLS',
    help: `versions and suites, by Mozilla's guideline: ${TLS_PROFILES.join(', ')}`,
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
