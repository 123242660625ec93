/** Refuses certificates that no handshake could choose between: for one name, with keys of one kind. */
import { GatewayError } from '../base/errors.ts';
import type { TlsCertificate } from './tls-setup.ts';

interface PlacedCertificate extends TlsCertificate {
  readonly file: string;
  readonly at?: string | undefined;
}

/** Throws GatewayError LGW_CERTIFICATE_TWICE, a line for each. */
export function refuseClashes(certificates: readonly PlacedCertificate[]): void {
  const known = new Map<string, PlacedCertificate>();
  const messages: string[] = [];
  for (const certificate of certificates) {
    const { names, keyKind, file, at } = certificate;
    const taken = names.find((name) => known.has(`${keyKind} ${name}`));
    const other = taken === undefined ? undefined : known.get(`${keyKind} ${taken}`);
    if (other !== undefined)
      messages.push(
        `${at === undefined ? '' : `${at}: `}The certificates in "${other.file}" and "${file}" are both for "${taken}" with ${keyKind} keys: one name has one certificate for each kind of key`,
      );
    for (const name of names) known.set(`${keyKind} ${name}`, certificate);
  }
  if (messages.length > 0) throw new GatewayError('LGW_CERTIFICATE_TWICE', messages.join('\n'));
}
