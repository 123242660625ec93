/** `lgateway cert new`: a self-signed certificate with its key, for development and for machines that know each other. */
import { isIP } from 'node:net';
import { groupsOf } from '../base/connect-rules.ts';
import { readHost } from '../config/mapping-host.ts';
import { UsageError } from '../config/usage-error.ts';
import { makeCertificate } from '../tls/make-certificate.ts';
import type { Outcome } from './outcome.ts';
import { writeNewFiles } from './write-new-files.ts';

const DAY_MS = 86_400_000;
/** Some systems take none that is valid for longer than 398 days. */
const VALID_DAYS = 365;
/** Names of one certificate: a head of a handshake holds it. */
const NAMES_MAX = 100;

/** Throws UsageError for what is no name, and where a file is there already. */
export function newCertificate(words: readonly string[]): Outcome {
  const names = words.length === 0 ? ['localhost', '127.0.0.1', '::1'] : words;
  if (names.length > NAMES_MAX)
    throw new UsageError(`lgateway cert is given ${names.length} names and the limit is ${NAMES_MAX}`);
  for (const name of names) {
    const read = readHost(isIP(name) === 6 ? `[${name}]` : name);
    if ('fault' in read)
      throw new UsageError(
        `lgateway cert takes names and addresses, not ${JSON.stringify(name)}: ${read.fault}`,
      );
  }
  const hostNames = names.filter((name) => isIP(name) === 0).map((name) => name.toLowerCase());
  const now = Date.now();
  const { certificate, key } = makeCertificate({
    hostNames: hostNames.length === 0 ? ['localhost'] : hostNames,
    addresses: names.filter((name) => isIP(name) !== 0).map(bytesOf),
    organization: 'lgateway self-signed',
    notBefore: new Date(now),
    notAfter: new Date(now + VALID_DAYS * DAY_MS),
  });
  writeNewFiles([
    { path: 'key.pem', text: key, mode: 0o600 },
    { path: 'cert.pem', text: certificate },
  ]);
  return { output: `Written: cert.pem and key.pem, for ${names.join(', ')}\n`, faults: [] };
}

function bytesOf(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.'), Number);
  return Uint8Array.from(groupsOf(address).flatMap((group) => [group >> 8, group & 0xff]));
}
