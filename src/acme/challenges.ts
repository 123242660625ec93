/** The challenges by which an authority sees that a name is ours, and who answers them. */
import { createHash } from 'node:crypto';
import type { ChallengeType } from '../settings/acme-settings.ts';
import type { ChallengeAnswer } from '../tls/challenge-answer.ts';
import { makeCertificate } from '../tls/make-certificate.ts';

export interface ChallengeHost {
  /** Resolves when each worker gives the answers. They take the place of those given before; an empty list takes all back. */
  answer(answers: readonly ChallengeAnswer[]): Promise<void>;
}

const HOUR_MS = 3_600_000;
/** The certificate of a challenge is looked at once, by the authority alone. */
const CHALLENGE_VALID_MS = 24 * HOUR_MS;
/** For authorities whose clock is behind. */
const BACKDATED_MS = HOUR_MS;

/** `authorization`: what `AccountKey.authorize` makes of the token. */
export function answerChallenge(
  type: ChallengeType,
  name: string,
  token: string,
  authorization: string,
): ChallengeAnswer {
  if (type === 'http-01') return { type, token, content: authorization };
  const now = Date.now();
  const pair = makeCertificate({
    hostNames: [name],
    addresses: [],
    organization: 'ACME challenge',
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + CHALLENGE_VALID_MS),
    acmeIdentifier: createHash('sha256').update(authorization).digest(),
  });
  return { type, name, certificate: pair.certificate, key: pair.key };
}
