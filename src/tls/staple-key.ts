/** Names a certificate among those that an OCSP response is kept for. */
import { createHash } from 'node:crypto';

/** `certificate`: its chain in PEM, as it is served. */
export function stapleKey(certificate: string): string {
  return createHash('sha256').update(certificate).digest('base64');
}
