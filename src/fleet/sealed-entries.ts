/** Small secrets that machines share in a store: sealed, so that whoever reads the store does not get to know them. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import { type Command, command } from '../store/resp-command.ts';
import type { Reply } from '../store/resp-reply.ts';
import type { StoreClient } from '../store/store-client.ts';
import { promisedReply } from '../store/store-failures.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/**
 * Of an entry, with what seals it; none that is longer is written or read. Most have 10 KiB. The longest ones are answers to the challenges of a
 * certificate for 100 names, each with a certificate and a key of 2 KiB.
 */
export const SEALED_BYTES_MAX: number = 256 * 1024;
const CALL_TIMEOUT_MS = 1000;

export class SealedEntries {
  readonly #client: StoreClient;
  readonly #key: Buffer;

  /** `secret`: the same on all machines, 32 bytes or more that nobody guesses. */
  constructor(client: StoreClient, secret: string) {
    this.#client = client;
    this.#key = Buffer.from(
      hkdfSync('sha256', Buffer.from(secret, 'latin1'), '', 'lgateway store', KEY_BYTES),
    );
  }

  /** Undefined: there is none. Rejects with GatewayError: the store does not answer, or it was sealed with another secret. */
  async get(name: string): Promise<Uint8Array | undefined> {
    return (await this.read(name)).bytes;
  }

  /** As `get`, with the stamp of what was read. */
  async read(name: string): Promise<{ readonly bytes: Uint8Array | undefined; readonly stamp: string }> {
    const key = keyOf(name);
    const reply = await this.#call(key, command('GETRANGE', key, '0', String(SEALED_BYTES_MAX)));
    if (!Buffer.isBuffer(reply) || reply.length === 0) return { bytes: undefined, stamp: '' };
    if (reply.length > SEALED_BYTES_MAX)
      throw this.#invalid(`${this.#nameOf(name)} is longer than ${SEALED_BYTES_MAX} bytes: none of ours is`);
    return { bytes: this.#open(name, reply), stamp: stampOf(reply) };
  }

  /** Another one each time that the entry is written; empty: there is none. It costs less than to read a long entry. Rejects as `get`. */
  async stamp(name: string): Promise<string> {
    const key = keyOf(name);
    const reply = await this.#call(key, command('GETRANGE', key, '0', String(NONCE_BYTES - 1)));
    return Buffer.isBuffer(reply) ? stampOf(reply) : '';
  }

  /** Stores it for `ttlMs`, without it for ever, in the place of one that is there; resolves to its stamp. Rejects as `get`. */
  async put(name: string, bytes: Uint8Array, ttlMs?: number): Promise<string> {
    const key = keyOf(name);
    const sealed = this.#seal(name, bytes);
    await this.#call(key, command('SET', key, sealed, ...lifeOf(ttlMs)));
    return stampOf(sealed);
  }

  /**
   * Stores it for `ttlMs`, without it for ever, unless there is one; resolves to the one that is there then, the same for all who ask. Rejects as
   * `get`.
   */
  async agree(name: string, proposal: Uint8Array, ttlMs?: number): Promise<Uint8Array> {
    const key = keyOf(name);
    const sealed = this.#seal(name, proposal);
    const reply = await this.#call(key, command('SET', key, sealed, 'NX', ...lifeOf(ttlMs)));
    return reply === null ? ((await this.get(name)) ?? proposal) : proposal;
  }

  /** The name is bound to it, so that no other entry can take its place. */
  #seal(name: string, bytes: Uint8Array): Buffer {
    if (bytes.length + NONCE_BYTES + TAG_BYTES > SEALED_BYTES_MAX)
      throw new GatewayError(
        'LGW_STORE',
        `${this.#nameOf(name)} would have ${bytes.length} bytes and what seals them, and the limit is ${SEALED_BYTES_MAX}`,
        { luaCode: 'limit' },
      );
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(Buffer.from(name));
    return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }

  #open(name: string, sealed: Buffer): Uint8Array {
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(name))
        .setAuthTag(sealed.subarray(-TAG_BYTES));
      const opened = [decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
      return new Uint8Array(Buffer.concat(opened));
    } catch (error) {
      throw this.#invalid(
        `${this.#nameOf(name)} was sealed with another secret than that of --store-secret`,
        error,
      );
    }
  }

  #nameOf(name: string): string {
    return `The entry "${keyOf(name)}" of store ${this.#client.place}`;
  }

  #invalid(message: string, cause?: unknown): GatewayError {
    return new GatewayError('LGW_STORE', message, { cause, luaCode: 'invalid' });
  }

  #call(key: string, one: Command): Promise<Reply> {
    const client = this.#client;
    return promisedReply(client.place, (done) => client.call(key, one, CALL_TIMEOUT_MS, done));
  }
}

/** What begins a sealed entry is random, and never the same twice. */
function stampOf(sealed: Buffer): string {
  return sealed.toString('hex', 0, NONCE_BYTES);
}

function lifeOf(ttlMs: number | undefined): string[] {
  return ttlMs === undefined ? [] : ['PX', String(Math.ceil(ttlMs))];
}

/** No dictionary has an empty name. */
function keyOf(name: string): string {
  return `lg::sealed:${name}`;
}
