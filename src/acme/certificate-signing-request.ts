/** Makes the request for a certificate that an ACME server signs: PKCS #10 (RFC 2986) for a fresh P-256 key. */
import { generateKeyPairSync, sign } from 'node:crypto';
import {
  attribute,
  bitString,
  dnsNames,
  encode,
  explicit,
  extension,
  integer,
  oid,
  parseDer,
  sequence,
  set,
} from '../tls/der.ts';

export interface SigningRequest {
  /** DER. */
  readonly request: Buffer;
  /** The private key, PEM, PKCS #8. */
  readonly key: string;
}

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
} as const;

/** RFC 5280 §A.1: a common name has at most 64 characters; a longer name stands in the subjectAltName alone. */
const COMMON_NAME_MAX = 64;
const VERSION_1 = '\0';

/** `names`: the host names that the certificate is for, at least one. */
export function makeSigningRequest(names: readonly string[]): SigningRequest {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const [first = ''] = names;
  const info = sequence(
    integer(VERSION_1),
    first.length > COMMON_NAME_MAX ? sequence() : sequence(attribute(OID.commonName, first)),
    parseDer(publicKey.export({ type: 'spki', format: 'der' })),
    explicit(
      0,
      sequence(
        oid(OID.extensionRequest),
        set(sequence(extension(OID.subjectAltName, false, sequence(...dnsNames(names))))),
      ),
    ),
  );
  const signature = sign('sha256', Buffer.from(encode(info), 'binary'), privateKey);
  const whole = sequence(
    info,
    sequence(oid(OID.ecdsaWithSha256)),
    bitString(0, signature.toString('binary')),
  );
  return {
    request: Buffer.from(encode(whole), 'binary'),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
