/** What an authority says of a certificate (RFC 6960 §4.2), and whether that may be believed. */
import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import { type CertificateFacts, factsOf, type IdHash, idOf } from './certificate-id.ts';
import {
  bytesOf,
  contentOf,
  contextTag,
  type DerValue,
  inside,
  readValue,
  readValues,
  TAG,
} from './der-reader.ts';

/** Certificates of responders that come along. */
const CERTIFICATES_MAX = 8;
/** Clocks of authorities may be ahead by so much. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;
/** Of a response that does not say how long it holds. */
const LIFE_DEFAULT_MS = 24 * 3600_000;
/** The right to answer for the issuer. */
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

const STATES: readonly string[] = [
  'successful',
  'the request is malformed',
  'internal error',
  'try later',
  'state 4',
  'the request has to be signed',
  'unauthorized',
];

/** By the hexadecimal digits of the object identifier; SHA-1 is none of them. */
const SIGNATURE_HASHES: Readonly<Record<string, string | null>> = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2b6570': null,
};
const BASIC_RESPONSE = '2b0601050507300101';
const ID_HASHES: Readonly<Record<string, IdHash>> = { '2b0e03021a': 'sha1', '608648016503040201': 'sha256' };

export interface OcspResponse {
  readonly state: 'good' | 'revoked' | 'unknown';
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

/**
 * Reads a response about `own`, which `issuer` has issued. It has to be signed by the issuer or by who may answer for it, and to hold at
 * `now` (milliseconds since 1970). Errors: LGW_OCSP.
 */
export function readOcspResponse(
  bytes: Buffer,
  own: X509Certificate,
  issuer: X509Certificate,
  now: number,
): OcspResponse {
  try {
    const [body, algorithm, signature, certificates] = inside(basicOf(bytes));
    checkSigned(body, algorithm, signature, certificates, issuer, now);
    return checkTime(findOwn(body, factsOf(own), factsOf(issuer)), now);
  } catch (error) {
    if (error instanceof RangeError) throw refusal(`it is no OCSP response (${error.message})`);
    throw error;
  }
}

function basicOf(bytes: Buffer): DerValue {
  const [status, wrapped] = inside(readValue(bytes));
  const code = contentOf(status, TAG.enumerated)[0] ?? 0;
  if (code !== 0) throw refusal(`the authority says: ${STATES[code] ?? `state ${code}`}`);
  const [typed] = inside(wrapped, contextTag(0, true));
  const [type, basic] = inside(typed);
  if (hexOf(type) !== BASIC_RESPONSE) throw refusal('it is of an unknown type');
  return readValue(contentOf(basic, TAG.octetString));
}

function checkSigned(
  body: DerValue | undefined,
  algorithm: DerValue | undefined,
  signature: DerValue | undefined,
  certificates: DerValue | undefined,
  issuer: X509Certificate,
  now: number,
): void {
  const id = hexOf(inside(algorithm)[0]);
  const hash = SIGNATURE_HASHES[id];
  if (hash === undefined) throw refusal(`its signature is of a kind that is not taken (${id})`);
  const bits = bytesOf(signature);
  const signed = body?.raw ?? Buffer.alloc(0);
  const isSignedBy = (key: KeyObject): boolean => {
    try {
      return verify(hash, signed, key, bits);
    } catch {
      // a key of another kind
      return false;
    }
  };
  if (isSignedBy(issuer.publicKey)) return;
  const others = certificates === undefined ? [] : inside(inside(certificates, contextTag(0, true))[0]);
  for (const { raw } of others.slice(0, CERTIFICATES_MAX))
    if (mayAnswer(raw, issuer, now, isSignedBy)) return;
  throw refusal('neither the issuer of the certificate nor anybody who may answer for it has signed it');
}

/** A responder whose certificate the issuer has issued for just that (RFC 6960 §4.2.2.2). */
function mayAnswer(
  der: Buffer,
  issuer: X509Certificate,
  now: number,
  isSignedBy: (key: KeyObject) => boolean,
): boolean {
  try {
    const responder = new X509Certificate(der);
    const isOfIssuer = responder.checkIssued(issuer) && responder.verify(issuer.publicKey);
    const isInTime = Date.parse(responder.validFrom) <= now && now < Date.parse(responder.validTo);
    return (
      isOfIssuer &&
      isInTime &&
      (responder.keyUsage ?? []).includes(OCSP_SIGNING) &&
      isSignedBy(responder.publicKey)
    );
  } catch {
    return false;
  }
}

/** The fields of the answer about this certificate; others may stand beside it. */
function findOwn(body: DerValue | undefined, own: CertificateFacts, issuer: CertificateFacts): DerValue[] {
  // version (perhaps), responderID, producedAt, responses, extensions (perhaps)
  const responses = inside(body).find(({ tag }) => tag === TAG.sequence);
  for (const single of inside(responses)) {
    const fields = inside(single);
    const [algorithm, nameHash, keyHash, serial] = inside(fields[0]);
    const hash = ID_HASHES[hexOf(inside(algorithm)[0])];
    if (hash === undefined) continue;
    const id = idOf(own, issuer, hash);
    const isSame =
      id.nameHash.equals(contentOf(nameHash, TAG.octetString)) &&
      id.keyHash.equals(contentOf(keyHash, TAG.octetString)) &&
      id.serial.equals(contentOf(serial, TAG.integer));
    if (isSame) return fields;
  }
  throw refusal('it is about another certificate');
}

function checkTime([, status, since, until]: readonly DerValue[], now: number): OcspResponse {
  const thisUpdate = timeOf(since);
  const [end] = until?.tag === contextTag(0, true) ? readValues(until.content) : [];
  const nextUpdate = end === undefined ? thisUpdate + LIFE_DEFAULT_MS : timeOf(end);
  if (thisUpdate > now + CLOCK_TOLERANCE_MS)
    throw refusal(`it holds from ${showTime(thisUpdate)} on, and it is ${showTime(now)}`);
  if (nextUpdate <= now) throw refusal(`it held until ${showTime(nextUpdate)}, and it is ${showTime(now)}`);
  // [0] and [2] hold nothing, [1] time and reason
  const number = (status?.tag ?? 0) & 0x1f;
  const state = number === 0 ? 'good' : number === 1 ? 'revoked' : 'unknown';
  return { state, thisUpdate, nextUpdate };
}

/** RFC 5280 §4.1.2.5.2 writes a GeneralizedTime in one way. */
function timeOf(value: DerValue | undefined): number {
  const text = contentOf(value, TAG.generalizedTime).toString('latin1');
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const time =
    parts === null
      ? Number.NaN
      : Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`);
  if (Number.isNaN(time)) throw new RangeError(`${JSON.stringify(text)} is no time`);
  return time;
}

function hexOf(value: DerValue | undefined): string {
  return contentOf(value, TAG.oid).toString('hex');
}

export function showTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

function refusal(reason: string): GatewayError {
  return new GatewayError('LGW_OCSP', `The OCSP response is not taken: ${reason}`);
}
