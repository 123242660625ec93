/** Reads the authorities whose certificates clients may show. */
import { X509Certificate } from 'node:crypto';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { ClientVerify } from '../settings/tls-settings.ts';
import { readPemFile } from './read-pem-file.ts';
import type { ClientAuthority } from './tls-setup.ts';

/** Of one listener: their names are in each handshake. */
const AUTHORITIES_MAX = 100;

/** Throws GatewayError: LGW_CERTIFICATE_READ or LGW_CERTIFICATE_INVALID. */
export function loadClientAuthority(files: {
  readonly ca: string;
  readonly verify: ClientVerify;
}): ClientAuthority {
  const text = readPemFile(files.ca, 'certificate').toString('latin1');
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0 || blocks.length > AUTHORITIES_MAX)
    throw new GatewayError(
      'LGW_CERTIFICATE_INVALID',
      `"${files.ca}" holds ${blocks.length} certificates of authorities in PEM, and 1 to ${AUTHORITIES_MAX} are wanted (--client-ca)`,
    );
  const authorities = blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new GatewayError(
        'LGW_CERTIFICATE_INVALID',
        `"${files.ca}" holds a damaged certificate, number ${i + 1} of ${blocks.length} (${messageOf(error)})`,
        { cause: error },
      );
    }
  });
  const stranger = authorities.findIndex(({ ca }) => !ca);
  if (stranger !== -1)
    throw new GatewayError(
      'LGW_CERTIFICATE_INVALID',
      `Certificate ${stranger + 1} in "${files.ca}" is none of an authority, and could issue none to clients (--client-ca)`,
    );
  return { ca: authorities.map(String).join(''), verify: files.verify };
}
