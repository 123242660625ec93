/** The options that say which certificates are obtained from an ACME server: a part of the table of options. */
import { isIP } from 'node:net';
import { comparableHost } from '../base/host-name.ts';
import {
  ACME_BOUNDS,
  ACME_DIRECTORY_DEFAULT,
  type AcmeSettings,
  CHALLENGE_TYPES,
  type ChallengeType,
} from '../settings/acme-settings.ts';
import type { Answers } from './answers.ts';
import { type AnyOption, nameOption, type ValueOption } from './option.ts';
import { name, type ValueParser } from './value-parsers.ts';

export interface AcmeOptions {
  readonly acme: ValueOption<readonly string[]>;
  readonly acmeDirectory: ValueOption<string>;
  readonly acmeEmail: ValueOption<string>;
  readonly acmeEabId: ValueOption<string>;
  readonly acmeEabKey: ValueOption<string>;
  readonly acmeFolder: ValueOption<string>;
  readonly acmeCa: ValueOption<string>;
  readonly acmeChallenge: ValueOption<readonly ChallengeType[]>;
}

/** A label of a host name as certificates have them (RFC 1034 §3.5). */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const ACME_OPTIONS: AcmeOptions = {
  acme: {
    kind: 'value',
    name: 'acme',
    argument: 'DOMAIN,...',
    value: hostNames(),
    repeats: true,
    group: 'TLS',
    help: 'obtain a certificate for these hosts from an ACME server and renew it, which accepts its terms; each --acme is one certificate',
  },
  acmeDirectory: {
    kind: 'value',
    name: 'acme-directory',
    argument: 'URL',
    value: httpsUrl(),
    defaultText: "Let's Encrypt",
    group: 'TLS',
    help: 'the ACME server',
  },
  acmeEmail: {
    kind: 'value',
    name: 'acme-email',
    argument: 'ADDRESS',
    value: emailAddress(),
    group: 'TLS',
    help: 'where the authority writes of faults and expiry',
  },
  acmeEabId: {
    kind: 'value',
    name: 'acme-eab-id',
    argument: 'KEYID',
    value: name('the id of a key'),
    group: 'TLS',
    help: 'the account that you have with the authority already: the id of its key',
  },
  acmeEabKey: {
    kind: 'value',
    name: 'acme-eab-key',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'TLS',
    help: 'the key of this account, in base64url',
  },
  acmeFolder: {
    kind: 'value',
    name: 'acme-folder',
    argument: 'DIRECTORY',
    value: name('a directory'),
    isFile: true,
    defaultText: 'acme/ where the development certificate is kept',
    group: 'TLS',
    help: 'where the account and the certificates are kept, for the owner alone',
  },
  acmeCa: {
    kind: 'value',
    name: 'acme-ca',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    group: 'TLS',
    help: 'authority, in PEM, that the certificate of the ACME server may come from, beside the known ones',
  },
  acmeChallenge: {
    kind: 'value',
    name: 'acme-challenge',
    argument: 'TYPE,...',
    value: challengeTypes(),
    defaultText: 'tls-alpn-01, and http-01 with a cleartext listener',
    group: 'TLS',
    help: `how the authority sees that the hosts are served here: ${CHALLENGE_TYPES.join(', ')}, the first that it offers`,
  },
};

export const ALL_ACME_OPTIONS: readonly AnyOption[] = Object.values(ACME_OPTIONS);

/** Undefined where no certificate is to be obtained. `hasCleartext`: there is a listener on which http-01 is answered. */
export function readAcme(answers: Answers, hasCleartext: boolean): AcmeSettings | undefined {
  const options = ACME_OPTIONS;
  if (!answers.has(options.acme)) {
    for (const idle of ALL_ACME_OPTIONS.filter((option) => answers.has(option)))
      answers.fault(idle, `goes with ${nameOption(options.acme)}, and no certificate is to be obtained`);
    return undefined;
  }
  const orders = answers.values(options.acme);
  if (orders.length > ACME_BOUNDS.ordersMax)
    answers.fault(
      options.acme,
      `is given ${orders.length} times, and at most ${ACME_BOUNDS.ordersMax} count`,
    );
  const names = orders.flat();
  const twice = names.find((host, i) => names.indexOf(host) !== i);
  if (twice !== undefined) answers.fault(options.acme, `names ${twice} twice, and one certificate is enough`);
  const challengeTypes =
    answers.value(options.acmeChallenge) ??
    CHALLENGE_TYPES.filter((type) => type !== 'http-01' || hasCleartext);
  if (challengeTypes.includes('http-01') && !hasCleartext)
    answers.fault(
      options.acmeChallenge,
      'names http-01, which the authority asks for without TLS, on port 80: give --http or --http-redirect, too',
    );
  return {
    orders,
    challengeTypes,
    directory: answers.value(options.acmeDirectory) ?? ACME_DIRECTORY_DEFAULT,
    email: answers.value(options.acmeEmail),
    externalAccount: readExternalAccount(answers),
    folder: answers.value(options.acmeFolder),
    trustFile: answers.value(options.acmeCa),
  };
}

function readExternalAccount(answers: Answers): AcmeSettings['externalAccount'] {
  const { acmeEabId, acmeEabKey } = ACME_OPTIONS;
  if (answers.has(acmeEabId) !== answers.has(acmeEabKey))
    answers.faultOfBoth(acmeEabId, acmeEabKey, 'go together');
  const [keyId, keyFile] = [answers.value(acmeEabId), answers.value(acmeEabKey)];
  return keyId === undefined || keyFile === undefined ? undefined : { keyId, keyFile };
}

function hostNames(): ValueParser<readonly string[]> {
  return {
    wants: `names of hosts with commas between them, at most ${ACME_BOUNDS.namesMax}, and no addresses or wildcards`,
    read: (text) => {
      const names = text.split(',').map((one) => comparableHost(one.trim()) ?? '');
      const isSound = names.length <= ACME_BOUNDS.namesMax && names.every(isHostName);
      return isSound && new Set(names).size === names.length ? names : undefined;
    },
    show: (names) => names.join(','),
  };
}

function isHostName(host: string): boolean {
  return isIP(host) === 0 && host.split('.').every((label) => LABEL.test(label));
}

function httpsUrl(): ValueParser<string> {
  return {
    wants: 'an https URL',
    read: (text) => (/^https:\/\//i.test(text) && URL.canParse(text) ? text : undefined),
    show: (url) => url,
  };
}

function emailAddress(): ValueParser<string> {
  return {
    wants: 'an address such as admin@example.com',
    read: (text) => (/^[^\s@,?&]{1,64}@[^\s@,?&]{1,253}$/.test(text) ? text : undefined),
    show: (address) => address,
  };
}

function challengeTypes(): ValueParser<readonly ChallengeType[]> {
  return {
    wants: `one or both of ${CHALLENGE_TYPES.join(', ')}`,
    read: (text) => {
      const types = text.split(',').map((one) => CHALLENGE_TYPES.find((type) => type === one.trim()));
      const known = types.flatMap((type) => type ?? []);
      return known.length === types.length && new Set(known).size === known.length ? known : undefined;
    },
    show: (types) => types.join(','),
    inFile: { types: ['list', 'string'] },
  };
}
