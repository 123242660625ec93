/** What answers the challenges by which an ACME server sees that a name is served here; every worker has those of this moment. */

/** RFC 8737: the protocol of ALPN that asks for the certificate of a challenge, and for nothing else. */
export const CHALLENGE_PROTOCOL = 'acme-tls/1';

export interface TlsChallengeAnswer {
  readonly type: 'tls-alpn-01';
  /** The name that the authority asks for by SNI. */
  readonly name: string;
  /** PEM, both. */
  readonly certificate: string;
  readonly key: string;
}

export interface HttpChallengeAnswer {
  readonly type: 'http-01';
  /** The last part of the path `/.well-known/acme-challenge/TOKEN` (RFC 8555 §8.3). */
  readonly token: string;
  readonly content: string;
}

export type ChallengeAnswer = TlsChallengeAnswer | HttpChallengeAnswer;
