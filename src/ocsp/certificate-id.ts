/** How OCSP names a certificate: by its number, and hashes of its issuer's name and key (RFC 6960 §4.1.1). */
import { createHash, type X509Certificate } from 'node:crypto';
import { bytesOf, contentOf, contextTag, type DerValue, inside, readValue, TAG } from './der-reader.ts';

export interface CertificateFacts {
  /** DER. */
  readonly subject: Buffer;
  /** The bits of the public key, without their head. */
  readonly keyBits: Buffer;
  /** The content of the INTEGER. */
  readonly serial: Buffer;
}

/** Throws RangeError. */
export function factsOf({ raw }: X509Certificate): CertificateFacts {
  const [body] = inside(readValue(raw));
  const fields = inside(body);
  const isVersioned = fields[0]?.tag === contextTag(0, true);
  // version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo (RFC 5280 §4.1)
  const [serial, , , , subject, key] = isVersioned ? fields.slice(1) : fields;
  const [, bits] = inside(key);
  return {
    subject: (subject as DerValue).raw,
    keyBits: bytesOf(bits),
    serial: contentOf(serial, TAG.integer),
  };
}

export type IdHash = 'sha1' | 'sha256';

export interface CertificateId {
  readonly nameHash: Buffer;
  readonly keyHash: Buffer;
  readonly serial: Buffer;
}

/** Of a certificate that `issuer` has issued. */
export function idOf(own: CertificateFacts, issuer: CertificateFacts, hash: IdHash): CertificateId {
  const digest = (bytes: Buffer): Buffer => createHash(hash).update(bytes).digest();
  return { nameHash: digest(issuer.subject), keyHash: digest(issuer.keyBits), serial: own.serial };
}
