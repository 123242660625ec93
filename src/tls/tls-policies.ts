/** Which certificates a handshake gets, by the name that the client asks for, and for which requests its connection counts. */
import { createHash, X509Certificate } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import { assert } from '../base/assert.ts';
import { comparableHost, hostOfAuthority } from '../base/host-name.ts';
import { findByHost } from './certificate-names.ts';
import { CHALLENGE_PROTOCOL, type TlsChallengeAnswer } from './challenge-answer.ts';
import { createSecureOptions } from './secure-options.ts';
import { stapleKey } from './staple-key.ts';
import { createTicketKeys } from './ticket-keys.ts';
import type { ClientAuthority, TlsCertificate, TlsSetup } from './tls-setup.ts';

/** Authorities whose answer is remembered, by policy. */
const AUTHORITIES_MAX = 100;
/** Longer ones are not. */
const AUTHORITY_BYTES_MAX = 300;

/** What all handshakes for some names have in common. */
export class TlsPolicy {
  readonly options: TlsOptions;
  /** The newest first. */
  readonly ticketKeys: readonly Uint8Array[];
  /** The OCSP response of its certificate. Of several, Node does not tell which one a handshake gets (but see `KeyChoice`). */
  readonly staple: Uint8Array | undefined;
  readonly #certificates: readonly TlsCertificate[];
  readonly #policyOf: (host: string) => TlsPolicy | undefined;
  readonly #served = new Map<string, boolean>();

  constructor(
    setup: TlsSetup,
    certificates: readonly TlsCertificate[],
    client: ClientAuthority | undefined,
    policyOf: (host: string) => TlsPolicy | undefined,
    /** All of its names, where it is for a part of the clients. */
    ofNames: readonly TlsCertificate[] = certificates,
  ) {
    this.#certificates = ofNames;
    this.#policyOf = policyOf;
    this.ticketKeys = setup.ticketKeys;
    const [newest] = setup.ticketKeys;
    const [only, ...others] = certificates;
    this.staple = only !== undefined && others.length === 0 ? stapleOf(setup, only) : undefined;
    this.options = createSecureOptions({
      certificate: certificates.map(({ certificate }) => certificate),
      key: certificates.map(({ key }) => key),
      ticketKeys: newest ?? new Uint8Array(),
      profile: setup.profile,
      client,
      sessionIdContext: contextOf(ofNames, client),
    });
  }

  /** False: a connection of this policy is not for requests to the authority, since a handshake for it would get other certificates. */
  serves(authority: string): boolean {
    const known = this.#served.get(authority);
    if (known !== undefined) return known;
    const host = hostOfAuthority(authority);
    // HTTP/1.0 names none
    const other = host === undefined ? this : this.#policyOf(host);
    const serves = other !== undefined && (other === this || this.#sharesCertificate(other));
    if (authority.length <= AUTHORITY_BYTES_MAX) {
      if (this.#served.size >= AUTHORITIES_MAX) this.#served.clear();
      this.#served.set(authority, serves);
    }
    return serves;
  }

  #sharesCertificate(other: TlsPolicy): boolean {
    return other.#certificates.some((one) => this.#certificates.includes(one));
  }
}

/**
 * Who gets which of the certificates for some names, where one of them has a key on P-256 and OCSP responses are stapled: OpenSSL would choose
 * after the response has to be known.
 */
interface KeyChoice {
  /** For clients that take such a key. */
  readonly p256: TlsPolicy;
  readonly others: TlsPolicy;
}

/** For the handshakes of an ACME server, which end when they are done. */
class ChallengePolicy {
  readonly options: TlsOptions;
  readonly ticketKeys: readonly Uint8Array[] = [];
  readonly protocols: readonly string[] = [CHALLENGE_PROTOCOL];

  constructor({ certificate, key }: TlsChallengeAnswer) {
    this.options = createSecureOptions({
      certificate,
      key,
      ticketKeys: createTicketKeys(),
      profile: 'intermediate',
      client: undefined,
      sessionIdContext: CHALLENGE_PROTOCOL,
    });
  }

  serves(): boolean {
    return false;
  }
}

/** Of one listener. */
export class TlsPolicies {
  /** False: all handshakes are alike, and nobody has to read what they ask for. */
  readonly readsHello: boolean;
  readonly #strict: boolean;
  readonly #default: TlsPolicy;
  readonly #byName = new Map<string, TlsPolicy>();
  readonly #choices = new Map<TlsPolicy, KeyChoice>();
  /** By the name that is looked at. */
  readonly #challenges = new Map<string, ChallengePolicy>();

