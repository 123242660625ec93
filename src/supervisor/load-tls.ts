/** Loads what TLS needs for the workers: the certificates of the configuration, or the development certificate, and authorities of clients. */
import { X509Certificate } from 'node:crypto';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { CertificateFiles, ClientAuthorityFile, Config } from '../config/config.ts';
import { refuseClashes } from '../tls/certificate-clashes.ts';
import { namesOf } from '../tls/certificate-names.ts';
import { loadClientAuthority } from '../tls/client-authority.ts';
import { loadDevelopmentCertificate } from '../tls/development-certificate.ts';
import { loadServerCertificate } from '../tls/server-certificate.ts';
import type { ClientAuthority, TlsCertificate } from '../tls/tls-setup.ts';

/** What its user needs to trust a certificate that the gateway made itself. */
export interface DevelopmentFacts {
  readonly certificateFile: string;
  /** SHA-256, as browsers show it. */
  readonly fingerprint: string;
}

export interface LoadedCertificate extends TlsCertificate {
  /** Where it was read. */
  readonly file: string;
  /** `FILE:LINE:COLUMN` of its table; undefined = not from a configuration file. */
  readonly at?: string | undefined;
}

export interface LoadedTls {
  /** Without those of an ACME server; the first is the default. */
  readonly certificates: readonly LoadedCertificate[];
  /** By the number of the listener. */
  readonly clients: readonly (ClientAuthority | undefined)[];
  /** Undefined when certificates were given. */
  readonly development: DevelopmentFacts | undefined;
}

export type TlsFiles = Pick<
  Config,
  'acme' | 'tls' | 'listen' | 'cleartext' | 'furtherListeners' | 'inherited'
>;

/** Errors: GatewayError with the files and what is wrong with them, all of it, a line each. */
export async function loadTls(files: TlsFiles): Promise<LoadedTls> {
  const failures: GatewayError[] = [];
  const attempt = <T>(load: () => T, at?: string): T[] => {
    try {
      return [load()];
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      failures.push(
        at === undefined
          ? error
          : new GatewayError(error.code, `${at}: ${error.message}`, { cause: error.cause }),
      );
      return [];
    }
  };
  const given = files.tls.certificates;
  const certificates = given.flatMap((one) => attempt(() => loadGiven(one), one.at));
  attempt(() => refuseClashes(certificates));
  const [clients = []] = attempt(() => loadClients(files));
  const [first] = failures;
  if (first !== undefined)
    throw failures.length === 1
      ? first
      : new GatewayError(first.code, failures.map(messageOf).join('\n'), { cause: first.cause });
  if (given.length > 0 || files.acme !== undefined) return { certificates, clients, development: undefined };
  const { certificate, key, certificatePath, fingerprint256 } = await loadDevelopmentCertificate();
  const names = namesOf(new X509Certificate(certificate));
  return {
    certificates: [{ certificate, key, keyKind: 'EC', names, file: certificatePath }],
    clients,
    development: { certificateFile: certificatePath, fingerprint: fingerprint256 },
  };
}

/** What clients have to show, by the number of the listener. Errors: GatewayError. */
export function loadClients(files: TlsFiles): readonly (ClientAuthority | undefined)[] {
  return clientsOf(files).map((client) => (client === undefined ? undefined : loadClientAuthority(client)));
}

function loadGiven(files: CertificateFiles): LoadedCertificate {
  const { certificate, key, keyKind, names } = loadServerCertificate(files);
  return { certificate, key, keyKind, names, file: files.certificate, at: files.at };
}

/** In the order in which the listeners are opened. */
function clientsOf({
  listen,
  cleartext,
  furtherListeners = [],
  inherited = [],
}: TlsFiles): readonly (ClientAuthorityFile | undefined)[] {
  const activated = inherited.filter(({ place }) => place === undefined);
  if (activated.length > 0)
    return activated.map(({ scheme }) => (scheme === 'https' ? listen?.client : undefined));
  return [
    ...(listen === undefined ? [] : [listen.client]),
    ...(cleartext === undefined ? [] : [undefined]),
    ...furtherListeners.map(({ client }) => client),
  ];
}
