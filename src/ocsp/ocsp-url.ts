/** Where the state of a certificate is asked for. */
import type { X509Certificate } from 'node:crypto';

/** Characters of an address. */
const URL_LENGTH_MAX = 2048;

/** The first address of the extension authorityInfoAccess that is asked over HTTP; undefined: the certificate names none. */
export function ocspUrlOf({ infoAccess }: X509Certificate): URL | undefined {
  for (const line of (infoAccess ?? '').split('\n')) {
    const text = /^OCSP - URI:(.+)$/.exec(line)?.[1];
    if (text === undefined || text.length > URL_LENGTH_MAX || !URL.canParse(text)) continue;
    const url = new URL(text);
    if (url.protocol === 'http:') return url;
  }
  return undefined;
}
