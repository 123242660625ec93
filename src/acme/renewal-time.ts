/** When a certificate is to be renewed: when the authority says (RFC 9773), or at two thirds of its life. */
import { X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import { parseDer } from '../tls/der.ts';
import { asObject } from './acme-documents.ts';

/** The rest is left for attempts that fail. */
const RENEW_AT = 2 / 3;
/** So much of the life before or behind, so that not all gateways of an hour ask at once. */
const JITTER = 1 / 100;
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';

/** Milliseconds since 1970; `chance` is from 0 to 1, the same for one certificate. */
export function renewalTime(certificate: string, chance: number): number {
  const own = new X509Certificate(certificate);
  const from = Date.parse(own.validFrom);
  const life = Date.parse(own.validTo) - from;
  return from + life * (RENEW_AT + JITTER * (2 * chance - 1));
}

/** A time in the window that the authority suggests for the certificate; undefined for a document that names none. */
export function suggestedTime(document: unknown, chance: number): number | undefined {
  const window = asObject(
    asObject(document, 'renewal information')['suggestedWindow'],
    'renewal information',
  );
  const start = Date.parse(String(window['start']));
  const end = Date.parse(String(window['end']));
  return start <= end ? start + (end - start) * chance : undefined;
}

/**
 * The name of the certificate in RFC 9773 §4.1: the identifier of the issuer's key, and the serial number. Undefined when the
 * certificate has no such identifier.
 */
export function renewalIdentifier(certificate: string): string | undefined {
  const own = new X509Certificate(certificate);
  const identifier = findKeyIdentifier(parseDer(own.raw));
  if (identifier === undefined) return undefined;
  const serial = serialBytes(own.serialNumber);
  return `${Buffer.from(identifier, 'binary').toString('base64url')}.${serial.toString('base64url')}`;
}

/** As in DER: a number whose first bit is set has a zero byte before it. */
function serialBytes(hex: string): Buffer {
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  const bytes = Buffer.from(even, 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
}

/** The member `keyIdentifier` of the extension AuthorityKeyIdentifier (RFC 5280 §4.2.1.1). */
function findKeyIdentifier(certificate: forge.asn1.Asn1): string | undefined {
  const [toBeSigned] = childrenOf(certificate);
  const extensions = childrenOf(toBeSigned).find(({ tagClass, type }) => tagClass === 0x80 && type === 3);
  for (const extension of childrenOf(childrenOf(extensions)[0])) {
    const parts = childrenOf(extension);
    const id = parts[0]?.value;
    if (typeof id !== 'string' || forge.asn1.derToOid(id) !== AUTHORITY_KEY_IDENTIFIER) continue;
    const content = parts.at(-1)?.value;
    if (typeof content !== 'string') return undefined;
    const members = childrenOf(forge.asn1.fromDer(content));
    const identifier = members.find(({ tagClass, type }) => tagClass === 0x80 && type === 0)?.value;
    return typeof identifier === 'string' ? identifier : undefined;
  }
  return undefined;
}

function childrenOf(value: forge.asn1.Asn1 | undefined): forge.asn1.Asn1[] {
  return Array.isArray(value?.value) ? value.value : [];
}
