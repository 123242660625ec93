/** `lgateway cert show`: what certificates say, of files or of a configuration. */
import { X509Certificate } from 'node:crypto';
import { messageOf } from '../base/errors.ts';
import { escapeControls } from '../base/logger.ts';
import type { CertificateFiles } from '../config/config.ts';
import { UsageError } from '../config/usage-error.ts';
import { describeCertificate } from '../tls/describe-certificate.ts';
import { loadDevelopmentCertificate } from '../tls/development-certificate.ts';
import { type Chain, loadServerCertificate, readChain } from '../tls/server-certificate.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';

/** A certificate with the file it stands in. */
interface Shown {
  readonly file: string;
  /** Throws GatewayError. */
  readonly read: () => Chain | Promise<Chain>;
  /** `FILE:LINE:COLUMN` of its table. */
  readonly at?: string | undefined;
}

/** Words that begin with no dash are files. Throws UsageError for a configuration that is wrong. */
export async function showCertificates(words: readonly string[]): Promise<Outcome> {
  const areFiles = words.length > 0 && words.every((word) => !word.startsWith('-'));
  const shown: readonly Shown[] = areFiles
    ? words.map((file) => ({ file, read: () => readChain(file) }))
    : await configured(words);
  const lines: string[] = [];
  const faults: string[] = [];
  for (const { file, read, at } of shown) {
    const place = at === undefined ? '' : `${at}: `;
    try {
      const { facts, fault } = describeCertificate(await read(), Date.now());
      lines.push(`Certificate ${file}`, ...facts.map((fact) => `  ${escapeControls(fact)}`));
      if (fault !== undefined) faults.push(`${place}The certificate in "${file}" ${fault}`);
    } catch (error) {
      faults.push(`${place}${messageOf(error)}`);
    }
  }
  return { output: lines.map((line) => `${line}\n`).join(''), faults };
}

async function configured(words: readonly string[]): Promise<readonly Shown[]> {
  const { config } = await givenConfig(words);
  const { certificates } = config.tls;
  if (certificates.length > 0) return certificates.map(ofPair);
  if (config.acme !== undefined)
    throw new UsageError(
      'Certificates of --acme are in its folder: name their files, as in lgateway cert show FILE',
    );
  const { certificate, certificatePath } = await loadDevelopmentCertificate();
  return [{ file: certificatePath, read: () => [new X509Certificate(certificate)] }];
}

/** With its key, which has to belong to it. */
function ofPair(files: CertificateFiles): Shown {
  const { certificate: file, at } = files;
  const read = (): Chain => {
    loadServerCertificate(files);
    return readChain(file);
  };
  return { file, read, at };
}
