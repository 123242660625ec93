/** Makes a self-signed EC certificate: forge's ASN.1 for the structure, since forge itself signs RSA only. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  type Asn1,
  attribute,
  bitString,
  contextSpecific,
  dnsNames,
  encode,
  explicit,
  extension,
  integer,
  octetString,
  oid,
  parseDer,
  pem,
  sequence,
  time,
} from './der.ts';

export interface CertificateRequest {
  /** Names of hosts the certificate is for; the first is its common name. */
  readonly hostNames: readonly string[];
  /** Addresses it is for, 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  readonly organization: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SHA-256 of a key authorization (RFC 8737 §3): makes it a certificate that only answers this challenge. */
  readonly acmeIdentifier?: Uint8Array;
}

export interface CertificateAndKey {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** RFC 5280 §4.1.2.2 allows 20 octets; 16 hold more than the 64 bits of chance that browsers ask for. */
const SERIAL_BYTES = 16;
const X509_V3 = 2;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organizationName: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  acmeIdentifier: '1.3.6.1.5.5.7.1.31',
} as const;

/** A new P-256 key and a TLS server certificate for it (RFC 5280 profile v3), signed by itself with SHA-256. */
export function makeCertificate(request: CertificateRequest): CertificateAndKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const toBeSigned = describeCertificate(request, publicKey, algorithm);
  const signature = sign('sha256', Buffer.from(encode(toBeSigned), 'binary'), privateKey);
  const certificate = sequence(toBeSigned, algorithm, bitString(0, signature.toString('binary')));
  return {
    certificate: pem('CERTIFICATE', encode(certificate)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** TBSCertificate of RFC 5280 §4.1. */
function describeCertificate(request: CertificateRequest, publicKey: KeyObject, algorithm: Asn1): Asn1 {
  const keyInfo = parseDer(publicKey.export({ type: 'spki', format: 'der' }));
  const name = sequence(
    attribute(OID.organizationName, request.organization),
    attribute(OID.commonName, request.hostNames[0] ?? ''),
  );
  return sequence(
    explicit(0, integer(String.fromCharCode(X509_V3))),
    integer(makeSerial()),
    algorithm,
    name,
    sequence(time(request.notBefore), time(request.notAfter)),
    name,
    keyInfo,
    explicit(3, sequence(...extensions(request, publicKey))),
  );
}

function extensions(request: CertificateRequest, publicKey: KeyObject): Asn1[] {
  const names = [
    ...dnsNames(request.hostNames),
    ...request.addresses.map((address) => contextSpecific(7, Buffer.from(address).toString('binary'))),
  ];
  const digitalSignatureOnly = bitString(7, '\x80');
  return [
    // cA is FALSE by default, and DER leaves defaults out
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, digitalSignatureOnly),
    extension(OID.extKeyUsage, false, sequence(oid(OID.serverAuth))),
    extension(OID.subjectAltName, false, sequence(...names)),
    extension(OID.subjectKeyIdentifier, false, octetString(identifyKey(publicKey))),
    ...(request.acmeIdentifier === undefined
      ? []
      : [
          extension(
            OID.acmeIdentifier,
            true,
            octetString(Buffer.from(request.acmeIdentifier).toString('binary')),
          ),
        ]),
  ];
}

/** RFC 5280 §4.2.1.2, method 1: the SHA-1 of the public key's bits, for telling keys apart, not for trust. */
function identifyKey(publicKey: KeyObject): string {
  const uncompressedPointBytes = 65;
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-uncompressedPointBytes);
  return createHash('sha1').update(point).digest('binary');
}

/** Random, positive, and without leading zero bytes, which DER forbids. */
function makeSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('binary');
}
