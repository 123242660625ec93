/** Reads a private key file, PEM or DER, and refuses keys that browsers or the offered suites cannot use. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { readPemFile } from './read-pem-file.ts';

export type KeyKind = 'RSA' | 'EC' | 'Ed25519';

/** Bits of an RSA key: browsers refuse shorter ones. */
const RSA_BITS_MIN = 2048;
/** The curves TLS 1.3 can sign with (RFC 8446 §4.2.3), as OpenSSL calls them. */
const SIGNING_CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];
const DER_TYPES = ['pkcs8', 'pkcs1', 'sec1'] as const;

/** Throws GatewayError: LGW_CERTIFICATE_READ, LGW_KEY_ENCRYPTED, LGW_KEY_INVALID or LGW_KEY_UNSUITABLE. */
export function readPrivateKey(file: string): { readonly key: KeyObject; readonly keyKind: KeyKind } {
  const bytes = readPemFile(file, 'key');
  const text = bytes.toString('latin1');
  const key = text.includes('-----BEGIN ') ? readPem(file, text) : readDer(file, bytes);
  return { key, keyKind: kindOf(file, key) };
}

function readPem(file: string, text: string): KeyObject {
  // keys of `openssl ecparam` have a block of parameters in front, combined files a certificate
  const block = /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----[\s\S]*?-----END ([A-Z]+ )*PRIVATE KEY-----/.exec(
    text,
  )?.[0];
  if (block === undefined) throw new GatewayError('LGW_KEY_INVALID', `"${file}" holds no private key`);
  if (/BEGIN ENCRYPTED|Proc-Type:.*ENCRYPTED/.test(block)) throw encrypted(file);
  try {
    return createPrivateKey(block);
  } catch (error) {
    throw invalid(file, error);
  }
}

function readDer(file: string, bytes: Buffer): KeyObject {
  let first: unknown;
  for (const type of DER_TYPES) {
    try {
      return createPrivateKey({ key: bytes, format: 'der', type });
    } catch (error) {
      if (systemCodeOf(error) === 'ERR_MISSING_PASSPHRASE') throw encrypted(file);
      first ??= error;
    }
  }
  throw invalid(file, first);
}

function kindOf(file: string, key: KeyObject): KeyKind {
  const { modulusLength = 0, namedCurve = 'unnamed' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength >= RSA_BITS_MIN) return 'RSA';
      throw unsuitable(file, `an RSA key of ${modulusLength} bits, and at least ${RSA_BITS_MIN} are needed`);
    case 'ec':
      if (SIGNING_CURVES.includes(namedCurve)) return 'EC';
      throw unsuitable(
        file,
        `an EC key on the curve ${namedCurve}, and TLS knows ${SIGNING_CURVES.join(', ')}`,
      );
    case 'ed25519':
      return 'Ed25519';
    default:
      throw unsuitable(file, `a key of type ${key.asymmetricKeyType}, and RSA, EC or Ed25519 is needed`);
  }
}

function encrypted(file: string): GatewayError {
  return new GatewayError(
    'LGW_KEY_ENCRYPTED',
    `The key in "${file}" is encrypted, and nobody is there to type its passphrase: decrypt it with "openssl pkey -in KEY -out NEWKEY"`,
  );
}

function invalid(file: string, cause: unknown): GatewayError {
  return new GatewayError(
    'LGW_KEY_INVALID',
    `"${file}" holds no readable private key (${messageOf(cause)})`,
    { cause },
  );
}

function unsuitable(file: string, what: string): GatewayError {
  return new GatewayError('LGW_KEY_UNSUITABLE', `"${file}" holds ${what}`);
}
