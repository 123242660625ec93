/** The certificate that a client has shown, as handlers see it. */
import type { TLSSocket } from 'node:tls';
import { asksForCertificate } from '../../native/node-internals.ts';

export interface ClientCertificate {
  /** `SUCCESS`; `NONE`, where the client has shown none; else `FAILED:` and OpenSSL's word for what is wrong. */
  readonly verify: string;
  /** Distinguished name, the most special part first (RFC 4514): `CN=ada,O=Example`. Undefined without a certificate, as are those below. */
  readonly subject: string | undefined;
  /** Alternative names: `DNS:ada.example, email:ada@example.org`. */
  readonly san: string | undefined;
  /** Hexadecimal digits, in upper case. */
  readonly serial: string | undefined;
  /** SHA-256: `AB:CD:…`. */
  readonly fingerprint: string | undefined;
}

const NONE: ClientCertificate = Object.freeze({
  verify: 'NONE',
  subject: undefined,
  san: undefined,
  serial: undefined,
  fingerprint: undefined,
});

/** Undefined: the listener asks no client for one. */
export function readClientCertificate(socket: TLSSocket): ClientCertificate | undefined {
  if (!asksForCertificate(socket)) return undefined;
  // of a resumed session without a certificate node says that it is authorized
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return NONE;
  const failure: unknown = socket.authorizationError;
  return {
    verify: socket.authorized ? 'SUCCESS' : `FAILED:${String(failure)}`,
    subject: certificate.subject.split('\n').reverse().join(','),
    san: certificate.subjectAltName,
    serial: certificate.serialNumber,
    fingerprint: certificate.fingerprint256,
  };
}
