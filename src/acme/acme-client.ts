/** One certificate from an ACME server (RFC 8555): account, order, challenges, certificate. Keeps and repeats nothing. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../base/errors.ts';
import type { ChallengeType } from '../settings/acme-settings.ts';
import type { AccountKey, ExternalAccount } from './account-key.ts';
import { type AcmeAnswer, AcmeConnection, AcmeProblem, describeProblem } from './acme-connection.ts';
import {
  type Authorization,
  type Directory,
  type OfferedChallenge,
  type Order,
  readAuthorization,
  readDirectory,
  readOrder,
} from './acme-documents.ts';
import { makeSigningRequest } from './certificate-signing-request.ts';
import { answerChallenge, type ChallengeHost } from './challenges.ts';

export interface AcmeAuthority {
  /** URL of the directory. */
  readonly directory: string;
  /** Certificates of authorities, PEM, that the server's own certificate may come from, beside the known ones. */
  readonly trust: string | undefined;
  /** Where the authority writes of expiry and faults; undefined for nowhere. */
  readonly email: string | undefined;
  readonly externalAccount: ExternalAccount | undefined;
}

export interface ObtainedCertificate {
  /** PEM, the server's own certificate first. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** An authority looks at a name from several places, and may sign slowly. */
const ORDER_TIME_MS = 5 * 60_000;
const POLL_FIRST_MS = 500;
const POLL_MAX_MS = 10_000;
/** The most that `Retry-After` makes a poll wait (seconds): the whole order has little more. */
const POLL_RETRY_AFTER_MAX = 60;

export class AcmeClient {
  readonly #authority: AcmeAuthority;
  readonly #key: AccountKey;
  readonly #connection: AcmeConnection;
  #directory: Directory | undefined;

  /** `account`: URL of the account of this key, where it is known. */
  constructor(authority: AcmeAuthority, key: AccountKey, account?: string) {
    this.#authority = authority;
    this.#key = key;
    this.#connection = new AcmeConnection(key, authority.trust);
    this.#connection.account = account;
  }

  /** URL of the account; undefined: it is not known yet. */
  get account(): string | undefined {
    return this.#connection.account;
  }

