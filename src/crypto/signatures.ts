/** Signatures with RSA, EC and Ed25519 keys, computed in the pool of threads. */
import { constants, type SignKeyObjectInput, sign, verify } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import type { AsymmetricKey } from './asymmetric-keys.ts';
import { PoolQueue } from './pool-queue.ts';

/** Bytes that one call signs: it copies them, since the script goes on meanwhile. */
export const SIGNED_BYTES_MAX: number = 1024 * 1024;
/** Bytes of a signature that is looked at; RSA with 4096 bits makes 512. */
export const SIGNATURE_BYTES_MAX = 1024;

/** One with RSA takes up to 10 ms; two for each worker leave the pool, which has four threads, to files. */
export const signatureJobs: PoolQueue = new PoolQueue({
  what: 'signatures',
  runningMax: 2,
  waitingMax: 1024,
  waitingOfOwnerMax: 512,
});

export interface SignatureOptions {
  /** Of RSA and EC. */
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** Of RSA: RSASSA-PKCS1-v1_5 or RSASSA-PSS (RFC 8017 §8), with a salt as long as the hash. */
  readonly padding: 'pkcs1' | 'pss';
  /** Of EC: the two numbers in ASN.1 (RFC 3279 §2.2.3), or one behind the other as IEEE P1363 has it. */
  readonly encoding: 'der' | 'raw';
}

type Done<T> = (result: T | GatewayError) => void;

export function signBytes(
  key: AsymmetricKey,
  bytes: Uint8Array,
  options: SignatureOptions,
  done: Done<Buffer>,
): void {
  sign(hashOf(key, options), bytes, inputOf(key, options), (error, signature) => {
    done(error === null ? signature : failure('sign', error));
  });
}

/** True: `signature` was made of `bytes` with the private key of `key`. */
export function verifyBytes(
  key: AsymmetricKey,
  bytes: Uint8Array,
  signature: Uint8Array,
  options: SignatureOptions,
  done: Done<boolean>,
): void {
  verify(hashOf(key, options), bytes, inputOf(key, options), signature, (error, isValid) => {
    done(error === null ? isValid : failure('verify', error));
  });
}

/** Ed25519 hashes by itself. */
function hashOf({ kind }: AsymmetricKey, { hash }: SignatureOptions): string | null {
  return kind === 'ed25519' ? null : hash;
}

function inputOf({ key, kind }: AsymmetricKey, options: SignatureOptions): SignKeyObjectInput {
  switch (kind) {
    case 'rsa':
      return options.padding === 'pkcs1'
        ? { key, padding: constants.RSA_PKCS1_PADDING }
        : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    case 'ec':
      return { key, dsaEncoding: options.encoding === 'der' ? 'der' : 'ieee-p1363' };
    case 'ed25519':
      return { key };
  }
}

function failure(action: string, cause: Error): GatewayError {
  return new GatewayError('LGW_CRYPTO_INVALID', `Cannot ${action} with the key: ${cause.message}`, {
    luaCode: 'invalid',
    cause,
  });
}
