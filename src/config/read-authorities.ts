/** Reads the certificates of authorities while the configuration is read: workers may not reach the file. */
import { closeSync, readFileSync } from 'node:fs';
import { openFile } from '../base/open-file.ts';

/** The text of the file, PEM; undefined: it holds no certificate. Throws the system's error. */
export function readAuthorities(file: string): string | undefined {
  // after `-u` it may be for root alone
  const descriptor = openFile(file, 'read');
  try {
    const text = readFileSync(descriptor, 'latin1');
    return text.includes('-----BEGIN CERTIFICATE-----') ? text : undefined;
  } finally {
    closeSync(descriptor);
  }
}
