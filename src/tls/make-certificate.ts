/** Makes a self-signed EC certificate: forge's ASN.1 for the structure, since forge itself signs RSA only. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import forge from 'node-forge';

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { Type } = asn1;

export interface CertificateRequest {
  /** Names of hosts the certificate is for; the first is its common name. */
  readonly hostNames: readonly string[];
  /** Addresses it is for, 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  readonly organization: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface CertificateAndKey {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** RFC 5280 §4.1.2.2 allows 20 octets; 16 hold more than the 64 bits of chance that browsers ask for. */
const SERIAL_BYTES = 16;
/** RFC 5280 §4.1.2.5: from this year on times are written as GeneralizedTime. */
const GENERALIZED_TIME_FROM_YEAR = 2050;
const PEM_LINE_CHARACTERS = 64;
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
  const keyInfo = asn1.fromDer(publicKey.export({ type: 'spki', format: 'der' }).toString('binary'));
  const name = sequence(
    attribute(OID.organizationName, request.organization),
    attribute(OID.commonName, request.hostNames[0] ?? ''),
  );
  return sequence(
    asn1.create(CONTEXT_SPECIFIC, 0, true, [integer(String.fromCharCode(X509_V3))]),
    integer(makeSerial()),
    algorithm,
    name,
    sequence(time(request.notBefore), time(request.notAfter)),
    name,
    keyInfo,
    asn1.create(CONTEXT_SPECIFIC, 3, true, [sequence(...extensions(request, publicKey))]),
  );
}

function extensions(request: CertificateRequest, publicKey: KeyObject): Asn1[] {
  const names = [
    ...request.hostNames.map((host) => asn1.create(CONTEXT_SPECIFIC, 2, false, host)),
    ...request.addresses.map((address) =>
      asn1.create(CONTEXT_SPECIFIC, 7, false, Buffer.from(address).toString('binary')),
    ),
  ];
  const digitalSignatureOnly = bitString(7, '\x80');
  return [
    // cA is FALSE by default, and DER leaves defaults out
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, digitalSignatureOnly),
    extension(OID.extKeyUsage, false, sequence(oid(OID.serverAuth))),
    extension(OID.subjectAltName, false, sequence(...names)),
    extension(OID.subjectKeyIdentifier, false, octetString(identifyKey(publicKey))),
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

function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  const flag = critical ? [asn1.create(UNIVERSAL, Type.BOOLEAN, false, '\xff')] : [];
  return sequence(oid(id), ...flag, octetString(encode(value)));
}

function attribute(id: string, text: string): Asn1 {
  const value = asn1.create(UNIVERSAL, Type.UTF8, false, Buffer.from(text, 'utf8').toString('binary'));
  return asn1.create(UNIVERSAL, Type.SET, true, [sequence(oid(id), value)]);
}

function time(date: Date): Asn1 {
  return date.getUTCFullYear() < GENERALIZED_TIME_FROM_YEAR
    ? asn1.create(UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

function sequence(...parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, Type.SEQUENCE, true, parts);
}

function oid(id: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.OID, false, asn1.oidToDer(id).getBytes());
}

function integer(bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.INTEGER, false, bytes);
}

function octetString(bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.OCTETSTRING, false, bytes);
}

function bitString(unusedBits: number, bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + bytes);
}

function encode(value: Asn1): string {
  return asn1.toDer(value).getBytes();
}

function pem(label: string, der: string): string {
  const base64 = Buffer.from(der, 'binary').toString('base64');
  const lines = base64.match(new RegExp(`.{1,${PEM_LINE_CHARACTERS}}`, 'g')) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
