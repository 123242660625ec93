/**
 * JSON Web Tokens (RFC 7519), signed (RFC 7515), by `jose`, which is loaded at the first. The algorithm is always one that the
 * caller names, never the token, and it decides what kind of key is taken.
 */
import { createPublicKey } from 'node:crypto';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { AsymmetricKey } from './asymmetric-keys.ts';

/** Bytes of a token: a head of HTTP, which it mostly comes in, has no more. */
export const TOKEN_BYTES_MAX: number = 16 * 1024;
/** Bytes of claims as JSON that make a token of that size. */
export const CLAIMS_BYTES_MAX: number = 11 * 1024;
/** Bytes of a secret. */
export const SECRET_BYTES_MAX = 1024;
/** Characters of a token that a message quotes. */
const QUOTED_MAX = 40;

interface Algorithm {
  readonly kind: 'secret' | AsymmetricKey['kind'];
  /** Of EC: as OpenSSL names it. */
  readonly curve?: string;
  /** Bytes that a secret has at least (RFC 7518 §3.2). */
  readonly bytesMin?: number;
}

const RSA: Algorithm = { kind: 'rsa' };

/** Those that may be asked for (RFC 7518 §3, RFC 8037); `none` is not. */
export const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['HS256', { kind: 'secret', bytesMin: 32 }],
  ['HS384', { kind: 'secret', bytesMin: 48 }],
  ['HS512', { kind: 'secret', bytesMin: 64 }],
  ['RS256', RSA],
  ['RS384', RSA],
  ['RS512', RSA],
  ['PS256', RSA],
  ['PS384', RSA],
  ['PS512', RSA],
  ['ES256', { kind: 'ec', curve: 'prime256v1' }],
  ['ES384', { kind: 'ec', curve: 'secp384r1' }],
  ['ES512', { kind: 'ec', curve: 'secp521r1' }],
  ['EdDSA', { kind: 'ed25519' }],
]);

export type TokenKey = Uint8Array | AsymmetricKey;

export interface TokenChecks {
  readonly algorithms: readonly string[];
  readonly issuers: readonly string[] | undefined;
  readonly audiences: readonly string[] | undefined;
  /** Seconds that clocks may differ. */
  readonly leeway: number;
}

type Done<T> = (result: T | GatewayError) => void;

/** What is used of jose. */
interface Jose {
  readonly CompactSign: typeof import('jose/jws/compact/sign').CompactSign;
  readonly jwtVerify: typeof import('jose/jwt/verify').jwtVerify;
}

let loading: Promise<Jose> | undefined;

function loadJose(): Promise<Jose> {
  loading ??= Promise.all([import('jose/jws/compact/sign'), import('jose/jwt/verify')]).then(
    ([{ CompactSign }, { jwtVerify }]) => ({ CompactSign, jwtVerify }),
  );
  return loading;
}

/** Why a secret is none for these algorithms; undefined: it is one. A public key as a secret is known to everybody. */
export function secretFault(algorithms: readonly string[], secret: Uint8Array): string | undefined {
  for (const name of algorithms) {
    const { bytesMin = 0 } = ALGORITHMS.get(name) as Algorithm;
    if (secret.length < bytesMin)
      return `a secret of ${secret.length} bytes is too short for ${name} (${bytesMin})`;
  }
  const text = Buffer.from(secret.buffer, secret.byteOffset, secret.length).toString('latin1');
  if (/-----BEGIN |^\s*(?:ssh-|ecdsa-sha2-)|"kty"/.test(text) || isDerKey(secret))
    return `a key of another kind is no secret for ${algorithms[0]}`;
  return undefined;
}

/** Why the key does not fit all of the algorithms; undefined: it does. */
export function keyFault(algorithms: readonly string[], { kind, curve }: AsymmetricKey): string | undefined {
  for (const name of algorithms) {
    const wanted = ALGORITHMS.get(name) as Algorithm;
    if (wanted.kind !== kind || (wanted.curve !== undefined && wanted.curve !== curve))
      return `the key is none for ${name}`;
  }
  return undefined;
}

