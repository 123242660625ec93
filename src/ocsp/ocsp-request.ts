/** How the state of a certificate is asked for (RFC 6960 §4.1). */
import type { X509Certificate } from 'node:crypto';
import { encode, integer, octetString, oid, sequence } from '../tls/der.ts';
import { factsOf, idOf } from './certificate-id.ts';

const OID_SHA1 = '1.3.14.3.2.26';

/** Authorities know SHA-1 in the place of a name (RFC 5019 §2.1.1); nothing rests on it. Throws RangeError for a certificate that is no DER. */
export function ocspRequest(own: X509Certificate, issuer: X509Certificate): Buffer {
  const { nameHash, keyHash, serial } = idOf(factsOf(own), factsOf(issuer), 'sha1');
  const id = sequence(
    sequence(oid(OID_SHA1)),
    octetString(nameHash.toString('binary')),
    octetString(keyHash.toString('binary')),
    integer(serial.toString('binary')),
  );
  return Buffer.from(encode(sequence(sequence(sequence(sequence(id))))), 'binary');
}
