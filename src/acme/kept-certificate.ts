/** A certificate with its key as one text in PEM, as it is kept in files and in the store of a fleet. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { ObtainedCertificate } from './acme-client.ts';

const KEY_BLOCK = /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----\n?/;

export function certificateText({ certificate, key }: ObtainedCertificate): string {
  return `${key}${certificate}`;
}

/** Undefined where the text is damaged, or the certificate is for another key or not for all of `names`. */
export function readCertificateText(pem: string, names: readonly string[]): ObtainedCertificate | undefined {
  const key = KEY_BLOCK.exec(pem)?.[0];
  if (key === undefined) return undefined;
  const certificate = pem.replace(KEY_BLOCK, '');
  try {
    const own = new X509Certificate(certificate);
    const fits = own.checkPrivateKey(createPrivateKey(key));
    return fits && names.every((name) => own.checkHost(name) !== undefined)
      ? { certificate, key }
      : undefined;
  } catch {
    return undefined;
  }
}

/** From when to when clients take it: milliseconds since 1970. */
export function lifeOf({ certificate }: ObtainedCertificate): { readonly from: number; readonly to: number } {
  const own = new X509Certificate(certificate);
  return { from: Date.parse(own.validFrom), to: Date.parse(own.validTo) };
}

export function endsLater(one: ObtainedCertificate, other: ObtainedCertificate): boolean {
  return lifeOf(one).to > lifeOf(other).to;
}
