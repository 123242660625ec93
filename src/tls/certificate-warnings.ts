/** Warnings about a certificate that is served nevertheless: about its time, its chain and its names. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

const DAY_MS = 86_400_000;
/** Automatic renewal happens a month before the end: with less time left, it has failed. */
const WARN_BEFORE_DAYS = 14;

/**
 * Returns one sentence for each fault for which clients may refuse the certificate. `chain`: the server's own certificate first;
 * `file`: where the certificate was read; `now`: milliseconds since 1970; `address`: the only address of the listener, undefined for
 * all.
 */
export function certificateWarnings(
  chain: readonly X509Certificate[],
  file: string,
  now: number,
  address?: string,
): string[] {
  return [...warnOfTime(file, chain, now), ...warnOfOrder(file, chain), ...warnOfNames(file, chain, address)];
}

/** Returns the certificates of a text in PEM. */
export function readChainText(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function warnOfTime(file: string, chain: readonly X509Certificate[], now: number): string[] {
  return chain.flatMap((member, i) => {
    const name = chain.length === 1 ? `The certificate in "${file}"` : `Certificate ${i + 1} in "${file}"`;
    const daysLeft = Math.floor((Date.parse(member.validTo) - now) / DAY_MS);
    const reason = outOfTime(member, now);
    if (reason !== undefined) return [`${name} ${reason}`];
    if (daysLeft < WARN_BEFORE_DAYS)
      return [`${name} expires in ${daysLeft} day${daysLeft === 1 ? '' : 's'}, on ${isoDay(member.validTo)}`];
    return [];
  });
}

/** Why no client takes it now, as the rest of a sentence; undefined: it is valid. `now`: milliseconds since 1970. */
export function outOfTime(certificate: X509Certificate, now: number): string | undefined {
  if (Date.parse(certificate.validTo) <= now) return `expired on ${isoDay(certificate.validTo)}`;
  if (Date.parse(certificate.validFrom) > now) return `is not valid before ${isoDay(certificate.validFrom)}`;
  return undefined;
}

function warnOfOrder(file: string, chain: readonly X509Certificate[]): string[] {
  return chain.flatMap((member, i) => {
    const issuer = chain[i + 1];
    if (issuer === undefined) return [];
    if (member.checkIssued(issuer) && member.verify(issuer.publicKey)) return [];
    return [
      `Certificate ${i + 2} in "${file}" did not issue certificate ${i + 1}: clients may not find the chain`,
    ];
  });
}

/** Clients look at subjectAltName alone (RFC 9110 §4.3.4, RFC 9525 §6.3). */
function warnOfNames(file: string, [own]: readonly X509Certificate[], address: string | undefined): string[] {
  if (own === undefined) return [];
  const names = own.subjectAltName;
  if (names === undefined || !/\b(?:DNS|IP Address):/.test(names))
    return [`The certificate in "${file}" names no host (subjectAltName): browsers and curl will refuse it`];
  // with a name for a host, clients come by that name
  if (address === undefined || isIP(address) === 0 || names.includes('DNS:')) return [];
  if (own.checkIP(address) !== undefined) return [];
  return [`The certificate in "${file}" is for ${names}, and not for ${address}, where the gateway listens`];
}

function isoDay(date: string): string {
  return new Date(date).toISOString().slice(0, 10);
}
