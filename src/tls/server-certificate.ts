/** Reads a certificate chain and its private key, and says what is wrong with them. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { GatewayError, messageOf } from '../base/errors.ts';
import { namesOf } from './certificate-names.ts';
import { readPrivateKey } from './private-key.ts';
import { readPemFile } from './read-pem-file.ts';
import { createSecureOptions } from './secure-options.ts';
import { createTicketKeys } from './ticket-keys.ts';
import type { TlsCertificate } from './tls-setup.ts';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Its key is PKCS #8. */
export interface ServerCertificate extends TlsCertificate {
  /** SHA-256 of the server's own certificate (`AB:CD:…`). */
  readonly fingerprint256: string;
  readonly validTo: Date;
}

/**
 * Reads both files, PEM or DER. Throws GatewayError, its message naming the file: LGW_CERTIFICATE_READ,
 * LGW_CERTIFICATE_INVALID, LGW_KEY_ENCRYPTED, LGW_KEY_INVALID, LGW_KEY_UNSUITABLE, LGW_KEY_MISMATCH.
 */
export function loadServerCertificate(files: CertificateFiles): ServerCertificate {
  const chain = readChain(files.certificate);
  const { key, keyKind } = readPrivateKey(files.key);
  const [own] = chain;
  if (!own.checkPrivateKey(key)) throw mismatch(files, chain, key);
  const certificate = chain.map((member) => member.toString()).join('');
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  tryInOpenssl(files, certificate, keyPem);
  return {
    certificate,
    key: keyPem,
    keyKind,
    names: namesOf(own),
    fingerprint256: own.fingerprint256,
    validTo: new Date(own.validTo),
  };
}

export type Chain = readonly [own: X509Certificate, ...issuers: X509Certificate[]];

/** Throws GatewayError: LGW_CERTIFICATE_READ, LGW_CERTIFICATE_INVALID. */
export function readChain(file: string): Chain {
  const bytes = readPemFile(file, 'certificate');
  const text = bytes.toString('latin1');
  const blocks = text.match(/-----BEGIN (X509 )?CERTIFICATE-----[^-]*-----END (X509 )?CERTIFICATE-----/g);
  if (blocks === null && text.includes('-----BEGIN ')) {
    const held = /-----BEGIN ([^-\n]{1,40})-----/.exec(text)?.[1]?.toLowerCase() ?? 'something else';
    throw new GatewayError('LGW_CERTIFICATE_INVALID', `"${file}" holds no certificate, but ${article(held)}`);
  }
  const sources: readonly (string | Buffer)[] = blocks ?? [bytes];
  const [own, ...issuers] = sources.map((source, i) => {
    try {
      return new X509Certificate(source);
    } catch (error) {
      const which =
        blocks === null ? 'no certificate' : `a damaged certificate, number ${i + 1} of ${sources.length}`;
      throw new GatewayError('LGW_CERTIFICATE_INVALID', `"${file}" holds ${which} (${messageOf(error)})`, {
        cause: error,
      });
    }
  });
  if (own === undefined) throw new GatewayError('LGW_CERTIFICATE_INVALID', `"${file}" holds no certificate`);
  return [own, ...issuers];
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function mismatch(files: CertificateFiles, chain: Chain, key: KeyObject): GatewayError {
  const fitting = chain.findIndex((member) => member.checkPrivateKey(key));
  const hint =
    fitting === -1
      ? ''
      : `: it belongs to certificate ${fitting + 1} of the file, and the server's own must be the first`;
  return new GatewayError(
    'LGW_KEY_MISMATCH',
    `The key in "${files.key}" does not belong to the certificate in "${files.certificate}"${hint}`,
  );
}

/** Finds now what OpenSSL would refuse later in a worker, such as a signature by SHA-1. */
function tryInOpenssl(files: CertificateFiles, certificate: string, key: string): void {
  const ticketKeys = createTicketKeys();
  try {
    createSecureContext(createSecureOptions({ certificate, key, ticketKeys }));
  } catch (error) {
    throw new GatewayError(
      'LGW_CERTIFICATE_INVALID',
      `The certificate in "${files.certificate}" cannot be used (${messageOf(error)})`,
      { cause: error },
    );
  }
}
