/**
 * Seals: encrypted and authenticated byte strings (AES-256-GCM). A seal is a byte for the version, 12 random bytes, the
 * ciphertext, and a tag of 16 bytes.
 */
import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';

export const SEAL_KEY_BYTES = 32;
/** Bytes sealed in one call: half a millisecond. */
export const SEALED_BYTES_MAX: number = 1024 * 1024;

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES;
/** Bytes that a seal has beside what it holds. */
export const SEAL_OVERHEAD_BYTES: number = HEAD_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';

/** `aad`: what has to be the same when the seal is opened, and is not in it. */
export function sealBytes(key: Uint8Array, bytes: Uint8Array, aad: Uint8Array | undefined): Buffer {
  const sealed = Buffer.allocUnsafe(bytes.length + SEAL_OVERHEAD_BYTES);
  sealed[0] = VERSION;
  randomFillSync(sealed, 1, NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, sealed.subarray(1, HEAD_BYTES), { authTagLength: TAG_BYTES });
  if (aad !== undefined) cipher.setAAD(aad);
  sealed.set(cipher.update(bytes), HEAD_BYTES);
  cipher.final();
  sealed.set(cipher.getAuthTag(), HEAD_BYTES + bytes.length);
  return sealed;
}

/** What is in the seal; undefined: it is none, or was made with another key or other `aad`, or has been changed. */
export function openSeal(
  key: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array | undefined,
): Buffer | undefined {
  if (sealed.length < SEAL_OVERHEAD_BYTES || sealed[0] !== VERSION) return undefined;
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(1, HEAD_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(sealed.subarray(tagAt));
  if (aad !== undefined) decipher.setAAD(aad);
  const bytes = decipher.update(sealed.subarray(HEAD_BYTES, tagAt));
  try {
    decipher.final();
  } catch {
    // nothing of what could not be authenticated leaves
    bytes.fill(0);
    return undefined;
  }
  return bytes;
}