/** The public key in ASN.1, without PEM around it. */
function isDerKey(bytes: Uint8Array): boolean {
  const SEQUENCE = 0x30;
  if (bytes[0] !== SEQUENCE) return false;
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      createPublicKey({ key: Buffer.from(bytes), format: 'der', type });
      return true;
    } catch {
      // not of this form
    }
  }
  return false;
}

/** Signs the claims, which are JSON. */
export function signToken(claims: Uint8Array, key: TokenKey, alg: string, done: Done<string>): void {
  loadJose()
    .then(({ CompactSign }) =>
      new CompactSign(claims).setProtectedHeader({ alg, typ: 'JWT' }).sign(keyOf(key)),
    )
    .then(done, (error: unknown) => {
      const message = `Cannot sign the token: ${messageOf(error)}`;
      done(new GatewayError('LGW_JWT_INVALID', message, { luaCode: 'invalid', cause: error }));
    });
}

/** Gives the claims of a token, as the JSON they are, when the signature and all checks hold. */
export function verifyToken(token: string, key: TokenKey, checks: TokenChecks, done: Done<Buffer>): void {
  const { algorithms, issuers, audiences, leeway } = checks;
  loadJose()
    .then(async ({ jwtVerify }) => {
      const { payload } = await jwtVerify(token, keyOf(key), {
        algorithms: [...algorithms],
        clockTolerance: leeway,
        ...(issuers === undefined ? {} : { issuer: [...issuers] }),
        ...(audiences === undefined ? {} : { audience: [...audiences] }),
      });
      checkRest(payload, checks);
      return Buffer.from(token.split('.')[1] as string, 'base64url');
    })
    .then(done, (error: unknown) => done(error instanceof GatewayError ? error : refusal(error)));
}

function keyOf(key: TokenKey): Uint8Array | AsymmetricKey['key'] {
  return key instanceof Uint8Array ? key : key.key;
}

/** What jose leaves to its callers. */
function checkRest(
  { aud, iat }: { readonly aud?: unknown; readonly iat?: unknown },
  { audiences, leeway }: TokenChecks,
): void {
  // RFC 7519 §4.1.3: a token for somebody is not for those who do not say that they are
  if (aud !== undefined && audiences === undefined)
    throw denied('it is for an audience, and the option "aud" does not say which is ours');
  if (iat === undefined) return;
  if (typeof iat !== 'number') throw invalid('its claim "iat" is no number');
  if (iat > Date.now() / 1000 + leeway) throw denied('it was issued in the future');
}

/** What jose says, in our words: it names the claim, which a check has not let pass. */
function refusal(thrown: unknown): GatewayError {
  const { code, claim, reason } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as {
    readonly code?: unknown;
    readonly claim?: unknown;
    readonly reason?: unknown;
  };
  switch (code) {
    case 'ERR_JWT_EXPIRED':
      return denied('it has expired');
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED': {
      const name = String(claim).slice(0, QUOTED_MAX);
      if (reason === 'invalid') return invalid(`its claim "${name}" has the wrong type`);
      if (reason === 'missing') return denied(`it has no claim "${name}"`);
      return denied(name === 'nbf' ? 'it is not valid yet' : `its claim "${name}" is not the one expected`);
    }
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return invalid('its algorithm is none of those expected');
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return invalid('its signature does not fit');
    default:
      return invalid(String(code).startsWith('ERR_J') ? 'it is malformed' : messageOf(thrown));
  }
}

function invalid(why: string): GatewayError {
  return new GatewayError('LGW_JWT_INVALID', `Cannot take the token: ${why}`, { luaCode: 'invalid' });
}

function denied(why: string): GatewayError {
  return new GatewayError('LGW_JWT_DENIED', `Cannot take the token: ${why}`, { luaCode: 'denied' });
}
