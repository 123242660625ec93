/**
 * Has every machine of a fleet answer the challenges of the one that asks for a certificate, since an authority may come to any of them. The answers go to all
 * machines before the authority is told to look: so no request of a stranger makes anybody ask the store.
 */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Lease } from '../fleet/leases.ts';
import type { SealedEntries } from '../fleet/sealed-entries.ts';
import { ACME_BOUNDS } from '../settings/acme-settings.ts';
import type { ChallengeAnswer } from '../tls/challenge-answer.ts';
import type { ChallengeHost } from './challenges.ts';

const ENTRY = 'acme:challenges';
/** Longer than an order takes. Answers of a machine that has gone end then. */
const ANSWERS_KEPT_MS = 10 * 60_000;
/** Longer than the pause between two looks at the store: a machine that has missed the notice finds the answers by then. */
const CONFIRM_MS = 10_000;
/** Of what a machine may be told to answer (characters). */
const NAME_LENGTH_MAX = 253;
const PEM_LENGTH_MAX = 16 * 1024;
const CONTENT_LENGTH_MAX = 1024;
/** Base64url (RFC 8555 §8.1). */
const TOKEN = /^[A-Za-z0-9_-]{1,256}$/;

export interface SharedChallengesOptions {
  readonly entries: SealedEntries;
  /** Of this process. */
  readonly id: string;
  /** Tells all machines that there are answers of this number, or that this one gives them; resolves to the number of machines. */
  readonly tell: (what: 'answers' | 'taken', number: string) => Promise<number>;
  readonly owner: ChallengeHost;
  readonly logger: Logger;
}

/** What the entry holds. */
interface SharedAnswers {
  /** The process that has put it there. */
  readonly from: string;
  readonly number: string;
  /** Of its lease: those of an older one come too late. */
  readonly fence: number;
  /** Milliseconds since 1970. */
  readonly until: number;
  readonly answers: readonly ChallengeAnswer[];
}

export class SharedChallenges implements ChallengeHost {
  readonly #options: SharedChallengesOptions;
  #own: readonly ChallengeAnswer[] = [];
  #others: readonly ChallengeAnswer[] = [];
  /** When those of others end. */
  #othersUntil = 0;
  #stamp = '';
  #fence = 0;
  #lease: Lease | undefined;
  /** What this machine has put into the entry last. */
  #put: SharedAnswers | undefined;
  /** Who gives the answers of this machine so far. */
  #confirmed: { readonly number: string; readonly by: Set<string>; readonly changed: () => void } | undefined;

  constructor(options: SharedChallengesOptions) {
    this.#options = options;
  }

  /** What is answered from now on stands behind this lease; undefined: behind none, as the store is away. */
  lead(lease: Lease | undefined): void {
    this.#lease = lease;
  }

  /** Resolves when each worker of each machine that the store reaches gives them, or after `CONFIRM_MS`. */
  async answer(answers: readonly ChallengeAnswer[]): Promise<void> {
    this.#own = answers;
    await this.#give();
    // whoever has the lease now has answers of its own there
    if (this.#lease?.isGood === false) return;
    try {
      await this.#share(answers);
    } catch (error) {
      this.#options.logger.warn(
        `The other machines do not know the answers to challenges, which the authority may ask them for: ${messageOf(error)}`,
      );
    }
  }

