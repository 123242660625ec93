/** Makes keys and certificates for the tests, with openssl in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class CertificateFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'lgw-tls-'));

  file(name: string): string {
    return join(this.path, name);
  }

  /** Runs openssl; words that start with `@` are files of the folder. */
  openssl(line: string): string {
    const words = line.split(' ').map((word) => (word.startsWith('@') ? this.file(word.slice(1)) : word));
    return execFileSync('openssl', words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000,
    });
  }

  /** Makes `NAME.key` and a self-signed `NAME.pem` for localhost; `key` as in `openssl req -newkey`. */
  makeSelfSigned(name: string, key: string, more = ''): void {
    this.openssl(
      `req -x509 -newkey ${key} -nodes -keyout @${name}.key -out @${name}.pem -days 60 -subj /CN=localhost` +
        ` -addext subjectAltName=DNS:localhost,IP:127.0.0.1${more}`,
    );
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export const RSA_KEY = 'rsa:2048';
export const EC_KEY = 'ec -pkeyopt ec_paramgen_curve:prime256v1';
