/** What a certificate says, in lines for people. */
import type { X509Certificate } from 'node:crypto';
import { demandsStaple, describeKey, isSelfSigned } from './certificate-report.ts';
import { outOfTime } from './certificate-warnings.ts';
import type { Chain } from './server-certificate.ts';

const DAY_MS = 86_400_000;
const KEY_KINDS: Readonly<Record<string, string>> = { rsa: 'RSA', ec: 'EC', ed25519: 'Ed25519' };

export interface CertificateDescription {
  /** `name: value`. */
  readonly facts: readonly string[];
  /** Why no client takes it now, as the rest of a sentence. */
  readonly fault: string | undefined;
}

/** `now`: milliseconds since 1970. */
export function describeCertificate([own, ...issuers]: Chain, now: number): CertificateDescription {
  const { publicKey, serialNumber, fingerprint256, subjectAltName } = own;
  const kind = publicKey.asymmetricKeyType ?? 'unknown';
  const days = Math.floor((Date.parse(own.validTo) - now) / DAY_MS);
  const facts = [
    `subject: ${oneLine(own.subject)}`,
    `names: ${subjectAltName ?? 'none'}`,
    `issuer: ${isSelfSigned(own) ? 'itself' : oneLine(own.issuer)}`,
    `valid: ${isoTime(own.validFrom)} to ${isoTime(own.validTo)}, ${days} days left`,
    `serial number: ${serialNumber}`,
    `key: ${describeKey(own, KEY_KINDS[kind] ?? kind)}`,
    `fingerprint (SHA-256): ${fingerprint256}`,
    ...issuers.map((issuer, i) => `chain ${i + 2}: ${describeIssuer(issuer, [own, ...issuers][i])}`),
    `OCSP: ${describeOcsp(own)}`,
  ];
  return { facts, fault: outOfTime(own, now) };
}

function describeIssuer(issuer: X509Certificate, before: X509Certificate | undefined): string {
  const hasIssued = before?.checkIssued(issuer) === true && before.verify(issuer.publicKey);
  return `${oneLine(issuer.subject)}, until ${isoTime(issuer.validTo)}${hasIssued ? '' : ', which has not issued the one before'}`;
}

function describeOcsp(own: X509Certificate): string {
  const urls = [...(own.infoAccess ?? '').matchAll(/^OCSP - URI:(.+)$/gm)].map(([, url]) => url);
  const address = urls.length === 0 ? 'no address' : urls.join(', ');
  return demandsStaple(own) ? `${address}; a response is demanded (must-staple)` : address;
}

/** A distinguished name that Node writes in lines. */
function oneLine(name: string | undefined): string {
  return name === undefined || name === '' ? 'none' : name.split('\n').join(', ');
}

function isoTime(date: string): string {
  return `${new Date(date).toISOString().slice(0, 16)}Z`;
}
