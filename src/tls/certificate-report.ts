/** What is to be known of a certificate before it is served: names, key, time, chain, and demands. */
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { certificateWarnings, outOfTime, readChainText } from './certificate-warnings.ts';
import type { TlsCertificate } from './tls-setup.ts';

const DAY_MS = 86_400_000;
/** Names that are shown. */
const NAMES_SHOWN_MAX = 20;
/** The DER of the object identifier of TLS features, 1.3.6.1.5.5.7.1.24 (RFC 7633). */
const TLS_FEATURE = Buffer.from([6, 8, 43, 6, 1, 5, 5, 7, 1, 24]);

export interface CertificateReport {
  /** Lines about what it is. */
  readonly facts: readonly string[];
  /** What clients may refuse it for. */
  readonly warnings: readonly string[];
  /** What all clients refuse it for. */
  readonly faults: readonly string[];
}

/**
 * `address`: the only address of the listener, undefined for all or where clients come by a name; `now`: milliseconds since 1970; `staples`: OCSP
 * responses are fetched.
 */
export function reportCertificate(
  loaded: TlsCertificate & { readonly file: string },
  now: number,
  address?: string,
  staples = false,
): CertificateReport {
  const { file, names, keyKind, certificate } = loaded;
  const chain = readChainText(certificate);
  const [own, ...issuers] = chain;
  if (own === undefined) return { facts: [], warnings: [], faults: [`"${file}" holds no certificate`] };
  const days = Math.floor((Date.parse(own.validTo) - now) / DAY_MS);
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  const more = names.length > NAMES_SHOWN_MAX ? ` and ${names.length - NAMES_SHOWN_MAX} more` : '';
  const reason = outOfTime(own, now);
  const ownFault = reason === undefined ? undefined : `The certificate in "${file}" ${reason}`;
  // the sentence of the chain says the same of its first member
  const warnings = certificateWarnings(chain, file, now, address).filter(
    (warning) => reason === undefined || !warning.endsWith(reason),
  );
  return {
    facts: [
      `Certificate ${file}: the key belongs to it, ${days} days left`,
      `  names: ${shown === '' ? 'none' : shown}${more}`,
      `  key: ${describeKey(own, keyKind)}; chain: ${describeChain(own, issuers)}`,
    ],
    warnings: [
      ...warnings,
      ...warnOfEnd(file, chain),
      ...warnOfStaple(file, own, issuers.length > 0, staples),
    ],
    faults: ownFault === undefined ? [] : [ownFault],
  };
}

/** `EC, prime256v1`. */
export function describeKey({ publicKey }: X509Certificate, kind: string): string {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined) return `${kind}, ${modulusLength} bits`;
  return namedCurve === undefined ? kind : `${kind}, ${namedCurve}`;
}

function describeChain(own: X509Certificate, issuers: readonly X509Certificate[]): string {
  if (issuers.length === 0 && isSelfSigned(own)) return 'self-signed';
  return issuers.length === 0 ? 'no intermediate certificate' : `${issuers.length} more in the file`;
}

export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.issuer === certificate.subject && certificate.verify(certificate.publicKey);
}

/** Clients know roots, and do not look for what stands between. */
function warnOfEnd(file: string, chain: readonly X509Certificate[]): string[] {
  const last = chain.at(-1);
  if (last === undefined || isSelfSigned(last)) return [];
  const isKnown = rootCertificates.some((pem) => {
    const root = new X509Certificate(pem);
    return last.checkIssued(root) && last.verify(root.publicKey);
  });
  if (isKnown) return [];
  const issuer = last.issuer.split('\n').at(-1) ?? '';
  return [
    `The chain in "${file}" ends below ${JSON.stringify(issuer)}, which is no authority that Node.js knows: an intermediate certificate may lack`,
  ];
}

function warnOfStaple(file: string, own: X509Certificate, hasIssuer: boolean, staples: boolean): string[] {
  if (!demandsStaple(own)) return [];
  const reason = !staples
    ? 'without --ocsp the gateway sends none'
    : !/^OCSP - URI:http:/m.test(own.infoAccess ?? '')
      ? 'it names nobody who is asked for one over HTTP'
      : hasIssuer
        ? undefined
        : 'the certificate of its issuer, by which one is checked, does not follow it';
  if (reason === undefined) return [];
  return [
    `The certificate in "${file}" demands an OCSP response in each handshake (must-staple), and ${reason}: clients may refuse it`,
  ];
}

/** It has the extension TLS feature with status_request. */
export function demandsStaple({ raw }: X509Certificate): boolean {
  const at = raw.indexOf(TLS_FEATURE);
  if (at === -1) return false;
  // SEQUENCE OF INTEGER, in an OCTET STRING: 04 05 30 03 02 01 05, critical or not
  return raw.subarray(at + TLS_FEATURE.length, at + TLS_FEATURE.length + 16).includes(STATUS_REQUEST);
}

/** The number of that extension of TLS as an INTEGER. */
const STATUS_REQUEST = Buffer.from([2, 1, 5]);