  /**
   * Obtains a certificate for `names`, all of which `host` must be reached by. Errors: AcmeProblem, GatewayError LGW_ACME; that of
   * `signal` when it is aborted.
   */
  async obtain(
    names: readonly string[],
    types: readonly ChallengeType[],
    host: ChallengeHost,
    signal: AbortSignal,
  ): Promise<ObtainedCertificate> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(ORDER_TIME_MS)]);
    try {
      return await this.#order(names, types, host, deadline);
    } catch (error) {
      signal.throwIfAborted();
      if (!deadline.aborted) throw error;
      throw new GatewayError(
        'LGW_ACME',
        `The ACME server took longer than ${ORDER_TIME_MS / 60_000} minutes`,
      );
    }
  }

  /** Where the server tells when a certificate should be renewed (RFC 9773); undefined where it does not. */
  async renewalInfoUrl(): Promise<string | undefined> {
    return (await this.#readDirectory()).renewalInfo;
  }

  /** Reads a document that needs no account. */
  get(url: string): Promise<unknown> {
    return this.#connection.get(url);
  }

  close(): void {
    this.#connection.close();
  }

  async #order(
    names: readonly string[],
    types: readonly ChallengeType[],
    host: ChallengeHost,
    signal: AbortSignal,
  ): Promise<ObtainedCertificate> {
    const directory = await this.#readDirectory();
    const { json, answer } = await this.#newOrder(directory, names);
    if (answer.location === undefined)
      throw new GatewayError('LGW_ACME', 'The ACME server gave no address of the order (RFC 8555 §7.4)');
    const order = readOrder(json);
    await this.#authorize(order, types, host, signal);
    await this.#poll(answer.location, readOrder, ['pending'], signal);
    const { request, key } = makeSigningRequest(names);
    await this.#connection.post(order.finalize, { csr: request.toString('base64url') });
    const url = await this.#awaitCertificate(answer.location, signal);
    const certificate = (await this.#connection.post(url, undefined)).body.toString('utf8');
    checkCertificate(certificate, key, names);
    return { certificate, key };
  }

  async #newOrder(
    directory: Directory,
    names: readonly string[],
  ): Promise<{ json: unknown; answer: AcmeAnswer }> {
    const wasKnown = this.#connection.account !== undefined;
    const order = { identifiers: names.map((value) => ({ type: 'dns', value })) };
    await this.#openAccount(directory);
    try {
      return await this.#connection.postJson(directory.newOrder, order);
    } catch (error) {
      // one that the authority has forgotten is made again
      if (!(wasKnown && error instanceof AcmeProblem && error.type === 'accountDoesNotExist')) throw error;
      this.#connection.account = undefined;
      await this.#openAccount(directory);
      return await this.#connection.postJson(directory.newOrder, order);
    }
  }

  async #readDirectory(): Promise<Directory> {
    this.#directory ??= readDirectory(await this.#connection.get(this.#authority.directory));
    this.#connection.newNonceUrl = this.#directory.newNonce;
    return this.#directory;
  }

  /** Makes the account of the key, or finds the one that it has (RFC 8555 §7.3, §7.3.1). */
  async #openAccount({ newAccount, needsExternalAccount }: Directory): Promise<void> {
    if (this.#connection.account !== undefined) return;
    const { email, externalAccount } = this.#authority;
    if (needsExternalAccount && externalAccount === undefined)
      throw new GatewayError(
        'LGW_ACME',
        `${this.#authority.directory} wants an account that you have with it already: give its key with --acme-eab-id and --acme-eab-key`,
      );
    const answer = await this.#connection.post(newAccount, {
      termsOfServiceAgreed: true,
      ...(email === undefined ? {} : { contact: [`mailto:${email}`] }),
      ...(externalAccount === undefined
        ? {}
        : { externalAccountBinding: this.#key.bind(newAccount, externalAccount) }),
    });
    if (answer.location === undefined)
      throw new GatewayError('LGW_ACME', 'The ACME server gave no address of the account (RFC 8555 §7.3)');
    this.#connection.account = answer.location;
  }

  /** Has all names of an order looked at together, and takes the answers back whatever comes of it. */
  async #authorize(
    order: Order,
    types: readonly ChallengeType[],
    host: ChallengeHost,
    signal: AbortSignal,
  ): Promise<void> {
    const asked: { url: string; challenge: OfferedChallenge }[] = [];
    const answers = [];
    for (const url of order.authorizations) {
      const authorization = await this.#readAuthorization(url);
      // names that were looked at not long ago need no challenge
      if (authorization.status === 'valid') continue;
      const { type, challenge } = chooseChallenge(authorization, types);
      const authorized = this.#key.authorize(challenge.token);
      answers.push(answerChallenge(type, authorization.name, challenge.token, authorized));
      asked.push({ url, challenge });
    }
    if (asked.length === 0) return;
    try {
      await host.answer(answers);
      for (const { challenge } of asked) await this.#connection.post(challenge.url, {});
      for (const { url } of asked) await this.#awaitAuthorization(url, signal);
    } finally {
      await host.answer([]);
    }
  }

  async #readAuthorization(url: string): Promise<Authorization> {
    return readAuthorization((await this.#connection.postJson(url, undefined)).json);
  }

  async #awaitAuthorization(url: string, signal: AbortSignal): Promise<void> {
    const { name, status, challenges } = await this.#poll(url, readAuthorization, ['pending'], signal);
    if (status === 'valid') return;
    const reason = challenges.find(({ error }) => error !== undefined)?.error;
    throw new GatewayError(
      'LGW_ACME',
      `The authority could not see that ${name} is served here: ${describeProblem(reason).text}`,
    );
  }

  async #awaitCertificate(url: string, signal: AbortSignal): Promise<string> {
    const { status, certificate, error } = await this.#poll(url, readOrder, ['ready', 'processing'], signal);
    if (status === 'valid' && certificate !== undefined) return certificate;
    throw new GatewayError(
      'LGW_ACME',
      `The authority did not sign: the order is ${status.slice(0, 20)}: ${describeProblem(error).text}`,
    );
  }

  /** Asks until the status of the document is none of `unfinished` (RFC 8555 §7.1.6). */
  async #poll<T extends { readonly status: string }>(
    url: string,
    read: (document: unknown) => T,
    unfinished: readonly string[],
    signal: AbortSignal,
  ): Promise<T> {
    for (let pause = POLL_FIRST_MS; ; pause = Math.min(2 * pause, POLL_MAX_MS)) {
      const { json, answer } = await this.#connection.postJson(url, undefined);
      const document = read(json);
      if (!unfinished.includes(document.status)) return document;
      const asked = Math.min(answer.retryAfter ?? 0, POLL_RETRY_AFTER_MAX) * 1000;
      await sleep(Math.max(pause, asked), undefined, { signal });
    }
  }
}

function chooseChallenge(
  { name, status, challenges }: Authorization,
  types: readonly ChallengeType[],
): { type: ChallengeType; challenge: OfferedChallenge } {
  if (status !== 'pending')
    throw new GatewayError('LGW_ACME', `The authority has ${status.slice(0, 20)} the name ${name}`);
  for (const type of types) {
    const challenge = challenges.find((offered) => offered.type === type);
    if (challenge !== undefined) return { type, challenge };
  }
  const offered = challenges.map(({ type }) => type.slice(0, 20)).join(', ');
  throw new GatewayError(
    'LGW_ACME',
    `The authority offers ${offered || 'no challenge'} for ${name}, and ${types.join(' and ')} can be answered here`,
  );
}

/** What an authority has signed is served only when it is what was asked for. */
function checkCertificate(pem: string, key: string, names: readonly string[]): void {
  let own: X509Certificate;
  try {
    own = new X509Certificate(pem);
  } catch (error) {
    throw new GatewayError('LGW_ACME', 'The ACME server sent what is no certificate', { cause: error });
  }
  if (!own.checkPrivateKey(createPrivateKey(key)))
    throw new GatewayError('LGW_ACME', 'The ACME server sent a certificate for another key');
  const missing = names.filter((name) => own.checkHost(name) === undefined);
  if (missing.length > 0)
    throw new GatewayError(
      'LGW_ACME',
      `The ACME server sent a certificate that is not for ${missing.join(', ')}`,
    );
}