  constructor(setup: TlsSetup, listener: number) {
    const all = [...setup.certificates, ...(setup.obtained ?? [])];
    const [first] = all;
    assert(first !== undefined, 'a TLS listener has a certificate');
    this.#strict = setup.strictSni;
    const client = setup.clients[listener];
    const byName = new Map<string, TlsCertificate[]>();
    for (const certificate of all)
      for (const name of certificate.names) byName.set(name, [...(byName.get(name) ?? []), certificate]);
    const made = new Map<string, TlsPolicy>();
    const make = (certificates: readonly TlsCertificate[]): TlsPolicy => {
      const key = certificates.map((one) => all.indexOf(one)).join();
      const before = made.get(key);
      if (before !== undefined) return before;
      const policyOf = (host: string): TlsPolicy | undefined => this.#policyOf(host);
      const policy = new TlsPolicy(setup, certificates, client, policyOf);
      made.set(key, policy);
      const [p256, others] = splitByKey(setup, certificates);
      if (p256 !== undefined && others !== undefined)
        this.#choices.set(policy, {
          p256: new TlsPolicy(setup, [p256], client, policyOf, certificates),
          others: new TlsPolicy(setup, others, client, policyOf, certificates),
        });
      return policy;
    };
    this.#default = make(byName.get(first.names[0] ?? '') ?? [first]);
    for (const [name, certificates] of byName) this.#byName.set(name, make(certificates));
    for (const answer of setup.challenges ?? [])
      if (answer.type === 'tls-alpn-01') this.#challenges.set(answer.name, new ChallengePolicy(answer));
    this.readsHello = setup.strictSni || made.size > 1 || this.#challenges.size > 0 || this.#choices.size > 0;
  }

  /**
   * For a handshake; `serverName`: of its SNI, undefined = it has none. `takesP256`: the client takes a certificate with a key on this curve.
   * Undefined: it is refused.
   */
  choose(
    serverName: string | undefined,
    protocols: readonly string[] = [],
    takesP256 = false,
  ): TlsPolicy | ChallengePolicy | undefined {
    if (serverName !== undefined && protocols.includes(CHALLENGE_PROTOCOL)) {
      const challenge = this.#challenges.get(serverName.toLowerCase());
      if (challenge !== undefined) return challenge;
    }
    const host = serverName === undefined ? undefined : comparableHost(serverName);
    const policy = host === undefined ? this.#otherwise() : this.#policyOf(host);
    const choice = policy && this.#choices.get(policy);
    if (choice === undefined) return policy;
    return takesP256 ? choice.p256 : choice.others;
  }

  /** For handshakes that nobody has read. */
  get common(): TlsPolicy {
    return this.#default;
  }

  #policyOf(host: string): TlsPolicy | undefined {
    return findByHost(this.#byName, host) ?? this.#otherwise();
  }

  #otherwise(): TlsPolicy | undefined {
    return this.#strict ? undefined : this.#default;
  }
}

/** The one with a key on P-256, and those with others; empty: there is nothing to choose, or nothing is stapled. */
function splitByKey(
  setup: TlsSetup,
  certificates: readonly TlsCertificate[],
): readonly [TlsCertificate, readonly TlsCertificate[]] | readonly [] {
  if (certificates.length < 2 || !certificates.some((one) => stapleOf(setup, one) !== undefined)) return [];
  const isP256 = ({ certificate }: TlsCertificate): boolean =>
    new X509Certificate(certificate).publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  const [p256, ...more] = certificates.filter((one) => one.keyKind === 'EC' && isP256(one));
  if (p256 === undefined || more.length > 0) return [];
  return [p256, certificates.filter((one) => one !== p256)];
}

function stapleOf({ staples }: TlsSetup, { certificate }: TlsCertificate): Uint8Array | undefined {
  return staples === undefined || staples.size === 0 ? undefined : staples.get(stapleKey(certificate));
}

/** The same before and after a renewal, and another one for other names, authorities or demands: no ticket counts for both. */
function contextOf(certificates: readonly TlsCertificate[], client: ClientAuthority | undefined): string {
  const facts = [certificates.map(({ names }) => [...names].sort()), client?.verify, client?.ca];
  return createHash('sha256').update(JSON.stringify(facts)).digest('base64').slice(0, CONTEXT_BYTES_MAX);
}

/** SSL_MAX_SID_CTX_LENGTH of OpenSSL. */
const CONTEXT_BYTES_MAX = 32;
