/** Keys in PEM that scripts sign and verify with: which kinds and sizes are taken, parsed once and kept for the next call. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { GatewayError, messageOf } from '../base/errors.ts';

/** Bytes of a text: the private key of an RSA key of 4096 bits has 3.2 KiB. */
export const PEM_BYTES_MAX: number = 8 * 1024;
/** Parsed keys of this thread: several for each mapping. */
const KEYS_MAX = 64;
/** Shorter ones are broken (NIST SP 800-131A); a signature with a longer one holds a thread of the pool for 20 ms and more. */
export const RSA_BITS_MIN = 2048;
export const RSA_BITS_MAX = 4096;
/** A larger public exponent makes each verification as slow as a signature. */
const RSA_EXPONENT_MAX = 2n ** 32n;
/** Names of OpenSSL. */
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

export type KeyUse = 'sign' | 'verify';

export interface AsymmetricKey {
  readonly key: KeyObject;
  readonly kind: 'rsa' | 'ec' | 'ed25519';
  /** Of an EC key, as OpenSSL names it. */
  readonly curve: string | undefined;
}

/** By use and text, the one used last at the end. */
const keys = new Map<string, AsymmetricKey>();

/** The key, if it was parsed before. */
export function knownKey(use: KeyUse, pem: string): AsymmetricKey | undefined {
  const name = use + pem;
  const known = keys.get(name);
  if (known === undefined) return undefined;
  keys.delete(name);
  keys.set(name, known);
  return known;
}

/** Parses a private key, or a public key (also that of a certificate or of a private key); throws a GatewayError for others. */
export function parseKey(use: KeyUse, pem: string): AsymmetricKey {
  const known = knownKey(use, pem);
  if (known !== undefined) return known;
  let key: KeyObject;
  try {
    key = use === 'sign' ? createPrivateKey(pem) : createPublicKey(pem);
  } catch (error) {
    const expected = use === 'sign' ? 'unencrypted private key' : 'public key or certificate';
    throw new GatewayError('LGW_CRYPTO_INVALID', `Cannot ${use}: the text has no ${expected} in PEM`, {
      luaCode: 'invalid',
      cause: messageOf(error),
    });
  }
  const parsed = checkKind(use, key);
  if (keys.size === KEYS_MAX) keys.delete(keys.keys().next().value as string);
  keys.set(use + pem, parsed);
  return parsed;
}

function checkKind(use: KeyUse, key: KeyObject): AsymmetricKey {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < RSA_BITS_MIN)
        throw unsuitable(use, `it has ${modulusLength} bits (${RSA_BITS_MIN} to ${RSA_BITS_MAX} are taken)`);
      if (modulusLength > RSA_BITS_MAX)
        throw tooLarge(use, `it has ${modulusLength} bits and the limit is ${RSA_BITS_MAX}`);
      if (publicExponent > RSA_EXPONENT_MAX)
        throw tooLarge(use, 'its public exponent is above the limit of 2^32');
      return { key, kind: 'rsa', curve: undefined };
    case 'ec':
      if (!CURVES.has(namedCurve))
        throw unsuitable(use, 'its curve is not taken (P-256, P-384 and P-521 are)');
      return { key, kind: 'ec', curve: namedCurve };
    case 'ed25519':
      return { key, kind: 'ed25519', curve: undefined };
    default:
      throw unsuitable(use, `it is a key for ${key.asymmetricKeyType} (RSA, EC and Ed25519 are taken)`);
  }
}

function unsuitable(use: KeyUse, why: string): GatewayError {
  return new GatewayError('LGW_CRYPTO_INVALID', `Cannot ${use} with the key: ${why}`, { luaCode: 'invalid' });
}

function tooLarge(use: KeyUse, why: string): GatewayError {
  return new GatewayError('LGW_CRYPTO_LIMIT', `Cannot ${use} with the key: ${why}`, { luaCode: 'limit' });
}
