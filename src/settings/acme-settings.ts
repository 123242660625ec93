/** What certificates an ACME server is asked for, and how: from the options `--acme-…`. */

/** In the order in which they are tried where the authority offers both: RFC 8737, RFC 8555 §8.3. */
export const CHALLENGE_TYPES = ['tls-alpn-01', 'http-01'] as const;
export type ChallengeType = (typeof CHALLENGE_TYPES)[number];

export interface AcmeSettings {
  /** The host names of each certificate: lower case, at least one each. */
  readonly orders: readonly (readonly string[])[];
  /** URL of the server's directory. */
  readonly directory: string;
  /** Where the authority writes; undefined = nowhere. */
  readonly email: string | undefined;
  /** An account that exists with the authority: its key id, and the file with its secret in base64url. */
  readonly externalAccount: { readonly keyId: string; readonly keyFile: string } | undefined;
  /** Where account and certificates are kept; undefined = `acme/` where the package keeps its data. */
  readonly folder: string | undefined;
  /** PEM file of an authority that the server's own certificate may come from. */
  readonly trustFile: string | undefined;
  readonly challengeTypes: readonly ChallengeType[];
}

export const ACME_BOUNDS = {
  /** Certificates: each is asked for by itself. */
  ordersMax: 100,
  /** Names of one certificate: what Let's Encrypt allows. */
  namesMax: 100,
} as const;

/** Let's Encrypt. Its limits are low: whoever tries things out takes its staging server. */
export const ACME_DIRECTORY_DEFAULT = 'https://acme-v02.api.letsencrypt.org/directory';
