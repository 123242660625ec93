/** Reads the certificates of authorities while the configuration is read: workers may not reach the file. */
import { readFileSync } from 'node:fs';

/** The text of the file, PEM; undefined: it holds no certificate. Throws the system's error. */
export function readAuthorities(file: string): string | undefined {
  const text = readFileSync(file, 'latin1');
  return text.includes('-----BEGIN CERTIFICATE-----') ? text : undefined;
}
