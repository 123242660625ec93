/** Small secrets that machines share in a store: sealed, so that whoever reads the store does not get to know them. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import { type Command, command } from '../store/resp-command.ts';
import { type Reply, ReplyError } from '../store/resp-reply.ts';
import type { StoreClient } from '../store/store-client.ts';
import { replyFailure } from '../store/store-failures.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What is read is no longer: a stranger may have written it. */
const SEALED_BYTES_MAX = 4096;
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
    const key = keyOf(name);
    const reply = await this.#call(key, command('GETRANGE', key, '0', String(SEALED_BYTES_MAX)));
    if (!Buffer.isBuffer(reply) || reply.length === 0) return undefined;
    return this.#open(name, reply);
  }

  /** Stores it for `ttlMs` unless there is one; resolves to the one that is there then, the same for all who ask. Rejects as `get`. */
  async agree(name: string, proposal: Uint8Array, ttlMs: number): Promise<Uint8Array> {
    const key = keyOf(name);
    const sealed = this.#seal(name, proposal);
    const reply = await this.#call(key, command('SET', key, sealed, 'NX', 'PX', String(ttlMs)));
    return reply === null ? ((await this.get(name)) ?? proposal) : proposal;
  }

  /** The name is bound to it, so that no other entry can take its place. */
  #seal(name: string, bytes: Uint8Array): Uint8Array {
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
      throw new GatewayError(
        'LGW_STORE',
        `The entry "${keyOf(name)}" of store ${this.#client.place} was sealed with another secret than that of --store-secret`,
        { cause: error, luaCode: 'invalid' },
      );
    }
  }

  #call(key: string, one: Command): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#client.call(key, one, CALL_TIMEOUT_MS, (outcome) => {
        if (outcome instanceof GatewayError) reject(outcome);
        else if (outcome instanceof ReplyError) reject(replyFailure(this.#client.place, outcome));
        else resolve(outcome);
      });
    });
  }
}

/** No dictionary has an empty name. */
function keyOf(name: string): string {
  return `lg::sealed:${name}`;
}
