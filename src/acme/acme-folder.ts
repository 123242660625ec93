/** What is kept of an ACME server between starts, in a folder of ours: the key of the account, and certificates with their keys. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { AccountKey } from './account-key.ts';
import type { ObtainedCertificate } from './acme-client.ts';
import { certificateText, readCertificateText } from './kept-certificate.ts';

/** A chain and a key have some 10 KiB; a longer file is none of ours. */
const FILE_BYTES_MAX = 1024 * 1024;
const ACCOUNT_FILE = 'account.pem';
const LOCK_FILE = 'lock';
/** A process that asks a server touches its lock more often; an older lock was left behind by one that was killed. */
const LOCK_STALE_MS = 10 * 60_000;

export class AcmeFolder {
  readonly #path: string;

  /** Makes the folder `path` for the server of `directory`. Errors: GatewayError LGW_ACME. */
  constructor(path: string, directory: string) {
    const { host, pathname } = new URL(directory);
    // servers of one host, as staging and production may be, have accounts of their own
    const hash = createHash('sha256').update(pathname).digest('hex').slice(0, 8);
    this.#path = join(path, `${host.replaceAll(':', '_')}-${hash}`);
    try {
      mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw this.#failure('make', this.#path, error);
    }
  }

  /** Where the certificate of `names` is kept. */
  fileOf(names: readonly string[]): string {
    const [first = ''] = names;
    const others = createHash('sha256')
      .update([...names].sort().join(' '))
      .digest('hex')
      .slice(0, 8);
    return join(this.#path, `${first}-${others}.pem`);
  }

  /** The key of the account; makes it at the first call. */
  accountKey(): AccountKey {
    const file = join(this.#path, ACCOUNT_FILE);
    const pem = this.#read(file);
    if (pem !== undefined) {
      try {
        return AccountKey.read(pem);
      } catch (error) {
        throw this.#failure('use', file, error);
      }
    }
    const key = AccountKey.make();
    this.#write(file, key.toPem());
    return key;
  }

  /** Keeps the key of the account that all machines have. One that was there before is kept beside it: an account is never thrown away. */
  keepAccountKey(key: AccountKey): void {
    const file = join(this.#path, ACCOUNT_FILE);
    const pem = key.toPem();
    const before = this.#read(file);
    if (before === pem) return;
    if (before !== undefined) {
      const hash = createHash('sha256').update(before).digest('hex').slice(0, 8);
      this.#write(join(this.#path, `account-before-${hash}.pem`), before);
    }
    this.#write(file, pem);
  }

  /** The certificate kept for `names`; undefined when there is none that matches its key and the names. */
  read(names: readonly string[]): ObtainedCertificate | undefined {
    const pem = this.#read(this.fileOf(names));
    // a damaged file is as good as none: another certificate takes its place
    return pem === undefined ? undefined : readCertificateText(pem, names);
  }

  /** Key and certificate are in one file, so that one rename puts both in place. */
  write(names: readonly string[], certificate: ObtainedCertificate): void {
    this.#write(this.fileOf(names), certificateText(certificate));
  }

  /** True when no other process asks this server for certificates; then none does until `unlock`. */
  lock(): boolean {
    const file = join(this.#path, LOCK_FILE);
    for (let tries = 0; tries < 2; tries++) {
      try {
        writeFileSync(file, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
        return true;
      } catch (error) {
        if (systemCodeOf(error) !== 'EEXIST') throw this.#failure('write', file, error);
      }
      if (!isStale(file)) return false;
      rmSync(file, { force: true });
    }
    return false;
  }

  unlock(): void {
    rmSync(join(this.#path, LOCK_FILE), { force: true });
  }

  #read(file: string): string | undefined {
    try {
      if (statSync(file).size > FILE_BYTES_MAX)
        throw new RangeError(`it is longer than ${FILE_BYTES_MAX} bytes`);
      return readFileSync(file, 'latin1');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw this.#failure('read', file, error);
    }
  }

  #write(file: string, text: string): void {
    const fresh = `${file}.${process.pid}.new`;
    try {
      writeFileSync(fresh, text, { mode: 0o600 });
      renameSync(fresh, file);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw this.#failure('write', file, error);
    }
  }

  #failure(what: string, file: string, error: unknown): GatewayError {
    return new GatewayError(
      'LGW_ACME',
      `Cannot ${what} "${file}" (${messageOf(error)}): give another folder with --acme-folder`,
      { cause: error },
    );
  }
}

function isStale(file: string): boolean {
  try {
    if (Date.now() - statSync(file).mtimeMs > LOCK_STALE_MS) return true;
    process.kill(Number(readFileSync(file, 'latin1')), 0);
    return false;
  } catch (error) {
    // gone meanwhile, or its process has
    return ['ENOENT', 'ESRCH'].includes(systemCodeOf(error) ?? '');
  }
}
