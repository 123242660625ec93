/** Keys from passwords, by scrypt (RFC 7914) or PBKDF2 (RFC 8018 §5.2), computed in the pool of threads within bounds of cost. */
import { pbkdf2, scrypt } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import { PoolQueue } from './pool-queue.ts';

/** Bytes of a password: no human's is longer, and PBKDF2 hashes it first. */
export const PASSWORD_BYTES_MAX = 4096;
export const SALT_BYTES_MAX = 1024;
/** Bytes of a derived key. */
export const DERIVED_BYTES_MAX = 1024;
export const DERIVED_BYTES = 32;
/** What OWASP's cheat sheet for passwords asks of scrypt, in 16 MiB, and of PBKDF2 with SHA-256. */
export const SCRYPT_DEFAULTS: ScryptCost = { n: 16_384, r: 8, p: 5 };
export const PBKDF2_ITERATIONS = 600_000;
/** Bytes that scrypt may work in: 128 · n · r. */
export const SCRYPT_MEMORY_MAX: number = 128 * 1024 * 1024;
/** n · r · p: three times the default, about a second. */
export const SCRYPT_WORK_MAX: number = 2 ** 21;
/** Iterations for all blocks of the result together: up to a second. */
export const PBKDF2_WORK_MAX = 2_000_000;

/** Bytes of each hash, and so of a block of PBKDF2. */
export const PBKDF2_HASHES: Readonly<Record<string, number>> = {
  sha1: 20,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** One takes a fifth of a second of a thread of the pool; more at once would take the memory of several, too. */
export const derivationJobs: PoolQueue = new PoolQueue({
  what: 'derivations of keys',
  runningMax: 1,
  waitingMax: 64,
  waitingOfOwnerMax: 32,
});

export interface ScryptCost {
  readonly n: number;
  readonly r: number;
  readonly p: number;
}

export type DerivationCost =
  | ({ readonly kind: 'scrypt' } & ScryptCost)
  | { readonly kind: 'pbkdf2'; readonly iterations: number; readonly hash: string };

/** What is wrong with the cost of a derivation of `length` bytes; undefined: nothing. */
export function costFault(cost: DerivationCost, length: number): string | undefined {
  if (cost.kind === 'pbkdf2') {
    const blockBytes = PBKDF2_HASHES[cost.hash];
    if (blockBytes === undefined) return `pbkdf2 knows no hash "${cost.hash}"`;
    const work = cost.iterations * Math.ceil(length / blockBytes);
    if (work <= PBKDF2_WORK_MAX) return undefined;
    return `${cost.iterations} iterations for ${length} bytes are more than the limit of ${PBKDF2_WORK_MAX} in all`;
  }
  const { n, r, p } = cost;
  if (n < 2 || !Number.isInteger(Math.log2(n))) return `option "n" is ${n} (a power of 2 was expected)`;
  if (128 * n * r > SCRYPT_MEMORY_MAX)
    return `scrypt would need ${128 * n * r} bytes and the limit is ${SCRYPT_MEMORY_MAX}: 128 · n · r`;
  if (n * r * p > SCRYPT_WORK_MAX) return `n · r · p is ${n * r * p} and the limit is ${SCRYPT_WORK_MAX}`;
  return undefined;
}

/** Derives `length` bytes; the cost has no fault. */
export function deriveKey(
  password: Uint8Array,
  salt: Uint8Array,
  length: number,
  cost: DerivationCost,
  done: (result: Buffer | GatewayError) => void,
): void {
  const finish = (error: Error | null, key: Buffer): void => {
    done(error === null ? key : failure(error));
  };
  if (cost.kind === 'pbkdf2') {
    pbkdf2(password, salt, cost.iterations, length, cost.hash, finish);
    return;
  }
  const { n, r, p } = cost;
  // what OpenSSL counts beside the large table
  const maxmem = 2 * SCRYPT_MEMORY_MAX;
  scrypt(password, salt, length, { N: n, r, p, maxmem }, finish);
}

function failure(cause: Error): GatewayError {
  return new GatewayError('LGW_CRYPTO_INVALID', `Cannot derive a key: ${cause.message}`, {
    luaCode: 'invalid',
    cause,
  });
}
