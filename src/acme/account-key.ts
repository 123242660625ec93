/** The key of an ACME account: signs requests as JWS (RFC 7515, ES256), and vouches for challenges. */
import {
  createHash,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';

/** A flattened JWS, which is the body of every request but those for the directory and a nonce (RFC 8555 §6.2). */
export interface SignedRequest {
  readonly protected: string;
  readonly payload: string;
  readonly signature: string;
}

/** The account that somebody has with the authority already, in which the ACME account is bound (RFC 8555 §7.3.4). */
export interface ExternalAccount {
  readonly keyId: string;
  /** The secret that the authority has given out. */
  readonly secret: Buffer;
}

export class AccountKey {
  readonly #key: KeyObject;
  /** The public key, its members in the order of RFC 7638. */
  readonly #jwk: Readonly<Record<'crv' | 'kty' | 'x' | 'y', string>>;

  private constructor(key: KeyObject) {
    const { x = '', y = '' } = key.export({ format: 'jwk' });
    this.#key = key;
    this.#jwk = { crv: 'P-256', kty: 'EC', x, y };
  }

  static make(): AccountKey {
    return new AccountKey(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
  }

  /** Throws when `pem` is no private key of P-256. */
  static read(pem: string): AccountKey {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
      throw new TypeError('the key of the account is not on the curve P-256');
    return new AccountKey(key);
  }

  /** PEM, PKCS #8. */
  toPem(): string {
    return this.#key.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** A request to `url`. Without `account`, its URL, the key itself stands in the request. `payload` undefined: a POST-as-GET. */
  sign(url: string, nonce: string, payload: object | undefined, account?: string): SignedRequest {
    const identity = account === undefined ? { jwk: this.#jwk } : { kid: account };
    const head = encodeJson({ alg: 'ES256', nonce, url, ...identity });
    const body = payload === undefined ? '' : encodeJson(payload);
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), {
      key: this.#key,
      dsaEncoding: 'ieee-p1363',
    });
    return { protected: head, payload: body, signature: signature.toString('base64url') };
  }

  /** The object `externalAccountBinding` of a new account at `url` (RFC 8555 §7.3.4). */
  bind(url: string, external: ExternalAccount): SignedRequest {
    const head = encodeJson({ alg: 'HS256', kid: external.keyId, url });
    const body = encodeJson(this.#jwk);
    const signature = createHmac('sha256', external.secret).update(`${head}.${body}`).digest('base64url');
    return { protected: head, payload: body, signature };
  }

  /** What answers the challenge with `token` (RFC 8555 §8.1). */
  authorize(token: string): string {
    const thumbprint = createHash('sha256').update(JSON.stringify(this.#jwk)).digest('base64url');
    return `${token}.${thumbprint}`;
  }
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
