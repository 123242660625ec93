/** The parts of ASN.1 in DER that certificates and requests for certificates are made of, on forge's encoder. */
import forge from 'node-forge';

const { asn1 } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { Type } = asn1;

export type Asn1 = forge.asn1.Asn1;

/** RFC 5280 §4.1.2.5: from this year on times are written as GeneralizedTime. */
const GENERALIZED_TIME_FROM_YEAR = 2050;
const PEM_LINE_CHARACTERS = 64;
/** GeneralName `dNSName` (RFC 5280 §4.2.1.6). */
const DNS_NAME = 2;

export function sequence(...parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, Type.SEQUENCE, true, parts);
}

export function set(...parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, Type.SET, true, parts);
}

/** `[tag] EXPLICIT`. */
export function explicit(tag: number, ...parts: Asn1[]): Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, parts);
}

/** `[tag] IMPLICIT` of a primitive type; `bytes` is a binary string. */
export function contextSpecific(tag: number, bytes: string): Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, tag, false, bytes);
}

export function oid(id: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.OID, false, asn1.oidToDer(id).getBytes());
}

/** `bytes`: a binary string, the highest byte first. */
export function integer(bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.INTEGER, false, bytes);
}

export function octetString(bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.OCTETSTRING, false, bytes);
}

export function bitString(unusedBits: number, bytes: string): Asn1 {
  return asn1.create(UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + bytes);
}

export function time(date: Date): Asn1 {
  return date.getUTCFullYear() < GENERALIZED_TIME_FROM_YEAR
    ? asn1.create(UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** One relative distinguished name of one attribute. */
export function attribute(id: string, text: string): Asn1 {
  const value = asn1.create(UNIVERSAL, Type.UTF8, false, Buffer.from(text, 'utf8').toString('binary'));
  return set(sequence(oid(id), value));
}

/** `Extension` of RFC 5280 §4.1. */
export function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  const flag = critical ? [asn1.create(UNIVERSAL, Type.BOOLEAN, false, '\xff')] : [];
  return sequence(oid(id), ...flag, octetString(encode(value)));
}

/** The entries of a subjectAltName. */
export function dnsNames(names: readonly string[]): Asn1[] {
  return names.map((name) => contextSpecific(DNS_NAME, name));
}

export function parseDer(der: Buffer): Asn1 {
  return asn1.fromDer(der.toString('binary'));
}

/** DER as a binary string. */
export function encode(value: Asn1): string {
  return asn1.toDer(value).getBytes();
}

/** `der`: a binary string. */
export function pem(label: string, der: string): string {
  const base64 = Buffer.from(der, 'binary').toString('base64');
  const lines = base64.match(new RegExp(`.{1,${PEM_LINE_CHARACTERS}}`, 'g')) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
