/** A throw-away certificate for tests: made once per process with the openssl command, in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** Paths of the same, for programs; the folder is removed when the process exits. */
  readonly certPath: string;
  readonly keyPath: string;
}

const cache = new Map<string, TestCertificate>();

/** A self-signed certificate for localhost, 127.0.0.1 and ::1, with an EC (default) or RSA key. */
export function testCertificate(kind: 'ec' | 'rsa' = 'ec'): TestCertificate {
  let made = cache.get(kind);
  if (made === undefined) {
    made = makeCertificate(kind);
    cache.set(kind, made);
  }
  return made;
}

function makeCertificate(kind: 'ec' | 'rsa'): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-cert-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const certPath = join(folder, 'cert.pem');
  const keyPath = join(folder, 'key.pem');
  const key =
    kind === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] : ['-newkey', 'rsa:2048'];
  execFileSync(
    'openssl',
    ['req', '-x509', ...key, '-nodes', '-keyout', keyPath, '-out', certPath, '-days', '30'].concat([
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1',
    ]),
    { stdio: 'ignore' },
  );
  return { cert: readFileSync(certPath, 'latin1'), key: readFileSync(keyPath, 'latin1'), certPath, keyPath };
}
