/** `lgateway cert`: makes a certificate, or prints what certificates say. */
import { newCertificate } from './new-certificate.ts';
import type { Outcome } from './outcome.ts';
import { showCertificates } from './show-certificates.ts';

/** Throws UsageError for what is no name, where a file is there already, and for a configuration that is wrong. */
export async function certCommand(words: readonly string[]): Promise<Outcome> {
  const [first, ...rest] = words;
  if (first === 'show') return await showCertificates(rest);
  return newCertificate(first === 'new' ? rest : words);
}
