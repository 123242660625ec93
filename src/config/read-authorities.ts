/** Reads the certificates of authorities while the configuration is read: workers may not reach the file. */
import { readWholeFile } from '../base/open-file.ts';

/** The text of the file, PEM; undefined: it holds no certificate. Throws the system's error. */
export function readAuthorities(file: string): string | undefined {
  // after `-u` it may be for root alone
  const text = readWholeFile(file);
  return text.includes('-----BEGIN CERTIFICATE-----') ? text : undefined;
}
