/** Loads certificate and key for the workers: from the files of `-c` and `-k`, or the development certificate. */
import type { Config } from '../config/config.ts';
import { loadDevelopmentCertificate } from '../tls/development-certificate.ts';
import { loadServerCertificate } from '../tls/server-certificate.ts';

/** What its user needs to trust a certificate that the gateway made itself. */
export interface DevelopmentFacts {
  readonly certificateFile: string;
  /** SHA-256, as browsers show it. */
  readonly fingerprint: string;
}

export interface LoadedTls {
  /** PEM, the server's own certificate first, then its chain. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  /** Where the certificate was read. */
  readonly certificateFile: string;
  /** Undefined when the certificate was given. */
  readonly development: DevelopmentFacts | undefined;
}

/** Errors: GatewayError with the file and what is wrong with it. */
export async function loadTls(files: Config['certificateFiles']): Promise<LoadedTls> {
  if (files !== undefined) {
    const { certificate, key } = loadServerCertificate(files);
    return { certificate, key, certificateFile: files.certificate, development: undefined };
  }
  const { certificate, key, certificatePath, fingerprint256 } = await loadDevelopmentCertificate();
  return {
    certificate,
    key,
    certificateFile: certificatePath,
    development: { certificateFile: certificatePath, fingerprint: fingerprint256 },
  };
}