  /** Takes the answers that the store has now. Rejects with GatewayError, as the methods of SealedEntries do. */
  async refresh(): Promise<void> {
    if (this.#others.length > 0 && this.#othersUntil < Date.now()) await this.#take([], 0);
    const { entries, id } = this.#options;
    if ((await entries.stamp(ENTRY)) === this.#stamp) return;
    const { bytes, stamp } = await entries.read(ENTRY);
    if (bytes === undefined) await this.#take([], 0);
    else {
      const { from, number, fence, until, answers } = readAnswers(bytes);
      if (fence < this.#fence) await this.#putAgain();
      else if (from !== id) {
        this.#fence = fence;
        await this.#take(until < Date.now() ? [] : answers, until);
        await this.#options.tell('taken', number);
      }
    }
    this.#stamp = stamp;
  }

  /** Another machine gives the answers of this number. */
  confirmed(number: string, by: string): void {
    if (this.#confirmed?.number !== number) return;
    this.#confirmed.by.add(by);
    this.#confirmed.changed();
  }

  async #take(answers: readonly ChallengeAnswer[], until: number): Promise<void> {
    const isSame = answers.length === 0 && this.#others.length === 0;
    this.#others = answers;
    this.#othersUntil = until;
    if (!isSame) await this.#give();
  }

  /** To the workers of this machine. */
  async #give(): Promise<void> {
    await this.#options.owner.answer([...this.#others, ...this.#own]);
  }

  async #share(answers: readonly ChallengeAnswer[]): Promise<void> {
    const { entries, id, tell, logger } = this.#options;
    const number = randomBytes(8).toString('hex');
    const by = new Set<string>();
    let changed = (): void => undefined;
    this.#confirmed = { number, by, changed: () => changed() };
    const fence = this.#lease?.fence ?? Date.now();
    this.#fence = Math.max(this.#fence, fence);
    const entry: SharedAnswers = { from: id, number, fence, until: Date.now() + ANSWERS_KEPT_MS, answers };
    this.#put = entry;
    await entries.put(ENTRY, Buffer.from(JSON.stringify(entry)), ANSWERS_KEPT_MS);
    const others = (await tell('answers', number)) - 1;
    if (answers.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CONFIRM_MS);
      changed = () => {
        if (by.size < others) return;
        clearTimeout(timer);
        resolve();
      };
      changed();
    });
    if (by.size < others)
      logger.warn(
        `${others - by.size} of ${others} other machines have not said within ${CONFIRM_MS / 1000} s that they answer challenges: the authority may not see a name there`,
      );
  }

  /** A holder of an older lease, which stood still, has put its answers in the place of ours. */
  async #putAgain(): Promise<void> {
    const entry = this.#put;
    if (entry === undefined || this.#own.length === 0 || entry.fence < this.#fence) return;
    const { entries, tell } = this.#options;
    await entries.put(ENTRY, Buffer.from(JSON.stringify(entry)), ANSWERS_KEPT_MS);
    await tell('answers', entry.number);
  }
}

function readAnswers(bytes: Uint8Array): SharedAnswers {
  try {
    const { from, number, fence, until, answers } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<
      string,
      unknown
    >;
    const isSound =
      isText(from, NAME_LENGTH_MAX) &&
      isText(number, NAME_LENGTH_MAX) &&
      Number.isFinite(fence) &&
      Number.isFinite(until) &&
      Array.isArray(answers) &&
      answers.length <= ACME_BOUNDS.namesMax;
    if (!isSound) throw new TypeError('a member is missing');
    return {
      from,
      number,
      fence: Number(fence),
      until: Number(until),
      answers: (answers as unknown[]).map(readAnswer),
    };
  } catch (error) {
    throw new GatewayError('LGW_ACME', `The sealed entry "${ENTRY}" of the store holds no answers`, {
      cause: error,
    });
  }
}

/** A worker could not serve with a certificate that is none. Throws for what is no answer. */
function readAnswer(value: unknown): ChallengeAnswer {
  const { type, name, certificate, key, token, content } = Object(value) as Record<string, unknown>;
  if (type === 'http-01') {
    if (typeof token !== 'string' || !TOKEN.test(token) || !isText(content, CONTENT_LENGTH_MAX))
      throw new TypeError('an answer over HTTP is none');
    return { type, token, content };
  }
  const isSound =
    type === 'tls-alpn-01' &&
    isText(name, NAME_LENGTH_MAX) &&
    isText(certificate, PEM_LENGTH_MAX) &&
    isText(key, PEM_LENGTH_MAX);
  if (!isSound || !new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
    throw new TypeError('an answer over TLS is none');
  return { type, name, certificate, key };
}

function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === 'string' && value.length <= lengthMax;
}
