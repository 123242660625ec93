/** What all machines of a fleet know of one ACME server, sealed in the store: the account, certificates with their keys, and pauses after failures. */
import { createHash } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import type { SealedEntries } from '../fleet/sealed-entries.ts';
import { AccountKey } from './account-key.ts';
import type { ObtainedCertificate } from './acme-client.ts';
import { certificateText, lifeOf, readCertificateText } from './kept-certificate.ts';

export interface SharedAccount {
  readonly key: AccountKey;
  /** Undefined: the authority has not been asked for one with this key. */
  readonly url: string | undefined;
}

/** After failures no machine asks the authority before its end. */
export interface Pause {
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** A pause is remembered for so long after its end, so that the next one is longer. */
const PAUSE_KEPT_MS = 24 * 3_600_000;

export class SharedRecords {
  readonly #entries: SealedEntries;
  readonly #server: string;

  /** `directory`: URL of the server. All methods reject with GatewayError LGW_STORE (of the store), LGW_ACME (what it has is none of ours). */
  constructor(entries: SealedEntries, directory: string) {
    this.#entries = entries;
    this.#server = hashOf(directory);
  }

  async account(): Promise<SharedAccount | undefined> {
    const bytes = await this.#entries.get(this.#accountName);
    return bytes === undefined ? undefined : this.#readAccount(bytes);
  }

  /** Puts it there unless there is one; resolves to the one that is there then. */
  async agreeAccount(account: SharedAccount): Promise<SharedAccount> {
    return this.#readAccount(await this.#entries.agree(this.#accountName, accountBytes(account)));
  }

  async putAccount(account: SharedAccount): Promise<void> {
    await this.#entries.put(this.#accountName, accountBytes(account));
  }

  /** As `SealedEntries.stamp`, of the certificate for `names`. */
  async stamp(names: readonly string[]): Promise<string> {
    return await this.#entries.stamp(this.#nameOf('certificate', names));
  }

  async certificate(
    names: readonly string[],
  ): Promise<{ readonly certificate: ObtainedCertificate | undefined; readonly stamp: string }> {
    const name = this.#nameOf('certificate', names);
    const { bytes, stamp } = await this.#entries.read(name);
    if (bytes === undefined) return { certificate: undefined, stamp };
    const certificate = readCertificateText(Buffer.from(bytes).toString('latin1'), names);
    if (certificate === undefined) throw damaged(name, `holds no certificate for ${names.join(', ')}`);
    return { certificate, stamp };
  }

  /** Puts it in the place of the one that is there, until its end; resolves to its stamp. */
  async putCertificate(names: readonly string[], certificate: ObtainedCertificate): Promise<string> {
    const bytes = Buffer.from(certificateText(certificate), 'latin1');
    const ttlMs = Math.max(1, lifeOf(certificate).to - Date.now());
    return await this.#entries.put(this.#nameOf('certificate', names), bytes, ttlMs);
  }

  async pause(names: readonly string[]): Promise<Pause | undefined> {
    const name = this.#nameOf('pause', names);
    const bytes = await this.#entries.get(name);
    if (bytes === undefined) return undefined;
    const { failures, until } = readObject(name, bytes);
    if (!(Number.isSafeInteger(failures) && Number.isFinite(until))) throw damaged(name, 'holds no pause');
    return { failures: Number(failures), until: Number(until) };
  }

  async putPause(names: readonly string[], pause: Pause): Promise<void> {
    const ttlMs = Math.max(0, pause.until - Date.now()) + PAUSE_KEPT_MS;
    await this.#entries.put(this.#nameOf('pause', names), Buffer.from(JSON.stringify(pause)), ttlMs);
  }

  get #accountName(): string {
    return `acme:account:${this.#server}`;
  }

  #nameOf(kind: 'certificate' | 'pause', names: readonly string[]): string {
    return `acme:${kind}:${this.#server}:${hashOf([...names].sort().join(' '))}`;
  }

  #readAccount(bytes: Uint8Array): SharedAccount {
    const name = this.#accountName;
    const { key, url } = readObject(name, bytes);
    try {
      return { key: AccountKey.read(String(key)), url: typeof url === 'string' ? url : undefined };
    } catch (error) {
      throw damaged(name, 'holds no key of an account', error);
    }
  }
}

function accountBytes({ key, url }: SharedAccount): Uint8Array {
  return Buffer.from(JSON.stringify({ key: key.toPem(), url }));
}

function readObject(name: string, bytes: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(Buffer.from(bytes).toString('utf8'))) as Record<string, unknown>;
  } catch (error) {
    throw damaged(name, 'holds no JSON', error);
  }
}

function damaged(name: string, what: string, cause?: unknown): GatewayError {
  return new GatewayError('LGW_ACME', `The sealed entry "${name}" of the store ${what}`, { cause });
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
