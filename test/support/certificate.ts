/** Makes certificates for tests. `npm test` makes them once for all files; a file that runs alone makes its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The environment variable with the folder of certificates that all files of a run share. */
export const CERTIFICATES_VARIABLE = 'LGATEWAY_TEST_CERTIFICATES';

type KeyKind = 'ec' | 'rsa';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** Paths of certificate and key, for programs; no test changes these files. */
  readonly certPath: string;
  readonly keyPath: string;
}

const KEY_WORDS: Readonly<Record<KeyKind, readonly string[]>> = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  rsa: ['-newkey', 'rsa:2048'],
};
const SUBJECT = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'];

const cache = new Map<KeyKind, TestCertificate>();

/** Returns a self-signed certificate for localhost, 127.0.0.1 and ::1, with an EC key (default) or an RSA key. */
export function testCertificate(kind: KeyKind = 'ec'): TestCertificate {
  let certificate = cache.get(kind);
  if (certificate === undefined) {
    const shared = process.env[CERTIFICATES_VARIABLE];
    const folder = shared ?? temporaryFolder();
    if (shared === undefined) makeCertificate(folder, kind);
    const [certPath, keyPath] = pathsIn(folder, kind);
    const [cert, key] = [readFileSync(certPath, 'latin1'), readFileSync(keyPath, 'latin1')];
    certificate = { cert, key, certPath, keyPath };
    cache.set(kind, certificate);
  }
  return certificate;
}

/** Makes certificates of all kinds in a folder that is removed at the end of the process; returns the path of the folder. */
export function makeCertificates(): string {
  const folder = temporaryFolder();
  for (const kind of ['ec', 'rsa'] as const) makeCertificate(folder, kind);
  return folder;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-cert-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function pathsIn(folder: string, kind: KeyKind): readonly [certPath: string, keyPath: string] {
  return [join(folder, `${kind}-cert.pem`), join(folder, `${kind}-key.pem`)];
}

function makeCertificate(folder: string, kind: KeyKind): void {
  const [certPath, keyPath] = pathsIn(folder, kind);
  const files = ['-nodes', '-keyout', keyPath, '-out', certPath, '-days', '30'];
  execFileSync('openssl', ['req', '-x509', ...KEY_WORDS[kind], ...files, ...SUBJECT], { stdio: 'ignore' });
}
